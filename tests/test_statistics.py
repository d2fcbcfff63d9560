"""What a study says of its runs: intervals against SciPy, paired contrasts and verdicts against made-up rows."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from winsome.evidence.intervals import by_seed, comparison, contrast, interval, table
from winsome.evidence.results import RunRow
from winsome.evidence.verdicts import finding, judged, sentence, status_words, verdict
from winsome.study.arms import Claim

CLAIM = Claim("A is better than B.", "made up", {"a": 1, "b": -1}, "a minus b")


def row(arm: str, seed: int, accuracy: float, *, start: int = 0, density: float = 0.1) -> RunRow:
    return {
        "arm": arm,
        "density": density,
        "search_seed": seed,
        "start": start,
        "accuracy": accuracy,
        "loss": 0.0,
        "curve": [],
        "seconds": 0.0,
    }


def pairs(differences: list[float]) -> list[RunRow]:
    """Rows whose contrast a - b is the given difference, seed by seed."""
    return [row(arm, seed, 0.5 + (d if arm == "a" else 0.0)) for seed, d in enumerate(differences) for arm in ("a", "b")]


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=20).filter(lambda values: float(np.std(values)) > 1e-6))
def test_the_interval_is_students(values: list[float]) -> None:
    n, mean = len(values), float(np.mean(values))
    half = float(stats.t.ppf(0.975, n - 1)) * float(np.std(values, ddof=1)) / math.sqrt(n)
    found = interval(values)
    assert found.n == n
    assert found.mean == pytest.approx(mean, abs=1e-12)
    assert found.low == pytest.approx(mean - half, abs=1e-12)
    assert found.high == pytest.approx(mean + half, abs=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.1, -0.7])
def test_values_that_are_all_alike_have_an_interval_without_width(value: float) -> None:
    found = interval([value] * 3)
    assert (found.mean, found.low, found.high, found.n) == (value, value, value, 3)


def test_one_value_has_no_interval_and_none_is_refused() -> None:
    single = interval([0.25])
    assert (single.mean, single.low, single.high) == (0.25, None, None)
    assert sentence(judged([0.25], CLAIM, "somewhere")) == (
        "not judged (one search seed) somewhere: a minus b is +25.0 points (1 search seed: no interval)"
    )
    with pytest.raises(ValueError, match="at least one value"):
        interval([])


def test_starts_are_averaged_before_anything_else() -> None:
    rows = [row("a", 0, 0.2, start=0), row("a", 0, 0.6, start=1), row("a", 1, 0.9)]
    assert by_seed(rows, "a", 0.1) == {0: pytest.approx(0.4), 1: pytest.approx(0.9)}
    entry = table(rows)[0]
    assert entry["mean"] == pytest.approx(0.65)  # not 0.5667, the mean over runs
    assert entry["std"] == pytest.approx(0.5 / np.sqrt(2))
    assert (entry["n_search_seeds"], entry["n_runs"]) == (2, 3)


def test_seeds_are_paired_and_those_that_an_arm_lacks_are_dropped() -> None:
    rows = [row("a", 0, 0.9), row("b", 0, 0.5), row("a", 1, 0.8), row("b", 1, 0.7), row("a", 2, 0.1), row("b", 3, 1.0)]
    assert contrast(rows, {"a": 1, "b": -1}, 0.1) == {0: pytest.approx(0.4), 1: pytest.approx(0.1)}
    found = comparison(rows, "a", "b", 0.1)
    assert found is not None
    assert found["difference"] == pytest.approx(0.25)
    assert (found["n"], found["wins"]) == (2, 2)
    assert comparison(rows, "a", "never run", 0.1) is None


def test_densities_are_apart_but_the_dense_network_stands_beside_each() -> None:
    rows = [row("dense", 0, 1.0, density=1.0), row("a", 0, 0.6, density=0.1), row("a", 0, 0.7, density=0.2)]
    assert contrast(rows, {"dense": 1, "a": -1}, 0.1) == {0: pytest.approx(0.4)}
    assert contrast(rows, {"dense": 1, "a": -1}, 0.2) == {0: pytest.approx(0.3)}


@pytest.mark.parametrize(
    ("differences", "status", "words"),
    [
        ([0.10, 0.11, 0.12], "shown", ("shown here", "")),
        ([-0.10, -0.11, -0.12], "opposite", ("not shown here", "the opposite shows")),
        ([-0.10, 0.0, 0.11], "within the spread", ("not shown here", "within the spread")),
        ([0.10], "not judged", ("not judged", "one search seed")),
    ],
)
def test_verdicts(differences: list[float], status: str, words: tuple[str, str]) -> None:
    found = verdict(pairs(differences), CLAIM, 0.1)
    assert found is not None
    assert (found["status"], found["density"], found["n"]) == (status, 0.1, len(differences))
    assert status_words(found) == words
    assert found["value"] == pytest.approx(float(np.mean(differences)))


def test_a_verdict_is_put_into_words_of_its_unit() -> None:
    values = [0.1, 0.2, 0.3]
    low, high = (0.2 + sign * stats.t.ppf(0.975, 2) * 0.1 / math.sqrt(3) for sign in (-1, 1))
    points = judged(values, CLAIM, "at density 0.1")
    spread = f"(95 % interval {100 * low:+.1f} to {100 * high:+.1f}, 3 search seeds)"
    assert sentence(points) == f"not shown here (within the spread) at density 0.1: a minus b is +20.0 points {spread}"
    plain = judged(values, CLAIM, "", unit="number")
    assert finding(plain, minus="−") == f"a minus b is +0.20 (95 % interval −{-low:.2f} to +{high:.2f}, 3 search seeds)"
    assert finding({**points, "unit": "percent", "of": "start"}).startswith("a minus b is 20.0 % (95 % interval")


def test_equal_accuracies_are_no_difference_whatever_their_last_bits() -> None:
    """Exact by rational arithmetic: 1/10 + 2/10 + 3/10 is 6/10 in any order, and a minus three thirds of it is 0."""
    starts = {"a": (0.1, 0.2, 0.3), "b": (0.3, 0.2, 0.1)}
    assert sum(starts["a"]) != sum(starts["b"]), "in floating point they differ"
    rows = [row(arm, seed, v, start=n) for arm, values in starts.items() for seed in range(3) for n, v in enumerate(values)]
    found = comparison(rows, "a", "b", 0.1)
    assert found is not None
    assert (found["difference"], found["wins"]) == (0, 0)
    thirds = Claim("A beats the mean of three.", "made up", {"a": 1, "b": -1 / 3, "c": -1 / 3, "d": -1 / 3}, "a minus the mean")
    same = [row(arm, seed, 0.9) for arm in "abcd" for seed in range(3)]
    assert sum(weight * 0.9 for weight in thirds.contrast.values()) != 0
    judged_here = verdict(same, thirds, 0.1)
    assert judged_here is not None
    assert judged_here["status"] == "within the spread"


@pytest.mark.parametrize(("values", "n"), [([0.1, float("nan"), 0.2], 2), ([float("nan"), 0.1], 1), ([float("nan")] * 2, 0)])
def test_a_claim_is_not_judged_where_a_seed_has_no_value(values: list[float], n: int) -> None:
    found = judged(values, CLAIM, "over all levels", unit="number")
    assert found["status"] == "not judged"
    assert found["n"] == n
    assert "nan" not in json.dumps(found).lower()
    assert f"not judged (no value of {len(values) - n} of {len(values)} search seeds) over all levels: " in sentence(found)
    assert found["value"] == (pytest.approx(sum(v for v in values if not math.isnan(v)) / n) if n else None)


def test_a_verdict_needs_every_arm_of_its_claim() -> None:
    assert verdict([row("a", 0, 0.5)], CLAIM, 0.1) is None

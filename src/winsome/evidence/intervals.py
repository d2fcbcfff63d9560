"""What a study's runs say: means, paired differences with intervals, and the verdict on every claim.

The search seed is the unit: fresh starts of one ticket are averaged first, for they are not independent of each other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from winsome.study.arms import Claim

Row = Mapping[str, Any]  # arm, density, search_seed, start, accuracy
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean over search seeds and its 95 % confidence interval (Student's t); no interval from fewer than two seeds."""

    mean: float
    low: float | None
    high: float | None
    n: int

    def sentence(self, *, points: bool = True) -> str:
        """For a sentence: in percentage points, or as it is."""
        scale, digits, unit = (100, 1, " points") if points else (1, 2, "")
        mean = f"{scale * self.mean:+.{digits}f}{unit}"
        if self.low is None or self.high is None:
            return f"{mean} ({self.n} search seed: no interval)"
        low, high = scale * self.low, scale * self.high
        return f"{mean} (95 % interval {low:+.{digits}f} to {high:+.{digits}f}, {self.n} search seeds)"


def interval(values: Sequence[float]) -> Interval:
    """Mean and confidence interval of independent values.

    Raises:
        ValueError: there is no value.
    """
    if not values:
        raise ValueError("an interval needs at least one value")
    from scipy import stats  # here, for it takes a second to import

    mean = float(np.mean(values))
    if len(values) < 2:
        return Interval(mean, None, None, len(values))
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return Interval(mean, mean - half, mean + half, len(values))


def by_seed(rows: Sequence[Row], arm: str, density: float) -> dict[int, float]:
    """Mean accuracy over starts of an arm, by search seed; the dense arm stands beside every density."""
    groups: dict[int, list[float]] = {}
    for row in rows:
        if row["arm"] == arm and (row["density"] == density or row["arm"] == "dense"):
            groups.setdefault(row["search_seed"], []).append(row["accuracy"])
    return {seed: float(np.mean(values)) for seed, values in groups.items()}


def contrast(rows: Sequence[Row], weights: Mapping[str, float], density: float) -> dict[int, float]:
    """The weighted sum of arms' accuracies by search seed, over the seeds that all of these arms have."""
    arms = {arm: by_seed(rows, arm, density) for arm in weights}
    seeds = sorted(set.intersection(*(set(values) for values in arms.values())))
    # Rounded: a sum that is zero but for its last bits must not count as a win, nor, alike in every seed, as shown.
    return {seed: round(sum(weight * arms[arm][seed] for arm, weight in weights.items()), 12) for seed in seeds}


def table(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Mean and standard deviation over search seeds, of every arm at every density, in the order of the rows."""
    result = []
    for arm, density in dict.fromkeys((row["arm"], row["density"]) for row in rows):
        seeds = by_seed(rows, arm, density)
        values = list(seeds.values())
        n_runs = sum(row["arm"] == arm and row["density"] == density for row in rows)
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
        result.append(
            {
                "arm": arm,
                "density": density,
                "mean": float(np.mean(values)),
                "std": spread,
                "n_search_seeds": len(values),
                "n_runs": n_runs,
            }
        )
    return result


def comparison(rows: Sequence[Row], first: str, second: str, density: float) -> dict[str, Any] | None:
    """The difference of two arms paired by search seed, or None where they share no seed."""
    differences = contrast(rows, {first: 1, second: -1}, density)
    if not differences:
        return None
    found = interval(list(differences.values()))
    return {
        "density": density,
        "first": first,
        "second": second,
        "difference": found.mean,
        "low": found.low,
        "high": found.high,
    } | {
        "n": found.n,
        "wins": sum(value > 0 for value in differences.values()),
    }


def verdict(rows: Sequence[Row], claim: Claim, density: float) -> dict[str, Any] | None:
    """Whether a claim shows in these runs at a density; None where an arm that it compares was not run.

    It shows if the whole interval of its contrast is above 0; from a single search seed nothing is judged.
    """
    values = contrast(rows, claim.contrast, density)
    return judged(list(values.values()), claim, f"at density {density:.3g}") | {"density": density} if values else None


def judged(values: Sequence[float], claim: Claim, where: str, *, points: bool = True) -> dict[str, Any]:
    """The verdict on a claim whose contrast has these values, one for each search seed.

    `where` goes into the sentence; `points` says that the values are accuracies, to be told in percentage points.
    """
    there = [value for value in values if math.isfinite(value)]
    found = interval(there) if there else None
    if found is None or found.n < len(values):
        shown, words = None, f"not judged (no value of {len(values) - len(there)} of {len(values)} search seeds)"
    elif found.low is None or found.high is None:
        shown, words = None, "not judged (one search seed)"
    elif found.low > 0:
        shown, words = True, "shown here"
    elif found.high < 0:
        shown, words = False, "not shown here (the opposite shows)"
    else:
        shown, words = False, "not shown here (within the spread)"
    how_much = "has no value" if found is None else f"is {found.sentence(points=points)}"
    return {
        "claim": claim.text,
        "source": claim.source,
        "shown": shown,
        "sentence": f"{words} {where}: {claim.meaning} {how_much}",
        "density": None,
        "difference": found and found.mean,
        "low": found and found.low,
        "high": found and found.high,
        "n": len(there),
    }

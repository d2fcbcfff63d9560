"""What one method is better by than another over the length of levels: by hand, and as drawn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from winsome.evidence.leads import Lead, shrinks
from winsome.evidence.results import RunRow
from winsome.figures.lengths import lead_over_length
from winsome.figures.theme import NARROW, WIDE
from winsome.recipes.set_ups import over

CLAIM = over("A beats B.", "a", "b", "A minus B")
SHORT = Lead("A minus B", 8, {0: 0.10, 1: 0.12, 2: 0.08})
LONG = Lead("A minus B", 64, {0: 0.02, 1: 0.03, 2: 0.01, 7: 0.9})


def test_a_lead_is_the_contrast_at_its_density(made_rows: list[RunRow]) -> None:
    lead = Lead.of(CLAIM, made_rows, 0.1, 8)
    assert lead.by_seed == pytest.approx({0: 0.3, 1: 0.1})
    assert (lead.name, lead.epochs, lead.interval.n) == ("A minus B", 8, 2)
    assert lead.interval.mean == pytest.approx(0.2)


@pytest.fixture
def made_rows() -> list[RunRow]:
    """Two arms, two seeds, two densities."""
    accuracy = {("a", 0.1): (0.8, 0.7), ("b", 0.1): (0.5, 0.6), ("a", 1.0): (0.9, 0.9), ("b", 1.0): (0.9, 0.8)}
    return [
        {"arm": arm, "density": density, "search_seed": seed, "start": 0, "accuracy": values[seed]}  # type: ignore[typeddict-item]
        for (arm, density), values in accuracy.items()
        for seed in (0, 1)
    ]


def test_whether_a_lead_shrinks_is_judged_over_the_seeds_that_both_lengths_have() -> None:
    found = shrinks([LONG, Lead("A minus B", 24, {0: 0.5}), SHORT], "somebody")
    differences = [0.08, 0.09, 0.07]
    low, high = stats.t.interval(0.95, 2, np.mean(differences), stats.sem(differences))
    assert found["status"] == "shown"
    assert [found["value"], found["low"], found["high"]] == pytest.approx([0.08, low, high])
    assert found["n"] == 3
    assert found["meaning"] == "A minus B, in levels of 8 epochs, less that of 64"
    grown = Lead("A minus B", 64, {seed: 2 * value for seed, value in SHORT.by_seed.items()})
    assert shrinks([SHORT, grown], "")["status"] == "opposite"


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_every_lead_is_drawn_at_its_length_with_its_interval(width: float) -> None:
    figure = lead_over_length([LONG, SHORT, Lead("C minus D", 8, {0: -0.3})], width=width)
    (axes,) = figure.axes
    lines = [np.asarray(line.get_xydata()) for line in axes.lines]
    (joined,) = (line for line in lines if len(line) == 2 and line[0][0] != line[1][0] and line[1][1] != line[0][1])
    assert joined[:, 1] == pytest.approx([10.0, 24.0])
    assert joined[:, 0] == pytest.approx([8, 64], rel=0.05)
    upright = {round(float(line[0][0]), 6): line[:, 1] for line in lines if len(line) == 2 and line[0][0] == line[1][0]}
    own = [ends for place, ends in upright.items() if place < 10]
    assert own[0] == pytest.approx([100 * SHORT.interval.low, 100 * SHORT.interval.high])  # type: ignore[operator]
    low, high = axes.get_ylim()
    assert low < -30 < 0 < high, "what is below 0 is inside, with 0"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["A minus B", "C minus D"]

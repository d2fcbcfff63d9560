"""What a study's runs say in numbers: means by search seed, paired differences, and confidence intervals.

The search seed is the unit: fresh starts of one ticket are averaged first, for they are not independent of each other.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from winsome.evidence.results import Comparison, RunRow, TableEntry

CONFIDENCE = 0.95
DENSE = frozenset({"dense"})


@dataclass(frozen=True)
class Interval:
    """A mean of independent values and its 95 % confidence interval (Student's t); no interval from fewer than two."""

    mean: float
    low: float | None
    high: float | None
    n: int


def interval(values: Sequence[float]) -> Interval:
    """Mean and confidence interval of independent values.

    Raises:
        ValueError: there is no value.
    """
    if not values:
        raise ValueError("an interval needs at least one value")
    if len(values) < 2:
        return Interval(values[0], None, None, len(values))
    if min(values) == max(values):  # of which SciPy says NaN
        return Interval(values[0], values[0], values[0], len(values))
    from scipy.stats import t  # here, for it takes a second to import

    mean = fmean(values)
    # Not ttest_1samp(...).confidence_interval(), the same numbers: it warns where values are alike but for their last bits.
    low, high = t.interval(CONFIDENCE, len(values) - 1, loc=mean, scale=stdev(values) / math.sqrt(len(values)))
    return Interval(mean, float(low), float(high), len(values))


def spread(values: Sequence[float]) -> float | None:
    """The sample standard deviation (n - 1); None for a single value, which has no spread to show."""
    return stdev(values) if len(values) > 1 else None


def by_seed(rows: Sequence[RunRow], arm: str, density: float, *, dense: Collection[str] = DENSE) -> dict[int, float]:
    """Mean accuracy over starts of an arm at a density, by search seed.

    Args:
        rows: the runs of a study.
        arm: its name.
        density: fraction kept, in (0, 1].
        dense: names of the arms that stand beside every density.
    """
    groups: dict[int, list[float]] = {}
    for row in rows:
        if row["arm"] == arm and (arm in dense or row["density"] == density):
            groups.setdefault(row["search_seed"], []).append(row["accuracy"])
    return {seed: fmean(values) for seed, values in sorted(groups.items())}


def contrast(
    rows: Sequence[RunRow], weights: Mapping[str, float], density: float, *, dense: Collection[str] = DENSE
) -> dict[int, float]:
    """The weighted sum of arms' accuracies by search seed, over the seeds that all of these arms have."""
    arms = {arm: by_seed(rows, arm, density, dense=dense) for arm in weights}
    seeds = sorted(set.intersection(*(set(values) for values in arms.values())))
    # Rounded: a sum that is zero but for its last bits must not count as a win, nor, alike in every seed, as shown.
    return {seed: round(sum(weight * arms[arm][seed] for arm, weight in weights.items()), 12) for seed in seeds}


def table(rows: Sequence[RunRow], *, dense: Collection[str] = DENSE) -> list[TableEntry]:
    """Mean and standard deviation over search seeds, of every arm at every density, in the order of the rows."""
    entries: list[TableEntry] = []
    for arm, density in dict.fromkeys((row["arm"], row["density"]) for row in rows):
        values = list(by_seed(rows, arm, density, dense=dense).values())
        entries.append(
            {
                "arm": arm,
                "density": density,
                "mean": fmean(values),
                "std": spread(values),
                "n_search_seeds": len(values),
                "n_runs": sum(row["arm"] == arm and row["density"] == density for row in rows),
            }
        )
    return entries


def comparison(
    rows: Sequence[RunRow], first: str, second: str, density: float, *, dense: Collection[str] = DENSE
) -> Comparison | None:
    """The difference of two arms paired by search seed, or None where they share no seed."""
    differences = list(contrast(rows, {first: 1, second: -1}, density, dense=dense).values())
    if not differences:
        return None
    found = interval(differences)
    return {
        "density": density,
        "first": first,
        "second": second,
        "difference": found.mean,
        "low": found.low,
        "high": found.high,
        "n": found.n,
        "wins": sum(value > 0 for value in differences),
    }

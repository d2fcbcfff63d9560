"""What the signs of several searches say: means over search seeds, and differences between methods paired by seed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from winsome.analysis.signs import SignDynamics
from winsome.evidence.intervals import interval, spread

Measure = Callable[[SignDynamics], float]
MEASURES: Mapping[str, Measure] = {
    "flips per weight": SignDynamics.mean_flips,
    "settled level": SignDynamics.mean_settled,
    "settled level of flipped": SignDynamics.mean_settled_of_flipped,
    "flipped at all": SignDynamics.flipped_at_all,
}
SUMMARY = ("measure", "method", "minus", "mean", "std", "low", "high", "seeds")


def summary(counted: Sequence[SignDynamics]) -> Iterator[tuple[object, ...]]:
    """The rows of summary.csv: every measure of every method, then every difference between two, paired by seed."""
    methods = by_method(counted)
    for name, measure in MEASURES.items():
        for method, searches in methods.items():
            yield _summary_row(name, method, "", [measure(search) for search in searches])
        for first, second in itertools.combinations(methods, 2):
            yield _summary_row(name, first, second, paired(methods[first], methods[second], measure))


def _summary_row(name: str, method: str, minus: str, values: Sequence[float]) -> tuple[object, ...]:
    there = known(values)
    if not there:
        return (name, method, minus, "", "", "", "", 0)
    found = interval(there)
    std = "" if (deviation := spread(there)) is None else deviation
    low, high = ("" if end is None else end for end in (found.low, found.high))
    return (name, method, minus, found.mean, std, low, high, found.n)


def by_method(counted: Sequence[SignDynamics]) -> dict[str, list[SignDynamics]]:
    """The searches of each method, in the order in which methods come."""
    return {
        method: [search for search in counted if search.method == method]
        for method in dict.fromkeys(search.method for search in counted)
    }


def paired(first: Sequence[SignDynamics], second: Sequence[SignDynamics], measure: Measure) -> list[float]:
    """First minus second, of the seeds that both have."""
    others = {search.seed: measure(search) for search in second}
    return [measure(search) - others[search.seed] for search in first if search.seed in others]


def known(values: Sequence[float]) -> list[float]:
    """The values that are no NaN."""
    return [value for value in values if not math.isnan(value)]

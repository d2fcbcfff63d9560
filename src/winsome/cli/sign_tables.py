"""The tables of `winsome signs`: means and standard deviations over search seeds, and differences paired by seed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from rich.table import Table

from winsome.analysis.signs import Agreement, SignDynamics
from winsome.cli.tables import add_row, open_table
from winsome.study.statistics import Interval, interval

Statistic = Callable[[SignDynamics], float]
STATISTICS: Mapping[str, Statistic] = {
    "flips per weight": SignDynamics.mean_flips,
    "settled level": SignDynamics.mean_settled,
    "settled level of flipped": SignDynamics.mean_settled_of_flipped,
    "flipped at all": SignDynamics.flipped_at_all,
}
SUMMARY = ("statistic", "method", "minus", "mean", "std", "low", "high", "seeds")


def tables(counted: Sequence[SignDynamics], agreeing: Sequence[Agreement]) -> Iterator[Table]:
    """Every table of the command; `agreeing` is of the last level."""
    methods = _by_method(counted)
    yield _settling(methods)
    if len(methods) > 1:
        yield _differences(methods)
    yield _levels(methods)
    yield _layers(methods)
    if agreeing:
        yield _agreement(agreeing)


def summary(counted: Sequence[SignDynamics]) -> Iterator[tuple[object, ...]]:
    """The rows of summary.csv: every statistic of every method, then every difference between two, paired by seed."""
    methods = _by_method(counted)
    for name, statistic in STATISTICS.items():
        for method, searches in methods.items():
            yield _summary_row(name, method, "", [statistic(search) for search in searches])
        for first, second in itertools.combinations(methods, 2):
            yield _summary_row(name, first, second, _paired(methods[first], methods[second], statistic))


def _summary_row(name: str, method: str, minus: str, values: Sequence[float]) -> tuple[object, ...]:
    known = _known(values)
    if not known:
        return (name, method, minus, "", "", "", "", 0)
    found = interval(known)
    std = float(np.std(known, ddof=1)) if len(known) > 1 else ""
    low, high = ("" if end is None else end for end in (found.low, found.high))
    return (name, method, minus, found.mean, std, low, high, found.n)


def _by_method(counted: Sequence[SignDynamics]) -> dict[str, list[SignDynamics]]:
    return {
        method: [search for search in counted if search.method == method]
        for method in dict.fromkeys(search.method for search in counted)
    }


def _paired(first: Sequence[SignDynamics], second: Sequence[SignDynamics], statistic: Statistic) -> list[float]:
    """First minus second, of the seeds that both have."""
    others = {search.seed: statistic(search) for search in second}
    return [statistic(search) - others[search.seed] for search in first if search.seed in others]


def _settling(methods: Mapping[str, Sequence[SignDynamics]]) -> Table:
    last = next(iter(methods.values()))[0]
    table = open_table(
        "method", "seeds", *STATISTICS, title=f"signs of the {last.at(last.level).kept:,} weights alive at level {last.level}"
    )
    for method, searches in methods.items():
        cells = [_spread([statistic(search) for search in searches]) for statistic in STATISTICS.values()]
        add_row(table, method, str(len(searches)), *cells)
    return table


def _differences(methods: Mapping[str, Sequence[SignDynamics]]) -> Table:
    table = open_table("difference", "seeds", *STATISTICS, title="differences paired by seed, 95 % intervals")
    for first, second in itertools.combinations(methods, 2):
        pairs = [_known(_paired(methods[first], methods[second], statistic)) for statistic in STATISTICS.values()]
        if pairs[0]:
            cells = [_interval(interval(values)) if values else "-" for values in pairs]
            add_row(table, f"{first} - {second}", str(len(pairs[0])), *cells)
    return table


def _levels(methods: Mapping[str, Sequence[SignDynamics]]) -> Table:
    table = open_table(
        "level", "kept", *methods, title="weights alive at each level, %: flipped in it / flipped since the start / positive"
    )
    first = next(iter(methods.values()))[0]
    for level in range(first.level + 1):
        cells = []
        for searches in methods.values():
            parts = [search.at(level) for search in searches]
            shares = (
                [part.flipped_share for part in parts],
                [part.flipped_since_start_share for part in parts],
                [part.positive_share for part in parts],
            )
            cells.append(" / ".join(_percent(values) for values in shares))
        add_row(table, str(level), f"{first.at(level).kept:,}", *cells)
    return table


def _layers(methods: Mapping[str, Sequence[SignDynamics]]) -> Table:
    first = next(iter(methods.values()))[0]
    table = open_table(
        "layer", *methods, title=f"layers at level {first.level}: weights kept / flips per weight / settled level / positive %"
    )
    for layer in first.flips:
        cells = []
        for searches in methods.values():
            kept = np.mean([search.at(first.level, layer).kept for search in searches])
            flips = _mean([search.mean_flips(layer) for search in searches])
            settled = _mean([search.mean_settled(layer) for search in searches])
            positive = _percent([search.at(first.level, layer).positive_share for search in searches])
            cells.append(f"{kept:,.0f} / {flips} / {settled} / {positive}")
        add_row(table, layer, *cells)
    return table


def _agreement(agreeing: Sequence[Agreement]) -> Table:
    columns = ("seeds", "pairs", "Jaccard", "by chance", "same sign", "by chance")
    table = open_table("searches", *columns, title=f"agreement at level {agreeing[0].level}")
    for methods, pairs in itertools.groupby(sorted(agreeing, key=_kind), key=_kind):
        shared = [pair.overlap for pair in pairs]
        add_row(
            table,
            " and ".join(methods),
            "other" if methods[0] == methods[1] else "same",
            str(len(shared)),
            _spread([one.jaccard for one in shared]),
            _mean([one.chance_jaccard for one in shared]),
            _spread([one.sign_agreement for one in shared]),
            _mean([one.chance_sign_agreement for one in shared]),
        )
    return table


def _kind(pair: Agreement) -> tuple[str, str]:
    return pair.methods


def _known(values: Sequence[float]) -> list[float]:
    return [value for value in values if not math.isnan(value)]


def _spread(values: Sequence[float]) -> str:
    known = _known(values)
    return _mean(known) + (f" ± {np.std(known, ddof=1):.3f}" if len(known) > 1 else "")


def _mean(values: Sequence[float]) -> str:
    known = _known(values)
    return f"{np.mean(known):.3f}" if known else "-"


def _percent(values: Sequence[float]) -> str:
    known = _known(values)
    return f"{100 * np.mean(known):.1f}" if known else "-"


def _interval(found: Interval) -> str:
    if found.low is None or found.high is None:
        return f"{found.mean:+.3f}"
    return f"{found.mean:+.3f} ({found.low:+.3f} to {found.high:+.3f})"

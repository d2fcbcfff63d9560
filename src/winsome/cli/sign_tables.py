"""The tables of `winsome signs`: means and standard deviations over search seeds, and differences paired by seed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import TypeVar

from rich.table import Table

from winsome.analysis.signs import Agreement, SignDynamics
from winsome.cli.tables import add_row, open_table
from winsome.evidence.intervals import Interval, interval, spread
from winsome.evidence.signs import MEASURES, by_method, known, paired
from winsome.wording import fixed, mean_and_spread

Row = TypeVar("Row")  # what a row of a grid stands for: a level or a layer
COMPARED = ("flips per weight", "settled level")  # in the terminal; summary.csv has all


def tables(counted: Sequence[SignDynamics], agreeing: Sequence[Agreement]) -> Iterator[Table]:
    """Every table of the command; `agreeing` is of the last level."""
    methods = by_method(counted)
    yield _settling(methods)
    if len(methods) > 1:
        yield _differences(methods)
    yield from _levels(methods)
    yield from _layers(methods)
    if agreeing:
        yield _agreement(agreeing)


def _settling(methods: Mapping[str, Sequence[SignDynamics]]) -> Table:
    last = next(iter(methods.values()))[0]
    table = open_table(
        "method", "seeds", *MEASURES, title=f"signs of the {last.at(last.level).kept:,} weights alive at level {last.level}"
    )
    for method, searches in methods.items():
        cells = [_mean([measure(search) for search in searches], several=True) for measure in MEASURES.values()]
        add_row(table, method, str(len(searches)), *cells)
    return table


def _differences(methods: Mapping[str, Sequence[SignDynamics]]) -> Table:
    table = open_table("difference", "seeds", *COMPARED, title="differences paired by seed, 95 % intervals")
    for first, second in itertools.combinations(methods, 2):
        pairs = [known(paired(methods[first], methods[second], MEASURES[name])) for name in COMPARED]
        if pairs[0]:
            cells = [_interval(interval(values)) if values else "-" for values in pairs]
            add_row(table, f"{first} - {second}", str(len(pairs[0])), *cells)
    return table


def _levels(methods: Mapping[str, Sequence[SignDynamics]]) -> Iterator[Table]:
    first = next(iter(methods.values()))[0]
    rows = {f"{level} ({first.at(level).kept:,} weights)": level for level in range(first.level + 1)}

    def flipped(searches: Sequence[SignDynamics], level: int) -> str:
        parts = [search.at(level) for search in searches]
        within, since = [part.flipped_share for part in parts], [part.flipped_since_start_share for part in parts]
        return f"{_percent(within)} / {_percent(since)}"

    def positive(searches: Sequence[SignDynamics], level: int) -> str:
        return _percent([search.at(level).positive_share for search in searches], several=True)

    yield _grid("level", "flipped in the level / since the start (% of the weights alive)", methods, rows, flipped)
    yield _grid("level", "positive (% of the weights alive)", methods, rows, positive)


def _layers(methods: Mapping[str, Sequence[SignDynamics]]) -> Iterator[Table]:
    first = next(iter(methods.values()))[0]
    rows = {layer: layer for layer in first.flips}

    def settling(searches: Sequence[SignDynamics], layer: str) -> str:
        flips, settled = [one.mean_flips(layer) for one in searches], [one.mean_settled(layer) for one in searches]
        return f"{_mean(flips, 2)} / {_mean(settled, 2)}"

    def balance(searches: Sequence[SignDynamics], layer: str) -> str:
        parts = [search.at(first.level, layer) for search in searches]
        return f"{fmean(part.kept for part in parts):,.0f} / {_percent([part.positive_share for part in parts])}"

    yield _grid("layer", f"flips per weight / settled level, at level {first.level}", methods, rows, settling)
    yield _grid("layer", f"weights alive / positive (%), at level {first.level}", methods, rows, balance)


def _grid(
    first: str,
    title: str,
    methods: Mapping[str, Sequence[SignDynamics]],
    rows: Mapping[str, Row],
    cell: Callable[[Sequence[SignDynamics], Row], str],
) -> Table:
    """A table with a column for each method."""
    table = open_table(first, *methods, title=title)
    for name, row in rows.items():
        add_row(table, name, *(cell(searches, row) for searches in methods.values()))
    return table


def _agreement(agreeing: Sequence[Agreement]) -> Table:
    columns = ("seeds", "pairs", "Jaccard", "by chance", "same sign", "by chance")
    table = open_table("searches", *columns, title=f"masks and signs in common at level {agreeing[0].level} (%)")
    for methods in dict.fromkeys(pair.methods for pair in agreeing):
        shared = [pair.overlap for pair in agreeing if pair.methods == methods]
        add_row(
            table,
            ", ".join(methods),
            "other" if methods[0] == methods[1] else "same",
            str(len(shared)),
            _percent([one.jaccard for one in shared], several=True),
            _percent([one.chance_jaccard for one in shared]),
            _percent([one.sign_agreement for one in shared], several=True),
            _percent([one.chance_sign_agreement for one in shared]),
        )
    return table


def _mean(values: Sequence[float], digits: int = 3, *, several: bool = False) -> str:
    """The mean, and the standard deviation where there are several values, of those that are no NaN."""
    there = known(values)
    return mean_and_spread(fmean(there), spread(there) if several else None, digits, scale=1) if there else "-"


def _percent(shares: Sequence[float], *, several: bool = False) -> str:
    return _mean([100 * share for share in shares], 1, several=several)


def _interval(found: Interval) -> str:
    low, high = (None if end is None else fixed(end, 3, sign=True) for end in (found.low, found.high))
    between = "" if low is None else f" ({low} to {high})"
    return f"{fixed(found.mean, 3, sign=True)}{between}"

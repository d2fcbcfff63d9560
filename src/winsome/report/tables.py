"""The tables of a report: accuracy by arm with paired differences, all comparisons, and the layers of the tickets."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from winsome.evidence.results import (
    ArmRecord,
    Comparison,
    Results,
    SearchRecord,
    TableEntry,
    dense_entry,
    densities_of,
    entry_of,
    label_of,
    same_density,
    search_labels,
)
from winsome.figures.files import PAGE_COLOURS
from winsome.figures.layers import short_name, summaries
from winsome.figures.pairs import difference_words, interval_words, pair_label, reference
from winsome.figures.styles import arm_styles
from winsome.report.markup import settings
from winsome.wording import counted, fixed, mean_and_spread, percent, points

_COLUMNS = 6  # densities beside each other, as many as fit on a printed page


@dataclass(frozen=True)
class Cell:
    """One arm at one density; empty strings where it was not measured."""

    accuracy: str = ""
    difference: str = ""


@dataclass(frozen=True)
class ArmLine:
    """One arm: a label, its colour in the figures, how much stands behind it, and its cells."""

    name: str
    label: str
    colour: str
    hollow: bool
    runs: str
    cells: list[Cell]


@dataclass(frozen=True)
class AccuracyTable:
    """Arms over at most six densities."""

    densities: list[str]
    lines: list[ArmLine]


def accuracy_tables(results: Results) -> list[AccuracyTable]:
    """Every arm's accuracy (mean and standard deviation over search seeds), and the reference arm minus it, paired."""
    densities = densities_of(results)
    parts = math.ceil(len(densities) / _COLUMNS)
    size = math.ceil(len(densities) / parts) if parts else 0
    chunks = [densities[start : start + size] for start in range(0, len(densities), size)] if size else [[]]
    return [AccuracyTable([percent(density) for density in chunk or [1.0]], _lines(results, chunk)) for chunk in chunks]


def _lines(results: Results, densities: Sequence[float]) -> list[ArmLine]:
    styles = arm_styles(results)
    lines = []
    for arm in results["study"]["arms"]:
        entries = _entries(results, arm, densities)
        if not any(entries):
            continue
        style = styles[arm["name"]]
        cells = [
            Cell(mean_and_spread(entry["mean"], entry["std"]), _difference(results, arm["name"], density)) if entry else Cell()
            for entry, density in zip(entries, densities or [1.0], strict=True)
        ]
        colour = PAGE_COLOURS[style.colour]
        runs = _runs([entry for entry in entries if entry])
        lines.append(ArmLine(arm["name"], arm["label"], colour, style.hollow, runs, cells))
    return lines


def _entries(results: Results, arm: ArmRecord, densities: Sequence[float]) -> list[TableEntry | None]:
    if arm["kind"] == "dense":
        return [dense_entry(results)] * max(1, len(densities))  # the measure in every column
    return [entry_of(results, arm["name"], density) for density in densities]


def _runs(entries: Sequence[TableEntry]) -> str:
    seeds, runs = max(entry["n_search_seeds"] for entry in entries), max(entry["n_runs"] for entry in entries)
    return counted(runs, "run") if seeds == runs or seeds < 1 else f"{counted(runs, 'run')}, {counted(seeds, 'seed')}"


def _difference(results: Results, arm: str, density: float) -> str:
    against = reference(results)
    if arm == against:
        return "reference"
    for comparison in results["comparisons"]:
        if same_density(comparison["density"], density):
            if (comparison["first"], comparison["second"]) == (against, arm):
                return difference_words(comparison)
            if (comparison["first"], comparison["second"]) == (arm, against):
                return difference_words(_turned(comparison))
    return ""


def _turned(comparison: Comparison) -> Comparison:
    low, high = comparison["low"], comparison["high"]
    return Comparison(
        density=comparison["density"],
        first=comparison["second"],
        second=comparison["first"],
        difference=-comparison["difference"],
        low=None if high is None else -high,
        high=None if low is None else -low,
        n=comparison["n"],
        wins=comparison["n"] - comparison["wins"],
    )


@dataclass(frozen=True)
class Difference:
    """One line of the table of comparisons."""

    density: str
    pair: str
    points: str
    interval: str
    wins: str


def difference_table(results: Results) -> list[Difference]:
    """All paired comparisons, the highest density first."""
    ordered = sorted(results["comparisons"], key=lambda comparison: -comparison["density"])
    return [
        Difference(
            percent(c["density"]),
            pair_label(results, c),
            points(c["difference"], 2),
            interval_words(c) or "—",
            f"{c['wins']} of {c['n']}",
        )
        for c in ordered
    ]


@dataclass(frozen=True)
class SearchLine:
    """One search: what it is made of."""

    label: str
    parts: list[str]  # score, allocation, rewinding, while training
    levels: str
    rate: str
    more: str  # borrowed masks, training of its own


def search_table(results: Results) -> list[SearchLine]:
    """What each search is."""
    return [
        SearchLine(
            search["label"],
            [search["score"], search["allocation"], search["rewinding"], search["while_training"]],
            f"{len(search['densities'])}, from 0 to {len(search['densities']) - 1}",
            _rate(search["densities"]),
            _more(search),
        )
        for search in results["study"]["searches"]
    ]


def _rate(densities: Sequence[float]) -> str:
    """What each level removes of what is left, where that is the same for all; else the densities."""
    removed = [1 - after / before for before, after in itertools.pairwise(densities)]
    if not removed:
        return percent(densities[0])
    if max(removed) - min(removed) < 0.005:
        return f"{percent(fmean(removed))} a level"
    return ", ".join(percent(density) for density in densities)


def _more(search: SearchRecord) -> str:
    masks = f"masks {search['masks']}" if search["masks"] else ""
    training = ", ".join(f"{key} {value}" for key, value in settings(search["training"] or {}))
    return "; ".join(part for part in (masks, training) if part)


@dataclass(frozen=True)
class LayerLine:
    """One layer at the lowest density: its weights, and per method what is kept and how much of that is positive."""

    name: str
    total: str
    kept: list[tuple[str, str]]  # (remaining weights, positive share of them)
    collapsed: bool


def layer_table(results: Results) -> tuple[str, list[str], list[LayerLine]]:
    """The lowest density that has layer counts, the searches, and a line per layer; no lines where nothing was counted."""
    searches = search_labels(results)
    for density in reversed(densities_of(results)):
        columns = [summaries(results, search, density) for search in searches]
        if searches and all(columns):
            lines = [
                LayerLine(
                    short_name(layers[0].name),
                    f"{layers[0].total:,}",
                    [(percent(layer.density), _share(layer.positive)) for layer in layers],
                    any(0.0 in layer.densities for layer in layers),
                )
                for layers in zip(*columns, strict=True)
            ]
            return percent(density), list(searches.values()), lines
    return "", [], []


def _share(positive: float) -> str:
    return "—" if math.isnan(positive) else f"{fixed(100 * positive, 0)} %"


def reference_label(results: Results) -> str | None:
    """The reference arm's label, if any arms were compared."""
    arm = reference(results)
    return None if arm is None else label_of(results, arm)

"""Accuracy of every arm over the remaining weights, the dense network as a band; at one density, a row for each arm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from winsome.errors import WinsomeError
from winsome.evidence.intervals import by_seed
from winsome.evidence.results import ArmRecord, Results, TableEntry, dense_entry, densities_of, entry_of
from winsome.figures.labels import (
    LineEnd,
    label_ends,
    label_width,
    labels_height,
    legend_below,
    legend_height,
)
from winsome.figures.rows import Block, Panel, Row, bar, dots, lay_out
from winsome.figures.scales import LEFT, accuracy_scale, density_scale, head, percent_limits
from winsome.figures.styles import arm_styles
from winsome.figures.theme import INK, Style, is_narrow, themed
from winsome.wording import mean_and_spread

TITLES = {"planted": "Trained from scratch", "network": "Networks of the searches"}
_CHARACTERS = 24  # of a label beside a panel


@themed
def accuracy_over_density(results: Results, width: float) -> Figure:
    """Test accuracy of each arm over remaining weights, mean and standard deviation over search seeds.

    Where a study has one density, there is nothing to draw a line through: each arm gets a row with a dot per search seed.

    Raises:
        WinsomeError: the results hold no accuracy of a sparse network.
    """
    if not has_accuracies(results):
        raise WinsomeError("the results hold no accuracy of a sparse network to draw")
    if len(_measured_densities(results)) == 1:
        return _in_rows(results, width)
    return _in_panels(results, width)


def has_accuracies(results: Results) -> bool:
    """Whether any arm but the dense one was measured."""
    return bool(_measured_densities(results))


def _measured_densities(results: Results) -> list[float]:
    arms = [arm["name"] for arm in results["study"]["arms"] if arm["kind"] != "dense"]
    return [d for d in densities_of(results) if any(entry_of(results, arm, d) for arm in arms)]


def _groups(results: Results) -> dict[str, list[ArmRecord]]:
    groups = {kind: [arm for arm in results["study"]["arms"] if arm["kind"] == kind] for kind in TITLES}
    densities = _measured_densities(results)
    measured = {
        kind: [arm for arm in arms if any(entry_of(results, arm["name"], d) for d in densities)]
        for kind, arms in groups.items()
    }
    return {kind: arms for kind, arms in measured.items() if arms}


# One density: rows.


def _in_rows(results: Results, width: float) -> Figure:
    (density,) = _measured_densities(results)
    dense, styles, groups = dense_entry(results), arm_styles(results), _groups(results)
    blocks: list[Block] = []
    drawn: list[list[ArmRecord]] = []
    for kind, arms in groups.items():
        present = [arm for arm in arms if entry_of(results, arm["name"], density)]
        # The dense network is trained from scratch too: it heads the first block, and is a line in every other.
        first = [arm for arm in results["study"]["arms"] if arm["kind"] == "dense"][:1] if not blocks and dense else []
        entries = [(arm, _entry(results, arm, density)) for arm in (*first, *present)]
        rows = [Row(arm["label"], mean_and_spread(entry["mean"], entry["std"])) for arm, entry in entries]
        shown = [100 * value for arm in present for value in by_seed(results["rows"], arm["name"], density).values()]
        shown += [100 * (entry["mean"] + sign * (entry["std"] or 0)) for _, entry in entries for sign in (-1, 1)]
        blocks.append(Block(TITLES[kind], rows, percent_limits([*shown, *([100 * dense["mean"]] if dense else [])])))
        drawn.append([arm for arm, _ in entries])
    figure, panels = lay_out(blocks, width, "test accuracy (%)")
    for panel, arms in zip(panels, drawn, strict=True):
        if dense:
            _dense_span(panel.axes.axvspan, panel.axes.axvline, dense)
        for row, arm in enumerate(arms):
            if arm["kind"] != "dense":
                dots(
                    panel,
                    [100 * v for v in by_seed(results["rows"], arm["name"], density).values()],
                    row,
                    styles[arm["name"]].colour,
                )
            _summary(panel, _entry(results, arm, density), row, styles[arm["name"]])
    return figure


def _entry(results: Results, arm: ArmRecord, density: float) -> TableEntry:
    found = dense_entry(results) if arm["kind"] == "dense" else entry_of(results, arm["name"], density)
    assert found is not None  # only arms with an entry are drawn
    return found


def _summary(panel: Panel, entry: TableEntry, row: int, style: Style) -> None:
    mean, std = 100 * entry["mean"], 100 * (entry["std"] or 0)
    y = bar(panel, (mean - std, mean + std), row, style.colour)
    panel.axes.plot(mean, y, style.marker, color=style.colour, markerfacecolor=style.face, markersize=6, zorder=4)


# Several densities: lines.


@dataclass(frozen=True)
class _Plan:
    title: str
    arms: list[ArmRecord]
    ends: list[LineEnd]
    height: float  # inches
    below: float  # inches for axis labels and a legend


def _in_panels(results: Results, width: float) -> Figure:
    narrow, styles = is_narrow(width), arm_styles(results)
    panels = [_plan(results, kind, arms, styles, narrow=narrow) for kind, arms in _groups(results).items()]
    top = 0.5
    total = sum(panel.height + panel.below + top for panel in panels)
    figure = Figure(figsize=(width, total))
    every_end = [end for panel in panels for end in panel.ends]
    left, right = LEFT, 0.08 if narrow else label_width(figure, every_end, _CHARACTERS)
    dense = dense_entry(results)
    y = total
    for panel in panels:
        y -= top + panel.height
        size = (width - left - right, panel.height)
        axes = figure.add_axes((left / width, y / total, size[0] / width, size[1] / total))
        head(axes, panel.title, "test accuracy (%)", size[0])
        density_scale(axes, _measured_densities(results), size[0])
        accuracy_scale(axes, percent_limits(_extents(results, panel.arms)))
        if dense:
            _dense_span(axes.axhspan, axes.axhline, dense)
        for index, arm in enumerate(panel.arms):
            _line(axes, results, arm, styles[arm["name"]], (index, len(panel.arms)))
        if narrow:
            ordered = sorted(panel.ends, key=lambda end: -end.y)
            legend_below(axes, panel.height, [(end.label, end.style, 1.5) for end in ordered])
        else:
            label_ends(axes, panel.ends, size, _CHARACTERS)
        y -= panel.below
    return figure


def _plan(results: Results, kind: str, arms: list[ArmRecord], styles: dict[str, Style], *, narrow: bool) -> _Plan:
    densities = _measured_densities(results)
    ends = []
    for arm in arms:
        entries = [entry for d in densities if (entry := entry_of(results, arm["name"], d))]
        ends.append(LineEnd(arm["label"], 100 * entries[-1]["density"], 100 * entries[-1]["mean"], styles[arm["name"]]))
    dense = dense_entry(results)
    if dense:
        ends.append(LineEnd("dense", 100 * densities[-1], 100 * dense["mean"], Style(INK, marker="")))
    height = 2.0 if narrow else max(2.1, labels_height(ends, _CHARACTERS))
    return _Plan(TITLES[kind], arms, ends, height, 0.5 + (legend_height(len(ends)) if narrow else 0.0))


def _extents(results: Results, arms: Sequence[ArmRecord]) -> list[float]:
    values = []
    for density in _measured_densities(results):
        for arm in arms:
            entry = entry_of(results, arm["name"], density)
            if entry:
                values += [100 * (entry["mean"] + sign * (entry["std"] or 0)) for sign in (-1, 1)]
    dense = dense_entry(results)
    return values + ([100 * dense["mean"]] if dense else [])


def _line(axes: Axes, results: Results, arm: ArmRecord, style: Style, place: tuple[int, int]) -> None:
    densities = _measured_densities(results)
    entries = [entry for d in densities if (entry := entry_of(results, arm["name"], d))]
    x = [100 * entry["density"] for entry in entries]
    y = [100 * entry["mean"] for entry in entries]
    std = [100 * (entry["std"] or 0) for entry in entries]
    few = len(densities) <= 7
    if few:
        # Each arm a little beside the next, or the bars of near arms would lie on each other.
        shift = (max(x) / min(x)) ** (0.012 * (place[0] - (place[1] - 1) / 2)) if len(x) > 1 else 1.0
        x = [value * shift for value in x]
        axes.vlines(
            x, [a - b for a, b in zip(y, std, strict=True)], [a + b for a, b in zip(y, std, strict=True)],
            color=style.colour, linewidth=0.9, alpha=0.65,
        )  # fmt: skip
    else:
        lower, upper = [a - b for a, b in zip(y, std, strict=True)], [a + b for a, b in zip(y, std, strict=True)]
        axes.fill_between(x, lower, upper, color=style.colour, alpha=0.1, linewidth=0)
    axes.plot(
        x, y, color=style.colour, linestyle=style.dash, marker=style.marker, markerfacecolor=style.face,
        markersize=4.5 if few else 2.5, zorder=3,
    )  # fmt: skip


def _dense_span(span: Callable[..., object], line: Callable[..., object], dense: TableEntry) -> None:
    mean, std = 100 * dense["mean"], 100 * (dense["std"] or 0)
    span(mean - std, mean + std, color=INK, alpha=0.1, linewidth=0, zorder=0)
    line(mean, color=INK, linewidth=0.9, zorder=1)

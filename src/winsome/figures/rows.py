"""Dot plots in rows: a name, its dots, and its number, one row each; on narrow figures the name stands above its dots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from winsome.figures.labels import fit, text_width, typeset
from winsome.figures.theme import MUTED, PAPER, is_narrow

_DOT = 0.042  # inches, a dot and the room around it
_PAD = 0.1  # inches between a name and the panel
_AXIS, _TITLE, _FOOT, _GAP = 0.24, 0.24, 0.05, 0.12  # inches: tick labels, a block's title, its end, between blocks
_PATCH = {"boxstyle": "square,pad=0.12", "facecolor": PAPER, "edgecolor": "none"}


@dataclass(frozen=True)
class Row:
    """One line of the plot."""

    name: str
    number: str = ""


@dataclass(frozen=True)
class Block:
    """Rows on one x axis, under a title."""

    title: str
    rows: Sequence[Row]
    limits: tuple[float, float]


@dataclass(frozen=True)
class Panel:
    """Where a block went: `heights[i]` is the y of row i (its axis counts inches from the top), `unit` is x per inch."""

    axes: Axes
    heights: list[float]
    unit: float


def lay_out(blocks: Sequence[Block], width: float, x_label: str) -> tuple[Figure, list[Panel]]:
    """A figure of `width` inches with every row written; the dots are the caller's.

    Blocks of equal limits share the tick labels of the last of them.
    """
    figure = Figure(figsize=(width, 1.0))
    rows = [row for block in blocks for row in block.rows]
    left = text_width(figure, [row.name for row in rows], 8) + _PAD + 0.05
    right = text_width(figure, [row.number for row in rows], 7.5) + _PAD + 0.05
    above = is_narrow(width) or left + right > 0.6 * width
    if above:
        left = right = 0.06
    inside = width - left - right
    names = [[_lines(figure, row, inside, above=above) for row in block.rows] for block in blocks]
    pitch = 0.36 + 0.14 * max(len(lines) for block in names for lines in block) if above else 0.3
    shares = [index + 1 < len(blocks) and blocks[index + 1].limits == block.limits for index, block in enumerate(blocks)]
    tall = [
        _TITLE + _FOOT + pitch * len(block.rows) + (0.0 if share else _AXIS)
        for block, share in zip(blocks, shares, strict=True)
    ]
    total = sum(tall) + _GAP * (len(blocks) - 1) + 0.2
    figure.set_size_inches(width, total)
    panels, top = [], total
    for block, lines, share, height in zip(blocks, names, shares, tall, strict=True):
        deep = pitch * len(block.rows) + _FOOT
        axes = figure.add_axes((left / width, (top - _TITLE - deep) / total, inside / width, deep / total))
        panels.append(_panel(axes, block, lines, (left, inside, pitch), above=above))
        panels[-1].axes.tick_params(labelbottom=not share, bottom=not share)
        panels[-1].axes.spines["bottom"].set_visible(not share)
        top -= height + _GAP
    panels[-1].axes.set_xlabel(x_label)
    return figure, panels


def dots(panel: Panel, values: Sequence[float], row: int, colour: str) -> None:
    """A dot for each of `values`, under the summary of row `row`, apart where they would meet; a single one is its own mean."""
    if len(values) < 2:
        return
    offsets = swarm([value / panel.unit for value in values], _DOT, 0.063)
    places = [panel.heights[row] + 0.07 + offset for offset in offsets]
    panel.axes.plot(values, places, "o", color=colour, markersize=2.7, alpha=0.5, markeredgewidth=0)


def bar(panel: Panel, ends: tuple[float, float], row: int, colour: str) -> float:
    """A bar over `ends` in row `row`, above its dots; returns the y at which it lies."""
    y = panel.heights[row] - 0.045
    panel.axes.plot(ends, [y, y], color=colour, linewidth=1.7, solid_capstyle="butt", zorder=3)
    return y


def swarm(values: Sequence[float], diameter: float, most: float) -> list[float]:
    """Sideways offsets that keep dots of `diameter` at `values` apart, at most `most` either way (all one unit)."""
    candidates = [0.0]
    while abs(candidates[-1]) + diameter / 2 <= most:
        step = abs(candidates[-1]) + diameter / 2
        candidates += [step, -step]
    placed: list[tuple[float, float]] = []
    offsets = [0.0] * len(values)
    for index in sorted(range(len(values)), key=lambda at: values[at]):
        near = [(value, offset) for value, offset in placed if abs(values[index] - value) < diameter]
        for candidate in candidates:
            if all((values[index] - value) ** 2 + (candidate - offset) ** 2 >= diameter**2 for value, offset in near):
                offsets[index] = candidate
                break
        placed.append((values[index], offsets[index]))
    return offsets


def _lines(figure: Figure, row: Row, inside: float, *, above: bool) -> list[str]:
    if not above:
        return [row.name]
    return fit(figure, row.name, 8, inside - text_width(figure, [row.number], 7.5) - _PAD)


def _panel(
    axes: Axes, block: Block, names: Sequence[Sequence[str]], sizes: tuple[float, float, float], *, above: bool
) -> Panel:
    left, inside, pitch = sizes  # inches: beside the panel, its width, from row to row
    axes.set_xlim(*block.limits)
    axes.set_ylim(pitch * len(block.rows) + _FOOT, 0)
    axes.yaxis.set_visible(False)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    axes.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    x = 0.0 if above else (0.02 - left) / inside
    _text(axes, x, -0.1, block.title, fontweight="bold")
    heights = [pitch * (index + 1) - 0.14 if above else pitch * index + 0.15 for index in range(len(block.rows))]
    for row, lines, y in zip(block.rows, names, heights, strict=True):
        if above:
            # Names lie on the panel here: a patch of paper keeps grid lines from striking them out.
            for number, line in enumerate(lines):
                _text(axes, 0, y - 0.21 - 0.14 * (len(lines) - 1 - number), line, bbox=_PATCH)
            first = y - 0.21 - 0.14 * (len(lines) - 1)
            _text(axes, 1, first, row.number, ha="right", fontsize=7.5, color=MUTED, bbox=_PATCH)
        else:
            _text(axes, -_PAD / inside, y, row.name, ha="right")
            _text(axes, 1 + _PAD / inside, y, row.number, fontsize=7.5, color=MUTED)
    return Panel(axes, heights, (block.limits[1] - block.limits[0]) / inside)


def _text(axes: Axes, x: float, y: float, label: str, **how: Any) -> None:
    """Text at a fraction x of the panel and at y inches from its top."""
    text, is_math = typeset(label)
    axes.text(x, y, text, transform=axes.get_yaxis_transform(), va="center_baseline", parse_math=is_math, **how)

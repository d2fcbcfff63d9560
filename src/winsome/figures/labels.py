"""Text in figures: arm labels with subscripts, line ends labelled directly without overlaps, legends where there is no room."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from scipy.optimize import isotonic_regression

from winsome.figures.theme import INK, MUTED, Style

SUBSCRIPT = re.compile(r"(?<![^\W_])([^\W\d_])_([A-Za-z0-9]+)")  # one letter, then its subscript: s_AWS, θ_0
LINE_HEIGHT = 9.5  # points between the lines of a label
POINTS = 72.0


def typeset(label: str) -> tuple[str, bool]:
    """A label and whether it holds mathtext: `s_AWS` becomes s with a subscript, except where text stays text."""
    text_stays_text = matplotlib.rcParams["svg.fonttype"] == "none"
    if text_stays_text or any(sign in label for sign in "$\\{}^") or not SUBSCRIPT.search(label):
        return label, False
    # Mathtext has one font and no fallback: it draws small digits itself, and a label with other rare signs stays plain.
    digits = re.sub("[₀-₉]", lambda match: f"$_{{{ord(match[0]) - ord('₀')}}}$", label)
    if not _glyphs(matplotlib.rcParams["mathtext.rm"]).issuperset(map(ord, digits)):
        return label, False
    return SUBSCRIPT.sub(lambda match: f"{match[1]}$_\\mathrm{{{match[2]}}}$", digits), True


@cache
def _glyphs(font: str) -> frozenset[int]:
    return frozenset(font_manager.get_font(font_manager.findfont(font)).get_charmap())


def wrap(label: str, characters: int) -> list[str]:
    """The lines of a label, none longer than `characters`."""
    return textwrap.wrap(label, characters) or [""]


def fit(figure: Figure, label: str, size: float, inches: float, weight: str = "normal") -> list[str]:
    """The lines of a label set at `size` points so that none is wider than `inches`, where its words allow."""
    lines: list[str] = []
    for word in label.split(" "):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(figure, [longer], size, weight) <= inches:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def elide(figure: Figure, name: str, size: float, inches: float) -> str:
    """A name no wider than `inches`: its beginning gives way, for the ends of layer names tell layers apart."""
    kept = name
    while len(kept) > 4 and text_width(figure, [kept if kept == name else f"…{kept}"], size) > inches:
        kept = kept[1:]
    return kept if kept == name else f"…{kept}"


def text_width(figure: Figure, lines: Sequence[str], size: float, weight: str = "normal") -> float:
    """The width in inches of the longest of `lines`."""
    FigureCanvasAgg(figure)  # a canvas that can measure text
    widest = 0.0
    for line in lines:
        text = figure.text(0, 0, line, fontsize=size, fontweight=weight, parse_math=False)
        widest = max(widest, text.get_window_extent().width / figure.dpi)
        text.remove()
    return widest


def spread(centres: Sequence[float], heights: Sequence[float], low: float, high: float) -> list[float]:
    """The positions nearest to `centres` (least squares) at which boxes of these `heights` do not overlap.

    All lie within [low, high] where they fit; where they do not, they overlap evenly rather than leave it.
    """
    if not len(centres):
        return []
    order = np.argsort(np.asarray(centres), kind="stable")
    wanted, tall = np.asarray(centres, float)[order], np.asarray(heights, float)[order]
    if tall.sum() > high - low:
        tall = tall * (high - low) / tall.sum()
    # Measured from its place in a tight stack, a box only has to stay in order: that is isotonic regression.
    stacked = np.cumsum(tall) - tall / 2
    slack = np.clip(isotonic_regression(wanted - stacked).x, low, max(low, high - tall.sum()))
    positions = np.empty(len(wanted))
    positions[order] = slack + stacked
    return [float(position) for position in positions]


@dataclass(frozen=True)
class LineEnd:
    """Where a line ends (data coordinates) and what it is called."""

    label: str
    x: float
    y: float
    style: Style
    faint: bool = False


def label_width(figure: Figure, ends: Sequence[LineEnd], characters: int) -> float:
    """The room in inches that `label_ends` needs to the right of a panel."""
    return text_width(figure, [line for end in ends for line in wrap(end.label, characters)], 7.5) + 24 / POINTS


def labels_height(ends: Sequence[LineEnd], characters: int) -> float:
    """The height in inches below which the labels of a panel would overlap."""
    return sum(len(wrap(end.label, characters)) * LINE_HEIGHT + 1.5 for end in ends) / POINTS


def label_ends(axes: Axes, ends: Sequence[LineEnd], size: tuple[float, float], characters: int) -> None:
    """Write each line's name beside its end, moved apart where names would overlap; `size` is the panel in inches."""
    width, height = size[0] * POINTS, size[1] * POINTS
    to_panel = axes.transData + axes.transAxes.inverted()
    places = [tuple(to_panel.transform((end.x, end.y))) for end in ends]
    blocks = [wrap(end.label, characters) for end in ends]
    heights = [len(lines) * LINE_HEIGHT + 1.5 for lines in blocks]
    centres = spread([y * height for _, y in places], heights, -4.0, height + 6.0)
    for end, (x, y), centre, lines in zip(ends, places, centres, blocks, strict=True):
        start, stop = x + 5 / width, 1 + 13 / width
        axes.add_line(
            Line2D(
                [start, stop],
                [y, centre / height],
                transform=axes.transAxes,
                color=end.style.colour,
                linewidth=0.5,
                alpha=0.55,
                clip_on=False,
                zorder=1,
            )
        )
        for number, line in enumerate(lines):
            text, is_math = typeset(line)
            offset = (len(lines) - 1) / 2 - number
            axes.text(
                1 + 16 / width,
                (centre + offset * LINE_HEIGHT) / height,
                text,
                transform=axes.transAxes,
                fontsize=7 if end.faint else 7.5,
                color=MUTED if end.faint else INK,
                va="center_baseline",
                parse_math=is_math,
            )


def legend_below(axes: Axes, height: float, entries: Sequence[tuple[str, Style, float]]) -> None:
    """A legend under a panel of `height` inches and its axis label: a line sample per (label, style, line width)."""
    handles = [
        Line2D(
            [],
            [],
            color=style.colour,
            linestyle=style.dash,
            linewidth=line_width,
            marker=style.marker if line_width >= 1 else "",
            markerfacecolor=style.face,
        )
        for _, style, line_width in entries
    ]
    names = [typeset(label) for label, _, _ in entries]
    legend = axes.legend(
        handles,
        [name for name, _ in names],
        loc="upper left",
        bbox_to_anchor=(0.0, -0.44 / height),
        borderaxespad=0,
        borderpad=0,
        handlelength=2.4,
        labelspacing=0.45,
    )
    _parse_math(legend, names)


def legend_above(figure: Figure, entries: Sequence[tuple[str, Style]], left: float, columns: int) -> None:
    """A legend along the top of a figure, from `left` (fraction of its width): a marked line per (label, style)."""
    handles = [
        Line2D([], [], color=style.colour, marker=style.marker, markerfacecolor=style.face, markersize=4)
        for _, style in entries
    ]
    names = [typeset(label) for label, _ in entries]
    legend = figure.legend(
        handles,
        [name for name, _ in names],
        loc="upper left",
        bbox_to_anchor=(left, 1.0),
        ncols=columns,
        borderaxespad=0,
        borderpad=0.2,
        handlelength=1.6,
        columnspacing=1.4,
    )
    _parse_math(legend, names)


def _parse_math(legend: Legend, names: Sequence[tuple[str, bool]]) -> None:
    for text, (_, is_math) in zip(legend.get_texts(), names, strict=True):
        text.set_parse_math(is_math)


def legend_height(count: int) -> float:
    """The height in inches of a legend of `count` entries."""
    return 0.165 * count

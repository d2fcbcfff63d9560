"""How many weights each layer keeps in the tickets of each search method."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from winsome.errors import WinsomeError
from winsome.evidence.results import LevelRow, Results, densities_of, extremes_and_middle, same_density, search_labels
from winsome.figures.labels import elide, legend_above, legend_height, text_width
from winsome.figures.scales import head
from winsome.figures.styles import search_styles
from winsome.figures.theme import INK, RULE, Style, is_narrow, themed
from winsome.wording import percent

_MOST_NAMED = 32  # more layers than this are numbered along x, for their names would not fit


@dataclass(frozen=True)
class LayerSummary:
    """One layer in one method's tickets, over the search seeds."""

    name: str
    total: int
    kept: float  # mean number of weights
    densities: tuple[float, ...]  # one per seed
    positive: float  # share of kept weights that are positive; nan where none is kept

    @property
    def density(self) -> float:
        """Mean fraction kept."""
        return fmean(self.densities)


@themed
def layer_densities(results: Results, width: float) -> Figure:
    """Remaining weights of every layer per search method: mean over search seeds, lines from the lowest to the highest.

    At most three densities are drawn: the study's highest, middle and lowest. A layer without weights is a cross at the edge.

    Raises:
        WinsomeError: the results hold no layer counts of a search.
    """
    densities = _drawn_densities(results)
    if not densities:
        raise WinsomeError("the results hold no layer counts of a search to draw")
    names = [layer.name for layer in summaries(results, next(iter(search_labels(results))), densities[-1])]
    if len(names) > _MOST_NAMED:
        return _numbered(results, densities, width)
    return _named(results, densities, names, width)


def has_layers(results: Results) -> bool:
    """Whether any ticket's layers were counted."""
    return bool(_drawn_densities(results))


def summaries(results: Results, method: str, density: float) -> list[LayerSummary]:
    """Every layer of a method's tickets at a density, in the network's order; empty where there are none."""
    levels = [level for level in _levels(results, method, density) if level["layers"]]
    if not levels:
        return []
    found = []
    for name, count in levels[0]["layers"].items():
        counts = [level["layers"][name] for level in levels if name in level["layers"]]
        kept = sum(count["kept"] for count in counts)
        found.append(
            LayerSummary(
                name,
                count["total"],
                kept / len(counts),
                tuple(count["kept"] / count["total"] for count in counts),
                sum(count["positive"] for count in counts) / kept if kept else float("nan"),
            )
        )
    return found


def short_name(parameter: str) -> str:
    """A layer's name without the `.weight` that all of them end in."""
    return parameter.removesuffix(".weight")


def _levels(results: Results, method: str, density: float) -> list[LevelRow]:
    searches = [search for search in results["searches"] if search["search"] == method]
    return [level for search in searches for level in search["levels"] if same_density(level["density"], density)]


def _drawn_densities(results: Results) -> list[float]:
    methods = search_labels(results)
    found = [d for d in densities_of(results) if all(summaries(results, method, d) for method in methods)]
    return extremes_and_middle(found) if methods else []


def _floor(results: Results, densities: Sequence[float]) -> float:
    """The lower limit in percent: below every layer that keeps weights."""
    kept = [
        100 * value
        for density in densities
        for method in search_labels(results)
        for layer in summaries(results, method, density)
        for value in layer.densities
        if value > 0
    ]
    return min(kept, default=1.0) / 1.6


def _named(results: Results, densities: Sequence[float], names: Sequence[str], width: float) -> Figure:
    narrow = is_narrow(width)
    figure = Figure(figsize=(width, 1.0))
    shown = [short_name(name) for name in names]
    shown = [elide(figure, name, 7.5, 0.34 * width) for name in shown]
    left = text_width(figure, shown, 7.5) + 0.12
    columns = 1 if narrow else len(densities)
    lines = len(densities) // columns
    pitch, top, below, gap, keys = max(0.17, 0.06 + 0.055 * len(search_labels(results))), 0.28, 0.42, 0.2, _keys(results, width)
    height = pitch * len(names)
    total = keys + lines * (top + height + below)
    figure.set_size_inches(width, total)
    panel = (width - left - 0.1 - gap * (columns - 1)) / columns
    floor = _floor(results, densities)
    for index, density in enumerate(densities):
        line, column = divmod(index, columns)
        bottom = total - keys - (line + 1) * (top + height) - line * below
        axes = figure.add_axes(((left + column * (panel + gap)) / width, bottom / total, panel / width, height / total))
        _rows(axes, results, density, floor, pitch)
        axes.set_yticks(range(len(names)), shown if column == 0 else [""] * len(names), color=INK)
        axes.set_title(f"{percent(density)} overall", pad=5, fontsize=8)
        axes.set_xlabel("remaining weights of the layer (%)" if columns < 3 else "remaining weights (%)")
    _legend(figure, results, left / width)
    return figure


def _rows(axes: Axes, results: Results, density: float, floor: float, pitch: float) -> None:
    styles, methods = search_styles(results), list(search_labels(results))
    count = 0
    for nth, method in enumerate(methods):
        layers = summaries(results, method, density)
        count = len(layers)
        offset = (nth - (len(methods) - 1) / 2) * 0.055 / pitch
        style = styles[method]
        for index, layer in enumerate(layers):
            _range(axes, layer, index + offset, floor, style)
    _percent_axis(axes, floor)
    axes.set_ylim(count - 0.5, -0.5)
    axes.axvline(100 * density, color=INK, linewidth=0.8, linestyle=(0, (3, 2)), zorder=1)
    axes.hlines(range(count), floor, 115, color=RULE, linewidth=0.5, zorder=0)
    axes.spines["left"].set_visible(False)


def _range(axes: Axes, layer: LayerSummary, y: float, floor: float, style: Style) -> None:
    if layer.density == 0:
        axes.plot(floor, y, "x", color=style.colour, markersize=5, clip_on=False, zorder=4)
        return
    low, high = max(100 * min(layer.densities), floor), 100 * max(layer.densities)
    axes.plot([low, high], [y, y], color=style.colour, linewidth=1.0, alpha=0.7, solid_capstyle="butt")
    axes.plot(100 * layer.density, y, style.marker, color=style.colour, markerfacecolor=style.face, markersize=4, zorder=3)


def _percent_axis(axes: Axes, floor: float) -> None:
    axes.set_xscale("log")
    axes.set_xlim(floor, 115)
    axes.xaxis.set_major_locator(LogLocator(10, subs=(1.0,) if floor < 0.8 else (1.0, 3.0), numticks=12))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _numbered(results: Results, densities: Sequence[float], width: float) -> Figure:
    left, top, below, height, keys = 0.36, 0.46, 0.42, 1.5, _keys(results, width)
    total = keys + len(densities) * (top + height + below)
    figure = Figure(figsize=(width, total))
    styles, floor = search_styles(results), _floor(results, densities)
    count = len(summaries(results, next(iter(search_labels(results))), densities[-1]))
    for index, density in enumerate(densities):
        bottom = total - keys - (index + 1) * (top + height) - index * below
        axes = figure.add_axes((left / width, bottom / total, (width - left - 0.1) / width, height / total))
        for method in search_labels(results):
            _numbered_line(axes, summaries(results, method, density), styles[method], floor)
        axes.set_yscale("log")
        axes.set_ylim(floor, 115)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_locator(MaxNLocator(9, integer=True, steps=[1, 2, 5, 10]))
        axes.grid(axis="y")
        axes.spines["left"].set_visible(False)
        axes.axhline(100 * density, color=INK, linewidth=0.8, linestyle=(0, (3, 2)), zorder=1)
        head(axes, f"{percent(density)} overall", "remaining weights of the layer (%)", width - left - 0.1, left=left, size=8)
        axes.set_xlabel("layer, from the input")
        axes.set_xlim(0.5, count + 0.5)
    _legend(figure, results, left / width)
    return figure


def _numbered_line(axes: Axes, layers: Sequence[LayerSummary], style: Style, floor: float) -> None:
    numbers = list(range(1, len(layers) + 1))
    low = [max(100 * min(layer.densities), floor) for layer in layers]
    high = [max(100 * max(layer.densities), floor) for layer in layers]
    axes.fill_between(numbers, low, high, color=style.colour, alpha=0.15, linewidth=0)
    axes.plot(numbers, [max(100 * layer.density, floor) for layer in layers], color=style.colour, linewidth=1.2)
    empty = [number for number, layer in zip(numbers, layers, strict=True) if layer.density == 0]
    axes.plot(empty, [floor] * len(empty), "x", color=style.colour, markersize=5, clip_on=False, zorder=4)


def _key_columns(width: float) -> int:
    return 2 if is_narrow(width) else 5


def _keys(results: Results, width: float) -> float:
    """The height in inches of the legend above the panels."""
    return 0.09 + legend_height(math.ceil(len(search_labels(results)) / _key_columns(width)))


def _legend(figure: Figure, results: Results, left: float) -> None:
    styles = search_styles(results)
    entries = [(label, styles[name]) for name, label in search_labels(results).items()]
    legend_above(figure, entries, left, _key_columns(figure.get_figwidth()))

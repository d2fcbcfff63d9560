"""Signs over a search: how often they flip, when they settle, and how many flip at each level."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from winsome.analysis.signs import LevelSigns, SignDynamics
from winsome.errors import WinsomeError
from winsome.evidence.finished import FinishedSearch, FinishedStudy, signs_of_all
from winsome.evidence.intervals import spread
from winsome.figures.labels import legend_above, legend_height
from winsome.figures.scales import LEFT, density_scale, head
from winsome.figures.styles import method_labels, styles_of
from winsome.figures.theme import INK, WIDE, Style, is_narrow, look

_TOP, _BELOW, _GAP = 0.5, 0.46, 0.42  # inches above, below and between panels
_BARS = 0.8  # of the room between two numbers


def sign_settling(
    counted: Sequence[SignDynamics] | FinishedStudy | FinishedSearch, *, width: float = WIDE, on_page: bool = False
) -> Figure:
    """How often weights flip, and at which moment their sign settles: one set of bars per method (arXiv:2402.19262, figure 5).

    Bars are means over search seeds, whiskers one standard deviation. Moment 0 is the initialisation, moment k the end of
    level k - 1; the weights are those alive at the last level.
    """
    counted = signs_of_all(counted)
    with look(on_page=on_page):
        methods = by_method(counted)
        figure, panels, size = _panels(width, 2, methods, height=1.9)
        _bars(panels[0], methods, SignDynamics.flip_counts)
        head(panels[0], "How often signs flip", "weights (%)", size)
        panels[0].set_xlabel("flips of a weight")
        _bars(panels[1], methods, SignDynamics.settled_counts)
        head(panels[1], "When signs settle", "weights (%)", size)
        panels[1].set_xlabel("last flip: 0 never, k in level k − 1")
        return figure


def sign_levels(
    counted: Sequence[SignDynamics] | FinishedStudy | FinishedSearch, *, width: float = WIDE, on_page: bool = False
) -> Figure:
    """Signs over the levels of the searches, of the weights alive in each: mean over seeds, one standard deviation shaded.

    Flipped within the level; flipped since the initialisation; positive.
    """
    counted = signs_of_all(counted)
    with look(on_page=on_page):
        methods = by_method(counted)
        figure, panels, size = _panels(width, 3, methods, height=1.7)
        shares: tuple[tuple[str, Callable[[LevelSigns], float]], ...] = (
            ("Flipped in the level", lambda signs: signs.flipped_share),
            ("Flipped since the start", lambda signs: signs.flipped_since_start_share),
            ("Positive", lambda signs: signs.positive_share),
        )
        for axes, (title, share) in zip(panels, shares, strict=True):
            _lines(axes, methods, share)
            head(axes, title, "weights alive (%)", size, size=8)
            density_scale(axes, _densities(counted[0]), size)
        panels[2].axhline(50, color=INK, linewidth=0.8, linestyle=(0, (3, 2)), zorder=1)
        for axes in panels[:2]:
            axes.set_ylim(bottom=0)
        return figure


def labels_of(methods: Mapping[str, Sequence[SignDynamics]]) -> dict[str, str]:
    """How each of some methods is written, as the records of its searches say."""
    return method_labels(
        {method: next((one.label for one in searches if one.label), "") for method, searches in methods.items()}
    )


def by_method(counted: Sequence[SignDynamics]) -> dict[str, list[SignDynamics]]:
    """The searches of each method.

    Raises:
        WinsomeError: there is none, or they end at different levels.
    """
    if not counted or len({search.level for search in counted}) > 1:
        raise WinsomeError("a figure of signs needs searches that were counted to the same level")
    methods = dict.fromkeys(search.method for search in counted)
    return {method: [search for search in counted if search.method == method] for method in methods}


def key_height(methods: Sequence[str], width: float) -> float:
    """The height in inches of the methods' legend above the panels."""
    return 0.09 + legend_height(math.ceil(len(methods) / key_columns(width)))


def key_columns(width: float) -> int:
    """How many methods stand side by side in the legend."""
    return 2 if is_narrow(width) else 5


def _panels(
    width: float, count: int, methods: dict[str, list[SignDynamics]], *, height: float
) -> tuple[Figure, list[Axes], float]:
    """A figure with panels side by side, or below each other where it is narrow; and the width of one in inches."""
    columns = 1 if is_narrow(width) else count
    lines, keys = count // columns, key_height(list(methods), width)
    total = keys + lines * (_TOP + height + _BELOW)
    figure = Figure(figsize=(width, total))
    panel = (width - LEFT - 0.08 - (_GAP + 0.02) * (columns - 1)) / columns
    axes = []
    for index in range(count):
        line, column = divmod(index, columns)
        bottom = total - keys - (line + 1) * (_TOP + height) - line * _BELOW
        place = (LEFT + column * (panel + _GAP), bottom, panel, height)
        axes.append(figure.add_axes((place[0] / width, place[1] / total, place[2] / width, place[3] / total)))
    styles = styles_of(list(methods))
    labels = labels_of(methods)
    legend_above(figure, [(labels[method], styles[method]) for method in methods], 0.0, key_columns(width))
    return figure, axes, panel


def _bars(axes: Axes, methods: dict[str, list[SignDynamics]], counts: Callable[[SignDynamics], tuple[int, ...]]) -> None:
    styles, thickness = styles_of(list(methods)), _BARS / len(methods)
    last = 0
    for nth, (method, searches) in enumerate(methods.items()):
        shares = [_shares(counts(search)) for search in searches if sum(counts(search))]
        if not shares:
            continue
        columns = list(zip(*shares, strict=True))
        means = [fmean(column) for column in columns]
        places = [value + (nth - (len(methods) - 1) / 2) * thickness for value in range(len(means))]
        axes.bar(places, means, thickness * 0.92, color=styles[method].colour, linewidth=0)
        for place, middle, column in zip(places, means, columns, strict=True):
            if deviation := spread(column):
                axes.plot([place] * 2, [max(middle - deviation, 0), middle + deviation], color=INK, linewidth=0.6)
        last = max([last, *(value for value, share in enumerate(means) if share > 0)])
    axes.set_xlim(-0.6, last + 0.6)
    axes.set_ylim(0, None)
    axes.xaxis.set_major_locator(MaxNLocator(14, integer=True, steps=[1, 2, 5, 10]))
    _percent_axis(axes)


def _shares(counts: Sequence[int]) -> list[float]:
    return [100 * count / sum(counts) for count in counts]


def _lines(axes: Axes, methods: dict[str, list[SignDynamics]], share: Callable[[LevelSigns], float]) -> None:
    styles = styles_of(list(methods))
    for method, searches in methods.items():
        columns = [
            [100 * value for search in searches if not math.isnan(value := share(search.at(level)))]
            for level in range(searches[0].level + 1)
        ]
        kept = [(density, column) for density, column in zip(_densities(searches[0]), columns, strict=True) if column]
        _line(axes, [100 * density for density, _ in kept], [column for _, column in kept], styles[method])
    _percent_axis(axes)


def _line(axes: Axes, x: list[float], columns: list[list[float]], style: Style) -> None:
    middle, deviations = [fmean(column) for column in columns], [spread(column) or 0.0 for column in columns]
    low, high = ([m + sign * s for m, s in zip(middle, deviations, strict=True)] for sign in (-1, 1))
    axes.fill_between(x, low, high, color=style.colour, alpha=0.1, linewidth=0)
    axes.plot(x, middle, color=style.colour, marker=style.marker, markerfacecolor=style.face, markersize=3.4, zorder=3)


def _densities(search: SignDynamics) -> list[float]:
    parts = [search.at(level) for level in range(search.level + 1)]
    return [part.kept / part.total for part in parts]


def _percent_axis(axes: Axes) -> None:
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.grid(axis="y")
    axes.spines["left"].set_visible(False)

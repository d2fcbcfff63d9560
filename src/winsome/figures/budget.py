"""What a search costs and what its signs are worth: accuracy over epochs or seconds, a panel for each kind of search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

from winsome.errors import WinsomeError
from winsome.evidence.intervals import interval
from winsome.figures.labels import legend_above, legend_height
from winsome.figures.scales import LEFT, accuracy_scale, head, percent_limits
from winsome.figures.theme import COLOURS, INK, MARKERS, MUTED, WIDE, Style, is_narrow, look

Cost = Literal["epochs", "seconds"]

_TOP, _BELOW, _GAP, _HEIGHT = 0.5, 0.46, 0.42, 2.3  # inches above, below, between and of panels
_TICKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


@dataclass(frozen=True)
class Priced:
    """A search with its price and with what its planted signs reach.

    Attributes:
        kind: of search, a panel: "AWS".
        schedule: how it prunes, a line: "one-shot".
        label: of the search itself: "12 x 8".
        epochs: of the whole search.
        seconds: of the whole search, a network.
        accuracies: of the planted networks by search seed, fractions.
    """

    kind: str
    schedule: str
    label: str
    epochs: int
    seconds: float
    accuracies: tuple[float, ...]

    def cost(self, unit: Cost) -> float:
        """Its price."""
        return float(self.epochs) if unit == "epochs" else self.seconds


def accuracy_over_cost(
    searches: Sequence[Priced], levels: dict[str, float], unit: Cost, *, width: float = WIDE, on_page: bool = False
) -> Figure:
    """Planted accuracy over what the search cost: means over search seeds, bars 95 % confidence intervals.

    Args:
        searches: what was searched; a panel for each kind.
        levels: accuracies (fractions) drawn as lines across, by name: the dense network's, for example.
        unit: of the price.
        width: in inches.
        on_page: where text must stay text.

    Raises:
        WinsomeError: there are no searches.
    """
    if not searches:
        raise WinsomeError("no search to draw the price of")
    with look(on_page=on_page):
        kinds = list(dict.fromkeys(one.kind for one in searches))
        styles = _styles(searches)
        columns = 1 if is_narrow(width) else len(kinds)
        lines = -(-len(kinds) // columns)
        keys_across = 2 if is_narrow(width) else 4
        keys = 0.12 + legend_height(-(-len(styles) // keys_across))
        total = keys + lines * (_TOP + _HEIGHT + _BELOW)
        figure = Figure(figsize=(width, total))
        panel = (width - LEFT - 0.08 - _GAP * (columns - 1)) / columns
        limits = percent_limits(
            [100 * end for one in searches for end in _ends(one)] + [100 * level for level in levels.values()]
        )
        for index, kind in enumerate(kinds):
            line, column = divmod(index, columns)
            bottom = total - keys - (line + 1) * (_TOP + _HEIGHT) - line * _BELOW
            left = LEFT + column * (panel + _GAP)
            axes = figure.add_axes((left / width, bottom / total, panel / width, _HEIGHT / total))
            _draw(axes, [one for one in searches if one.kind == kind], levels, unit, styles)
            _cost_scale(axes, [one.cost(unit) for one in searches], unit)
            accuracy_scale(axes, limits)
            head(axes, kind, "accuracy of planted signs (%)", panel)
        legend_above(figure, list(styles.items()), 0.0, keys_across)
        return figure


def _ends(search: Priced) -> tuple[float, ...]:
    """What its mark and bar reach."""
    found = interval(search.accuracies)
    return tuple(value for value in (found.mean, found.low, found.high) if value is not None)


def _styles(searches: Sequence[Priced]) -> dict[str, Style]:
    schedules = dict.fromkeys(one.schedule for one in searches)
    return {
        name: Style(COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)], hollow=place >= len(COLOURS))
        for place, name in enumerate(schedules)
    }


def _draw(axes: Axes, searches: Sequence[Priced], levels: dict[str, float], unit: Cost, styles: dict[str, Style]) -> None:
    for name, level in levels.items():
        axes.axhline(100 * level, color=INK, linewidth=0.8, linestyle=(0, (3, 2)), zorder=1)
        axes.annotate(
            name, (0.99, 100 * level), xycoords=("axes fraction", "data"), xytext=(0, -3), textcoords="offset points",
            fontsize=6.5, color=MUTED, ha="right", va="top",  # below the line at the dear end, where signs are better
        )  # fmt: skip
    for schedule, style in styles.items():
        own = sorted((one for one in searches if one.schedule == schedule), key=lambda one: one.cost(unit))
        if not own:
            continue
        found = [interval(one.accuracies) for one in own]
        x, y = [one.cost(unit) for one in own], [100 * one.mean for one in found]
        for place, one in zip(x, found, strict=True):
            if one.low is not None and one.high is not None:
                axes.plot([place] * 2, [100 * one.low, 100 * one.high], color=style.colour, linewidth=0.8, alpha=0.7)
        axes.plot(
            x, y, color=style.colour, linewidth=1.2, marker=style.marker, markerfacecolor=style.face, markersize=4, zorder=3
        )


def _cost_scale(axes: Axes, costs: Sequence[float], unit: Cost) -> None:
    low, high = min(costs), max(costs)
    axes.set_xscale("log")
    axes.set_xlim(low / 1.3, high * 1.3)
    ticks = [tick for tick in (*(t / 100 for t in _TICKS[:6]), *_TICKS) if low / 1.3 <= tick <= high * 1.3]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.set_xlabel("epochs of the search" if unit == "epochs" else "seconds of the search, a network")

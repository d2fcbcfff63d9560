"""What one method is better by than another, over the length of levels."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

from winsome.errors import WinsomeError
from winsome.evidence.leads import Lead
from winsome.figures.labels import legend_above, legend_height
from winsome.figures.scales import LEFT, accuracy_scale, head, signed_limits
from winsome.figures.theme import COLOURS, INK, MARKERS, WIDE, Style, is_narrow, look

_TOP, _BELOW, _HEIGHT = 0.5, 0.46, 2.3  # inches above, below and of the panel


def lead_over_length(leads: Sequence[Lead], *, width: float = WIDE, on_page: bool = False) -> Figure:
    """Differences over the epochs of a level, a line each: means over search seeds, bars 95 % confidence intervals.

    Args:
        leads: what is drawn; those of one name are joined.
        width: in inches.
        on_page: where text must stay text.

    Raises:
        WinsomeError: there is nothing to draw.
    """
    if not leads:
        raise WinsomeError("no difference to draw over the length of levels")
    with look(on_page=on_page):
        names = list(dict.fromkeys(lead.name for lead in leads))
        styles = {name: Style(COLOURS[place], MARKERS[place]) for place, name in enumerate(names)}
        keys_across = 1 if is_narrow(width) else len(styles)
        keys = 0.12 + legend_height(-(-len(styles) // keys_across))
        total = keys + _TOP + _HEIGHT + _BELOW
        figure = Figure(figsize=(width, total))
        panel = width - LEFT - 0.08
        axes = figure.add_axes((LEFT / width, _BELOW / total, panel / width, _HEIGHT / total))
        axes.axhline(0, color=INK, linewidth=0.8, linestyle=(0, (3, 2)), zorder=1)
        drawn = [value for place, name in enumerate(names) for value in _line(axes, _of(leads, name), styles[name], place)]
        _length_scale(axes, sorted({lead.epochs for lead in leads}))
        accuracy_scale(axes, signed_limits([0.0, *drawn]))
        head(axes, "At the last level", "difference of accuracy (points)", panel)
        legend_above(figure, list(styles.items()), 0.0, keys_across)
        return figure


def _of(leads: Sequence[Lead], name: str) -> list[Lead]:
    return sorted((lead for lead in leads if lead.name == name), key=lambda lead: lead.epochs)


def _line(axes: Axes, leads: Sequence[Lead], style: Style, place: int) -> list[float]:
    """Draw one difference, a little beside the others; returns what it reaches, in points."""
    beside = 1.02 ** (place - 1)
    found = [lead.interval for lead in leads]
    x, y = [beside * lead.epochs for lead in leads], [100 * one.mean for one in found]
    reached = list(y)
    for at, one in zip(x, found, strict=True):
        if one.low is not None and one.high is not None:
            ends = [100 * one.low, 100 * one.high]
            axes.plot([at] * 2, ends, color=style.colour, linewidth=0.8, alpha=0.7)
            reached += ends
    axes.plot(x, y, color=style.colour, linewidth=1.2, marker=style.marker, markerfacecolor=style.face, markersize=4, zorder=3)
    return reached


def _length_scale(axes: Axes, lengths: Sequence[int]) -> None:
    axes.set_xscale("log")
    axes.set_xlim(min(lengths) / 1.15, max(lengths) * 1.15)
    axes.xaxis.set_major_locator(FixedLocator(lengths))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.set_xlabel("epochs of a level")

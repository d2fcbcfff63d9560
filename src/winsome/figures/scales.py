"""Axes that recur: remaining weights on a log scale, falling to the right, and accuracy in percent."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator

from winsome.figures.labels import typeset

LEFT = 0.3  # inches left of a panel for its tick labels
_ROUND = tuple(lead * 10.0**power for power in range(-3, 3) for lead in (1, 2, 5))


def density_scale(axes: Axes, densities: Sequence[float], width: float) -> None:
    """Make x the remaining weights in percent: log, highest left; `width` is the panel's in inches, for the ticks."""
    highest, lowest = max(densities), min(densities)
    margin = (highest / lowest) ** 0.05 if highest > lowest else 1.5
    left, right = 100 * highest * margin, 100 * lowest / margin
    axes.set_xscale("log")
    axes.set_xlim(left, right)
    marks = sorted({100 * density for density in densities}, reverse=True)
    if len(marks) > 8:
        marks = [mark for mark in reversed(_ROUND) if right <= mark <= left]
    inches_per_decade = width / math.log10(left / right)
    kept: list[float] = []
    for mark in reversed(marks):  # the lowest density always keeps its tick
        if not kept or inches_per_decade * math.log10(mark / kept[-1]) >= 0.34:
            kept.append(mark)
    axes.xaxis.set_major_locator(FixedLocator(kept))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FixedFormatter([f"{mark:.3g}" for mark in kept]))
    axes.set_xlabel("remaining weights (%)")


def percent_limits(values: Iterable[float], *, pad: float = 0.07) -> tuple[float, float]:
    """Limits around percentages with a margin, never beyond what a percentage can be."""
    low, high = signed_limits(values, pad=pad)
    return max(low, -1.0), min(high, 100.6)


def signed_limits(values: Iterable[float], *, pad: float = 0.07) -> tuple[float, float]:
    """Limits around differences with a margin."""
    listed = list(values)
    low, high = min(listed), max(listed)
    room = max((high - low) * pad, 0.4)
    return low - room, high + room


def accuracy_scale(axes: Axes, limits: tuple[float, float]) -> None:
    """Make y an accuracy in percent."""
    axes.set_ylim(*limits)
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.grid(axis="y")
    axes.spines["left"].set_visible(False)


def head(axes: Axes, title: str, y_name: str, width: float, *, left: float = LEFT, size: float = 8.5) -> None:
    """Write a panel's title and, level under it where it is read first, the name of its y axis.

    Both begin with the tick labels, `left` inches before the panel, which is `width` inches wide.
    """
    axes.set_ylabel(y_name, rotation=0, ha="left", va="bottom")
    height = width * axes.bbox.height / axes.bbox.width
    axes.yaxis.set_label_coords(-left / width, 1 + 0.08 / height)  # clear of a tick label at the very top
    text, is_math = typeset(title)
    axes.set_title(text, pad=20, fontsize=size, x=-left / width).set_parse_math(is_math)

"""Figures of the single hidden neuron: its four quadrants, the runs of IMP and LRR, and how often each succeeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from winsome.errors import WinsomeError
from winsome.figures.labels import LineEnd, label_ends, label_width, legend_below, legend_height, typeset
from winsome.figures.scales import LEFT, head
from winsome.figures.theme import COLOURS, INK, MARKERS, MUTED, PALETTE, PAPER, RULE, WIDE, Style, is_narrow, look
from winsome.theory.gradients import population_gradient
from winsome.theory.neurons import Neurons
from winsome.theory.portraits import QUADRANTS, Portrait, Success
from winsome.theory.problem import Problem
from winsome.theory.rounds import Trajectory

_TOP, _BELOW, _GAP = 0.46, 0.5, 0.42  # inches: over a panel, under it, between two
_NAMES = ("a > 0, w > 0", "a > 0, w < 0", "a < 0, w < 0", "a < 0, w > 0")
_FATES = ("learns the target", "stops at w = 0", "stops at w = 0", "ends in the saddle")
_STYLES = tuple(Style(PALETTE[name][0]) for name in ("green", "blue", "plum", "vermillion"))
_PATCH = {"boxstyle": "square,pad=0.15", "facecolor": PAPER, "edgecolor": "none", "alpha": 0.85}


def quadrants(portrait: Portrait, *, width: float = WIDE, on_page: bool = False) -> Figure:
    """The plane of (w, a) in one dimension, and |w| over time from a start in each quadrant.

    Runs stay on the hyperbolas a^2 - w^2 = const; only the quadrant a > 0, w > 0 leads to the minima a w = 1.
    """
    with look(on_page=on_page):
        figure, (plane, over_time) = _panels(width, 2, square=True, room=None)
        size = plane.bbox.width / figure.dpi
        head(plane, "Where the flow leads", "outer weight a", size)
        _plane(plane, "inner weight w", 1.75)
        _hyperbolas(plane)
        for index, style in enumerate(_STYLES):
            a, w = _track(portrait.states, index, 0)
            _run(plane, w, a, style)
        for (a_sign, w_sign), name, fate, style in zip(QUADRANTS, _NAMES, _FATES, _STYLES, strict=True):
            _corner(plane, a_sign, w_sign, name, fate, style)
        _decays(over_time, portrait)
        return figure


def trajectories(paths: Sequence[tuple[str, Trajectory]], *, width: float = WIDE, on_page: bool = False) -> Figure:
    """Runs of (w_1, a) for each named method: training with all inputs (thin), then pruned and restarted (thick).

    Raises:
        WinsomeError: there is no path.
    """
    if not paths:
        raise WinsomeError("there is no path to draw; make one with theory.quadrant_trajectories(restart)")
    with look(on_page=on_page):
        figure, panels = _panels(width, len(paths), square=True, room=0.0)
        for axes, (name, path) in zip(panels, paths, strict=True):
            head(axes, name, "outer weight a", axes.bbox.width / figure.dpi)
            _plane(axes, "inner weight w_1 of the target's input", 1.4)
            for index, style in enumerate(_STYLES):
                _two_phases(axes, path, index, style)
        _phase_key(panels[0])
        return figure


def success(rows: Sequence[Success], *, width: float = WIDE, on_page: bool = False) -> Figure:
    """The share of starts that learn the target over the number of samples, a line for each d, with 95 % intervals.

    The population, where it was run, stands at the right end as infinitely many samples. Dotted: the theorem's values
    without noise. LRR rebalanced is left out where LRR is drawn, for it hardly differs.

    Raises:
        WinsomeError: there are no successes.
    """
    if not rows:
        raise WinsomeError("there are no successes to draw; run theory.compare first")
    with look(on_page=on_page):
        return _success(rows, width)


# The plane of the two weights


def _plane(axes: Axes, x_name: str, reach: float) -> None:
    axes.set_xlim(-reach, reach)
    axes.set_ylim(-reach, reach)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(FixedLocator([-1, 0, 1]))
    text, is_math = typeset(x_name)
    axes.set_xlabel(text, parse_math=is_math)
    axes.axhline(0, color=RULE, linewidth=0.8, zorder=0)
    axes.axvline(0, color=RULE, linewidth=0.8, zorder=0)
    axes.spines["left"].set_visible(False)
    axes.fill_between([0, reach], 0, reach, color=PALETTE["green"][0], alpha=0.08, linewidth=0, zorder=0)
    w = np.linspace(1 / reach, reach, 80)
    axes.plot(w, 1 / w, color=PALETTE["green"][0], linewidth=0.9, linestyle=(0, (3, 2)), zorder=1)
    axes.text(0.97 * reach, 0.82 / reach, "a w = 1", ha="right", va="top", fontsize=7, color=PALETTE["green"][0])


def _hyperbolas(axes: Axes) -> None:
    """The conserved curves a^2 - w^2 = const, and which way the flow goes along them."""
    reach = axes.get_xlim()[1]
    across = np.linspace(-reach, reach, 61)
    for level in (0.0, 0.25, 1.0, 2.25):
        along = np.sqrt(across**2 + level)
        for sign in (1, -1):
            axes.plot(across, sign * along, color=RULE, linewidth=0.7, zorder=0.5)
            axes.plot(sign * along, across, color=RULE, linewidth=0.7, zorder=0.5)
    grid = np.linspace(-0.93 * reach, 0.93 * reach, 14)
    w, a = (mesh.ravel() for mesh in np.meshgrid(grid, grid))
    slope = population_gradient(Neurons(a, w[:, None]), Problem(1))
    speed = np.maximum(np.hypot(slope.a_S, slope.w_SD[:, 0]), 1e-9)
    axes.quiver(
        w, a, -slope.w_SD[:, 0] / speed, -slope.a_S / speed,
        color=MUTED, alpha=0.55, pivot="mid", angles="xy", scale=26, width=0.0032, headwidth=4.5, zorder=0.7,
    )  # fmt: skip


def _run(axes: Axes, x: np.ndarray, y: np.ndarray, style: Style, *, line_width: float = 2.0, start: bool = True) -> None:
    axes.plot(x, y, color=style.colour, linewidth=line_width, zorder=3, solid_capstyle="round")
    if start:
        axes.plot(x[0], y[0], "o", color=style.colour, markerfacecolor=PAPER, markersize=4.5, zorder=4)
    _arrow(axes, x, y, style, line_width)


def _arrow(axes: Axes, x: np.ndarray, y: np.ndarray, style: Style, line_width: float) -> None:
    """An arrow head half way along the curve, where it is long enough to have a direction."""
    length = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    if length[-1] < 0.25:
        return
    at = int(np.searchsorted(length, 0.5 * length[-1]))
    scale = 6 + 2.5 * line_width
    tip = {"arrowstyle": "-|>,head_length=0.5,head_width=0.28", "mutation_scale": scale, "color": style.colour, "linewidth": 0}
    before = int(np.searchsorted(length, 0.5 * length[-1] - 0.05))
    axes.annotate("", (x[at], y[at]), (x[min(before, at - 1)], y[min(before, at - 1)]), arrowprops=tip, zorder=4)


def _corner(axes: Axes, a_sign: int, w_sign: int, name: str, fate: str, style: Style) -> None:
    place: dict[str, Any] = {"ha": "right" if w_sign > 0 else "left", "va": "center_baseline"}
    x, y = 0.98 if w_sign > 0 else 0.02, 0.955 if a_sign > 0 else 0.115
    how = {"transform": axes.transAxes, "fontsize": 7.5, "bbox": _PATCH, "zorder": 6, **place}
    axes.text(x, y - 0.06, fate, color=INK, **how)
    axes.text(x, y, name, fontweight="bold", color=style.colour, **how)


def _decays(axes: Axes, portrait: Portrait) -> None:
    times = np.asarray(portrait.times[1:])
    for index, style in enumerate(_STYLES):
        if index == 2:  # a < 0, w < 0 shrinks as a > 0, w < 0 does
            continue
        _, w = _track(portrait.states[1:], index, 0)
        axes.plot(times, np.abs(w), color=style.colour, linewidth=1.8)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(0.05, times[-1])
    axes.set_ylim(7e-4, 3)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_locator(FixedLocator([0.1, 1, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_major_locator(FixedLocator([1e-3, 1e-2, 0.1, 1]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))
    axes.grid(axis="y")
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("time")
    head(axes, "How fast", "|w|", axes.bbox.width / axes.figure.dpi)
    ends = ((0, 1.3, "a > 0, w > 0: to 1"), (1, 0.34, "w < 0: as 1 / √t"), (3, 7e-3, "saddle: as exp(−t / 2)"))
    for index, y, text in ends:
        x = 7.0 if index == 3 else times[-1]
        axes.text(x, y, text, fontsize=7.5, ha="right", color=_STYLES[index].colour)


def _track(states: Sequence[Neurons], index: int, input_: int) -> tuple[np.ndarray, np.ndarray]:
    return np.array([state.a_S[index] for state in states]), np.array([state.w_SD[index, input_] for state in states])


def _two_phases(axes: Axes, path: Trajectory, index: int, style: Style) -> None:
    wide_a, wide_w = _track(path.wide, index, 0)
    narrow_a, narrow_w = _track(path.narrow, index, 0)
    axes.plot(wide_w, wide_a, color=style.colour, linewidth=0.9, linestyle=(0, (2.5, 1.5)), zorder=2)
    _arrow(axes, wide_w, wide_a, style, 1.0)
    _run(axes, narrow_w, narrow_a, style, line_width=2.2, start=False)
    axes.plot(wide_w[0], wide_a[0], "o", color=style.colour, markerfacecolor=PAPER, markersize=4.5, zorder=4)
    # Runs that end in one point lie there as rings, the first the largest.
    axes.plot(narrow_w[-1], narrow_a[-1], "o", color=style.colour, markersize=7.5 - 1.6 * index, zorder=5)


def _phase_key(axes: Axes) -> None:
    """Under the runs of the first panel: which line is which phase, and what the dots are."""
    ways: tuple[tuple[str, dict[str, Any]], ...] = (
        ("training with all inputs", {"linewidth": 0.9, "linestyle": (0, (2.5, 1.5))}),
        ("pruned to one, trained again", {"linewidth": 2.2}),
        ("start", {"linewidth": 0, "marker": "o", "markerfacecolor": PAPER}),
        ("end", {"linewidth": 0, "marker": "o"}),
    )
    handles = [Line2D([], [], color=MUTED, label=name, **way) for name, way in ways]
    axes.legend(handles=handles, loc="lower left", borderaxespad=0.3, borderpad=0, handlelength=2.2, labelspacing=0.35)


# How often


def _success(rows: Sequence[Success], width: float) -> Figure:
    kinds = list(dict.fromkeys((row["method"], row["rebalanced"]) for row in rows))
    kinds = [kind for kind in kinds if kind != ("LRR", True)] if ("LRR", False) in kinds else kinds
    inputs = sorted({row["d"] for row in rows})
    styles = {d: Style(COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]) for index, d in enumerate(inputs)}
    ends = [LineEnd(f"d = {d}", 0, 0, styles[d]) for d in inputs]
    places = _places(rows)
    room = label_width(Figure(), ends, 12)
    figure, panels = _panels(width, len(kinds), square=False, room=room, legend=legend_height(len(ends)) + 0.1)
    for axes, kind in zip(panels, kinds, strict=True):
        chosen = [row for row in rows if (row["method"], row["rebalanced"]) == kind]
        size = axes.bbox.width / figure.dpi
        head(axes, kind[0] + (", rebalanced" if kind[1] else ""), "learned the target (%)", size, size=8)
        _success_axes(axes, places, rows)
        for theorem in sorted({row["theorem"] for row in chosen}):
            axes.axhline(100 * theorem, color=INK, linewidth=0.9, linestyle=(0, (1.2, 1.6)), zorder=1)
        ends = [
            _success_line(axes, [row for row in chosen if row["d"] == d], styles[d], places, 0.09 * (k - (len(inputs) - 1) / 2))
            for k, d in enumerate(inputs)
        ]
    last, height = panels[-1], panels[-1].bbox.height / figure.dpi
    if is_narrow(width):
        legend_below(last, height, [(end.label, end.style, 1.5) for end in ends])
    else:
        label_ends(last, ends, (last.bbox.width / figure.dpi, height), 12)
    return figure


def _places(rows: Sequence[Success]) -> dict[int | None, float]:
    """Where each number of samples stands: evenly, in order, the population last."""
    counts = sorted({row["samples"] for row in rows if row["samples"] is not None})
    numbers: list[int | None] = [*counts, *([None] if any(row["samples"] is None for row in rows) else [])]
    return {count: float(place) for place, count in enumerate(numbers)}


def _success_axes(axes: Axes, places: dict[int | None, float], rows: Sequence[Success]) -> None:
    axes.set_xlim(-0.3, max(places.values()) + 0.3)
    highest = 100 * max(0.6, *(row["high"] + 0.02 for row in rows))
    axes.set_ylim(0, highest)
    axes.xaxis.set_major_locator(FixedLocator(list(places.values())))
    names = {place: "∞" if count is None else f"{count}" for count, place in places.items()}
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: names.get(value, "")))
    axes.yaxis.set_major_locator(FixedLocator([share for share in (0, 25, 50, 75, 100) if share <= highest]))
    axes.set_xlabel("samples")
    axes.grid(axis="y")
    axes.spines["left"].set_visible(False)


def _success_line(axes: Axes, rows: Sequence[Success], style: Style, places: dict[int | None, float], shift: float) -> LineEnd:
    ordered = sorted(rows, key=lambda row: places[row["samples"]])
    x = [places[row["samples"]] + shift for row in ordered]
    y = [100 * row["success"] for row in ordered]
    axes.vlines(
        x, [100 * row["low"] for row in ordered], [100 * row["high"] for row in ordered],
        color=style.colour, linewidth=0.9, alpha=0.65,
    )  # fmt: skip
    finite = len([row for row in ordered if row["samples"] is not None])
    axes.plot(x, y, style.marker, color=style.colour, markersize=4.5, zorder=3)
    axes.plot(x[:finite], y[:finite], color=style.colour, zorder=3)  # infinitely many are not the next number of samples
    return LineEnd(f"d = {ordered[0]['d']}", x[-1], y[-1], style)


# Panels


def _panels(width: float, count: int, *, square: bool, room: float | None, legend: float = 0.0) -> tuple[Figure, list[Axes]]:
    """A row of panels, or a column on narrow figures; `room` inches stay free to the right of the row."""
    narrow = is_narrow(width)
    columns = 1 if narrow else count
    right = 0.08 if narrow else max(room or 0.0, 0.08)
    inside = (width - LEFT - right - _GAP * (columns - 1)) / columns
    height = inside if square else 1.9
    lines = count // columns
    total = lines * (_TOP + height + _BELOW) + (legend if narrow else 0.0)
    figure = Figure(figsize=(width, total))
    panels = []
    for index in range(count):
        line, column = divmod(index, columns)
        left, bottom = LEFT + column * (inside + _GAP), total - (line + 1) * (_TOP + height) - line * _BELOW
        panels.append(figure.add_axes((left / width, bottom / total, inside / width, height / total)))
    return figure, panels

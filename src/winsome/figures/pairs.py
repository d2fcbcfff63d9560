"""Paired differences between arms: a dot per search seed, the mean and its confidence interval."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from winsome.errors import WinsomeError
from winsome.evidence.intervals import contrast
from winsome.evidence.results import Comparison, Results, dense_names, label_of
from winsome.figures.labels import fit
from winsome.figures.rows import Block, Row, bar, dots, lay_out
from winsome.figures.scales import LEFT, density_scale, head
from winsome.figures.styles import arm_styles
from winsome.figures.theme import INK, MUTED, Style, is_narrow, themed
from winsome.wording import fixed, percent, points

_MOST_ROWS = 26


@themed
def paired_differences(results: Results, width: float) -> Figure:
    """Accuracy of one arm minus another's, paired by search seed: dots are seeds, bars 95 % confidence intervals.

    Few comparisons are rows; many (over several densities) are a panel per pair of arms over remaining weights.

    Raises:
        WinsomeError: the results hold no comparison of two arms.
    """
    if not results["comparisons"]:
        raise WinsomeError("the results hold no comparison of two arms to draw")
    if len(results["comparisons"]) <= _MOST_ROWS:
        return _in_rows(results, width)
    return _in_panels(results, width)


def has_comparisons(results: Results) -> bool:
    """Whether any two arms were compared."""
    return bool(results["comparisons"])


def seed_differences(results: Results, comparison: Comparison) -> list[float]:
    """First minus second in percentage points, for each search seed both arms have (each a mean over its starts)."""
    weights = {comparison["first"]: 1.0, comparison["second"]: -1.0}
    dense = dense_names(results["study"]["arms"])
    return [100 * value for value in contrast(results["rows"], weights, comparison["density"], dense=dense).values()]


def reference(results: Results) -> str | None:
    """What most arms are compared with: the arm named in most comparisons, the earliest where two tie."""
    named = Counter(arm for c in results["comparisons"] for arm in (c["first"], c["second"]))
    order = [arm["name"] for arm in results["study"]["arms"]]
    return max(order, key=lambda arm: (named[arm], -order.index(arm)), default=None) if named else None


def pair_label(results: Results, comparison: Comparison) -> str:
    """`first − second`, by their short labels."""
    return f"{label_of(results, comparison['first'])} − {label_of(results, comparison['second'])}"


def interval_words(comparison: Comparison) -> str:
    """`[2.0, 3.1]` in percentage points; empty where there were too few seeds for an interval."""
    if comparison["low"] is None or comparison["high"] is None:
        return ""
    low, high = (fixed(100 * value, minus="−") for value in (comparison["low"], comparison["high"]))
    return f"[{low}, {high}]"


def difference_words(comparison: Comparison) -> str:
    """`+2.5 [2.0, 3.1]` in percentage points."""
    return f"{points(comparison['difference'])} {interval_words(comparison)}".rstrip()


def _extent(results: Results, comparisons: Sequence[Comparison]) -> tuple[float, float]:
    values = [-0.5, 0.5]  # less than half a point either way is never blown up to look like more
    for comparison in comparisons:
        values += [100 * v for v in (comparison["difference"], comparison["low"], comparison["high"]) if v is not None]
        values += seed_differences(results, comparison)
    pad = max(0.05 * (max(values) - min(values)), 0.3)
    return min(values) - pad, max(values) + pad


def _in_rows(results: Results, width: float) -> Figure:
    groups = _groups(results)
    common = {comparison["first"] for comparison in results["comparisons"]}
    blocks = []
    for (_, density), group in groups.items():
        title = f"{percent(density)} of the weights"
        if len(common) == 1:
            title += f": {label_of(results, group[0]['first'])} minus …"
        names = [label_of(results, c["second"]) if len(common) == 1 else pair_label(results, c) for c in group]
        rows = [Row(name, difference_words(comparison)) for name, comparison in zip(names, group, strict=True)]
        blocks.append(Block(title, rows, _extent(results, _alike(results, group[0]))))
    figure, panels = lay_out(blocks, width, "difference in test accuracy (percentage points)")
    for panel, group in zip(panels, groups.values(), strict=True):
        _points_axis(panel.axes)
        panel.axes.axvline(0, color=INK, linewidth=0.8, zorder=1)
        for row, comparison in enumerate(group):
            style = _style(results, comparison)
            dots(panel, seed_differences(results, comparison), row, style.colour)
            y = bar(panel, _bounds(comparison), row, style.colour)
            x, face = 100 * comparison["difference"], style.face
            panel.axes.plot(x, y, style.marker, color=style.colour, markerfacecolor=face, markersize=6, zorder=4)
    return figure


def _groups(results: Results) -> dict[tuple[bool, float], list[Comparison]]:
    """Comparisons by whether a search's network is in them (those differ by far more), then by density."""
    groups: dict[tuple[bool, float], list[Comparison]] = {}
    for comparison in results["comparisons"]:
        groups.setdefault((_has_network(results, comparison), -comparison["density"]), []).append(comparison)
    return {(network, -density): groups[network, density] for network, density in sorted(groups)}


def _alike(results: Results, comparison: Comparison) -> list[Comparison]:
    """The comparisons that share this one's scale."""
    kind = _has_network(results, comparison)
    return [other for other in results["comparisons"] if _has_network(results, other) == kind]


def _has_network(results: Results, comparison: Comparison) -> bool:
    networks = {arm["name"] for arm in results["study"]["arms"] if arm["kind"] == "network"}
    return not networks.isdisjoint({comparison["first"], comparison["second"]})


def _style(results: Results, comparison: Comparison) -> Style:
    """That of the arm which is not what everything is compared with."""
    arm = comparison["second"] if comparison["first"] == reference(results) else comparison["first"]
    return arm_styles(results).get(arm, Style(INK))


def _points_axis(axes: Axes) -> None:
    axes.xaxis.set_major_formatter(FuncFormatter(_whole_or_half))


def _whole_or_half(value: float, _position: int) -> str:
    return fixed(value, 0 if value == round(value) else 1, sign=True, minus="−")


def _bounds(comparison: Comparison) -> tuple[float, float]:
    difference = comparison["difference"]
    low = difference if comparison["low"] is None else comparison["low"]
    high = difference if comparison["high"] is None else comparison["high"]
    return 100 * low, 100 * high


def _in_panels(results: Results, width: float) -> Figure:
    pairs = list(dict.fromkeys((c["first"], c["second"]) for c in results["comparisons"]))
    columns = 1 if is_narrow(width) else 2
    lines = math.ceil(len(pairs) / columns)
    gap, height, below = LEFT + 0.16, 1.2, 0.34
    inside = (width - LEFT - 0.08 - gap * (columns - 1)) / columns
    figure = Figure(figsize=(width, 1.0))
    chosen = [[c for c in results["comparisons"] if (c["first"], c["second"]) == pair] for pair in pairs]
    titles = [fit(figure, pair_label(results, group[0]), 8, inside + 0.3, "bold") for group in chosen]
    top = 0.34 + 0.14 * max(len(title) for title in titles)
    total = lines * (top + height + below) + 0.16
    figure.set_size_inches(width, total)
    densities = [c["density"] for c in results["comparisons"]]
    for index, (group, title) in enumerate(zip(chosen, titles, strict=True)):
        line, column = divmod(index, columns)
        x = LEFT + column * (inside + gap)
        y = total - (line + 1) * (top + height) - line * below
        axes = figure.add_axes((x / width, y / total, inside / width, height / total))
        _panel(axes, results, group, _style(results, group[0]))
        density_scale(axes, densities, inside)
        axes.set_ylim(*_extent(results, group))
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_formatter(FuncFormatter(_whole_or_half))
        if index + columns < len(pairs):
            axes.set_xlabel("")
        head(axes, "\n".join(title), "percentage points", inside, size=8)
    return figure


def _panel(axes: Axes, results: Results, comparisons: Sequence[Comparison], style: Style) -> None:
    ordered = sorted(comparisons, key=lambda comparison: -comparison["density"])
    x = [100 * comparison["density"] for comparison in ordered]
    means = [100 * comparison["difference"] for comparison in ordered]
    bounds = [_bounds(comparison) for comparison in ordered]
    for where, comparison in zip(x, ordered, strict=True):
        differences = seed_differences(results, comparison)
        axes.plot([where] * len(differences), differences, "o", color=MUTED, markersize=1.8, alpha=0.4, markeredgewidth=0)
    axes.fill_between(x, [b[0] for b in bounds], [b[1] for b in bounds], color=style.colour, alpha=0.2, linewidth=0)
    axes.plot(
        x, means, color=style.colour, linestyle=style.dash, marker=style.marker, markerfacecolor=style.face, markersize=3.4,
        linewidth=1.3, zorder=3,
    )  # fmt: skip
    axes.axhline(0, color=INK, linewidth=0.8, zorder=1)
    axes.grid(axis="y")
    axes.spines["left"].set_visible(False)

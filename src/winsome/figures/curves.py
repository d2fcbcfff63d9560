"""Learning curves: accuracy over the epochs of the trainings from scratch."""

from __future__ import annotations

from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from winsome.errors import WinsomeError
from winsome.evidence.intervals import spread
from winsome.evidence.results import Results, densities_of, extremes_and_middle, same_density
from winsome.figures.labels import LineEnd, label_ends, label_width, labels_height, legend_below, legend_height
from winsome.figures.scales import LEFT, accuracy_scale, head, percent_limits
from winsome.figures.styles import arm_styles
from winsome.figures.theme import Style, is_narrow, themed
from winsome.wording import percent

_CHARACTERS = 18
_Curve = list[tuple[float, float, float]]  # (epoch, mean, standard deviation), accuracies in percent


@themed
def learning_curves(results: Results, width: float) -> Figure:
    """Test accuracy over epochs of training from scratch, mean over all runs of an arm, one standard deviation shaded.

    At most three densities are drawn: the highest, the middle and the lowest of those with curves.

    Raises:
        WinsomeError: the results hold no learning curves.
    """
    densities = _densities(results)
    if not densities:
        raise WinsomeError("the results hold no learning curves to draw")
    narrow, styles = is_narrow(width), arm_styles(results)
    panels = [(density, _curves(results, density)) for density in densities]
    ends = _ends(results, panels[-1][1], styles)
    columns = 1 if narrow else len(panels)
    lines = len(panels) // columns
    height = 1.9 if narrow else max(2.2, labels_height(ends, _CHARACTERS))
    top, gap, below, legend = 0.46, LEFT + 0.08, 0.46, 0.1 + legend_height(len(ends)) if narrow else 0.0
    total = lines * (top + height + below) + legend
    figure = Figure(figsize=(width, total))
    left, right = LEFT, 0.08 if narrow else label_width(figure, ends, _CHARACTERS)
    size = ((width - left - right - gap * (columns - 1)) / columns, height)
    limits = percent_limits([m for _, curves in panels for curve in curves.values() for _, m, _ in curve])
    axes = None
    for index, (density, curves) in enumerate(panels):
        line, column = divmod(index, columns)
        bottom = total - (line + 1) * (top + height) - line * below
        place = ((left + column * (size[0] + gap)) / width, bottom / total, size[0] / width, height / total)
        axes = figure.add_axes(place)
        head(axes, f"{percent(density)} of the weights", "test accuracy (%)", size[0], size=8)
        _draw(axes, curves, styles)
        accuracy_scale(axes, limits)
    if axes is not None and narrow:
        ordered = sorted(ends, key=lambda end: -end.y)
        legend_below(axes, height, [(end.label, end.style, 1.5) for end in ordered])
    elif axes is not None:
        label_ends(axes, ends, size, _CHARACTERS)
    return figure


def has_curves(results: Results) -> bool:
    """Whether any training from scratch recorded its accuracy over epochs."""
    return bool(_densities(results))


def _densities(results: Results) -> list[float]:
    recorded = [row["density"] for row in results["rows"] if row["curve"]]
    return extremes_and_middle([d for d in densities_of(results) if any(same_density(d, seen) for seen in recorded)])


def _curves(results: Results, density: float) -> dict[str, _Curve]:
    curves: dict[str, _Curve] = {}
    for arm in results["study"]["arms"]:
        at_epoch: dict[float, list[float]] = {}
        for row in results["rows"]:
            # The dense network has one density, 1, and is the measure in every panel.
            if row["arm"] == arm["name"] and (arm["kind"] == "dense" or same_density(row["density"], density)):
                for epoch, accuracy in row["curve"]:
                    at_epoch.setdefault(epoch, []).append(100 * accuracy)
        if at_epoch:
            curves[arm["name"]] = [(epoch, fmean(seen), spread(seen) or 0.0) for epoch, seen in sorted(at_epoch.items())]
    return curves


def _ends(results: Results, curves: dict[str, _Curve], styles: dict[str, Style]) -> list[LineEnd]:
    labels = {arm["name"]: arm["label"] for arm in results["study"]["arms"]}
    return [LineEnd(labels[name], curve[-1][0], curve[-1][1], styles[name]) for name, curve in curves.items()]


def _draw(axes: Axes, curves: dict[str, _Curve], styles: dict[str, Style]) -> None:
    last = max(curve[-1][0] for curve in curves.values())
    for nth, (name, curve) in enumerate(curves.items()):
        x, y, std = ([point[part] for point in curve] for part in range(3))
        style = styles[name]
        if len(curves) <= 6:
            lower, upper = [a - b for a, b in zip(y, std, strict=True)], [a + b for a, b in zip(y, std, strict=True)]
            axes.fill_between(x, lower, upper, color=style.colour, alpha=0.1, linewidth=0)
        # A few marks on each, on no two at the same epochs: colour is not all that tells curves apart.
        step = max(len(x) // 4, 1)
        axes.plot(
            x, y, color=style.colour, linestyle=style.dash, linewidth=1.4, marker=style.marker, markerfacecolor=style.face,
            markersize=3.4, markevery=(nth % step, step), zorder=3,
        )  # fmt: skip
    axes.set_xlim(0, last)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]))
    axes.set_xlabel("epoch")

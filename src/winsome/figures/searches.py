"""Level by level: the accuracy of the network a search works on, as weights go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from matplotlib.figure import Figure

from winsome.errors import WinsomeError
from winsome.evidence.results import Results, search_labels
from winsome.figures.labels import LineEnd, label_ends, label_width, labels_height, legend_below, legend_height
from winsome.figures.scales import LEFT, accuracy_scale, density_scale, head, percent_limits
from winsome.figures.styles import search_styles
from winsome.figures.theme import Style, is_narrow, themed

_CHARACTERS = 20
_TOP, _BELOW = 0.5, 0.5  # inches above and below a panel


@dataclass(frozen=True)
class _Line:
    """One method's accuracies, in percent, over remaining weights, in percent."""

    label: str
    style: Style
    densities: list[float]
    means: list[float]
    lows: list[float]
    highs: list[float]


@dataclass(frozen=True)
class _Panel:
    title: str
    lines: list[_Line]
    thin: bool
    height: float  # inches

    @property
    def ends(self) -> list[LineEnd]:
        return [LineEnd(line.label, line.densities[-1], line.means[-1], line.style) for line in self.lines]


@themed
def search_progress(results: Results, width: float) -> Figure:
    """Accuracy of each search's network after every level, mean over search seeds, the band from lowest to highest.

    Above with BatchNorm statistics re-estimated on training images; below, thin, with those stored during training.

    Raises:
        WinsomeError: the results hold no levels of a search.
    """
    panels = _panels(results, narrow=is_narrow(width))
    if not panels:
        raise WinsomeError("the results hold no levels of a search to draw")
    narrow = is_narrow(width)
    figure = Figure(figsize=(width, 1.0))
    right = 0.08 if narrow else label_width(figure, [end for panel in panels for end in panel.ends], _CHARACTERS)
    legends = [legend_height(len(panel.lines)) + 0.04 if narrow else 0.0 for panel in panels]
    total = sum(_TOP + panel.height + _BELOW for panel in panels) + sum(legends)
    figure.set_size_inches(width, total)
    y = total
    for panel, legend in zip(panels, legends, strict=True):
        y -= _TOP + panel.height
        _draw(figure, panel, (LEFT, y, width - LEFT - right))
        y -= _BELOW + legend
    return figure


def has_levels(results: Results) -> bool:
    """Whether any search has finished a level."""
    return any(search["levels"] for search in results["searches"])


def _panels(results: Results, *, narrow: bool) -> list[_Panel]:
    panels = []
    for key, title, thin in (
        ("accuracy", "Statistics re-estimated on training images", False),
        ("stored_accuracy", "Statistics as stored during training", True),
    ):
        lines = [line for name in search_labels(results) if (line := _line(results, name, key))]
        if lines:
            ends = [LineEnd(line.label, 0, 0, line.style) for line in lines]
            least = (1.2 if thin else 2.0) if narrow else (1.3 if thin else 2.2)
            panels.append(_Panel(title, lines, thin, least if narrow else max(least, labels_height(ends, _CHARACTERS))))
    return panels


def _line(results: Results, name: str, key: str) -> _Line | None:
    by_level: dict[int, list[tuple[float, float]]] = {}
    for search in results["searches"]:
        if search["search"] == name:
            for level in search["levels"]:
                value = level["accuracy"] if key == "accuracy" else level["stored_accuracy"]
                if value is not None:
                    by_level.setdefault(level["number"], []).append((100 * level["density"], 100 * value))
    if not by_level:
        return None
    seen = [by_level[number] for number in sorted(by_level)]
    return _Line(
        search_labels(results)[name],
        search_styles(results)[name],
        [fmean(density for density, _ in level) for level in seen],
        [fmean(accuracy for _, accuracy in level) for level in seen],
        [min(accuracy for _, accuracy in level) for level in seen],
        [max(accuracy for _, accuracy in level) for level in seen],
    )


def _draw(figure: Figure, panel: _Panel, place: tuple[float, float, float]) -> None:
    left, bottom, wide = place
    width, total = figure.get_size_inches()
    axes = figure.add_axes((left / width, bottom / total, wide / width, panel.height / total))
    head(axes, panel.title, "test accuracy (%)", wide)
    density_scale(axes, [density / 100 for line in panel.lines for density in line.densities], wide)
    accuracy_scale(axes, percent_limits(_values(panel.lines)))
    for line in panel.lines:
        axes.fill_between(line.densities, line.lows, line.highs, color=line.style.colour, alpha=0.1, linewidth=0)
        axes.plot(
            line.densities, line.means, color=line.style.colour, linewidth=0.9 if panel.thin else 1.6,
            marker="" if panel.thin else line.style.marker, markerfacecolor=line.style.face, markersize=3.4, zorder=3,
        )  # fmt: skip
    if is_narrow(width):
        entries = sorted(zip(panel.ends, panel.lines, strict=True), key=lambda pair: -pair[0].y)
        legend_below(axes, panel.height, [(end.label, end.style, 0.9 if panel.thin else 1.6) for end, _ in entries])
    else:
        label_ends(axes, panel.ends, (wide, panel.height), _CHARACTERS)


def _values(lines: Sequence[_Line]) -> list[float]:
    return [value for line in lines for value in (*line.lows, *line.highs)]

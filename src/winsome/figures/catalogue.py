"""The figures of a study, in the order in which a report shows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from winsome.evidence.results import Results
from winsome.figures import captions
from winsome.figures.accuracy import accuracy_over_density, has_accuracies
from winsome.figures.curves import has_curves, learning_curves
from winsome.figures.layers import has_layers, layer_densities
from winsome.figures.pairs import has_comparisons, paired_differences
from winsome.figures.plots import Plot
from winsome.figures.searches import has_levels, search_progress
from winsome.figures.theme import Drawing


@dataclass(frozen=True)
class StudyPlot:
    """A figure that a study may have: how it is drawn, whether the results hold what it needs, and its caption."""

    draw: Drawing
    possible: Callable[[Results], bool]
    caption: Callable[[Results], str]


def study_plots(results: Results) -> list[Plot]:
    """The figures that these results hold something for."""
    return [
        Plot(name, plot.caption(results), partial(plot.draw, results))
        for name, plot in STUDY_PLOTS.items()
        if plot.possible(results)
    ]


STUDY_PLOTS = {
    "accuracy_over_density": StudyPlot(accuracy_over_density, has_accuracies, captions.accuracy),
    "paired_differences": StudyPlot(paired_differences, has_comparisons, captions.differences),
    "learning_curves": StudyPlot(learning_curves, has_curves, captions.curves),
    "search_progress": StudyPlot(search_progress, has_levels, captions.searches),
    "layer_densities": StudyPlot(layer_densities, has_layers, captions.layers),
}

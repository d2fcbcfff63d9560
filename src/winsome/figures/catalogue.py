"""The figures of a study, in the order in which a report shows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from winsome.evidence.results import Results
from winsome.figures.accuracy import accuracy_over_density, has_accuracies
from winsome.figures.curves import has_curves, learning_curves
from winsome.figures.layers import has_layers, layer_densities
from winsome.figures.pairs import has_comparisons, paired_differences
from winsome.figures.searches import has_levels, search_progress
from winsome.figures.theme import Drawing


@dataclass(frozen=True)
class Plate:
    """A figure that a study may have: its file name, how it is drawn, and whether the results hold what it needs."""

    name: str
    draw: Drawing
    possible: Callable[[Results], bool]


def possible_plates(results: Results) -> list[Plate]:
    """The figures that these results hold something for."""
    return [plate for plate in PLATES if plate.possible(results)]


PLATES = (
    Plate("accuracy_over_density", accuracy_over_density, has_accuracies),
    Plate("paired_differences", paired_differences, has_comparisons),
    Plate("learning_curves", learning_curves, has_curves),
    Plate("search_progress", search_progress, has_levels),
    Plate("layer_densities", layer_densities, has_layers),
)

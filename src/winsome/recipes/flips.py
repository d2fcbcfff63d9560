"""How many weights end with another sign than the network had that a search was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from winsome.recipes.accuracy import accuracy_evidence
from winsome.recipes.recipe import Evidence, Finished, Table
from winsome.study.folder import StudyFolder


def with_flips(finished: Mapping[str, Finished]) -> Evidence:
    """How many of the weights that a level keeps have another sign at its end than in the network that the search was given."""
    rows: list[Sequence[Any]] = []
    for label, one in finished.items():
        folder = StudyFolder(one.folder)
        for name, spec in one.study.needed_searches().items():
            for level in one.study.levels:
                flipped = [_flipped(folder, name, seed, one.study.level_of(name, level)) for seed in one.study.search_seeds]
                values = torch.tensor(flipped, dtype=torch.float64)
                spread = float(values.std()) if len(values) > 1 else 0.0
                density = one.study.all_densities[level]
                rows.append((label, spec.method.label, density, float(values.mean()), spread, len(flipped)))
    columns = ("study", "search", "density", "flipped", "standard deviation", "search seeds")
    caption = "Fraction of a level's kept weights whose sign at its end is not the initial one."
    evidence = accuracy_evidence(finished)
    return replace(evidence, tables=(Table("flips", caption, columns, rows), *evidence.tables))


def _flipped(folder: StudyFolder, name: str, seed: int, level: int) -> float:
    found = folder.found(name, seed, level)
    start = folder.search(name, seed).read_named("initial") or {}
    kept = {layer: found.ticket.mask.kept(layer) for layer in found.ticket.mask}
    changed = sum(int((((start[layer] < 0) != (found.state[layer] < 0)) & keep).sum()) for layer, keep in kept.items())
    return changed / max(found.ticket.mask.n_kept, 1)

"""Run a recipe: its studies one after another, then its analysis."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from winsome.errors import WinsomeError
from winsome.evidence.gather import collect
from winsome.recipes.recipe import Finished, Recipe, Scale
from winsome.recipes.record import write_record
from winsome.runs.configuration import take_folder
from winsome.runs.lock import only_process
from winsome.study.conditions import conditions_of
from winsome.study.design import Study
from winsome.study.folder import StudyFolder
from winsome.study.reuse import Places, adopt, all_results_of
from winsome.study.run import Watch, run, take
from winsome.training.conditions import Conditions

Earlier = tuple[Study, Places]  # a study that was run before, and where its results are
Watching = Callable[[Study, Path, Conditions], AbstractContextManager[Watch]]  # shows the progress of a study


def run_recipe(
    name: str,
    recipe: Recipe,
    folder: Path,
    *,
    scale: Scale,
    command: str,
    watching: Watching,
    workers: int = 0,
    prepare: Callable[[], object] | None = None,
    done: list[Places] | None = None,
) -> dict[str, Any]:
    """Do everything of a recipe that is not done yet, and write what it shows. What its studies share is done once.

    Args:
        name: of the recipe.
        recipe: what is run.
        folder: where it lives; each study gets a folder of its own below it.
        scale: small, medium or paper.
        command: what reproduces it, for the record.
        watching: shows the progress of a study.
        workers: processes side by side; 0 for one per core.
        prepare: called in every process before its work: loads code of the user's own.
        done: results of studies that were run before, which are taken over where they are the same; this recipe's are added.

    Returns:
        What was written to `recipe.json`.

    Raises:
        WinsomeError: the folder holds another scale or set-up of the recipe, another process works in it, data are absent, or
            the disk fails.
    """
    with only_process(folder):
        take_folder(folder, {"recipe": name, "scale": scale})
        finished: dict[str, Finished] = {}
        done = [] if done is None else done
        for label, study in recipe.studies.items():
            place = folder / label
            conditions = conditions_of(study)  # data and network are refused before anything is written
            results_here = all_results_of(study, StudyFolder(place), stacked=conditions.stacked)
            take(study, place, data_digest=conditions.data.digest())
            adopt(results_here, done)
            with watching(study, place, conditions) as watch:
                run(study, place, conditions=conditions, workers=workers, watch=watch, prepare=prepare)
            done.append(results_here)
            finished[label] = Finished(study, place, collect(study, place, conditions, command=command))
        start = time.perf_counter()
        evidence = recipe.evidence(name, finished)
        seconds = sum(StudyFolder(folder / label).seconds() for label in finished) + time.perf_counter() - start
        return write_record(name, recipe, evidence, folder, scale=scale, command=command, seconds=seconds)


def earlier_results(studies: Iterable[tuple[Study, Path]]) -> list[Earlier]:
    """What earlier calls have computed of these studies, of whatever seeds and starts; finished or not.

    A folder counts only if its configuration and its images are the study's: what it holds is what the study would compute.
    One that is damaged, or of another version of the recipe, counts for nothing.
    """
    found = []
    for study, folder in studies:
        with contextlib.suppress(WinsomeError):
            place = StudyFolder(folder)
            there = place.config()
            if not there:
                continue
            made = replace(study, search_seeds=there["search_seeds"], starts=there["starts"])
            record = {**made.record(), "data_digest": there["data_digest"]}
            # The data are read last: those of another configuration may not be at hand.
            if json.loads(json.dumps(record)) != there:
                continue
            conditions = conditions_of(made)
            if conditions.data.digest() == there["data_digest"]:
                found.append((made, all_results_of(made, place, stacked=conditions.stacked)))
    return found

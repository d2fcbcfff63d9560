"""What a sweep has to do: the jobs of all its studies as one graph, in which what studies share is done once."""

from __future__ import annotations

import pickle
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from winsome.data.images import ImageData
from winsome.data.spec import DataSpec
from winsome.errors import WinsomeError
from winsome.evidence.gather import collect, is_gathered
from winsome.study.conditions import conditions_here, conditions_of, will_stack
from winsome.study.design import Study
from winsome.study.folder import StudyFolder
from winsome.study.jobs import jobs_at_once, jobs_of
from winsome.study.reuse import Places, adopt, results_of
from winsome.study.run import tasks_of
from winsome.tasks.graph import OnFraction, Task


@dataclass(frozen=True)
class Step:
    """One task of a sweep: a job of a study, or the gathering of its results."""

    task: Task
    study: Study
    data_digest: str  # of the study's images
    label: str
    places: Places  # what it fills


def sweep_steps(studies: Sequence[Study], folder: Path, *, command: str, load: bool = True) -> tuple[Step, ...]:
    """The steps of a sweep: the jobs of every study, and after them one that gathers its results.

    Args:
        studies: each with a name of its own.
        folder: of the sweep; a study lives in the folder of its name below it.
        command: kept in the results.
        load: otherwise the steps are to be looked at only: of images no digest is taken, and where possible none is read.

    Raises:
        WinsomeError: data or networks cannot be had; all studies that want them are named.
    """
    refused: list[str] = []
    steps: list[Step] = []
    images: dict[DataSpec, ImageData] = {}
    for study in studies:
        try:
            if not load:
                steps += _steps(study, StudyFolder(folder / study.name), will_stack(study), "", command, len(steps))
                continue
            if study.data not in images:
                images = {study.data: study.data.load()}  # of the last study alone: those of all may not fit into memory
            conditions = conditions_of(study, images[study.data])
        except WinsomeError as error:
            refused.append(f"{study.name}: {error}")
            continue
        place, digest = StudyFolder(folder / study.name), conditions.data.digest()
        steps += _steps(study, place, conditions.stacked, digest, command, len(steps))
    if refused:
        raise WinsomeError("; ".join(refused))
    return _sharing(steps)


def _steps(study: Study, folder: StudyFolder, stacked: bool, digest: str, command: str, first: int) -> list[Step]:
    jobs = jobs_of(study, at_once=jobs_at_once(stacked=stacked))
    tasks = tasks_of(study, jobs, folder, first=first)
    steps = [
        Step(task, study, digest, job.label, results_of(job, study, folder, stacked=stacked))
        for job, task in zip(jobs, tasks, strict=True)
    ]
    work = partial(_gather, study, folder.path, command)
    done = partial(is_gathered, study, folder.path)
    gather = Task(work, cost=0.0, is_done=done, needs=frozenset(range(first, first + len(tasks))))
    return [*steps, Step(gather, study, digest, "results", {})]


def _sharing(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The same steps, each after those that fill some of what it fills: it links what they did, and does the rest.

    Of the searches that are one, the deepest goes first. That order of studies, and within a study the order of needs, leave
    no circle in which tasks could wait for each other.
    """
    holders: dict[Hashable, list[int]] = {}
    for number in sorted(range(len(steps)), key=lambda number: (-steps[number].study.deepest, number)):
        for identity in steps[number].places:
            holders.setdefault(identity, []).append(number)
    shared = []
    for number, step in enumerate(steps):
        lines = [holders[identity] for identity in step.places]
        before = frozenset(line[line.index(number) - 1] for line in lines if line.index(number))
        others = sorted({other for line in lines for other in line} - {number})
        if others:
            is_done = partial(_adopted, step.task, step.places, [steps[other].places for other in others])
            cost = 0.0 if all(line.index(number) for line in lines) else step.task.cost  # all of it is done by others
            step = replace(step, task=replace(step.task, cost=cost, after=before, is_done=is_done))
        shared.append(step)
    return tuple(shared)


def _adopted(task: Task, places: Places, others: Sequence[Places]) -> bool:
    if task.is_done():
        return True
    adopt(places, others)
    return task.is_done()


def _gather(study: Study, folder: Path, command: str, _on_fraction: OnFraction) -> float:
    start = time.perf_counter()
    collect(study, folder, conditions_here(study), command=command)
    return time.perf_counter() - start


def refuse_unpicklable(steps: Sequence[Step]) -> None:
    """Raise WinsomeError, before work begins, for studies that a process pool cannot send to its workers.

    Raises:
        WinsomeError: a study's functions are not defined by name.
    """
    for step in {step.study: step for step in steps}.values():
        try:
            pickle.dumps(step.task.work)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise WinsomeError(
                f"the study {step.study.name!r} cannot be sent to other processes ({error}): define its functions by name at "
                "the top of the file, or use Ray or one worker"
            ) from error

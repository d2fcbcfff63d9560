"""Run a study: its jobs as tasks, each as soon as what it needs is finished, in this process or in several."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from winsome import distributed
from winsome.errors import WinsomeError
from winsome.files import read_json, write_json
from winsome.runs.configuration import take_folder
from winsome.study.conditions import conditions_of
from winsome.study.design import Study
from winsome.study.jobs import Job, cost, is_done, jobs_of, needs, run_job
from winsome.tasks.graph import Event, Task, run_graph
from winsome.tasks.processes import processes, this_process

STACK = 16  # networks trained as one stack: more gains little, and fewer jobs leave cores idle


@dataclass(frozen=True)
class Progress:
    """How far a study is: handed to `watch` when a job starts, moves or ends."""

    done: float  # cost of finished and moving jobs
    total: float
    job: Job | None = None
    finished: bool = False  # whether this is the end of `job`
    seconds: float = 0.0  # that the finished job took


Watch = Callable[[Progress], None]
TIME = "time.json"


def run(study: Study, folder: Path, *, workers: int = 0, watch: Watch = lambda _: None) -> float:
    """Do everything of a study that is not done yet; returns the seconds spent in jobs, over all workers.

    Of several ranks every one calls it: jobs run one after another, each on all ranks together.

    Args:
        study: what is compared.
        folder: where it lives; one of another configuration is refused.
        workers: processes that share the machine; 0 takes one for each core (one on a GPU), 1 runs in this process.
        watch: told of every progress.

    Raises:
        WinsomeError: the folder was made with another configuration, or data, network or disk fail.
        BrokenProcessPool: a worker process was killed.
        Diverged: a training's loss became NaN.
    """
    if workers < 0:
        raise WinsomeError(f"--workers must be 0 (one for each core) or more, got {workers}")
    if workers > 1 and distributed.world_size() > 1:
        raise WinsomeError(
            f"--workers {workers} is for a single process; ranks run jobs one after another, all on each: leave it out"
        )
    start = time.perf_counter()
    conditions_of(study)  # data and network are refused before anything is written
    take(study, folder)
    tasks = tasks_of(study, folder)
    left = [job for job, task in tasks.items() if not task.is_done()]
    if not left:
        return 0.0
    jobs, before = list(tasks), time_spent(folder)

    def on_event(event: Event) -> None:
        if event.state == "finished" and distributed.is_main():
            write_json(folder / TIME, {"seconds": before + time.perf_counter() - start})
        if event.state != "found":
            watch(Progress(event.done, event.total, jobs[event.number], event.state == "finished", event.seconds))

    n_workers = min(workers or default_workers(), len(left))
    alone = n_workers == 1 or distributed.world_size() > 1
    with nullcontext(this_process()) if alone else processes(n_workers) as runner:
        return run_graph(list(tasks.values()), runner, watch=on_event).seconds


def time_spent(folder: Path) -> float:
    """The seconds that a study took up to its last finished job, over all stretches in which it ran; 0 for none."""
    return float(read_json(folder / TIME)["seconds"]) if (folder / TIME).exists() else 0.0


def take(study: Study, folder: Path, *, write: bool = True) -> None:
    """Take a folder for a study. One that was made for less of the same study grows: arms, levels, seeds and starts.

    Without `write` nothing is written: only refused.

    Raises:
        WinsomeError: the folder was made with another configuration; every difference is listed.
    """
    path = folder / "config.json"
    before = distributed.from_main(lambda: read_json(path) if path.exists() else {})
    alone = len(before.get("search_seeds", ())) * len(before.get("starts", ())) == 1
    # A single network is not trained as a stack, and rounds otherwise: it does not belong to a study of several.
    members = () if alone else ("search_seeds", "starts")
    # A borrower's own folder knows the masks of all levels that it borrows: it cannot go deeper.
    levels = () if any(spec.masks_of for spec in study.search_specs.values()) else ("levels",)
    config = {**study.record(), "data_digest": conditions_of(study).data.digest()}
    if before:  # a folder of before these were written down says nothing of them
        config = {key: value for key, value in config.items() if key in before or key not in ("arm_settings", "data_digest")}
    take_folder(folder, config, may_grow=("arms", "arm_settings", "searches", *levels, *members), write=write)


def tasks_of(study: Study, folder: Path, *, first: int = 0) -> Mapping[Job, Task]:
    """The study's jobs and, for each, the task that does it; tasks are numbered in their order, from `first`."""
    jobs = jobs_of(study, at_once=jobs_at_once(study))
    numbers = {job: first + place for place, job in enumerate(jobs)}
    return {
        job: Task(
            partial(run_job, job, study, folder),
            cost(job, study),
            partial(_is_done, job, study, folder),
            frozenset(numbers[other] for other in needs(job, jobs, study)),
        )
        for job in jobs
    }


def _is_done(job: Job, study: Study, folder: Path) -> bool:
    """As rank 0 sees it: all ranks have to run the same jobs."""
    return distributed.from_main(partial(is_done, job, study, folder))


def default_workers() -> int:
    """One one-thread process for each core; a GPU is used by one process."""
    return 1 if torch.cuda.is_available() else len(os.sched_getaffinity(0))


def jobs_at_once(study: Study) -> int:
    """How many networks one job trains: a stack where layers allow it, else one."""
    return STACK if conditions_of(study).stacked else 1

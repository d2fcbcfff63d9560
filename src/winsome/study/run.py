"""Run a study: its jobs as tasks, each as soon as what it needs is finished, in this process or in several."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from winsome import distributed
from winsome.errors import WinsomeError
from winsome.runs.lock import only_process
from winsome.study.conditions import conditions_of, will_stack
from winsome.study.design import Study
from winsome.study.folder import StudyFolder
from winsome.study.jobs import Job, cost, is_done, jobs_at_once, jobs_of, needs
from winsome.study.work import run_job, run_job_here
from winsome.study.workers import default_workers
from winsome.tasks.graph import Event, Task, Work, run_graph
from winsome.tasks.processes import processes, this_process
from winsome.training.conditions import Conditions


@dataclass(frozen=True)
class StudyProgress:
    """How far a study is: handed to `watch` when a job starts, moves or ends."""

    done: float  # cost of finished and moving jobs
    total: float
    job: Job | None = None
    finished: bool = False  # whether this is the end of `job`
    seconds: float = 0.0  # that the finished job took


Watch = Callable[[StudyProgress], None]


def run(
    study: Study,
    folder: Path,
    *,
    conditions: Conditions | None = None,
    workers: int = 0,
    watch: Watch = lambda _: None,
    prepare: Callable[[], object] | None = None,
) -> float:
    """Do everything of a study that is not done yet; returns the seconds spent in jobs, over all workers.

    Of several ranks every one calls it: jobs run one after another, each on all ranks together.

    Args:
        study: what is compared.
        folder: where it lives; one of another configuration is refused.
        conditions: what its networks are trained and judged on, from `conditions_of(study)`; made here if not given.
        workers: processes that share the machine; 0 takes `default_workers`, 1 runs in this process.
        watch: hears of every progress.
        prepare: what every worker process does first, such as to load code of one's own; picklable.

    Raises:
        WinsomeError: the folder was made with another configuration, another process works in it, or data, network or disk
            fail.
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
    conditions = conditions or conditions_of(study)  # data and network are refused before anything is written
    take(study, folder, data_digest=conditions.data.digest())
    place = StudyFolder(folder)
    jobs = jobs_of(study, at_once=jobs_at_once(stacked=conditions.stacked))
    left = sum(not is_done(job, study, place) for job in jobs)
    if not left:
        return 0.0
    n_workers = min(workers or default_workers(conditions.data.image_shape), left)
    alone = n_workers == 1 or distributed.world_size() > 1
    tasks = tasks_of(study, jobs, place, conditions=conditions if alone else None)
    before = place.seconds()

    def on_event(event: Event) -> None:
        if event.state == "finished":
            place.write_seconds(before + time.perf_counter() - start)
        if event.state != "found":
            watch(StudyProgress(event.done, event.total, jobs[event.number], event.state == "finished", event.seconds))

    with only_process(folder), nullcontext(this_process()) if alone else processes(n_workers, prepare=prepare) as runner:
        return run_graph(tasks, runner, watch=on_event).seconds


def take(study: Study, folder: Path, *, data_digest: str, write: bool = True) -> None:
    """Take a folder for a study. One that was made for less of the same study grows: arms, levels, seeds and starts.

    Args:
        study: what is compared.
        folder: where it lives.
        data_digest: of the images: a study does not go on with others.
        write: whether to write the configuration down; otherwise another one is only refused.

    Raises:
        WinsomeError: the folder was made with another configuration; every difference is listed.
    """
    place = StudyFolder(folder)
    before = place.config()
    alone = len(before.get("search_seeds", ())) * len(before.get("starts", ())) == 1
    # A single network rounds otherwise than it would in a stack: it does not belong to a study whose networks are stacked.
    runs = () if alone and will_stack(study) else ("search_seeds", "starts")
    # A borrower's own folder knows the masks of all levels that it borrows: it cannot go deeper.
    levels = () if any(spec.masks_of for spec in study.search_specs.values()) else ("levels",)
    config = {**study.record(), **study.data.place(), "data_digest": data_digest}
    place.take(config, may_grow=("arms", "arm_settings", "searches", *levels, *runs), write=write)


def tasks_of(
    study: Study, jobs: Sequence[Job], folder: StudyFolder, *, conditions: Conditions | None = None, first: int = 0
) -> list[Task]:
    """For each of a study's jobs the task that does it.

    Args:
        study: what is compared.
        jobs: all of it, or a part that needs nothing else.
        folder: where it lives.
        conditions: for tasks of this process; tasks without can be sent to others, which make them themselves.
        first: the number of the first task.
    """
    numbers = {job: first + place for place, job in enumerate(jobs)}

    def work(job: Job) -> Work:
        if conditions is None:
            return partial(run_job_here, job, study, folder)
        return partial(run_job, job, study, folder, conditions)

    def task(job: Job) -> Task:
        needed = frozenset(numbers[other] for other in needs(job, jobs, study))
        return Task(work(job), cost(job, study), partial(is_done, job, study, folder), needed)

    return [task(job) for job in jobs]

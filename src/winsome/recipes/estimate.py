"""What a recipe will cost: its studies' epochs, timed by a few training steps on this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from winsome.machine import usable_cores
from winsome.recipes.step_time import PASSES, StepTime, step_time
from winsome.runs.search_folder import SearchFolder
from winsome.study.arms import FoundNetwork
from winsome.study.conditions import will_stack
from winsome.study.design import Study
from winsome.study.folder import StudyFolder
from winsome.study.jobs import STACK, Job, SearchJob, cost, jobs_of
from winsome.study.reuse import Places, results_of
from winsome.study.workers import default_workers
from winsome.wording import counted, rough_duration

GPU_FLOPS = 20e12  # operations a second: a rate to plan with, stated beside the number; a small network reaches less


@dataclass(frozen=True)
class Estimate:
    """The cost of a study, on this machine and in operations."""

    epochs: float  # of single networks, over all jobs, of what is left to do
    step: StepTime  # of one network, one process
    steps_per_epoch: int
    there: float = 0.0  # epochs that earlier calls have done
    judged: float = 0.0  # images of forward passes beside training, over all jobs that are left
    workers: int = 1  # processes side by side
    members: int = 0  # networks that train as one stack, each with its share of a step; 0: each by itself

    @property
    def steps(self) -> float:
        """Training steps of single networks."""
        return self.epochs * self.steps_per_epoch

    @property
    def seconds(self) -> float:
        """Of the whole study."""
        judging = self.judged / self.step.images / PASSES
        return (self.steps + judging) * self.step.seconds / self.workers

    @property
    def gpu_hours(self) -> float:
        """Hours of a GPU that does `GPU_FLOPS`."""
        return self.steps * self.step.flops / GPU_FLOPS / 3600

    @property
    def label(self) -> str:
        """For a line."""
        if self.there and round(self.epochs) == 0:
            return f"all of its {self.there:,.0f} epochs are there already"
        step = f"{_milliseconds(self.step.seconds)} ms a step here"
        if self.members:
            step += f" in stacks of {self.members}"
        if self.step.timed_images < self.step.images:
            step += f" (from a batch of {self.step.timed_images})"
        there = f"; {self.there:,.0f} more are there already" if self.there else ""
        return f"{self.epochs:,.0f} epochs of {self.steps_per_epoch:,} steps, {step}: {time_label([self])}{there}"


def time_label(estimates: Sequence[Estimate]) -> str:
    """How long these take here, and on a GPU."""
    seconds, hours = sum(one.seconds for one in estimates), sum(one.gpu_hours for one in estimates)
    gpu = f", or {hours:,.1f} GPU-hours at {GPU_FLOPS / 1e12:.0f} TFLOP/s" if hours >= 0.05 else ""
    workers = max(one.workers for one in estimates)
    return f"about {rough_duration(seconds)} in {counted(workers, 'process', 'processes')}{gpu}"


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:,.0f}" if seconds >= 0.01 else f"{1000 * seconds:.1f}"


def estimates(
    studies: Mapping[str, Study],
    earlier: Sequence[tuple[Study, Places]] = (),
    *,
    workers: int = 0,
    watch: Callable[[str], None] = lambda _: None,
) -> dict[str, Estimate]:
    """The cost of every study, less what earlier calls have done; one of a data set that has no name is left out.

    Args:
        studies: by their labels.
        earlier: what earlier calls left: studies and where their results are.
        workers: processes side by side; 0 for as many as a study takes by default.
        watch: hears which network is timed.
    """
    found = {}
    for label, study in studies.items():
        outline = study.data.outline()
        if outline is None:
            continue
        watch(f"{study.network.name} on {study.data.name}")
        network = study.network.of_images(outline.image_shape, outline.n_classes)
        processes = workers or default_workers(outline.image_shape)
        n_threads = 1 if processes > 1 else usable_cores()
        members = min(STACK, len(study.search_seeds)) if will_stack(study) else 0
        training = study.training
        step = step_time(
            network, training.optimizer, training.batch_size, fast=study.fast, n_threads=n_threads, members=members
        )
        jobs = jobs_of(study, at_once=1)
        there = _there(jobs, study, earlier)
        every = sum(cost(job, study) for job in jobs)
        epochs = max(every - there, 0)  # sums of parts of jobs are not exact
        judged = sum(_judged(job, study, outline.test_images) for job in jobs) * epochs / every
        whole, rest = divmod(outline.train_images, study.training.batch_size)
        per_epoch = max(whole + (rest > 0 and not study.training.drop_last), 1)
        found[label] = Estimate(epochs, step, per_epoch, there, judged, processes, members)
    return found


def _judged(job: Job, study: Study, test_images: int) -> int:
    """Images of a job's forward passes beside training: each level is judged with two statistics, other networks with one."""
    if isinstance(job, SearchJob):
        return len(job.seeds) * (study.depth(job.search) + 1) * (2 * test_images + study.statistics_images)
    if isinstance(job.arm, FoundNetwork):
        return 0  # its cost is that already
    return len(job.runs) * (1 + len(study.curve_at)) * (test_images + study.statistics_images)


def _there(jobs: Sequence[Job], study: Study, earlier: Sequence[tuple[Study, Places]]) -> float:
    """The epochs of a study's jobs that earlier calls have done, whole levels and whole runs."""
    # On other data nothing can be there, and theirs alone are known to be at hand: an estimate downloads nothing.
    others = [places for other, places in earlier if other.data == study.data]
    if not others:
        return 0.0
    stacked = will_stack(study)
    return sum(_epochs_of(job, study, others, stacked=stacked) for job in jobs)


def _epochs_of(job: Job, study: Study, others: Sequence[Places], *, stacked: bool) -> float:
    wanted = results_of(job, study, StudyFolder(Path()), stacked=stacked)
    paths = [[places[identity] for places in others if identity in places] for identity in wanted]
    if not isinstance(job, SearchJob):
        return cost(job, study) * sum(any(path.exists() for path in same) for same in paths) / len(paths)
    finished = [max((SearchFolder(path).n_finished() for path in same), default=0) for same in paths]
    levels = (min(count, study.depth(job.search) + 1) for count in finished)  # of those up to the deepest that is wanted
    return sum(study.search_epochs(job.search, count) for count in levels)

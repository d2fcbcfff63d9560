"""What a recipe will cost: its studies' epochs, timed by a few training steps on this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from winsome.machine import usable_cores
from winsome.recipes.level_time import level_time
from winsome.recipes.training_kinds import Timing, Trained
from winsome.runs.search_folder import SearchFolder
from winsome.study.arms import FoundNetwork
from winsome.study.conditions import will_stack
from winsome.study.design import Study
from winsome.study.folder import StudyFolder
from winsome.study.jobs import STACK, Job, SearchJob, cost, jobs_of
from winsome.study.reuse import Places, results_of
from winsome.study.workers import default_workers
from winsome.wording import counted, rough_duration

START = 15.0  # seconds that a command takes beside its studies, to start and to write its report
AROUND = 15.0  # seconds of a study beside its jobs: processes start, results are read, figures and a page are drawn
SITTING = 45 * 60.0  # seconds that a reader waits for a look
GPU_FLOPS = 20e12  # operations a second: a rate to plan with, stated beside the number; a small network reaches less


@dataclass(frozen=True)
class Estimate:
    """The cost of a study, on this machine and in operations."""

    trained: tuple[Trained, ...]  # what is left to do, over all jobs, the most first
    there: float = 0.0  # epochs that earlier calls have done
    judged: float = 0.0  # images of forward passes beside training, over all jobs that are left
    levels: float = 0.0  # of single searches that are left
    level_seconds: float = 0.0  # of one, beside its training
    workers: int = 1  # processes side by side
    members: int = 0  # networks that train as one stack, each with its share of a step; 0: each by itself

    @property
    def epochs(self) -> float:
        """Of single networks, of what is left to do."""
        return sum(one.epochs for one in self.trained)

    @property
    def step_seconds(self) -> float:
        """Of a step of one network, on average."""
        steps = sum(one.steps for one in self.trained)
        return sum(one.steps * one.step.seconds for one in self.trained) / steps if steps else 0.0

    @property
    def seconds(self) -> float:
        """Of the whole study, by itself."""
        if not round(self.epochs):
            return 0.0
        training = sum(one.steps * one.step.seconds for one in self.trained)
        judging = self.judged * self.trained[0].forward_seconds
        return (training + judging + self.levels * self.level_seconds) / self.workers + AROUND

    @property
    def gpu_hours(self) -> float:
        """Hours of a GPU that does `GPU_FLOPS`."""
        return sum(one.steps * one.step.flops for one in self.trained) / GPU_FLOPS / 3600

    @property
    def label(self) -> str:
        """For a line."""
        if self.there and round(self.epochs) == 0:
            return f"all of its {self.there:,.0f} epochs are there already"
        most = self.trained[0]
        step = f"{_milliseconds(self.step_seconds)} ms a step here"
        if self.members:
            step += f" in stacks of {self.members}"
        if most.step.timed_images < most.step.images:
            step += f" (from a batch of {most.step.timed_images})"
        there = f"; {self.there:,.0f} more are there already" if self.there else ""
        return f"{self.epochs:,.0f} epochs of {most.steps_per_epoch:,} steps, {step}: {time_label([self])}{there}"


def time_label(estimates: Sequence[Estimate]) -> str:
    """How long these take here, and on a GPU."""
    seconds, hours = _together(estimates), sum(one.gpu_hours for one in estimates)
    gpu = f", or {hours:,.1f} GPU-hours at {GPU_FLOPS / 1e12:.0f} TFLOP/s" if hours >= 0.05 else ""
    workers = max(one.workers for one in estimates)
    return f"about {rough_duration(seconds)} in {counted(workers, 'process', 'processes')}{gpu}"


def _together(estimates: Sequence[Estimate]) -> float:
    """Seconds of a command that runs these studies."""
    seconds = sum(one.seconds for one in estimates)
    return seconds + START if seconds else 0.0


def seeds_in_a_sitting(estimates: Sequence[Estimate], seeds: int) -> int | None:
    """How many of so many search seeds 45 minutes are enough for; None for all of them, or for none.

    Args:
        estimates: of a recipe's studies, with all of the seeds.
        seeds: how many these are.
    """
    around = START + AROUND * len(estimates)
    left = _together(estimates) - around
    fit = int(seeds * (SITTING - around) / left) if left > 0 else seeds
    return fit if 1 <= fit < seeds else None


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
        members = min(STACK, len(study.search_seeds)) if will_stack(study) else 0
        jobs = jobs_of(study, at_once=1)
        every = [cost(job, study) for job in jobs]
        done = _there(jobs, study, earlier)
        left = [max(epochs - there, 0.0) for epochs, there in zip(every, done, strict=True)]  # sums of parts are not exact
        timing = Timing(study, network, outline.train_images, 1 if processes > 1 else usable_cores(), members)
        share = sum(left) / sum(every)
        found[label] = Estimate(
            timing.of(jobs, left),
            sum(done),
            share * sum(_judged(job, study, outline.test_images) for job in jobs),
            share * sum(len(job.seeds) * (study.depth(job.search) + 1) for job in jobs if isinstance(job, SearchJob)),
            level_time(network) if any(left) else 0.0,
            processes,
            members,
        )
    return found


def _judged(job: Job, study: Study, test_images: int) -> int:
    """Images of a job's forward passes beside training: each level is judged with two statistics, other networks with one."""
    if isinstance(job, SearchJob):
        return len(job.seeds) * (study.depth(job.search) + 1) * (2 * test_images + study.statistics_images)
    if isinstance(job.arm, FoundNetwork):
        return 0  # its cost is that already
    return len(job.runs) * (1 + len(study.curve_at)) * (test_images + study.statistics_images)


def _there(jobs: Sequence[Job], study: Study, earlier: Sequence[tuple[Study, Places]]) -> list[float]:
    """The epochs of each of a study's jobs that earlier calls have done, whole levels and whole runs."""
    # On other data nothing can be there, and theirs alone are known to be at hand: an estimate downloads nothing.
    others = [places for other, places in earlier if other.data == study.data]
    if not others:
        return [0.0] * len(jobs)
    stacked = will_stack(study)
    return [_epochs_of(job, study, others, stacked=stacked) for job in jobs]


def _epochs_of(job: Job, study: Study, others: Sequence[Places], *, stacked: bool) -> float:
    wanted = results_of(job, study, StudyFolder(Path()), stacked=stacked)
    paths = [[places[identity] for places in others if identity in places] for identity in wanted]
    if not isinstance(job, SearchJob):
        return cost(job, study) * sum(any(path.exists() for path in same) for same in paths) / len(paths)
    finished = [max((SearchFolder(path).n_finished() for path in same), default=0) for same in paths]
    levels = (min(count, study.depth(job.search) + 1) for count in finished)  # of those up to the deepest that is wanted
    return sum(study.search_epochs(job.search, count) for count in levels)

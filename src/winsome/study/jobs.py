"""The jobs of a study: what there is to do, what each needs and costs, and whether it is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from winsome.study.arms import Dense, FoundNetwork, Planted
from winsome.study.design import Study
from winsome.study.folder import ArmRun, Run, StudyFolder

STACK = 16  # networks trained as one stack: more gains little, and fewer jobs leave cores idle


@dataclass(frozen=True)
class SearchJob:
    """The searches of one method over some seeds, to the deepest level that the study needs of it."""

    search: str
    seeds: tuple[int, ...]

    @property
    def label(self) -> str:
        """For progress and errors."""
        return f"search {self.search}, {_seeds(self.seeds)}"


@dataclass(frozen=True)
class ArmJob:
    """One arm at one level over some search seeds and starts."""

    arm: Dense | FoundNetwork | Planted
    level: int
    runs: tuple[Run, ...]

    @property
    def arm_runs(self) -> tuple[ArmRun, ...]:
        """The same as the study's folder knows them."""
        level = None if isinstance(self.arm, Dense) else self.level
        return tuple(ArmRun(self.arm.name, level, run) for run in self.runs)

    @property
    def label(self) -> str:
        """For progress and errors."""
        where = "" if isinstance(self.arm, Dense) else f" at level {self.level}"
        return f"{self.arm.name}{where}, {_seeds(sorted({run.search_seed for run in self.runs}))}"


Job = SearchJob | ArmJob


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {seeds[0]}-{seeds[-1]}"


def jobs_of(study: Study, *, at_once: int) -> tuple[Job, ...]:
    """Everything that a study needs, shared work once, in an order in which it can be run one by one.

    Args:
        study: what is compared.
        at_once: networks trained together in one job; where they cannot be stacked, one.
    """
    seeds = [study.search_seeds[i : i + at_once] for i in range(0, len(study.search_seeds), at_once)]
    runs = [Run(seed, start) for seed in study.search_seeds for start in study.starts]
    groups = [tuple(runs[i : i + at_once]) for i in range(0, len(runs), at_once)]
    by_need = sorted(study.needed_searches(), key=lambda name: len(study.sources(name)))  # lenders before borrowers
    searches: list[Job] = [SearchJob(method, part) for method in by_need for part in seeds]
    dense: list[Job] = [ArmJob(arm, 0, group) for arm in study.arms if isinstance(arm, Dense) for group in groups]
    planted: list[Job] = [
        ArmJob(arm, level, group)
        for level in sorted(study.levels, reverse=True)
        for arm in study.arms
        if isinstance(arm, Planted) and (not arm.repeat or level == study.deepest)
        for group in groups
    ]
    networks: list[Job] = [
        ArmJob(arm, level, tuple(Run(seed, 0) for seed in study.search_seeds))
        for level in study.levels
        for arm in study.arms
        if isinstance(arm, FoundNetwork)
    ]
    return (*searches, *dense, *planted, *networks)


def needs(job: Job, jobs: Sequence[Job], study: Study) -> tuple[Job, ...]:
    """The jobs that must be finished before this one: the search behind an arm, the search whose masks another borrows."""
    if isinstance(job, SearchJob):
        sources, seeds = {study.search_specs[job.search].masks_of}, {*job.seeds}
    else:
        sources = {*job.arm.needed} if isinstance(job.arm, Planted) else {job.arm.search}
        seeds = {run.search_seed for run in job.runs}
    return tuple(other for other in jobs if isinstance(other, SearchJob) and other.search in sources and seeds & {*other.seeds})


def cost(job: Job, study: Study) -> float:
    """Epochs times networks: what the time left is estimated from."""
    if isinstance(job, SearchJob):
        return len(job.seeds) * study.search_epochs(job.search, study.depth(job.search) + 1)
    if isinstance(job.arm, FoundNetwork):
        return 0.3 * len(job.runs)
    return len(job.runs) * study.training.all_epochs


def all_done(jobs: Sequence[Job], study: Study, folder: Path) -> bool:
    """Whether everything that these jobs fill is in the study's folder."""
    return all(is_done(job, study, StudyFolder(folder)) for job in jobs)


def is_done(job: Job, study: Study, folder: StudyFolder) -> bool:
    """Whether everything that the job fills is there; several ranks decide alike, as they have to run the same jobs."""
    if isinstance(job, SearchJob):
        return folder.searched(job.search, job.seeds, study.depth(job.search))
    return not folder.missing(job.arm_runs)


def jobs_at_once(*, stacked: bool) -> int:
    """How many networks one job trains: those of a stack, else one."""
    return STACK if stacked else 1

"""The jobs of a study: each a pure function of the study that fills its own files and can be run again at any time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from winsome.norms import reset_norm_parameters
from winsome.prunable import prunable
from winsome.search import Search, looks_at_probe
from winsome.seeding import generator, stream_seed
from winsome.signed_mask import SignedMask
from winsome.stacking import one_thread
from winsome.state import State, full_state
from winsome.study.arms import Dense, FoundNetwork, Planted
from winsome.study.conditions import conditions_here, fresh_network
from winsome.study.design import Study
from winsome.study.folder import ArmRun, Run, StudyFolder
from winsome.study.transplants import checked_mask
from winsome.training.conditions import Conditions
from winsome.training.side_by_side import (
    SAVE_EVERY,
    FreshStart,
    Metrics,
    OnFraction,
    judge,
    search_together,
    train_from_scratch,
)


@dataclass(frozen=True)
class SearchJob:
    """The searches of one method over some seeds, to the deepest level that the study needs."""

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
        return len(job.seeds) * sum(study.level_training(job.search, k).epochs for k in range(study.deepest + 1))
    if isinstance(job.arm, FoundNetwork):
        return 0.3 * len(job.runs)
    return len(job.runs) * study.training.epochs


def is_done(job: Job, study: Study, folder: StudyFolder) -> bool:
    """Whether everything that the job fills is there; several ranks decide alike, as they have to run the same jobs."""
    if isinstance(job, SearchJob):
        return folder.searched(job.search, job.seeds, study.deepest)
    return not folder.missing(job.arm_runs)


def run_job(job: Job, study: Study, folder: StudyFolder, conditions: Conditions, on_fraction: OnFraction) -> float:
    """Do a job; what is finished of it is not done again. Returns the seconds that it took."""
    start = time.perf_counter()
    with one_thread(on=conditions.stacked):
        if isinstance(job, SearchJob):
            _run_search(job, study, folder, conditions, on_fraction)
        elif missing := folder.missing(job.arm_runs):
            _run_arm(job, missing, study, folder, conditions, on_fraction)
    return time.perf_counter() - start


def run_job_here(job: Job, study: Study, folder: StudyFolder, on_fraction: OnFraction) -> float:
    """The same for a process that is given one job after another: it makes the conditions itself, once for a study."""
    return run_job(job, study, folder, conditions_here(study), on_fraction)


def search_of(
    study: Study, conditions: Conditions, place: Path, name: str, seed: int, *, masks: Sequence[SignedMask] = ()
) -> Search:
    """The search of one name and seed, in its own folder. Every search of a seed starts from the same network.

    `masks` are those that it borrows, one for each level, where its spec says so.
    """
    network = fresh_network(study, conditions, seed=stream_seed(seed, "search network"))
    spec = study.search_specs[name]
    method = spec.method if spec.masks_of is None else spec.borrow(spec.method, masks, stream_seed(seed, "borrowed masks"))
    training = spec.training or study.search_training
    config = {
        "method_name": name,
        "network": study.network.of_images(conditions.data.image_shape, conditions.data.n_classes).record(),
        "data": study.data.record() | {"digest": conditions.data.digest()},
        "training": training.record() | {"warmup_epochs_before_level_0": study.warmup_epochs},
        "precision": conditions.precision.label,
    }
    names = prunable(network, prune_classifier=study.prune_classifier)
    probe = study.probe.of(conditions, seed=seed) if looks_at_probe(method) else None
    return Search(network, method, probe=probe, save_to=place, seed=seed, prunable=names, config=config)


def _run_search(job: SearchJob, study: Study, folder: StudyFolder, conditions: Conditions, on_fraction: OnFraction) -> None:
    source = study.search_specs[job.search].masks_of
    searches = []
    for seed in job.seeds:
        masks = [folder.found(source, seed, k).ticket.mask for k in range(study.deepest + 1)] if source else []
        place = folder.search(job.search, seed).path
        searches.append(search_of(study, conditions, place, job.search, seed, masks=masks))
    search_together(
        searches,
        conditions,
        lambda number: study.level_training(job.search, number),
        last_level=study.deepest,
        on_fraction=on_fraction,
        save_every=SAVE_EVERY,
    )


def _run_arm(
    job: ArmJob,
    runs: Sequence[ArmRun],
    study: Study,
    folder: StudyFolder,
    conditions: Conditions,
    on_fraction: OnFraction,
) -> None:
    start = time.perf_counter()
    arm = job.arm
    networks: dict[ArmRun, State] = {}
    if isinstance(arm, FoundNetwork):  # kept in the folder of its search
        metrics = [_judge_network(arm, job.level, run.run.search_seed, study, folder, conditions) for run in runs]
    else:
        starts = [_fresh_start(arm, job.level, run, study, folder, conditions) for run in runs]
        metrics = train_from_scratch(
            starts,
            conditions,
            study.training,
            while_training=arm.while_training,
            curve_at=study.curve_at,
            on_fraction=on_fraction,
        )
        networks = {run: full_state(start.module) for run, start in zip(runs, starts, strict=True)}
    density = 1.0 if isinstance(arm, Dense) else study.all_densities[job.level]
    seconds = (time.perf_counter() - start) / len(runs)
    rows = {run: {"arm": arm.name, "density": density, **run.run._asdict(), "curve": []} for run in runs}
    results = {run: {**rows[run], **found, "seconds": seconds} for run, found in zip(runs, metrics, strict=True)}
    folder.write_runs(results, networks)


def _fresh_start(
    arm: Dense | Planted, level: int, run: ArmRun, study: Study, folder: StudyFolder, conditions: Conditions
) -> FreshStart:
    seed, start = run.run
    network = fresh_network(study, conditions, seed=stream_seed(seed, "fresh start", start))
    if isinstance(arm, Dense):
        mask = _everything(network)
    else:
        found = folder.found(arm.search, seed, level)
        if arm.signs_of is not None:
            found = replace(found, signs_of=folder.found(arm.signs_of[0], seed, arm.signs_of[1]).state)
        mask = arm.transplant(found, network, generator(seed, "transplant", start))
        checked_mask(mask, network, arm.transplant)
    # The same data order for every arm of a start: differences between arms are paired in all but the transplant.
    order = "scratch order" if isinstance(arm, Dense) or not arm.order else f"scratch order {arm.order}"
    name = f"{arm.name}, search seed {seed}, start {start}"
    return FreshStart(network, mask, stream_seed(seed, order, start), name, folder.checkpoint_path(run))


def _judge_network(
    arm: FoundNetwork, level: int, seed: int, study: Study, folder: StudyFolder, conditions: Conditions
) -> Metrics:
    network = fresh_network(study, conditions, seed=0)
    network.load_state_dict(folder.found(arm.search, seed, level).state)
    if arm.reset_norms:
        reset_norm_parameters(network)
    return judge(network, conditions)[0]


def _everything(network: nn.Module) -> SignedMask:
    """The mask that prunes nothing."""
    parameters = dict(network.named_parameters())
    names = prunable(network)
    weights = {name: parameters[name] for name in names}
    return SignedMask.of(weights, {name: torch.ones(w.shape, dtype=torch.bool, device="cpu") for name, w in weights.items()})

"""The arms of a study: networks trained from scratch under their masks, or found by a search and judged again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from winsome.norms import reset_norm_parameters
from winsome.seeding import generator, stream_seed
from winsome.state import State, full_state
from winsome.study.arms import Arm, Dense, FoundNetwork, Planted
from winsome.study.conditions import fresh_network
from winsome.study.design import Study
from winsome.study.folder import ArmRun, StudyFolder
from winsome.study.transplants import nothing_pruned, transplanted
from winsome.training.conditions import Conditions
from winsome.training.evaluation import Metrics, judge
from winsome.training.from_scratch import FreshStart, train_from_scratch
from winsome.training.loop import OnFraction


def run_arm(
    arm: Arm,
    level: int,
    runs: Sequence[ArmRun],
    study: Study,
    folder: StudyFolder,
    conditions: Conditions,
    on_fraction: OnFraction,
) -> None:
    """Train and judge runs of one arm at one level, and write their results into the study's folder."""
    start = time.perf_counter()
    networks: dict[ArmRun, State] = {}
    if isinstance(arm, FoundNetwork):  # kept in the folder of its search
        metrics = [_judge_network(arm, level, run.run.search_seed, study, folder, conditions) for run in runs]
    else:
        starts = [_fresh_start(arm, level, run, study, folder, conditions) for run in runs]
        metrics = train_from_scratch(
            starts,
            conditions,
            study.training,
            while_training=arm.while_training,
            curve_at=study.curve_at,
            on_fraction=on_fraction,
        )
        networks = {run: full_state(start.module) for run, start in zip(runs, starts, strict=True)}
    density = 1.0 if isinstance(arm, Dense) else study.all_densities[level]
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
        mask = nothing_pruned(network)
    else:
        found = folder.found(arm.search, seed, study.level_of(arm.search, level))
        if arm.signs_of is not None:
            found = replace(found, signs_of=folder.found(arm.signs_of[0], seed, arm.signs_of[1]).state)
        mask = transplanted(arm.transplant, found, network, generator(seed, "transplant", start))
    # The same data order for every arm of a start: differences between arms are paired in all but the transplant.
    order = "scratch order" if isinstance(arm, Dense) or not arm.order else f"scratch order {arm.order}"
    name = f"{arm.name}, search seed {seed}, start {start}"
    return FreshStart(network, mask, stream_seed(seed, order, start), name, folder.checkpoint_path(run))


def _judge_network(
    arm: FoundNetwork, level: int, seed: int, study: Study, folder: StudyFolder, conditions: Conditions
) -> Metrics:
    network = fresh_network(study, conditions, seed=0)
    network.load_state_dict(folder.found(arm.search, seed, study.level_of(arm.search, level)).state)
    if arm.reset_norms:
        reset_norm_parameters(network)
    return judge(network, conditions)[0]

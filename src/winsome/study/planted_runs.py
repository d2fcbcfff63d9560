"""A ticket planted on fresh random initialisations that are trained from scratch: what `winsome plant` does."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from winsome.errors import WinsomeError
from winsome.seeding import stream_seed
from winsome.state import full_state
from winsome.study.planting import Planting
from winsome.study.planting_folder import PlantedRun
from winsome.training.from_scratch import FreshStart, train_from_scratch
from winsome.transfer import KEEPS, plant


def plant_runs(
    planting: Planting,
    starts: Sequence[int] = (0,),
    *,
    on_fraction: Callable[[int, float], None] = lambda *_: None,
    on_run: Callable[[PlantedRun], None] = lambda _: None,
) -> tuple[PlantedRun, ...]:
    """Plant a ticket on fresh starts and train each from scratch; what is finished already is read back.

    The same start has the same weights on every machine with the same version of torch. Weights after planting and after
    training are kept as safetensors. A training that was killed goes on where it was.

    Args:
        planting: from `planting(file, training)`.
        starts: one fresh network for each of these seeds.
        on_fraction: hears how much of a start's training is done.
        on_run: hears of every start that is finished, or was.

    Raises:
        WinsomeError: a start below 0, another process at work in the folder, or the disk fails.
        Diverged: a training's loss became NaN.
    """
    if negative := [start for start in starts if start < 0]:
        raise WinsomeError(f"a start is a seed, 0 or more, got {negative[0]}")
    runs = []
    with planting.folder.held(), planting.conditions.one_by_one(planting.network.build(0)):
        for start in starts:
            run = planting.folder.finished(start) or _run(planting, start, on_fraction)
            on_run(run)
            runs.append(run)
    return tuple(runs)


def _run(planting: Planting, start: int, on_fraction: Callable[[int, float], None]) -> PlantedRun:
    conditions = planting.conditions
    network = conditions.placed(planting.network.build(start))
    mask = plant(planting.ticket, network, keep=KEEPS[planting.keep])
    planting.folder.write_start(start, full_state(network))
    order, checkpoint = stream_seed(start, "scratch order"), planting.folder.checkpoint_path(start)
    (metrics,) = train_from_scratch(
        [FreshStart(network, mask, order, f"seed {start}", checkpoint)],
        conditions,
        planting.training,
        while_training=planting.while_training,
        on_fraction=lambda done: on_fraction(start, done),
    )
    run = PlantedRun(start, metrics["accuracy"], metrics["loss"])
    planting.folder.finish(run, full_state(network))
    return run

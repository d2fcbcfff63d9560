"""Train, restart and judge several networks of one shape: as one stack where their layers allow it, else one by one."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from winsome import distributed
from winsome.data.batches import steps_per_epoch
from winsome.level import Level
from winsome.methods import Method
from winsome.runs import checkpoint
from winsome.runs.search_folder import read_checkpoint, write_checkpoint
from winsome.search import Search
from winsome.seeding import seeded, stream_seed
from winsome.signed_mask import SignedMask, stack_masks
from winsome.stacking import stack, unstack
from winsome.state import full_state
from winsome.training.conditions import Conditions
from winsome.training.evaluation import evaluate, re_estimate_statistics
from winsome.training.loop import train
from winsome.training.settings import Training
from winsome.while_training import on_level

OnFraction = Callable[[float], None]  # of the job's training done, in [0, 1]
Metrics = dict[str, Any]
SAVE_EVERY = 200  # training steps between two checkpoints inside a training that is not stacked


def judge(network: nn.Module, conditions: Conditions, *, members: int | None = None) -> list[Metrics]:
    """Accuracy and loss of every member with re-estimated BatchNorm statistics; the network itself is not changed."""
    judged = copy.deepcopy(network)
    re_estimate_statistics(
        judged,
        conditions.data,
        members=members,
        images=conditions.statistics_images,
        augment=conditions.statistics_augmented,
        precision=conditions.precision,
    )
    accuracy, loss = evaluate(judged, conditions.data, members=members, precision=conditions.precision)
    return [{"accuracy": a, "loss": b} for a, b in zip(accuracy.tolist(), loss.tolist(), strict=True)]


def search_together(
    searches: Sequence[Search],
    conditions: Conditions,
    training_of: Callable[[int], Training],
    *,
    last_level: int,
    on_fraction: OnFraction,
    on_level: Callable[[Level], None] = lambda _: None,
    save_every: int = 0,
) -> None:
    """Drive searches of one method side by side to `last_level`; levels that are finished are read back.

    Args:
        searches: of one method, on networks of one shape.
        conditions: what they train on.
        training_of: the training of a level, by its number.
        last_level: where to stop.
        on_fraction: told how much of the training is done.
        on_level: told of every level that is finished, or was.
        save_every: steps between checkpoints inside a level; 0 for none. Stacked levels are short and take none.
    """
    total = sum(training_of(number).epochs for number in range(last_level + 1))
    done = 0
    for number in range(last_level + 1):
        training = training_of(number)
        levels = [search.open(number) for search in searches]
        pairs = [(s, level) for s, level in zip(searches, levels, strict=True) if not level.finished]

        def on_epoch(epochs: float, before: int = done) -> None:
            on_fraction((before + epochs) / total)

        if conditions.stacked and pairs:
            _stacked_level(pairs, conditions, training, on_epoch)
        else:
            for search, level in pairs:
                _single_level(search, level, conditions, training, on_epoch, save_every=save_every)
        done += training.epochs
        on_fraction(done / total)
        for level in levels:
            on_level(level)


def _stacked_level(
    pairs: Sequence[tuple[Search, Level]], conditions: Conditions, training: Training, on_epoch: Callable[[float], None]
) -> None:
    start = time.perf_counter()
    method: Method = pairs[0][1].method
    models = [search.model for search, _ in pairs]
    seeds = [level.seed for _, level in pairs]
    together = stack(models).to(conditions.device)
    mask = stack_masks([level.mask for _, level in pairs])
    interpolation = [stream_seed(seed, "interpolation") for seed in seeds]
    while_training = on_level(method.while_training, pairs[0][1].number)
    with seeded(seeds[0], "training"), mask.enforced_on(together), while_training(together, interpolation, mask):
        train(
            together,
            conditions.data,
            training,
            training.optimizer(together.parameters(), stacked=True),
            _stacked_steps(pairs, together, training.epochs * steps_per_epoch(conditions.data, training.batch_size)),
            seeds=seeds,
            called=[f"search seed {search.seed}, level {level.number}" for search, level in pairs],
            stacked=True,
            precision=conditions.precision,
            on_epoch=lambda epoch, _: on_epoch(epoch),
        )
    unstack(together, models)
    metrics = _search_metrics(together, conditions, members=len(models))
    seconds = (time.perf_counter() - start) / len(pairs)
    for (search, level), member in zip(pairs, metrics, strict=True):
        search.close(level, member, seconds)


def _stacked_steps(pairs: Sequence[tuple[Search, Level]], together: nn.Module, total: int) -> Iterator[int]:
    """The training steps of levels that train as one stack; every member's early network is kept on the way."""
    first = pairs[0][1]
    for step in range(first.first_step, total):
        if first.number == 0 and step == first.method.rewind.step:
            unstack(together, [search.model for search, _ in pairs])
            for search, level in pairs:
                level.keep_early(full_state(search.model))
        yield step


def _single_level(
    search: Search,
    level: Level,
    conditions: Conditions,
    training: Training,
    on_epoch: Callable[[float], None],
    *,
    save_every: int,
) -> None:
    start = time.perf_counter()
    network = search.model
    with level.training():
        optimizer = training.optimizer(network.parameters())
        total = training.epochs * steps_per_epoch(conditions.data, training.batch_size)
        train(
            network,
            conditions.data,
            training,
            optimizer,
            level.steps(total, optimizer=optimizer, save_every=save_every),
            seeds=[level.seed],
            called=[f"search seed {search.seed}, level {level.number}"],
            precision=conditions.precision,
            on_epoch=lambda epoch, _: on_epoch(epoch),
        )
    metrics = _search_metrics(network, conditions, members=None)
    search.close(level, metrics[0], time.perf_counter() - start)


def _search_metrics(network: nn.Module, conditions: Conditions, *, members: int | None) -> list[Metrics]:
    stored, _ = evaluate(network, conditions.data, members=members, precision=conditions.precision)
    judged = judge(network, conditions, members=members)
    return [{**member, "stored_accuracy": value} for member, value in zip(judged, stored.tolist(), strict=True)]


def train_from_scratch(
    networks: Sequence[nn.Module],
    masks: Sequence[SignedMask],
    seeds: Sequence[int],
    conditions: Conditions,
    training: Training,
    *,
    called: Sequence[str],
    curve_at: Sequence[int],
    on_fraction: OnFraction,
    kept_in: Sequence[Path | None] = (),
) -> list[Metrics]:
    """Train fresh networks under their masks, in place, and judge them: accuracy, loss and learning curve of each.

    `called` is what an error calls each network. `kept_in` are files for checkpoints, one for each network, from which a
    training that was killed goes on; stacks are short and keep none. The caller removes them when the results are written.
    """
    if not conditions.stacked:
        metrics = []
        files = kept_in or [None] * len(networks)
        for index, (network, mask, seed, file) in enumerate(zip(networks, masks, seeds, files, strict=True)):

            def part(fraction: float, done: int = index) -> None:
                on_fraction((done + fraction) / len(networks))

            metrics += _train_one(
                network,
                mask,
                [seed],
                called[index : index + 1],
                conditions,
                training,
                curve_at,
                part,
                members=None,
                kept_in=file,
            )
        return metrics
    together = stack(networks).to(conditions.device)
    mask = stack_masks(masks)
    result = _train_one(together, mask, seeds, called, conditions, training, curve_at, on_fraction, members=len(networks))
    unstack(together, networks)
    return result


def _train_one(
    network: nn.Module,
    mask: SignedMask,
    seeds: Sequence[int],
    called: Sequence[str],
    conditions: Conditions,
    training: Training,
    curve_at: Sequence[int],
    on_fraction: OnFraction,
    *,
    members: int | None,
    kept_in: Path | None = None,
) -> list[Metrics]:
    curves: list[list[tuple[int, float]]] = [[] for _ in seeds]
    distributed.agree(f"{called[0]}: the signed mask", mask.digest, "all ranks must read the same ticket")

    def on_epoch(epoch: int, _loss: torch.Tensor) -> None:
        on_fraction(epoch / training.epochs)
        if epoch in curve_at and epoch < training.epochs:
            for curve, member in zip(curves, judge(network, conditions, members=members), strict=True):
                curve.append((epoch, member["accuracy"]))

    with seeded(seeds[0], distributed.by_rank("training")), mask.enforced_on(network):
        optimizer = training.optimizer(network.parameters(), stacked=members is not None)
        total = training.epochs * steps_per_epoch(conditions.data, training.batch_size)
        train(
            network,
            conditions.data,
            training,
            optimizer,
            range(total) if kept_in is None else _kept_steps(kept_in, total, network, optimizer, curves[0]),
            seeds=seeds,
            called=called,
            stacked=members is not None,
            precision=conditions.precision,
            on_epoch=on_epoch,
        )
    judged = judge(network, conditions, members=members)
    for curve, member in zip(curves, judged, strict=True):
        if curve_at:
            curve.append((training.epochs, member["accuracy"]))
    return [{**member, "curve": curve} for member, curve in zip(judged, curves, strict=True)]


def _kept_steps(
    file: Path, total: int, network: nn.Module, optimizer: Optimizer, curve: list[tuple[int, float]]
) -> Iterator[int]:
    """The training steps of a network from its checkpoint on, which is written anew every few steps; its curve goes along."""
    saved = read_checkpoint(file)
    first = checkpoint.restore(saved, network, optimizer, {}, default=0)
    if saved is not None:
        curve[:] = [(epoch, accuracy) for epoch, accuracy in saved[1]["curve"]]
    for step in range(first, total):
        if step > first and step % SAVE_EVERY == 0:
            tensors, record = checkpoint.take(network, optimizer, {}, step=step, level=0)
            write_checkpoint(file, tensors, {**record, "curve": curve})
        yield step

"""Train, restart and judge several networks of one shape: as one stack where their layers allow it, else one by one."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from winsome import distributed
from winsome.data.batches import steps_per_epoch
from winsome.level import Level
from winsome.methods import Method
from winsome.own_names import OwnNames, holding
from winsome.runs import checkpoint
from winsome.runs.search_folder import read_checkpoint, write_checkpoint
from winsome.search import Search
from winsome.seeding import seeded, stream_seed
from winsome.signed_mask import SignedMask, stack_masks
from winsome.stacking import stack, unstack
from winsome.training.conditions import Conditions
from winsome.training.evaluation import evaluate, re_estimate_statistics
from winsome.training.loop import Networks, train
from winsome.training.settings import Training
from winsome.while_training import Progress, WhileTraining, on_level, plain, starting_from

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
        on_fraction: hears how much of the training is done.
        on_level: hears of every level that is finished, or was.
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
    seeds = [level.own_seed for _, level in pairs]
    together = stack(models).to(conditions.device)
    mask = stack_masks([level.mask for _, level in pairs])
    interpolation = [stream_seed(seed, "interpolation") for seed in seeds]
    begun = {name: torch.stack([level.begun[name] for _, level in pairs]) for name in pairs[0][1].begun}
    part = starting_from(on_level(method.while_training, pairs[0][1].number), begun)
    with (
        seeded(seeds[0], "training"),
        mask.enforced_on(together),
        holding(part, together, interpolation, mask) as (own, _),
    ):
        train(
            Networks(together, seeds, [_name(search, level) for search, level in pairs], stacked=True),
            conditions.data,
            training,
            training.optimizer(together.parameters(), stacked=True),
            _stacked_steps(pairs, own, training.epochs * steps_per_epoch(conditions.data, training.batch_size)),
            precision=conditions.precision,
            on_epoch=lambda epoch, _: on_epoch(epoch),
        )
    unstack(together, models)
    metrics = _search_metrics(together, conditions, members=len(models))
    seconds = (time.perf_counter() - start) / len(pairs)
    for (search, level), member in zip(pairs, metrics, strict=True):
        search.close(level, member, seconds)


def _name(search: Search, level: Level) -> str:
    return f"search seed {search.seed}, level {level.number}"


def _stacked_steps(pairs: Sequence[tuple[Search, Level]], own: OwnNames, total: int) -> Iterator[int]:
    """The training steps of levels that train as one stack; every member's early network is kept on the way."""
    first = pairs[0][1]
    for step in range(first.first_step, total):
        if first.number == 0 and step == first.method.rewind.step:
            state = own.state()
            for member, (_, level) in enumerate(pairs):
                level.keep_early({name: value[member].clone() for name, value in state.items()})
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
            Networks(network, [level.own_seed], [_name(search, level)]),
            conditions.data,
            training,
            optimizer,
            level.steps(total, optimizer=optimizer, save_every=save_every),
            precision=conditions.precision,
            on_epoch=lambda epoch, _: on_epoch(epoch),
        )
    metrics = _search_metrics(network, conditions, members=None)
    search.close(level, metrics[0], time.perf_counter() - start)


def _search_metrics(network: nn.Module, conditions: Conditions, *, members: int | None) -> list[Metrics]:
    stored, _ = evaluate(network, conditions.data, members=members, precision=conditions.precision)
    judged = judge(network, conditions, members=members)
    return [{**member, "stored_accuracy": value} for member, value in zip(judged, stored.tolist(), strict=True)]


@dataclass(frozen=True, eq=False)
class FreshStart:
    """A fresh network with its mask, about to be trained from scratch.

    Attributes:
        module: trained in place.
        mask: what trains, with the signs that it starts with.
        seed: of order and augmentation of the data.
        name: for errors.
        checkpoint_file: from which a training that was killed goes on; None for none. The caller removes it when the results
            are written. Stacks are short and keep none.
    """

    module: nn.Module
    mask: SignedMask
    seed: int
    name: str
    checkpoint_file: Path | None = None


def train_from_scratch(
    starts: Sequence[FreshStart],
    conditions: Conditions,
    training: Training,
    *,
    while_training: WhileTraining = plain,
    curve_at: Sequence[int] = (),
    on_fraction: OnFraction = lambda _: None,
) -> list[Metrics]:
    """Train fresh networks of one shape under their masks, in place, and judge them: accuracy, loss and learning curve of each.

    Args:
        starts: the networks.
        conditions: what they train on.
        training: its settings.
        while_training: a context around the training; where networks train as a stack, one that can act on it.
        curve_at: epochs after which a learning curve is taken.
        on_fraction: hears how much of the training is done.
    """
    settings = _Scratch(conditions, training, while_training, curve_at)
    seeds, names = [start.seed for start in starts], [start.name for start in starts]
    if conditions.stacked:
        modules = [start.module for start in starts]
        together = stack(modules).to(conditions.device)
        networks = Networks(together, seeds, names, stacked=True)
        metrics = _train_from_scratch(networks, stack_masks([start.mask for start in starts]), settings, on_fraction)
        unstack(together, modules)
        return metrics
    metrics = []
    for place, start in enumerate(starts):

        def part(fraction: float, done: int = place) -> None:
            on_fraction((done + fraction) / len(starts))

        networks = Networks(start.module, [start.seed], [start.name])
        metrics += _train_from_scratch(networks, start.mask, settings, part, start.checkpoint_file)
    return metrics


@dataclass(frozen=True)
class _Scratch:
    """How networks are trained from scratch."""

    conditions: Conditions
    training: Training
    while_training: WhileTraining
    curve_at: Sequence[int]


def _train_from_scratch(
    networks: Networks, mask: SignedMask, settings: _Scratch, on_fraction: OnFraction, checkpoint_file: Path | None = None
) -> list[Metrics]:
    network, conditions, training, curve_at = networks.module, settings.conditions, settings.training, settings.curve_at
    part, contexts = settings.while_training, [stream_seed(seed, "interpolation") for seed in networks.seeds]
    curves: list[list[tuple[int, float]]] = [[] for _ in networks.seeds]
    # What a context adds to the network would act on its copies, too: they are judged without it.
    plainly = copy.deepcopy(network) if curve_at and part is not plain else None
    distributed.agree(f"{networks.name(0)}: the signed mask", mask.digest, "all ranks must read the same ticket")

    def on_epoch(epoch: int, _loss: torch.Tensor) -> None:
        on_fraction(epoch / training.epochs)
        if epoch in curve_at and epoch < training.epochs:
            judged_as = network
            if plainly is not None:
                judged_as = plainly
                plainly.load_state_dict(own.state())
            for curve, member in zip(curves, judge(judged_as, conditions, members=networks.members), strict=True):
                curve.append((epoch, member["accuracy"]))

    with (
        seeded(networks.seeds[0], distributed.by_rank("training")),
        mask.enforced_on(network),
        holding(part, network, contexts if networks.stacked else contexts[0], mask) as (own, progress),
    ):
        optimizer = training.optimizer(network.parameters(), stacked=networks.stacked)
        total = training.epochs * steps_per_epoch(conditions.data, training.batch_size)
        steps: Iterable[int] = range(total)
        if checkpoint_file is not None:
            steps = _kept_steps(checkpoint_file, total, (network, optimizer, progress), curves[0])
        train(networks, conditions.data, training, optimizer, steps, precision=conditions.precision, on_epoch=on_epoch)
    judged = judge(network, conditions, members=networks.members)
    for curve, member in zip(curves, judged, strict=True):
        if curve_at:
            curve.append((training.epochs, member["accuracy"]))
    return [{**member, "curve": curve} for member, curve in zip(judged, curves, strict=True)]


def _kept_steps(
    file: Path, total: int, trained: tuple[nn.Module, Optimizer, Progress], curve: list[tuple[int, float]]
) -> Iterator[int]:
    """The training steps of a network from its checkpoint on, which is written anew every few steps; its curve goes along."""
    saved = read_checkpoint(file)
    first = checkpoint.restore(saved, *trained, default=0)
    if saved is not None:
        curve[:] = [(epoch, accuracy) for epoch, accuracy in saved[1]["curve"]]
    for step in range(first, total):
        if step > first and step % SAVE_EVERY == 0:
            tensors, record = checkpoint.take(*trained, step=step, level=0)
            write_checkpoint(file, tensors, {**record, "curve": curve})
        yield step

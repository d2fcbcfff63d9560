"""Fresh networks of one shape trained under their masks and judged: as a stack where their layers allow it, else one by one."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.optim import Optimizer

from winsome import distributed
from winsome.own_names import holding
from winsome.runs import checkpoint
from winsome.runs.search_folder import read_checkpoint, write_checkpoint
from winsome.seeding import seeded, stream_seed
from winsome.signed_mask import SignedMask, stack_masks
from winsome.stacking import stack, unstack
from winsome.training.conditions import Conditions
from winsome.training.evaluation import Metrics, judge
from winsome.training.loop import Networks, OnFraction, train
from winsome.training.settings import Training
from winsome.while_training import Progress, WhileTraining, plain


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
            for curve, measured in zip(curves, judge(judged_as, conditions, members=networks.members), strict=True):
                curve.append((epoch, measured["accuracy"]))

    with (
        seeded(networks.seeds[0], distributed.by_rank("training")),
        mask.enforced_on(network),
        holding(part, network, contexts if networks.stacked else contexts[0], mask) as (own, progress),
    ):
        optimizer = training.optimizer(network.parameters(), stacked=networks.stacked)
        total = conditions.n_steps(training)
        steps: Iterable[int] = range(total)
        if checkpoint_file is not None:
            steps = _kept_steps(checkpoint_file, total, (network, optimizer, progress), curves[0])
        train(networks, conditions.data, training, optimizer, steps, precision=conditions.precision, on_epoch=on_epoch)
    judged = judge(network, conditions, members=networks.members)
    for curve, measured in zip(curves, judged, strict=True):
        if curve_at:
            curve.append((training.epochs, measured["accuracy"]))
    return [{**measured, "curve": curve} for measured, curve in zip(judged, curves, strict=True)]


def _kept_steps(
    file: Path, total: int, trained: tuple[nn.Module, Optimizer, Progress], curve: list[tuple[int, float]]
) -> Iterator[int]:
    """The training steps of a network from its checkpoint on, which is written anew every few steps; its curve goes along."""
    saved = read_checkpoint(file)
    first = checkpoint.restore(saved, *trained, default=0)
    if saved is not None:
        curve[:] = [(epoch, accuracy) for epoch, accuracy in saved[1]["curve"]]
    for step in range(first, total):
        if step > first and step % checkpoint.SAVE_EVERY == 0:
            tensors, record = checkpoint.take(*trained, step=step, level=0)
            write_checkpoint(file, tensors, {**record, "curve": curve})
        yield step

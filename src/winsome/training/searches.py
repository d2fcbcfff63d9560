"""Searches of one method driven side by side: as one stack where their networks' layers allow it, else one by one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch
from torch import nn

from winsome.level import Level
from winsome.own_names import holding
from winsome.search import Search
from winsome.seeding import seeded, stream_seed
from winsome.signed_mask import stack_masks
from winsome.stacking import stack, unstack
from winsome.training.conditions import Conditions
from winsome.training.evaluation import Metrics, evaluate, judge
from winsome.training.loop import Networks, OnFraction, train
from winsome.training.settings import SAVE_EVERY, Training
from winsome.training.stacked_steps import stacked_steps
from winsome.while_training import on_level as part_on_level
from winsome.while_training import starting_from

OnLevel = Callable[[Level], None]  # that is finished, or was


def search_together(
    searches: Sequence[Search],
    conditions: Conditions,
    training_of: Callable[[int], Training],
    *,
    last_level: int,
    on_fraction: OnFraction,
    on_level: OnLevel = lambda _: None,
    save_every: int = SAVE_EVERY,
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
    once = searches[0].method.prune_at  # all levels are one training
    total = sum(training_of(number).all_epochs for number in range(1 if once else last_level + 1))
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
        if not once:
            done += training.all_epochs
            on_fraction(done / total)
        for level in levels:
            on_level(level)


def _stacked_level(
    pairs: Sequence[tuple[Search, Level]], conditions: Conditions, training: Training, on_epoch: Callable[[float], None]
) -> None:
    start = time.perf_counter()
    method = pairs[0][1].method
    models = [search.model for search, _ in pairs]
    seeds = [level.own_seed for _, level in pairs]
    together = stack(models).to(conditions.device)
    mask = stack_masks([level.mask for _, level in pairs])
    interpolation = [stream_seed(seed, "interpolation") for seed in seeds]
    begun = {name: torch.stack([level.begun[name] for _, level in pairs]) for name in pairs[0][1].begun}
    part = starting_from(part_on_level(method.while_training, pairs[0][1].number), begun)
    with (
        seeded(seeds[0], "training"),
        mask.enforced_on(together),
        holding(part, together, interpolation, mask) as (own, _),
    ):
        optimizer = training.optimizer(together.parameters(), stacked=True)
        train(
            Networks(together, seeds, [_name(search, level) for search, level in pairs], stacked=True),
            conditions.data,
            training,
            optimizer,
            stacked_steps([level for _, level in pairs], own, optimizer, total=conditions.n_steps(training)),
            precision=conditions.precision,
            on_epoch=lambda epoch, _: on_epoch(epoch),
        )
    unstack(together, models)
    metrics = _search_metrics(together, conditions, members=len(models))
    seconds = (time.perf_counter() - start) / len(pairs)
    for (search, level), measured in zip(pairs, metrics, strict=True):
        search.close(level, measured, seconds)


def _name(search: Search, level: Level) -> str:
    return f"search seed {search.seed}, level {level.number}"


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
        total = conditions.n_steps(training)
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
    return [{**measured, "stored_accuracy": value} for measured, value in zip(judged, stored.tolist(), strict=True)]

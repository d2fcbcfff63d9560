"""The steps of a level where a trainer of another library has the loop: it says how far it is, and the level follows."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from winsome import distributed
from winsome.errors import WinsomeError
from winsome.level import Level
from winsome.runs.checkpoint import Stateful
from winsome.seeding import seed_streams, stream_seed


class Counted:
    """The steps of one level, which a trainer's callback begins and counts.

    Attributes:
        step: the step that is trained next.
        total: of a full level.
    """

    def __init__(self, level: Level) -> None:
        self.level, self.step, self.total = level, level.first_step, 0
        self._steps: Iterator[int] = iter(())

    def begin(self, total: int, optimizers: Sequence[Optimizer], *, save_every: int, also: Mapping[str, Stateful]) -> bool:
        """Begin the level, or put back what a killed process kept of it; says whether it was put back.

        Raises:
            WinsomeError: the method prunes within a training, which a trainer of another library does not stop for.
        """
        if self.level.method.prune_at:
            raise WinsomeError(
                "the method prunes at steps within one training (prune_at), where this trainer would not stop: leave prune_at "
                "out, or write train(model, level) around level.steps(...)"
            )
        self.total = total
        often = save_every if self.level.has_folder else 0
        self._steps = self.level.steps(total, optimizer=optimizers, save_every=often, also=also)
        self.step = next(self._steps)
        return self.step > self.level.first_step

    def reach(self, step: int) -> None:
        """All steps before `step` are done: what is due there (the network to rewind to, a checkpoint) is kept."""
        while self.step < min(step, self.total - 1):
            self.step = next(self._steps)

    def end(self, step: int) -> None:
        """The trainer is done; after all its steps the level looks at the network once more."""
        self.reach(step)
        if step >= self.total:
            next(self._steps, None)


def begin_epoch(level: Level, epoch: int, loaders: Sequence[Any] = ()) -> None:
    """Random streams, those of loaders too, follow from level and epoch: an epoch that is begun again has the same data."""
    seed_streams(level.own_seed, distributed.by_rank("epoch"), epoch)
    for loader in loaders:
        for source in (loader, getattr(loader, "sampler", None), getattr(loader, "batch_sampler", None)):
            if isinstance(own := getattr(source, "generator", None), torch.Generator):
                own.manual_seed(stream_seed(level.own_seed, "data", epoch))


def advance(scheduler: Any, steps: int) -> None:
    """Put a fresh learning-rate scheduler to where it is after `steps` steps."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step", UserWarning)
        for _ in range(steps):
            scheduler.step()


def put_in_training(model: nn.Module) -> None:
    """Put a network that was given in evaluation mode into training mode, in which a search trains; others have theirs.

    A search gives every level the modes that the network had when it was given: what an evaluation between two levels leaves
    is gone. Trainers leave the mode as it is, and a network in evaluation mode would train with fixed statistics of
    normalisation, without dropout, and without interpolation.
    """
    if not model.training:
        model.train()


def number_of(value: Any, name: str) -> float | int | bool | str:
    """A metric as a JSON value.

    Raises:
        WinsomeError: it is no number.
    """
    if isinstance(value, bool | int | float | str):
        return value
    if getattr(value, "size", None) is not None and callable(item := getattr(value, "item", None)):
        try:
            number: float = item()
            return number
        except (RuntimeError, ValueError):
            pass
    raise WinsomeError(f"the metric {name!r} is a {type(value).__name__}, no number")

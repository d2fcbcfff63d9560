"""The settings of a training: epochs, batch, optimizer, learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

import torch
from torch import nn

from winsome import distributed
from winsome.data.batches import steps_per_epoch
from winsome.data.images import ImageData
from winsome.errors import WinsomeError, unknown


@dataclass(frozen=True)
class Constant:
    """The learning rate stays as it is (the searches of arXiv:2504.05357)."""

    def __call__(self, epoch: float, epochs: int) -> float:
        """Always 1."""
        del epoch, epochs
        return 1.0


@dataclass(frozen=True)
class StepDecay:
    """The learning rate is multiplied by `factor` at each of these fractions of the training."""

    at: tuple[float, ...] = (0.5, 0.75)  # fractions of the epochs, in (0, 1)
    factor: float = 0.1

    def __call__(self, epoch: float, epochs: int) -> float:
        """factor ** (how many of the fractions have passed)."""
        return self.factor ** sum(epoch >= round(place * epochs) for place in self.at)


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from 1 down to `final`."""

    final: float = 1e-3

    def __call__(self, epoch: float, epochs: int) -> float:
        """Between 1 at epoch 0 and `final` at the end."""
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * epoch / epochs)) / 2


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent with momentum; weight decay on all parameters, as in both papers."""

    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4

    def __call__(self, parameters: Iterable[nn.Parameter], *, stacked: bool = False) -> torch.optim.Optimizer:
        """A fresh optimizer: fused, which is fastest on CPUs and GPUs alike.

        For a stack it is not: the fused kernel rounds a tensor's last few elements otherwise than the rest, and the bits of a
        member would depend on how many others there are.
        """
        trained = [p for p in parameters if p.requires_grad]
        return torch.optim.SGD(
            trained,
            lr=self.learning_rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            foreach=stacked,
            fused=not stacked,
        )


@dataclass(frozen=True)
class Adam:
    """Adam with L2 weight decay (the ImageNet settings of arXiv:2504.05357)."""

    learning_rate: float = 1e-3
    weight_decay: float = 1e-5

    def __call__(self, parameters: Iterable[nn.Parameter], *, stacked: bool = False) -> torch.optim.Optimizer:
        """A fresh optimizer: fused, but for a stack (see `SGD`)."""
        trained = [p for p in parameters if p.requires_grad]
        return torch.optim.Adam(
            trained, lr=self.learning_rate, weight_decay=self.weight_decay, foreach=stacked, fused=not stacked
        )


SAVE_EVERY = 200  # training steps between two checkpoints inside a training that is not stacked

WarmupBy = Literal["step", "epoch"]


@dataclass(frozen=True)
class Training:
    """How one network is trained.

    Raises:
        WinsomeError: zero epochs, an empty batch, a learning rate that is not positive, a negative weight decay, or a warm-up
            that cannot be.
    """

    epochs: int
    batch_size: int = 128
    optimizer: SGD | Adam = SGD()
    schedule: Constant | StepDecay | Cosine = StepDecay()
    warmup_epochs: int = 0  # of linear growth from 0; the schedule counts them, but does not show in them
    sync_batch_norm: bool = False  # BatchNorm over the images of all ranks; nothing else in a single process
    warmup_by: WarmupBy = "step"  # whether the rate grows with every step, or with every epoch (arXiv:2402.19262's code)
    ramp_epochs: int = 0  # a warm-up of its own before the epochs and their schedule: level 0's, in that code
    drop_last: bool = True  # whether the images that do not fill a batch are left out of an epoch

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise WinsomeError(f"epochs must be 1 or more, got {self.epochs}: nothing would be trained")
        if self.batch_size < 1:
            raise WinsomeError(f"batch_size must be 1 or more, got {self.batch_size}")
        if not self.optimizer.learning_rate > 0:
            raise WinsomeError(f"the learning rate must be above 0, got {self.optimizer.learning_rate:g}")
        if not self.optimizer.weight_decay >= 0:
            raise WinsomeError(f"the weight decay must be 0 or more, got {self.optimizer.weight_decay:g}")
        if not 0 <= self.warmup_epochs <= self.epochs:
            raise WinsomeError(f"warm-up must take 0 to {self.epochs} epochs, got {self.warmup_epochs}")
        if self.warmup_by not in get_args(WarmupBy):
            raise unknown("warm-up", str(self.warmup_by), get_args(WarmupBy))
        if self.ramp_epochs < 0:
            raise WinsomeError(f"a warm-up before the epochs must take 0 epochs or more, got {self.ramp_epochs}")

    def refuse_uneven(self) -> None:
        """Refuse batches that cannot be split evenly over the ranks of this run.

        Raises:
            WinsomeError: says what to change.
        """
        distributed.refuse_uneven(self.batch_size)
        if not self.drop_last and distributed.world_size() > 1:
            raise WinsomeError(
                f"a last batch that is not full cannot be split evenly over {distributed.world_size()} ranks; leave it out "
                "(drop_last)"
            )

    @property
    def all_epochs(self) -> int:
        """How many epochs are trained: those of a warm-up before the others too."""
        return self.ramp_epochs + self.epochs

    def epoch_steps(self, data: ImageData) -> int:
        """Training steps of one epoch.

        Raises:
            WinsomeError: the batch is larger than the train split, or the last one holds a single image.
        """
        steps = steps_per_epoch(data, self.batch_size, drop_last=self.drop_last)
        if not self.drop_last and len(data.train) % self.batch_size == 1 < self.batch_size:
            raise WinsomeError(
                f"the last batch of {len(data.train)} training images in batches of {self.batch_size} holds a single one, over "
                "which BatchNorm has no variance: choose another batch size, or leave it out (drop_last)"
            )
        return steps

    def steps(self, data: ImageData) -> int:
        """Training steps of all epochs."""
        return self.all_epochs * self.epoch_steps(data)

    def rate(self, step: int, steps_per_epoch: int) -> float:
        """The learning rate of a training step."""
        before = self.ramp_epochs * steps_per_epoch
        if step < before:
            return self._ramp(step, self.ramp_epochs, steps_per_epoch)
        step -= before
        if step < self.warmup_epochs * steps_per_epoch:
            return self._ramp(step, self.warmup_epochs, steps_per_epoch)
        return self.optimizer.learning_rate * self.schedule(step / steps_per_epoch, self.epochs)

    def _ramp(self, step: int, epochs: int, steps_per_epoch: int) -> float:
        """The rate of a step of a warm-up: in its last step or epoch the peak is reached."""
        peak = self.optimizer.learning_rate
        if self.warmup_by == "epoch":
            return peak * (step // steps_per_epoch + 1) / epochs
        return peak * (step + 1) / (epochs * steps_per_epoch)

    def record(self) -> dict[str, Any]:
        """The settings as JSON values."""
        kinds = {"optimizer": type(self.optimizer).__name__, "schedule": type(self.schedule).__name__}
        values = asdict(self)
        return values | {key: {"kind": kind, **values[key]} for key, kind in kinds.items()}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Training:
        """What `record()` has written; other entries, such as the warm-up before a search's level 0, are left alone.

        Raises:
            WinsomeError: it is no record of a training.
        """
        kinds: dict[str, Mapping[str, type]] = {"optimizer": OPTIMIZERS, "schedule": SCHEDULES}
        try:
            own = {field.name: record[field.name] for field in fields(cls)}
            for key, known in kinds.items():
                values = dict(own[key])
                kind = known[values.pop("kind")]
                # Tuples became lists when they were written.
                own[key] = kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})
            return cls(**own)
        except (KeyError, TypeError, ValueError) as error:
            raise WinsomeError(f"this is no record of a training ({error!r}): {dict(record)}") from error


OPTIMIZERS: dict[str, type] = {kind.__name__: kind for kind in (SGD, Adam)}
SCHEDULES: dict[str, type] = {kind.__name__: kind for kind in (Constant, StepDecay, Cosine)}

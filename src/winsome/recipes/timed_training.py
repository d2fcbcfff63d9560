"""A training as a study has it, on images of noise, with a clock at every step."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import median

import torch
from torch import nn

from winsome.data.images import Augmentation, ImageData, ImageSet, image_data
from winsome.identity import identity
from winsome.models.spec import NetworkSpec
from winsome.own_names import holding
from winsome.prunable import prunable
from winsome.seeding import generator
from winsome.signed_mask import SignedMask, stack_masks
from winsome.stacking import stack
from winsome.training.loop import Networks, train
from winsome.training.precision import Precision, precision_for
from winsome.training.settings import SGD, Adam, Constant, Training
from winsome.while_training import WhileTraining, plain, starting_from

STEPS = range(2, 8)  # that are looked at, the first of which does not count: so many at least and at most,
PATIENCE = 0.5  # and none more after so many seconds
_EPOCH = 1 << 24  # bytes of images of one epoch at most: nobody waits for noise


@dataclass(frozen=True)
class TimedTraining:
    """What is timed.

    Attributes:
        network: with its image shape and classes.
        optimizer: makes its optimizer.
        fast: whether it trains in bf16 and channels_last where that gains.
        members: networks that train as one stack; 0 where each trains by itself.
        part: what holds while it trains.
    """

    network: NetworkSpec
    optimizer: SGD | Adam
    fast: bool
    members: int = 0
    part: WhileTraining = plain

    def record(self) -> list[object]:
        """All that its time depends on, as JSON values."""
        return [self.network.record(), type(self.optimizer).__name__, self.fast, self.members, identity(self.part)]

    def begin(self, device: torch.device) -> BegunTraining:
        """Fresh networks on a device."""
        modules = [self.network.build(seed).to(device) for seed in range(max(self.members, 1))]
        masks = [_half(module) for module in modules]
        precision = precision_for(modules[0], device, fast=self.fast)
        if self.members:
            return BegunTraining(self, stack(modules).to(device), stack_masks(masks), precision, device)
        layout = torch.channels_last if precision.channels_last else torch.preserve_format
        return BegunTraining(self, modules[0].to(memory_format=layout), masks[0], precision, device)


@dataclass(frozen=True, eq=False)
class BegunTraining:
    """A training that goes on with batches of any size."""

    plan: TimedTraining
    module: nn.Module
    mask: SignedMask
    precision: Precision
    device: torch.device

    def seconds(self, batch_size: int) -> float:
        """A step on a batch of so many images, data path and mask included: the median of a few; of all networks together."""
        plan = self.plan
        training = Training(1 << 20, batch_size, replace(plan.optimizer, learning_rate=1e-6), Constant())
        networks = Networks(self.module, list(range(max(plan.members, 1))), stacked=plan.members > 0)
        ends: list[float] = []
        begun = {name: value.clone() for name, value in self.module.state_dict().items()}
        part, seeds = starting_from(plan.part, begun), [*networks.seeds] if networks.stacked else 0
        images = _noise(plan.network, batch_size).on(self.device)
        with self.mask.enforced_on(self.module), holding(part, self.module, seeds, self.mask):
            optimizer = training.optimizer(self.module.parameters(), stacked=networks.stacked)
            train(networks, images, training, optimizer, self._steps(ends), precision=self.precision)
        return median(end - start for start, end in itertools.pairwise(ends[1:]))

    def _steps(self, ends: list[float]) -> Iterator[int]:
        """Training steps as long as more are to be looked at; writes down when each begins, and when the last has ended."""
        for step in itertools.count():
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
            ends.append(time.perf_counter())
            if step >= STEPS.stop or (step >= STEPS.start and ends[-1] - ends[1] > PATIENCE):
                return
            yield step


def _half(module: nn.Module) -> SignedMask:
    """A mask of every other weight, with the signs that they have."""
    weights = {name: module.get_parameter(name) for name in prunable(module)}
    kept = {name: (torch.arange(one.numel(), device=one.device) % 2 == 0).view(one.shape) for name, one in weights.items()}
    return SignedMask.of(weights, kept)


def _noise(network: NetworkSpec, batch_size: int) -> ImageData:
    """Images for a few steps of an epoch, cropped and mirrored as usual ones are."""
    assert network.image_shape is not None
    assert network.n_classes is not None
    channels, height, width = network.image_shape
    steps = max(min(STEPS.stop, _EPOCH // (batch_size * channels * height * width)), 1)
    shape = (steps * batch_size, height, width, channels)
    pixels = torch.randint(256, shape, dtype=torch.uint8, generator=generator(0, "noise"))
    images = ImageSet(pixels.permute(0, 3, 1, 2), torch.arange(len(pixels)) % network.n_classes)
    classes = tuple(str(number) for number in range(network.n_classes))
    return image_data("noise", images, images, classes, augmentation=Augmentation(pad=min(height, width) // 8, flip=True))

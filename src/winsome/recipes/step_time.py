"""How long a training step takes on this machine, and how many operations it is: timed once, in about a second."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.utils.flop_counter import FlopCounterMode

from winsome.models.spec import NetworkSpec
from winsome.training.precision import Precision, default_device, precision_for
from winsome.training.settings import SGD, Adam

LONG_ENOUGH = 0.5  # seconds: passes that take as long say what a larger batch would take
SMALLEST = 4  # images of the first batch; a further one has four times as many, or twice where it takes long
STEPS = 2  # timed, after one that is not; the faster one counts
PATIENCE = 1.0  # seconds: where the first ones took longer, one is timed
PASSES = 3  # of a step: forward, and about twice as much backward


@dataclass(frozen=True)
class StepTime:
    """One training step of one network in one process."""

    seconds: float
    flops: float  # a multiplication and an addition are two
    images: int  # of the batch
    timed_images: int  # of the batch that was timed: time beyond it grows as the images do


@functools.lru_cache(maxsize=64)
def step_time(network: NetworkSpec, optimizer: SGD | Adam, batch_size: int, *, fast: bool) -> StepTime:
    """Time a step on random images: of small batches at first, then of larger ones as long as they are quick.

    A pass takes some time whatever it is given, and some for every image: two sizes say how much of each. The optimizer's time
    does not depend on the batch.

    Args:
        network: with its image shape and classes.
        optimizer: makes its optimizer.
        batch_size: images of a step.
        fast: whether it trains in bf16 and channels_last where that gains.
    """
    device = default_device()
    model = network.build(0).to(device)
    flops = PASSES * _forward_flops(model, network, device) * batch_size
    precision = precision_for(model, device, fast=fast)
    if precision.channels_last:
        model = model.to(memory_format=torch.channels_last)
    steps = optimizer(model.parameters())
    images = min(SMALLEST, batch_size)
    timed: list[tuple[int, float]] = []
    while True:
        passes, update = _seconds(model, steps, network, images, precision, device)
        timed.append((images, passes))
        if images == batch_size or (len(timed) > 1 and passes >= LONG_ENOUGH):
            return StepTime(_extrapolated(timed[-2:], batch_size) + update, flops, batch_size, images)
        images = min((4 if passes < LONG_ENOUGH else 2) * images, batch_size)


def _extrapolated(timed: Sequence[tuple[int, float]], batch_size: int) -> float:
    """The seconds of a larger batch, on the line through those of two smaller ones; in proportion where they give no line."""
    images, seconds = timed[-1]
    fewer, less = timed[0]
    if less >= seconds or images == fewer:
        return seconds * batch_size / images
    per_image = min((seconds - less) / (images - fewer), seconds / images)  # what a batch costs besides is nothing or more
    return seconds + per_image * (batch_size - images)


def _forward_flops(model: nn.Module, network: NetworkSpec, device: torch.device) -> float:
    """Operations of a forward pass of one image."""
    assert network.image_shape is not None
    model.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, *network.image_shape, device=device))
    model.train()
    return float(counter.get_total_flops())


def _seconds(
    model: nn.Module, optimizer: Optimizer, network: NetworkSpec, images: int, precision: Precision, device: torch.device
) -> tuple[float, float]:
    """What forward and backward pass take, and what the optimizer takes."""
    assert network.image_shape is not None
    layout = torch.channels_last if precision.channels_last else torch.contiguous_format
    inputs = torch.randn(images, *network.image_shape, device=device).to(memory_format=layout)
    labels = torch.zeros(images, dtype=torch.int64, device=device)
    passes: list[float] = []
    updates: list[float] = []
    while len(passes) < 1 + STEPS and (len(passes) < 2 or sum(passes) < PATIENCE):
        optimizer.zero_grad(set_to_none=True)
        start = _now(device)
        with precision.autocast(device):
            logits = model(inputs)
        F.cross_entropy(logits.float(), labels).backward()  # type: ignore[no-untyped-call]
        middle = _now(device)
        optimizer.step()
        passes.append(middle - start)
        updates.append(_now(device) - middle)
    return min(passes[1:]), min(updates[1:])


def _now(device: torch.device) -> float:
    """The time at which all that was begun is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()

"""How long a training step takes on this machine, and how many operations it is: timed once, in about a second, and kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

import torch
from torch.utils.flop_counter import FlopCounterMode

from winsome.models.spec import NetworkSpec
from winsome.recipes.kept_times import kept
from winsome.recipes.timed_training import TimedTraining
from winsome.threads import threads
from winsome.training.precision import default_device

LONG_ENOUGH = 0.5  # seconds: steps that take as long say what a larger batch would take
SMALLEST = 4  # images of the first batch; a further one has four times as many, or twice where it takes long
PASSES = 3  # of a step: forward, and about twice as much backward


@dataclass(frozen=True)
class StepTime:
    """One training step of one network in one process; of a stack's networks each has its share."""

    seconds: float
    flops: float  # a multiplication and an addition are two
    images: int  # of the batch
    timed_images: int  # of the batch that was timed: time beyond it grows as the images do


_NAMES = tuple(one.name for one in fields(StepTime))


def step_time(plan: TimedTraining, batch_size: int, *, n_threads: int) -> StepTime:
    """How long a step takes here: timed once on a machine, and kept for later estimates.

    Args:
        plan: what trains.
        batch_size: images of a step.
        n_threads: that it computes with on a CPU.
    """
    with threads(n_threads):
        found = kept(["training", *plan.record(), batch_size], _NAMES, lambda: asdict(_timed(plan, batch_size)))
    return StepTime(found["seconds"], found["flops"], int(found["images"]), int(found["timed_images"]))


def _timed(plan: TimedTraining, batch_size: int) -> StepTime:
    """Time steps of small batches at first, then of larger ones as long as they are quick.

    A step takes some time whatever it is given, and some for every image: two sizes say how much of each.
    """
    device = default_device()
    flops = PASSES * _forward_flops(plan.network, device) * batch_size
    training = plan.begin(device)
    images = min(SMALLEST, batch_size)
    timed: list[tuple[int, float]] = []
    while True:
        seconds = training.seconds(images)
        timed.append((images, seconds))
        if images == batch_size or (len(timed) > 1 and seconds >= LONG_ENOUGH):
            share = max(plan.members, 1)
            return StepTime(_extrapolated(timed[-2:], batch_size) / share, flops, batch_size, images)
        images = min((4 if seconds < LONG_ENOUGH else 2) * images, batch_size)


def _extrapolated(timed: Sequence[tuple[int, float]], batch_size: int) -> float:
    """The seconds of a larger batch, on the line through those of two smaller ones; in proportion where they give no line."""
    images, seconds = timed[-1]
    fewer, less = timed[0]
    if less >= seconds or images == fewer:
        return seconds * batch_size / images
    per_image = min((seconds - less) / (images - fewer), seconds / images)  # what a batch costs besides is nothing or more
    return seconds + per_image * (batch_size - images)


def _forward_flops(network: NetworkSpec, device: torch.device) -> float:
    """Operations of a forward pass of one image."""
    assert network.image_shape is not None
    model = network.build(0).to(device).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, *network.image_shape, device=device))
    return float(counter.get_total_flops())

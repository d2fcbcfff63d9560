"""How long a training step takes on this machine, and how many operations it is: timed once, in about a second, and kept."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from winsome.data.cache import cache_folder
from winsome.errors import WinsomeError
from winsome.files import read_json, write_json
from winsome.machine import usable_cores
from winsome.models.spec import NetworkSpec
from winsome.recipes.timed_training import TimedTraining
from winsome.threads import threads
from winsome.training.precision import default_device
from winsome.training.settings import SGD, Adam

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


@functools.lru_cache(maxsize=64)
def step_time(
    network: NetworkSpec, optimizer: SGD | Adam, batch_size: int, *, fast: bool, n_threads: int, members: int = 0
) -> StepTime:
    """How long a step takes here: timed once on a machine, and kept beside the decoded images for later estimates.

    What was timed while the machine had other work is not kept.

    Args:
        network: with its image shape and classes.
        optimizer: makes its optimizer.
        batch_size: images of a step.
        fast: whether it trains in bf16 and channels_last where that gains.
        n_threads: that it computes with on a CPU.
        members: networks that train as one stack; 0 where each trains by itself.
    """
    with threads(n_threads):
        return _timed_or_kept(TimedTraining(network, optimizer, fast, members), batch_size)


def _timed_or_kept(plan: TimedTraining, batch_size: int) -> StepTime:
    path = None if _is_busy() else _place(plan, batch_size)
    if path is not None and path.exists():
        try:
            return StepTime(**read_json(path))
        except (WinsomeError, TypeError):
            pass  # not whole, or of another version: timed anew
    timed = _timed(plan, batch_size)
    if path is not None:
        with contextlib.suppress(
            WinsomeError, OSError
        ):  # a cache that cannot be written to costs the next estimate its seconds
            write_json(path, asdict(timed))
    return timed


def _is_busy() -> bool:
    """Whether the machine has other work, where the system says so."""
    return hasattr(os, "getloadavg") and os.getloadavg()[0] > usable_cores()


def _place(plan: TimedTraining, batch_size: int) -> Path | None:
    """Where the time of such a step is kept on this machine, by all that it depends on."""
    folder = cache_folder()
    if folder is None:
        return None
    device = default_device()
    processor = torch.cuda.get_device_name(device) if device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
    machine = [platform.node(), str(device), processor, torch.get_num_threads(), torch.__version__]
    facts = ["training", plan.network.record(), type(plan.optimizer).__name__, batch_size, plan.fast, plan.members, *machine]
    return folder / "step-times" / f"{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]}.json"


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

"""What a recipe will cost: its studies' epochs, timed by a few training steps on this machine."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from winsome import models
from winsome.study.design import Study
from winsome.study.jobs import cost, jobs_of
from winsome.training.precision import default_device, precision_for

# Channels, height, width; classes; training images: what a named data set is, known without reading it.
SHAPES: dict[str, tuple[tuple[int, int, int], int, int]] = {
    "digits": ((1, 8, 8), 10, 1297),
    "cifar10": ((3, 32, 32), 10, 50_000),
    "cifar100": ((3, 32, 32), 100, 50_000),
    "tiny_imagenet": ((3, 64, 64), 200, 100_000),
    "imagenet": ((3, 224, 224), 1000, 1_281_167),
}
STEPS = 3  # timed, after one that is not


@dataclass(frozen=True)
class Estimate:
    """The cost of a study on this machine."""

    epochs: float  # of single networks, over all jobs
    seconds_per_step: float  # of one network, one process

    steps_per_epoch: int

    @property
    def seconds(self) -> float:
        """One network after another: workers and stacks make it shorter."""
        return self.epochs * self.steps_per_epoch * self.seconds_per_step

    @property
    def words(self) -> str:
        """For a line."""
        step = f"{1000 * self.seconds_per_step:.0f} ms a step here"
        return f"{self.epochs:,.0f} epochs of {self.steps_per_epoch:,} steps, {step}: about {duration(self.seconds)} one by one"


def estimates(studies: Mapping[str, Study]) -> dict[str, Estimate]:
    """The cost of every study; one of a data set that has no name is left out."""
    timed: dict[tuple[object, ...], float] = {}
    found = {}
    for label, study in studies.items():
        if study.data.name not in SHAPES:
            continue
        key = (study.network, study.data.name, study.training.batch_size, study.fast)
        if key not in timed:
            timed[key] = seconds_per_step(study)
        images = study.data.train_images or SHAPES[study.data.name][2]
        epochs = sum(cost(job, study) for job in jobs_of(study, at_once=1))
        found[label] = Estimate(epochs, timed[key], max(images // study.training.batch_size, 1))
    return found


def seconds_per_step(study: Study) -> float:
    """The time of one training step of the study's network on random images of its data set's shape."""
    device = default_device()
    image_shape, n_classes, _ = SHAPES[study.data.name]
    options = dict(study.network.options)
    network = models.build(study.network.name, image_shape=image_shape, n_classes=n_classes, seed=0, **options).to(device)
    precision = precision_for(network, device, fast=study.fast)
    layout = torch.channels_last if precision.channels_last else torch.contiguous_format
    network = network.to(memory_format=layout)
    optimizer = study.training.optimizer(network.parameters())
    inputs = torch.randn(study.training.batch_size, *image_shape, device=device).to(memory_format=layout)
    labels = torch.zeros(len(inputs), dtype=torch.int64, device=device)
    for step in range(STEPS + 1):
        if step == 1:
            _wait(device)
            start = time.perf_counter()
        with precision.autocast(device):
            logits = network(inputs)
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(logits.float(), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    _wait(device)
    return (time.perf_counter() - start) / STEPS


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def duration(seconds: float) -> str:
    """A time to plan with: two figures, in the unit that suits."""
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"

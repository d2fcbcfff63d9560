"""What a recipe will cost: its studies' epochs, timed by a few training steps on this machine."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn import functional as F

from winsome.runs.search_folder import SearchFolder
from winsome.study.conditions import conditions_of
from winsome.study.design import Study
from winsome.study.folder import StudyFolder
from winsome.study.jobs import Job, SearchJob, cost, jobs_of
from winsome.study.reuse import Places, results_of
from winsome.training.precision import default_device, precision_for
from winsome.wording import rough_duration

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

    epochs: float  # of single networks, over all jobs, of what is left to do
    seconds_per_step: float  # of one network, one process

    steps_per_epoch: int
    there: float = 0.0  # epochs that earlier calls have done

    @property
    def seconds(self) -> float:
        """One network after another: workers and stacks make it shorter."""
        return self.epochs * self.steps_per_epoch * self.seconds_per_step

    @property
    def label(self) -> str:
        """For a line."""
        step = f"{1000 * self.seconds_per_step:.0f} ms a step here"
        there = f"; {self.there:,.0f} more are there already" if self.there else ""
        time = f"about {rough_duration(self.seconds)} one by one"
        return f"{self.epochs:,.0f} epochs of {self.steps_per_epoch:,} steps, {step}: {time}{there}"


def estimates(studies: Mapping[str, Study], earlier: Sequence[tuple[Study, Places]] = ()) -> dict[str, Estimate]:
    """The cost of every study, less what earlier calls have done; one of a data set that has no name is left out."""
    timed: dict[tuple[object, ...], float] = {}
    found = {}
    for label, study in studies.items():
        if study.data.name not in SHAPES:
            continue
        key = (study.network, study.data.name, study.training.batch_size, study.fast)
        if key not in timed:
            timed[key] = seconds_per_step(study)
        images = study.data.train_images or SHAPES[study.data.name][2]
        jobs = jobs_of(study, at_once=1)
        there = _there(jobs, study, earlier)
        epochs = sum(cost(job, study) for job in jobs) - there
        found[label] = Estimate(epochs, timed[key], max(images // study.training.batch_size, 1), there)
    return found


def _there(jobs: Sequence[Job], study: Study, earlier: Sequence[tuple[Study, Places]]) -> float:
    """The epochs of a study's jobs that earlier calls have done, whole levels and whole runs."""
    # On other data nothing can be there, and theirs alone are known to be at hand: an estimate downloads nothing.
    others = [places for other, places in earlier if other.data == study.data]
    if not others:
        return 0.0
    stacked = conditions_of(study).stacked
    return sum(_epochs_of(job, study, others, stacked=stacked) for job in jobs)


def _epochs_of(job: Job, study: Study, others: Sequence[Places], *, stacked: bool) -> float:
    wanted = results_of(job, study, StudyFolder(Path()), stacked=stacked)
    paths = [[places[identity] for places in others if identity in places] for identity in wanted]
    if not isinstance(job, SearchJob):
        return cost(job, study) * sum(any(path.exists() for path in same) for same in paths) / len(paths)
    finished = [max((SearchFolder(path).n_finished() for path in same), default=0) for same in paths]
    levels = (min(count, study.deepest + 1) for count in finished)  # of those up to the deepest that is wanted
    return sum(study.level_training(job.search, number).epochs for count in levels for number in range(count))


def seconds_per_step(study: Study) -> float:
    """The time of one training step of the study's network on random images of its data set's shape."""
    device = default_device()
    image_shape, n_classes, _ = SHAPES[study.data.name]
    network = study.network.of_images(image_shape, n_classes).build(0).to(device)
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

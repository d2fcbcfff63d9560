"""The kinds of training of a study: the same step under the same part, each timed once on this machine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from winsome.models.spec import NetworkSpec
from winsome.recipes.step_time import PASSES, StepTime, step_time
from winsome.recipes.timed_training import TimedTraining
from winsome.study.arms import FoundNetwork
from winsome.study.design import Study
from winsome.study.jobs import Job, SearchJob
from winsome.training.settings import Training
from winsome.while_training import WhileTraining, on_level, plain


@dataclass(frozen=True)
class Trained:
    """What is left to train of one kind: the same step, under the same part."""

    epochs: float  # of single networks
    steps_per_epoch: int
    step: StepTime  # of one network, one process

    @property
    def steps(self) -> float:
        """Training steps of single networks."""
        return self.epochs * self.steps_per_epoch

    @property
    def forward_seconds(self) -> float:
        """Of one image, judged beside training."""
        return self.step.seconds / self.step.images / PASSES


@dataclass(frozen=True)
class Timing:
    """How steps of a study are timed."""

    study: Study
    network: NetworkSpec
    train_images: int
    n_threads: int
    members: int

    def of(self, jobs: Sequence[Job], epochs: Sequence[float]) -> tuple[Trained, ...]:
        """What is left of each kind of training, the most first."""
        found: dict[str, Trained] = {}
        for job, count in zip(jobs, epochs, strict=True):
            if not count:
                continue
            training, part = self._training_of(job)
            plan = TimedTraining(self.network, training.optimizer, self.study.fast, self.members, part)
            kind = json.dumps([*plan.record(), training.batch_size, training.drop_last])
            if kind in found:
                found[kind] = replace(found[kind], epochs=found[kind].epochs + count)
            else:
                step = step_time(plan, training.batch_size, n_threads=self.n_threads)
                found[kind] = Trained(count, self._per_epoch(training), step)
        return tuple(sorted(found.values(), key=lambda one: -one.steps))

    def _training_of(self, job: Job) -> tuple[Training, WhileTraining]:
        study = self.study
        if isinstance(job, SearchJob):
            # Of the levels the first after the dense one stands for all.
            return study.level_training(job.search, 0), on_level(study.search_specs[job.search].method.while_training, 1)
        part = plain if isinstance(job.arm, FoundNetwork) else job.arm.while_training
        return study.training, part

    def _per_epoch(self, training: Training) -> int:
        whole, rest = divmod(self.train_images, training.batch_size)
        return max(whole + (rest > 0 and not training.drop_last), 1)

"""What all networks of a study are trained and judged on, made once, and refused before anything is written."""

from __future__ import annotations

import functools

import torch
from torch import nn

from winsome import distributed
from winsome.about import about
from winsome.data.images import ImageData
from winsome.errors import WinsomeError
from winsome.prunable import prunable
from winsome.rewinding import RewindTo
from winsome.stacking import pays
from winsome.study.arms import FoundNetwork
from winsome.study.design import Study
from winsome.training.conditions import Conditions, on_device
from winsome.training.precision import default_device, precision_for
from winsome.user_code import running


def conditions_of(study: Study, images: ImageData | None = None) -> Conditions:
    """Data on the device and the precision. Several ranks must have the same data, and stack nothing.

    Args:
        study: what is to be run.
        images: its data, where they are loaded already.

    Raises:
        WinsomeError: data cannot be had, or the study cannot run on them.
    """
    data = on_device(study.data.load() if images is None else images)
    probe = study.network.of_images(data.image_shape, data.n_classes).build(0)
    _refuse_what_cannot_run(study, data, probe)
    precision = precision_for(probe, default_device(), fast=study.fast, compiled=study.compiled)
    stacked = _stacks(study, probe)
    return Conditions(data, precision, study.statistics_images, study.statistics_augmented, stacked)


def will_stack(study: Study) -> bool:
    """Whether a study's networks will train as stacks. Nothing is loaded where the catalogue knows the shape of its images.

    Raises:
        WinsomeError: data that have to be loaded cannot be, a batch is larger than the data set, or there is no such network.
    """
    outline = study.data.outline()
    if outline is None:
        return conditions_of(study).stacked
    if study.training.drop_last and study.training.batch_size > outline.train_images:
        raise WinsomeError(f"batch_size {study.training.batch_size} exceeds the {outline.train_images} training images")
    return _stacks(study, study.network.of_images(outline.image_shape, outline.n_classes).build(0))


def _stacks(study: Study, network: nn.Module) -> bool:
    several = len(study.search_seeds) * len(study.starts) > 1 and distributed.world_size() == 1
    return several and pays(network, default_device()) and _parts_stack(study)


@functools.lru_cache(maxsize=1)
def conditions_here(study: Study) -> Conditions:
    """The conditions of a study, kept for the next call: for workers, who are given one job after another of it."""
    return conditions_of(study)


def _parts_stack(study: Study) -> bool:
    """Whether all that holds while networks train can act on a stack of them; a part that does not say so is not asked to."""
    of_searches = [spec.method.while_training for spec in study.search_specs.values()]
    of_arms = [arm.while_training for arm in study.arms if not isinstance(arm, FoundNetwork)]
    return all(about(part).stacks for part in (*of_searches, *of_arms))


def _refuse_what_cannot_run(study: Study, data: ImageData, network: nn.Module) -> None:
    """Raise WinsomeError, before anything is written, for what would fail only after work has begun; `network` is used up."""
    study.training.epoch_steps(data)
    if study.arms:
        study.training.refuse_uneven()
    for name, spec in study.search_specs.items():
        training, step = spec.training or study.search_training, spec.method.rewind.step
        training.refuse_uneven()
        # Where the schedule goes on from the rewinding step, later levels have it too; level 0 may be longer.
        steps = study.level_training(name, 1 if isinstance(spec.method.rewind, RewindTo) else 0).steps(data)
        spec.method.end_of(0, steps)
        if step >= steps:
            raise WinsomeError(f"{name} goes back to training step {step}, but a level has {steps} steps")
    prunable(network, prune_classifier=study.prune_classifier)
    try:
        with torch.no_grad(), running("network", study.network.name):
            logits = network(torch.zeros(2, *data.image_shape, device="cpu"))
    except WinsomeError:
        raise
    except (RuntimeError, ValueError) as error:
        shape = "x".join(map(str, data.image_shape))
        raise WinsomeError(f"the network {study.network.name!r} cannot take {shape} images: {error}") from error
    if not isinstance(logits, torch.Tensor) or logits.shape != (2, data.n_classes):
        raise WinsomeError(f"the network {study.network.name!r} does not give one logit for each class; choose another")


def fresh_network(study: Study, conditions: Conditions, *, seed: int) -> nn.Module:
    """The study's network, freshly initialised, on the device and in the layout that it trains in."""
    return conditions.placed(study.network.of_images(conditions.data.image_shape, conditions.data.n_classes).build(seed))

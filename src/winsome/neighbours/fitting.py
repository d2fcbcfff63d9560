"""What was read of a checkpoint, fitted to the network that it is of."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from winsome.errors import WinsomeError
from winsome.neighbours.source import Pruned, without_trailing_ones
from winsome.prunable import prunable


def zeros_of(pruned: Pruned, model: nn.Module) -> Pruned:
    """Every prunable parameter of the model counts as pruned where it is zero, one without zeros as wholly kept.

    Raises:
        WinsomeError: none of them holds a zero.
    """
    weights = {name: pruned.others[name] for name in prunable(model) if name in pruned.others}
    kept = {name: weight != 0 for name, weight in weights.items()}
    if weights and all(bool(one.all()) for one in kept.values()):
        raise WinsomeError("no prunable weight of the network is exactly zero in it; prune the network first")
    others = {name: value for name, value in pruned.others.items() if name not in weights}
    return replace(pruned, weights=weights, kept=kept, others=others)


def whole_of(pruned: Pruned, model: nn.Module) -> Pruned:
    """With the parameters whose mask keeps everything, where the model says that they are prunable."""
    if not pruned.whole:
        return pruned
    weights = {name: pruned.others[name] for name in prunable(model) if name in pruned.whole}
    kept = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in weights.items()}
    others = {name: value for name, value in pruned.others.items() if name not in weights}
    return replace(pruned, weights=pruned.weights | weights, kept=pruned.kept | kept, others=others)


def shaped_like(pruned: Pruned, model: nn.Module) -> Pruned:
    """The model's own shapes where they differ by trailing sides of 1.

    Raises:
        WinsomeError: the model lacks a masked parameter or has it in another shape.
    """
    shapes = {name: parameter.shape for name, parameter in model.named_parameters()}
    absent = [name for name in pruned.weights if name not in shapes]
    if absent:
        raise WinsomeError(f"the model lacks {', '.join(absent)}; give the architecture that the checkpoint was made with")

    def fit(name: str, value: Tensor) -> Tensor:
        shape = shapes.get(name, value.shape)
        if value.shape == shape:
            return value
        if without_trailing_ones(value.shape) != without_trailing_ones(shape):
            raise WinsomeError(f"{name} is {tuple(value.shape)} in the checkpoint, {tuple(shape)} in the model")
        return value.reshape(shape)

    return replace(
        pruned,
        weights={name: fit(name, value) for name, value in pruned.weights.items()},
        kept={name: fit(name, value) for name, value in pruned.kept.items()},
        others={name: fit(name, value) for name, value in pruned.others.items()},
    )

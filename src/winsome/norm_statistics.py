"""Running statistics of BatchNorm, estimated anew from data."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from winsome.errors import WinsomeError

log = logging.getLogger("winsome")


@torch.no_grad()
def re_estimate_batch_norm(
    model: nn.Module, batches: Iterable[Tensor], forward: Callable[[Tensor], object] | None = None
) -> None:
    """Replace the running statistics of every BatchNorm, in place, by their mean over the batches.

    Do so before a network of AWS is judged: its stored statistics average over alpha. Hand over inputs as in training:
    `re_estimate_batch_norm(model, (images for images, _ in loader))`. Only BatchNorm layers are in training mode meanwhile;
    every module's mode is given back.

    Args:
        model: Any network; one without BatchNorm stays as it is, and no batch is taken.
        batches: Inputs of the model, each large enough for a mean and a variance.
        forward: What a batch goes through, where that is more than `model(batch)`.

    Raises:
        WinsomeError: there was no batch; the statistics are those of a fresh layer then. Or a batch is more than inputs.

    Example:
        >>> norm = nn.BatchNorm1d(1)
        >>> re_estimate_batch_norm(norm, [torch.tensor([[1.0], [3.0]]), torch.tensor([[5.0], [7.0]])])
        >>> norm.running_mean
        tensor([4.])
    """
    layers = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    if not layers:
        return
    modes = [(module, module.training) for module in model.modules()]
    momenta = [layer.momentum for layer in layers]
    number = 0
    if isinstance(batches, Tensor):
        raise WinsomeError("`batches` are several inputs of the model, and this is one tensor: hand over a list, [inputs]")
    try:
        model.eval()
        for layer in layers:
            layer.reset_running_stats()
            layer.train()
        for number, inputs in enumerate(batches, start=1):
            for layer in layers:
                layer.momentum = 1 / number  # a plain mean; None does the same, but waits for the device in every layer
            if forward is None and isinstance(inputs, list | tuple | Mapping):
                raise WinsomeError(
                    f"a batch is a {type(inputs).__name__} of {len(inputs)} things, and the model takes one: hand over inputs "
                    "alone, (images for images, _ in loader), or say what a batch goes through (forward=...)"
                )
            (forward or model)(inputs)
    finally:
        for module, training in modes:
            module.training = training
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
    if not number:
        raise WinsomeError("no batch to re-estimate BatchNorm statistics from; hand over at least one")

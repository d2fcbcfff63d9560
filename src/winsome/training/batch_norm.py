"""BatchNorm over the images of all ranks, as if one process had the whole batch; on CPUs and GPUs alike.

torch's own SyncBatchNorm runs on GPUs only and replaces layers. This is the same mathematics in plain tensor operations.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from winsome import distributed


@contextmanager
def batch_norms_of_all_ranks(network: nn.Module, *, on: bool) -> Iterator[None]:
    """Inside the block every BatchNorm that trains takes mean and variance over all ranks; nothing happens in one process.

    All ranks have equally many images. Gradients flow through the statistics of all ranks, as through those of one batch.
    """
    layers = [m for m in network.modules() if isinstance(m, _BatchNorm)] if on and distributed.world_size() > 1 else []
    for layer in layers:
        layer.__dict__["forward"] = functools.partial(_normalised, layer)  # hides the method; names and layers stay
    try:
        yield
    finally:
        for layer in layers:
            del layer.__dict__["forward"]


def _normalised(layer: _BatchNorm, inputs: Tensor) -> Tensor:
    if not (layer.training and torch.is_grad_enabled()):  # judged, or statistics re-estimated: every rank sees all images
        output: Tensor = type(layer).forward(layer, inputs)
        return output
    dims = [0, *range(2, inputs.ndim)]
    shape = [1, -1] + [1] * (inputs.ndim - 2)
    count = inputs.numel() // inputs.shape[1] * distributed.world_size()
    values = inputs if inputs.dtype == torch.float64 else inputs.float()
    mean = distributed.sum_over_ranks(values.sum(dims)) / count
    centred = values - mean.view(shape)
    variance = distributed.sum_over_ranks(centred.square().sum(dims)) / count
    _remember(layer, mean.detach(), variance.detach(), count)
    output = centred * torch.rsqrt(variance + layer.eps).view(shape)
    if layer.weight is not None:
        output = output * layer.weight.view(shape) + layer.bias.view(shape)
    return output.to(inputs.dtype)


@torch.no_grad()
def _remember(layer: _BatchNorm, mean: Tensor, variance: Tensor, count: int) -> None:
    """Move the running statistics as BatchNorm does, with the unbiased variance."""
    if not layer.track_running_stats or layer.running_mean is None or layer.running_var is None:
        return
    assert layer.num_batches_tracked is not None
    layer.num_batches_tracked.add_(1)
    factor = 1 / int(layer.num_batches_tracked) if layer.momentum is None else layer.momentum
    layer.running_mean.lerp_(mean.to(layer.running_mean.dtype), factor)
    layer.running_var.lerp_((variance * count / max(count - 1, 1)).to(layer.running_var.dtype), factor)

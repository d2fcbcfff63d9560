"""Several linear networks of one shape as one: batched matrix products, every member computed as if it were alone.

A tiny network's step is mostly overhead; a stack of S pays it once. Parameter names stay, tensors gain a leading axis S.
Shape suffixes: S members, B images, D inputs, W outputs or features.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from winsome.errors import WinsomeError


class StackedLinear(nn.Module):
    """S linear layers: inputs [S, B, D] to outputs [S, B, W]."""

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.stack([layer.weight.detach() for layer in layers]))
        biases = [layer.bias.detach() for layer in layers if layer.bias is not None]
        self.bias = nn.Parameter(torch.stack(biases)) if biases else None

    def forward(self, inputs_SBD: Tensor) -> Tensor:
        """One batched product."""
        outputs_SBW = torch.bmm(inputs_SBD, self.weight.mT)
        return outputs_SBW if self.bias is None else outputs_SBW + self.bias.unsqueeze(1)


class StackedBatchNorm1d(_BatchNorm):
    """S BatchNorm layers on [S, B, W]: one BatchNorm over S * W channels."""

    def __init__(self, layers: Sequence[_BatchNorm]) -> None:
        first = layers[0]
        super().__init__(first.num_features, first.eps, first.momentum, first.affine, first.track_running_stats)
        for name, value in first.named_parameters(recurse=False):
            stacked = torch.stack([layer.get_parameter(name).detach() for layer in layers])
            self.register_parameter(name, nn.Parameter(stacked, requires_grad=value.requires_grad))
        for name, _ in first.named_buffers(recurse=False):
            self.register_buffer(name, torch.stack([layer.get_buffer(name) for layer in layers]))

    def reset_running_stats(self) -> None:
        """Mean 0, variance 1, no batches seen: in place, for every member."""
        if self.track_running_stats and self.running_mean is not None and self.running_mean.ndim == 2:
            self.running_mean.zero_()
            self.get_buffer("running_var").fill_(1)
            self.get_buffer("num_batches_tracked").zero_()
        else:
            super().reset_running_stats()

    def forward(self, inputs_SBW: Tensor) -> Tensor:
        """Each member normalised by its own batch, or by its own running statistics in evaluation."""
        members, batch, width = inputs_SBW.shape
        momentum = 0.0
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            momentum = 1 / float(self.num_batches_tracked.view(-1)[0]) if self.momentum is None else self.momentum
        flat = inputs_SBW.transpose(0, 1).reshape(batch, members * width)
        mean, variance = (None if s is None else s.view(-1) for s in (self.running_mean, self.running_var))
        weight, bias = (None if p is None else p.reshape(-1) for p in (self.weight, self.bias))
        out = F.batch_norm(flat, mean, variance, weight, bias, self.training or mean is None, momentum, self.eps)
        return out.view(batch, members, width).transpose(0, 1)


def _flatten(_layers: Sequence[nn.Module]) -> nn.Module:
    return nn.Flatten(2)


# What a stack can hold: each leaf's type, and what stands for several of them.
STACKED: dict[type[nn.Module], Callable[[Any], nn.Module]] = {
    nn.Linear: StackedLinear,
    nn.BatchNorm1d: StackedBatchNorm1d,
    nn.Flatten: _flatten,
    nn.ReLU: lambda layers: copy.deepcopy(layers[0]),
    nn.Identity: lambda layers: copy.deepcopy(layers[0]),
}


def can_stack(model: nn.Module) -> bool:
    """Whether all layers of a network have a stacked form."""
    return _unsupported(model) is None


def _unsupported(model: nn.Module) -> tuple[str, str] | None:
    for name, module in model.named_modules():
        is_leaf = next(module.children(), None) is None
        own = next(module.parameters(recurse=False), None)  # a container with parameters of its own has no stacked form
        if (type(module) not in STACKED) if is_leaf else (own is not None):
            return name, type(module).__name__
    return None


def stack(models: Sequence[nn.Module]) -> nn.Module:
    """One network of several of the same shape: inputs [S, B, ...] to outputs [S, B, ...].

    Raises:
        WinsomeError: a layer has no stacked form; it is named.
    """
    if (found := _unsupported(models[0])) is not None:
        raise WinsomeError(f"the layer {found[0]!r} ({found[1]}) has no stacked form; train the networks one by one")
    stacked = copy.deepcopy(models[0])
    for name, module in list(stacked.named_modules()):
        if type(module) in STACKED:
            parent, _, child = name.rpartition(".")
            layer = STACKED[type(module)]([model.get_submodule(name) for model in models])
            setattr(stacked.get_submodule(parent), child, layer.train(module.training))
    return stacked


@torch.no_grad()
def unstack(stacked: nn.Module, models: Sequence[nn.Module]) -> None:
    """Copy a stack's parameters and buffers back into its members, in place."""
    state = stacked.state_dict()
    for member, model in enumerate(models):
        model.load_state_dict({name: value[member] for name, value in state.items()})

"""Several linear networks of one shape as one: batched matrix products, every member computed as if it were alone.

A tiny network's step is mostly overhead; a stack of S pays it once. Parameter names stay, tensors gain a leading axis S.

On a CPU with one thread a member's bits depend neither on S nor on its place, S = 1 included. They are not those of the plain
network: batched products and statistics add up in another order, and training amplifies the difference. An optimizer
has to keep this: fused ones round the last few elements of a tensor otherwise than the rest, `foreach` ones do not.

Shape suffixes: S members, B images, D inputs, W outputs or features. Activations are [S, B, W] by shape and [S, W, B] in
memory, in which both the products and the statistics run over contiguous rows; elementwise layers keep that order.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from winsome.errors import WinsomeError
from winsome.shapes import differences, shapes_of


class StackedLinear(nn.Module):
    """S linear layers: inputs [S, B, D] to outputs [S, B, W]."""

    weight: nn.Parameter
    bias: nn.Parameter | None

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        _stack_tensors(self, layers)
        if layers[0].bias is None:
            self.register_parameter("bias", None)

    def forward(self, inputs_SBD: Tensor) -> Tensor:
        """One batched product.

        Raises:
            WinsomeError: the input has no leading axis of the stack's size.
        """
        members = len(self.weight)
        if inputs_SBD.ndim != 3 or len(inputs_SBD) != members:
            raise WinsomeError(
                f"a stack of {members} linear layers takes [{members}, batch, features], got {list(inputs_SBD.shape)}; "
                "the forward of a stacked network may use layers and elementwise functions only"
            )
        if self.bias is None:
            return torch.bmm(self.weight, inputs_SBD.mT).mT
        return torch.baddbmm(self.bias.unsqueeze(2), self.weight, inputs_SBD.mT).mT


class StackedBatchNorm1d(_BatchNorm):
    """S BatchNorm layers on [S, B, W]: each member normalised by its own batch, or by its own running statistics."""

    def __init__(self, layers: Sequence[_BatchNorm]) -> None:
        first = layers[0]
        super().__init__(first.num_features, first.eps, first.momentum, first.affine, first.track_running_stats)
        _stack_tensors(self, layers)

    def forward(self, inputs_SBW: Tensor) -> Tensor:
        """Statistics over B; the running ones are updated in training.

        Raises:
            ValueError: a training batch of a single image.
        """
        members, batch, width = inputs_SBW.shape
        channels = members * width
        weight, bias = (None if p is None else p.reshape(channels) for p in (self.weight, self.bias))
        rows = inputs_SBW.mT.reshape(1, channels, batch)  # a view: see the memory order above
        if not self.training and self.running_mean is not None and self.running_var is not None:
            mean, variance = self.running_mean.view(channels), self.running_var.view(channels)
            return F.batch_norm(rows, mean, variance, weight, bias, False, 0.0, self.eps).view(members, width, batch).mT
        if batch < 2:
            raise ValueError(f"BatchNorm in training needs 2 or more images in a batch, got {batch}")
        # GroupNorm of groups of one channel is BatchNorm in training; its statistics cost a fifth of F.batch_norm's.
        # Under autocast the products are bf16 and the parameters are not: normalise in the parameters' type.
        rows = rows.to(self.weight.dtype if weight is not None else rows.dtype)
        out, mean, deviation_inverse = torch.native_group_norm(rows, weight, bias, 1, channels, batch, channels, self.eps)
        if self.training:
            self._track(mean.detach().view(members, width), deviation_inverse.detach().view(members, width), batch)
        return out.view(members, width, batch).mT

    @torch.no_grad()
    def _track(self, mean_SW: Tensor, deviation_inverse_SW: Tensor, batch: int) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share: Any = self.momentum
        if share is None:  # a plain mean over the batches
            share = self.num_batches_tracked.to(self.running_mean.dtype).reciprocal().unsqueeze(1)
        variance_SW = deviation_inverse_SW.square().reciprocal_().sub_(self.eps).clamp_min_(0).mul_(batch / (batch - 1))
        self.running_mean.lerp_(mean_SW.to(self.running_mean.dtype), share)
        self.running_var.lerp_(variance_SW.to(self.running_var.dtype), share)


def _stack_tensors(stacked: nn.Module, layers: Sequence[nn.Module]) -> None:
    """Register the layers' parameters and buffers, stacked, under their own names."""
    for name, value in layers[0].named_parameters(recurse=False):
        together = torch.stack([layer.get_parameter(name).detach() for layer in layers])
        stacked.register_parameter(name, nn.Parameter(together, requires_grad=value.requires_grad))
    for name, _ in layers[0].named_buffers(recurse=False):
        stacked.register_buffer(name, torch.stack([layer.get_buffer(name) for layer in layers]))


def _flatten(layers: Sequence[nn.Flatten]) -> nn.Module:
    first, last = (dim + 1 if dim >= 0 else dim for dim in (layers[0].start_dim, layers[0].end_dim))
    return nn.Flatten(first, last)


def _as_it_is(layers: Sequence[nn.Module]) -> nn.Module:
    return copy.deepcopy(layers[0])


@contextmanager
def one_thread(*, on: bool) -> Iterator[None]:
    """Inside the block torch computes on one thread: small networks lose on more, most where other work shares the cores.

    And the bits of a stack's matrix products would depend on how many networks are stacked.
    """
    threads = torch.get_num_threads()
    if on:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def can_stack(model: nn.Module) -> bool:
    """Whether all layers of a network have a stacked form.

    Its `forward` may use these layers and elementwise functions (+, relu) only; that cannot be seen from here.
    """
    return _unsupported(model) is None


def _unsupported(model: nn.Module) -> str | None:
    for name, module in model.named_modules():
        is_leaf = next(module.children(), None) is None
        own = next(module.parameters(recurse=False), None)  # a container with parameters of its own has no stacked form
        if (type(module) not in STACKED) if is_leaf else (own is not None):
            return f"the layer {name!r} ({type(module).__name__}) has no stacked form"
    names: dict[int, str] = {}
    for name, value in model.state_dict(keep_vars=True).items():
        if (other := names.setdefault(id(value), name)) != name:
            return f"{other!r} and {name!r} are one tensor: shared parameters have no stacked form"
    return None


def stack(models: Sequence[nn.Module]) -> nn.Module:
    """One network of several of the same shape: inputs [S, B, ...] to logits [S, B, classes].

    Raises:
        WinsomeError: no models; a layer has no stacked form; two networks differ in shape. It is named.
    """
    if not models:
        raise WinsomeError("no networks to stack; give at least one")
    if (found := _unsupported(models[0])) is not None:
        raise WinsomeError(f"{found}; train the networks one by one")
    _refuse_other_shapes(models)
    stacked = copy.deepcopy(models[0])
    for name, module in list(stacked.named_modules(remove_duplicate=False)):
        if type(module) in STACKED:
            layer = STACKED[type(module)]([model.get_submodule(name) for model in models]).train(module.training)
            if not name:
                return layer
            parent, _, child = name.rpartition(".")
            setattr(stacked.get_submodule(parent), child, layer)
    return stacked


def _refuse_other_shapes(models: Sequence[nn.Module]) -> None:
    shapes = shapes_of(models[0].state_dict())
    for number, model in enumerate(models[1:], 2):
        if different := differences(shapes, shapes_of(model.state_dict()), "the first", f"number {number}"):
            raise WinsomeError(f"networks of different shapes cannot be stacked: {different}")


@torch.no_grad()
def unstack(stacked: nn.Module, models: Sequence[nn.Module]) -> None:
    """Copy a stack's parameters and buffers back into its members, in place.

    Raises:
        WinsomeError: there are more or fewer models than members.
    """
    state = stacked.state_dict()
    for name, value in state.items():
        if len(value) != len(models):
            raise WinsomeError(f"the stack holds {len(value)} networks ({name!r}), got {len(models)} to copy them to")
    for member, model in enumerate(models):
        model.load_state_dict({name: value[member] for name, value in state.items()})


# What a stack can hold: each leaf's type, and what stands for several of them.
STACKED: dict[type[nn.Module], Callable[[Any], nn.Module]] = {
    nn.Linear: StackedLinear,
    nn.BatchNorm1d: StackedBatchNorm1d,
    nn.Flatten: _flatten,
    **dict.fromkeys((nn.ReLU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid, nn.Identity), _as_it_is),
}

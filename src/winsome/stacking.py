"""Several networks of one shape as one: batched products, grouped convolutions, every member computed as if it were alone.

A tiny network's step is mostly overhead; a stack of S pays it once. Parameter names stay, tensors gain a leading axis S.

On a CPU with one thread a member's bits depend neither on S nor on its place, S = 1 included. They are not those of the plain
network: batched products and statistics add up in another order, and training amplifies the difference. An optimizer
has to keep this: fused ones round the last few elements of a tensor otherwise than the rest, `foreach` ones do not.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from winsome.channel_scale import ChannelScale
from winsome.errors import WinsomeError
from winsome.shapes import differences, shapes_of
from winsome.stacked_layers import (
    StackedBatchNorm1d,
    StackedBatchNorm2d,
    StackedConv2d,
    StackedLinear,
    StackedPool2d,
    stacked_scale,
)
from winsome.threads import threads


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
    with threads(1 if on else None):
        yield


def can_stack(model: nn.Module) -> bool:
    """Whether all layers of a network have a stacked form.

    Its `forward` may use these layers and elementwise functions (+, relu) only; that cannot be seen from here.
    """
    return _unsupported(model) is None


def pays(model: nn.Module, device: torch.device) -> bool:
    """Whether networks like this one train faster as a stack: linear ones anywhere, convolutional ones on a GPU.

    There a small network's step is launches, and a stack launches no more than one network; on a CPU grouped convolutions are
    no faster than one network after another (`benchmarks/side_by_side.py`).
    """
    return can_stack(model) and (device.type == "cuda" or not any(isinstance(m, nn.Conv2d) for m in model.modules()))


def _unsupported(model: nn.Module) -> str | None:
    for name, module in model.named_modules():
        is_leaf = next(module.children(), None) is None
        own = next(module.parameters(recurse=False), None)  # a container with parameters of its own has no stacked form
        if (type(module) not in STACKED) if is_leaf else (own is not None):
            return f"the layer {name!r} ({type(module).__name__}) has no stacked form"
        if isinstance(module, nn.Conv2d) and module.padding_mode != "zeros":
            return f"the convolution {name!r} pads by {module.padding_mode!r} and has no stacked form"
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
    nn.Conv2d: StackedConv2d,
    nn.BatchNorm2d: StackedBatchNorm2d,
    **dict.fromkeys((nn.AdaptiveAvgPool2d, nn.AvgPool2d, nn.MaxPool2d), StackedPool2d),
    nn.Flatten: _flatten,
    ChannelScale: stacked_scale,
    **dict.fromkeys((nn.ReLU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid, nn.Identity), _as_it_is),
}

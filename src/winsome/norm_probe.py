"""What value of a layer's parameter does nothing, found by trying: the layer's forward with the parameter at 0, 1 and 2."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

_WIDEST = 1 << 16
_UNIT = (0.8, 1.25)  # with room for a variance over n - 1, and for an activation that leaves a little of what is negative
_HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")


@torch.no_grad()
def probed_identity(layer: nn.Module, kind: str, *, residual: bool = True) -> float | None:
    """1 for a parameter that scales, 0 for one that is added, or that scales by one more than itself; None if none is clear.

    A copy of the layer is called, without its hooks, in evaluation mode, on random inputs in the shapes that a parameter of one
    value a channel can have. Other parameters that are added are 0 meanwhile, so that a scale is seen by itself. Inputs on
    which the output does not depend (of groups of one channel) say nothing. One at whose 0 the layer's output is its input does
    nothing there as well (GlobalResponseNorm). A scale of what is normalised to another size than 1 has no clear one: where a
    vector is divided by its length (ScaleNorm), the root of the number of channels would do nothing, not 1.

    Args:
        layer: it is not changed.
        kind: the parameter's name in it, that of a module inside of it in front.
        residual: whether a layer whose output is its input where the parameter is 0 does nothing there, as a norm; of a block
            it only says that the parameter scales a branch beside a residual connection, which it does by one at 1.
    """
    try:
        tried = _bare_copy(layer)
    except Exception:  # a layer that cannot be copied cannot be tried
        return None
    holder = kind.rpartition(".")[0]
    for inputs in _inputs(tried, tried.get_parameter(kind)):
        if _output(tried, inputs) is None:
            continue
        names = [name for name, _ in tried.get_submodule(holder).named_parameters(recurse=False)]
        beside = [f"{holder}.{name}" if holder else name for name in names]
        added = [other for other in beside if _is_added(tried, other, inputs)]
        if kind in added:
            return 0.0
        for other in added:
            tried.get_parameter(other).zero_()
        for other in [name for name in beside if name != kind and name not in added]:
            if _is_vector(tried.get_parameter(other)) and _is_zero(_at(tried, other, 0.0, inputs)):  # another scale
                tried.get_parameter(other).fill_(1)
        at_1, turned = _at(tried, kind, 1.0, inputs), _at(tried, kind, 1.0, -inputs)
        if at_1 is None or turned is None or _close(at_1, turned):  # an activation of a shift looks like a scale
            continue
        value = _of_a_scale(tried, kind, inputs, residual=residual)
        if value is None or _is_of_unit_size(tried, kind, value, inputs):
            return value
    return None


@torch.no_grad()
def acts_entry_by_entry(layer: nn.Module, kind: str) -> bool:
    """Whether an entry of a parameter of several axes acts on the entries of the inputs in its place alone, as in no matrix."""
    try:
        tried = _bare_copy(layer)
    except Exception:
        return False
    parameter = tried.get_parameter(kind)
    place = torch.zeros_like(parameter)
    place[(0,) * place.ndim] = 1
    for inputs in _inputs(tried, parameter):
        one, moved = _at(tried, kind, 1 - place, inputs), _at(tried, kind, torch.ones_like(place), inputs)
        if one is not None and moved is not None and one.shape == inputs.shape:
            changed = one != moved
            return bool(changed.any()) and not bool((changed & (place == 0)).any())
    return False


def turns_with_its_inputs(layer: nn.Module, channels: int) -> bool:
    """Whether turning the sign of an input channel turns that of its output and nothing else, as in RMSNorm (not LayerNorm)."""
    try:
        tried = _bare_copy(layer)
    except Exception:
        return False
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(5, channels, generator=generator)
    sign = 1 - 2 * (torch.arange(channels) % 2).to(inputs.dtype)
    one, turned = _output(tried, inputs), _output(tried, inputs * sign)
    return one is not None and turned is not None and one.shape == inputs.shape and _close(turned, one * sign)


def _bare_copy(layer: nn.Module) -> nn.Module:
    tried = copy.deepcopy(layer).float().eval()
    for module in tried.modules():
        for hooks in _HOOKS:
            setattr(module, hooks, OrderedDict())
    return tried


def _inputs(layer: nn.Module, parameter: Tensor) -> Iterator[Tensor]:
    """Random inputs in every shape that the layer may take: channels last, channels second, or of its own."""
    beside = [one.numel() for one in layer.parameters() if _is_vector(one)]
    channels = parameter.numel() if parameter.numel() > 1 else max(beside, default=1)  # a number says nothing about channels
    draw = torch.Generator().manual_seed(0)
    if isinstance(layer, _ConvNd):
        sides = [k * d + 2 for k, d in zip(layer.kernel_size, layer.dilation, strict=True)]
        shapes = [(2, layer.in_channels, *sides)]
    elif isinstance(layer, nn.Linear):
        shapes = [(4, layer.in_features)]
    elif channels == 1:
        shapes = [(4, 6), (2, 3, 6), (2, 6, 3, 3), (2, 6, 3), (2, 6, 2, 3, 3)]
        shapes += [(4, width) for width in vars(layer).values() if type(width) is int and 1 < width <= _WIDEST]
    elif parameter.ndim > 1 and channels > max(parameter.shape):  # one value for each channel of each head
        shapes = [(4, *parameter.shape), (2, 3, *parameter.shape)]
    else:
        shapes = [(4, channels), (2, 3, channels), (2, channels, 3, 3), (2, channels, 3), (2, 3, 3, channels)]
        shapes += [(2, channels, 2, 3, 3)]
    for shape in shapes:
        yield torch.randn(shape, generator=draw, dtype=torch.float32).to(parameter.device)


def _output(layer: nn.Module, inputs: Tensor) -> Tensor | None:
    """What it makes of inputs, of its inputs twice where it takes a gate; None where it takes neither."""
    for arguments in ((inputs,), (inputs, inputs)):
        try:
            out: Any = layer(*arguments)
        except Exception:
            continue
        out = out[0] if isinstance(out, tuple) and out else out
        if isinstance(out, Tensor) and out.is_floating_point() and bool(torch.isfinite(out).all()):
            return out.float()
    return None


def _at(layer: nn.Module, kind: str, value: float | Tensor, inputs: Tensor) -> Tensor | None:
    parameter = layer.get_parameter(kind)
    before = parameter.clone()
    parameter.copy_(torch.as_tensor(value))
    out = _output(layer, inputs)
    parameter.copy_(before)
    return out


def _is_added(layer: nn.Module, kind: str, inputs: Tensor) -> bool:
    at = [_at(layer, kind, value, inputs) for value in (0.0, 1.0, -2.0)]
    if at[0] is None or at[1] is None or at[2] is None:
        return False
    return _close(at[1], at[0] + 1) and _close(at[2], at[0] - 2)


def _of_a_scale(layer: nn.Module, kind: str, inputs: Tensor, *, residual: bool) -> float | None:
    at_0, at_1, at_2 = (_at(layer, kind, value, inputs) for value in (0.0, 1.0, 2.0))
    if at_0 is None or at_1 is None or at_2 is None or _close(at_0, at_1):
        return None
    if _is_zero(at_0):
        return 1.0 if _close(at_2, 2 * at_1) else None
    if at_0.shape == inputs.shape and _close(at_0, inputs):
        return 0.0 if residual else 1.0 if _close(at_2 - at_0, 2 * (at_1 - at_0)) else None
    return 0.0 if _close(at_1, 2 * at_0) and _close(at_2, 3 * at_0) else None


def _is_vector(parameter: Tensor) -> bool:
    return parameter.numel() == max(parameter.shape, default=1)


def _is_zero(out: Tensor | None) -> bool:
    return out is not None and _close(out, torch.zeros_like(out))


def _is_of_unit_size(layer: nn.Module, kind: str, value: float, inputs: Tensor) -> bool:
    """Whether normalised outputs have a mean square of 1 where the scale is at the value; true of outputs not normalised."""
    if isinstance(layer, _ConvNd | nn.Linear):  # the gain of weights that are normalised
        return True
    out, twice = _at(layer, kind, value, inputs), _at(layer, kind, value, 2 * inputs)
    if out is None or twice is None or not torch.allclose(out, twice, rtol=1e-2, atol=1e-3):
        return True
    return _UNIT[0] < _size(layer, kind, value, inputs) < _UNIT[1]


def _size(layer: nn.Module, kind: str, value: float, inputs: Tensor) -> float:
    """The root of the mean square of the outputs; of an activation of them, that of the outputs before it."""
    out, turned = _at(layer, kind, value, inputs), _at(layer, kind, value, -inputs)
    if out is None or turned is None:
        return 0.0
    return float((out if _close(turned, -out) else out - turned).square().mean().sqrt())


def _close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=1e-3, atol=1e-4)

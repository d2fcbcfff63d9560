"""What a network answers to an example, and by how much two networks' answers differ."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from winsome.errors import WinsomeError

Example = Tensor | tuple[Any, ...] | Mapping[str, Any]  # one input, several in their order, or by name
TOLERANCES = {torch.float64: 1e-10, torch.float32: 1e-5}  # what rounding may change, relative to the largest output
COARSE = 2e-2  # the same of bfloat16 and float16


def arguments(example: Example) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """An example as positional and named arguments of a network."""
    if isinstance(example, Mapping):
        return (), dict(example)
    return (example if isinstance(example, tuple) else (example,)), {}


def answer(network: nn.Module, example: Example) -> Any:
    """What a network gives for an example, as it gives it."""
    positional, named = arguments(example)
    with torch.inference_mode():
        return network(*positional, **named)


def tensors_in(value: Any) -> list[Tensor]:
    """The float tensors of an answer, in order."""
    return [leaf for leaf in pytree.tree_leaves(value) if isinstance(leaf, Tensor) and leaf.is_floating_point()]


def outputs(network: nn.Module, example: Example) -> list[Tensor]:
    """The float tensors that a network gives for an example."""
    return tensors_in(answer(network, example))


def tolerance(expected: list[Tensor]) -> float:
    """The largest difference that rounding in the outputs' precision explains, relative to the largest output."""
    return max((TOLERANCES.get(value.dtype, COARSE) for value in expected), default=0.0)


def difference(expected: list[Tensor], got: list[Tensor]) -> float:
    """The largest difference of any output, relative to the largest output of its tensor; infinite where one is not finite.

    Raises:
        WinsomeError: the outputs are of other number or shape, or there are none.
    """
    if not expected:
        raise WinsomeError("the network gives no tensor of floats for the example: there is nothing to compare")
    if [value.shape for value in expected] != [value.shape for value in got]:
        shapes = [", ".join(str(tuple(value.shape)) for value in values) for values in (expected, got)]
        raise WinsomeError(f"the outputs have shapes {shapes[1]} in place of {shapes[0]}")
    worst = 0.0
    for one, other in zip(expected, got, strict=True):
        if not one.numel():
            continue
        one, other = one.double().cpu(), other.double().cpu()
        largest = one.abs().max().clamp_min(torch.finfo(torch.float32).tiny)
        share = float((one - other).abs().max() / largest)
        worst = max(worst, share if math.isfinite(share) else math.inf)
    return worst

"""2:4 for GPUs: linear layers that keep at most two of every four consecutive inputs, packed, and run by sparse products.

PyTorch's `to_sparse_semi_structured` does not check the pattern: weights of another pattern vanish in silence, and of float32
it keeps one of two, not two of four. So the pattern is checked before, and outputs are compared after.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.sparse import to_sparse_semi_structured

from winsome.errors import WinsomeError
from winsome.exports.container import network_for, read, write
from winsome.exports.resizing import resize

FORM = "2:4"
TYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}
MULTIPLE = 16  # both sides of a weight are multiples of this in cuSPARSELt
_PARTS = ("kept", "places")


def wrong_groups(weight: Tensor) -> int:
    """How many groups of four consecutive inputs of a row have more than two weights that are not zero.

    Args:
        weight: [outputs, inputs].

    Raises:
        WinsomeError: it is no matrix, or its inputs cannot be cut into fours.

    Example:
        >>> wrong_groups(torch.tensor([[1.0, 5, 0, 0, 0, 2, 3, 4]]))
        1
    """
    if weight.ndim != 2 or weight.shape[1] % 4:
        raise WinsomeError(f"a weight of shape {tuple(weight.shape)} has no groups of four inputs: it must be [outputs, 4 n]")
    return int((weight.reshape(-1, 4).count_nonzero(1) > 2).sum())


def why_not(layer: nn.Module) -> str:
    """Why a layer cannot run as 2:4; "" where it can."""
    if type(layer) is not nn.Linear:
        return "no linear layer"
    outputs, inputs = layer.weight.shape
    if outputs % MULTIPLE or inputs % MULTIPLE:
        return f"{outputs} x {inputs} weights, and both sides must be multiples of {MULTIPLE}"
    if wrong := wrong_groups(layer.weight):
        return f"{wrong:,} of {layer.weight.numel() // 4:,} groups of four inputs keep more than two"
    return ""


def layers_in_pattern(network: nn.Module) -> tuple[str, ...]:
    """The names of the linear layers that are in the pattern.

    Raises:
        WinsomeError: there is none; it says of some layers why not.
    """
    linear = {name: module for name, module in network.named_modules() if type(module) is nn.Linear}
    reasons = {name: why_not(module) for name, module in linear.items()}
    if found := tuple(name for name, reason in reasons.items() if not reason):
        return found
    said = "; ".join(f"{name}: {reason}" for name, reason in list(reasons.items())[:3])
    raise WinsomeError(
        f"no linear layer of {type(network).__name__} is in the pattern 2:4 ({said or 'it has no linear layers'}); "
        "search for tickets with --allocate 2:4"
    )


def packed(weight: Tensor) -> tuple[Tensor, Tensor]:
    """A weight in the pattern as its kept values and their places.

    Args:
        weight: [outputs, 4 n], at most two of every four not zero.

    Returns:
        Values [outputs, 2 n]; and places, one byte for two groups, two bits for each of their four values, the first lowest.

    Raises:
        WinsomeError: the weight is not in the pattern.
    """
    if wrong := wrong_groups(weight):
        raise WinsomeError(f"{wrong:,} groups of four inputs keep more than two weights: packed, some would be lost")
    groups = weight.detach().reshape(-1, 4)
    # The places of what is not zero first, in their order; of emptier groups zeros fill up.
    places = torch.sort((groups == 0).to(torch.int8), dim=1, stable=True).indices[:, :2].sort(1).values
    flat = torch.cat([places.reshape(-1), torch.zeros(-2 * len(places) % 4, dtype=torch.long, device=weight.device)]).reshape(
        -1, 4
    )
    codes = (flat << torch.tensor([0, 2, 4, 6], device=weight.device)).sum(1).to(torch.uint8)
    return groups.gather(1, places).reshape(len(weight), -1), codes


def unpacked(values: Tensor, codes: Tensor) -> Tensor:
    """The weight that `packed` took apart, [outputs, inputs]."""
    shifts = torch.tensor([0, 2, 4, 6], device=codes.device)
    places = ((codes.long()[:, None] >> shifts) & 3).reshape(-1)[: values.numel()].reshape(-1, 2)
    groups = torch.zeros(len(places), 4, dtype=values.dtype, device=values.device)
    return groups.scatter_(1, places, values.reshape(-1, 2)).reshape(len(values), -1)


@torch.no_grad()
def with_semi_structured(network: nn.Module, dtype: torch.dtype, names: tuple[str, ...]) -> nn.Module:
    """A copy of a network on the GPU, in half precision, whose layers of these names run by sparse products.

    Args:
        network: the network with its zeros.
        dtype: torch.float16 or torch.bfloat16.
        names: of layers in the pattern; see `layers_in_pattern`.

    Raises:
        WinsomeError: there is no GPU, the precision is another one, or a layer is not in the pattern.
    """
    if dtype not in TYPES.values():
        raise WinsomeError(
            f"2:4 runs in float16 or bfloat16, got {dtype}: of float32 PyTorch would keep one weight of two, not two of four"
        )
    if not torch.cuda.is_available():
        raise WinsomeError("2:4 runs on a GPU (NVIDIA's of compute capability 8.0 and higher), and there is none here")
    sparse = copy.deepcopy(network).to("cuda", dtype).eval()
    for name in names:
        layer = sparse.get_submodule(name)
        assert isinstance(layer, nn.Linear)
        if reason := why_not(layer):
            raise WinsomeError(f"{name} is not in the pattern 2:4: {reason}")
        layer.weight = nn.Parameter(to_sparse_semi_structured(layer.weight.detach().contiguous()), requires_grad=False)
    return sparse


def write_packed(
    network: nn.Module,
    names: tuple[str, ...],
    path: str | os.PathLike[str],
    *,
    dtype: torch.dtype,
    record: Mapping[str, Any] | None = None,
) -> int:
    """Write a network in half precision with the layers of these names packed; returns the file's bytes.

    Args:
        network: the network with its zeros, in any precision.
        names: of layers in the pattern.
        path: the file.
        dtype: torch.float16 or torch.bfloat16.
        record: which network it is (`NetworkSpec.record()`), so that it can be loaded without one.

    Raises:
        WinsomeError: a layer is not in the pattern, or the disk refuses.
    """
    state = network.state_dict().items()
    tensors = {name: value.to("cpu", dtype if value.is_floating_point() else None) for name, value in state}
    for name in names:
        parts = packed(tensors.pop(f"{name}.weight"))
        tensors |= {f"{name}.{part}": value for part, value in zip(_PARTS, parts, strict=True)}
    return write(path, FORM, tensors, layers=list(names), network=record)


def read_packed(path: str | os.PathLike[str], model: nn.Module | None = None) -> nn.Module:
    """The network of a packed file in half precision, for evaluation: on a GPU by sparse products, else dense with its zeros.

    Args:
        path: the file.
        model: the network that it was made from, with any weights; it is changed. None: the file says which.

    Raises:
        WinsomeError: the file is damaged, of another form, or made from another network.
    """
    tensors, head = read(path, FORM)
    for name in head["layers"]:
        tensors[f"{name}.weight"] = unpacked(*(tensors.pop(f"{name}.{part}") for part in _PARTS))
    network = network_for(head, model, path).eval()
    resize(network, tensors)
    if not torch.cuda.is_available():
        return network
    dtype = next(value.dtype for value in tensors.values() if value.is_floating_point())
    return with_semi_structured(network, dtype, tuple(head["layers"]))

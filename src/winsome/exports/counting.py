"""Count: parameters, FLOPs and bytes of a network, layer by layer, dense and with what a ticket keeps."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from winsome.exports.outputs import Example, arguments
from winsome.signed_mask import SignedMask, matching_parameters

BY_WEIGHTS = ("mm", "addmm", "convolution", "_convolution", "linear", "addmv", "mv")  # whose FLOPs are those of kept weights


@dataclass(frozen=True)
class LayerCost:
    """What one layer holds and does, and what of it the kept weights hold and do.

    Attributes:
        parameters: all, and those that are not pruned.
        flops: of one forward pass on the example, all, and those of what is not pruned; a multiplication and an addition are
            two.
        n_bytes: of the parameters' values, all, and of those that are not pruned.
        counted: whether torch counts what its pruned weights do; recurrent layers it does not.
    """

    parameters: tuple[int, int]
    flops: tuple[int, int]
    n_bytes: tuple[int, int]
    counted: bool = True

    def __add__(self, other: LayerCost) -> LayerCost:
        pairs = zip((self.parameters, self.flops, self.n_bytes), (other.parameters, other.flops, other.n_bytes), strict=True)
        parameters, flops, n_bytes = ((one[0] + two[0], one[1] + two[1]) for one, two in pairs)
        return LayerCost(parameters, flops, n_bytes, self.counted and other.counted)


def total_cost(layers: Mapping[str, LayerCost]) -> LayerCost:
    """The sum of all layers."""
    return sum(layers.values(), LayerCost((0, 0), (0, 0), (0, 0)))


def layer_costs(model: nn.Module, mask: SignedMask, example: Example) -> dict[str, LayerCost]:
    """What every layer costs, by its name, by `torch.utils.flop_counter` in evaluation mode.

    A weight of a convolution or linear layer does the same number of FLOPs as any other of it, so that those that are kept do
    the kept fraction of them. What is no product with weights (attention's scores) is done in full by both.

    Args:
        model: the network; it is not changed.
        mask: what is pruned.
        example: inputs; FLOPs are those of all its examples together.

    Raises:
        WinsomeError: the model lacks a masked parameter or has it in another shape.
    """
    matching_parameters(mask, model)
    by_module = _flops(model, example)
    root = type(model).__name__
    costs: dict[str, LayerCost] = {}
    seen: set[int] = set()
    multiplied: set[str] = set()  # by a layer that is not their own: attention multiplies by its out_proj's weight
    for name, module in model.named_modules():
        path = f"{root}.{name}".rstrip(".")
        own = _own(path, by_module)
        dense, products = sum(own.values()), sum(count for op, count in own.items() if op in BY_WEIGHTS)
        held = {f"{name}.{key}".lstrip("."): p for key, p in module.named_parameters(recurse=False) if id(p) not in seen}
        seen |= {id(p) for p in held.values()}
        if not held and not dense:
            continue
        weights = _matrices(name, module)
        multiplied |= set(weights) if products else set()
        total, kept = _counts(weights, mask)
        sparse = dense - products + (round(products * kept / total) if total else products)
        all_held, kept_held = _counts(held, mask)
        size = max((p.element_size() for p in held.values()), default=0)
        counted = not any(key in mask and key not in multiplied for key in held)
        costs[name] = LayerCost((all_held, kept_held), (dense, sparse), (all_held * size, kept_held * size), counted)
    return costs


def _flops(model: nn.Module, example: Example) -> dict[str, dict[str, int]]:
    """FLOPs by module's path and operation, those of its children included."""
    positional, named = arguments(example)
    network = copy.deepcopy(model).eval()
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # its one operation is not counted
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            network(*positional, **named)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    counts = counter.get_flop_counts()
    return {path: {str(op).rpartition(".")[2]: int(n) for op, n in ops.items()} for path, ops in counts.items()}


def _own(path: str, by_module: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """FLOPs of a module without those of the modules in it."""
    if path not in by_module:
        return {}
    inside = [other for other in by_module if other.startswith(f"{path}.")]
    nearest = [other for other in inside if not any(other.startswith(f"{between}.") for between in inside)]
    return {op: n - sum(by_module[child].get(op, 0) for child in nearest) for op, n in by_module[path].items()}


def _matrices(name: str, module: nn.Module) -> dict[str, Tensor]:
    """The matrices that a module multiplies by: its own, of attention its children's too."""
    parameters = module.named_parameters(recurse=isinstance(module, nn.MultiheadAttention))
    return {f"{name}.{key}".lstrip("."): p for key, p in parameters if p.ndim > 1}


def _counts(parameters: Mapping[str, Tensor], mask: SignedMask) -> tuple[int, int]:
    """How many values parameters have, and how many of them are not pruned."""
    layers = mask.layers()
    return (
        sum(p.numel() for p in parameters.values()),
        sum(layers[name].kept if name in layers else p.numel() for name, p in parameters.items()),
    )

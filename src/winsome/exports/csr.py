"""Sparse layers on a CPU: linear layers and 1x1 convolutions as compressed rows times inputs, where that is faster.

`csr @ x.T` is what torch's sparse kernels are good at; `F.linear(x, csr)` is several times slower. How either compares to the
dense product depends on density, size, batch and threads, and on the library behind it, so that every layer is measured as it
will run.
"""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from winsome.errors import WinsomeError
from winsome.exports.container import network_for, read, write
from winsome.exports.outputs import Example, answer
from winsome.exports.resizing import resize
from winsome.exports.timing import milliseconds

FORM = "csr"
PARTS = ("rows", "columns", "values")
DENSEST = 0.5  # a layer denser than this is not tried


class CompressedRows(nn.Module):
    """A linear layer, or a 1x1 convolution, whose weight is stored and multiplied as compressed rows (CSR).

    Args:
        layer: the layer with zeros in its weight; it is not changed.
        weight: its weight in compressed rows; made from the layer's if None.
    """

    def __init__(self, layer: nn.Module, weight: Tensor | None = None) -> None:
        super().__init__()
        assert isinstance(layer, nn.Linear | nn.Conv2d)
        self.stride = layer.stride if isinstance(layer, nn.Conv2d) else None
        self.register_buffer("weight", compressed(layer.weight) if weight is None else weight)
        bias = layer.bias
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone(), requires_grad=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """[..., inputs] to [..., outputs]; of a convolution [B, inputs, H, W] to [B, outputs, H / stride, W / stride]."""
        rows = self.get_buffer("weight")
        if self.stride is None:
            product = (rows @ inputs.reshape(-1, inputs.shape[-1]).t()).t()
            out = product if self.bias is None else product + self.bias
            return out.reshape(*inputs.shape[:-1], -1)
        seen = inputs[..., :: self.stride[0], :: self.stride[1]]
        columns_KBHW = seen.transpose(0, 1)
        product = rows @ columns_KBHW.reshape(len(columns_KBHW), -1)
        if self.bias is not None:
            product = product + self.bias[:, None]
        return product.reshape(-1, *columns_KBHW.shape[1:]).transpose(0, 1)


@dataclass(frozen=True)
class LayerChoice:
    """How one layer runs fastest.

    Attributes:
        density: of its weight.
        dense_ms: median time of the dense layer on its input, milliseconds.
        sparse_ms: the same of its compressed rows.
    """

    density: float
    dense_ms: float
    sparse_ms: float

    @property
    def sparse(self) -> bool:
        """Whether compressed rows are faster."""
        return self.sparse_ms < self.dense_ms


def compressed(weight: Tensor) -> Tensor:
    """A weight [outputs, inputs, ...] as compressed rows [outputs, inputs] with 32-bit indices, which the kernels need."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "sparse CSR is in beta"
        rows = weight.detach().flatten(1).to_sparse_csr()
        return torch.sparse_csr_tensor(
            rows.crow_indices().int(), rows.col_indices().int(), rows.values(), rows.shape, check_invariants=False
        )


def candidates(network: nn.Module) -> dict[str, nn.Linear | nn.Conv2d]:
    """The layers that can run as compressed rows, by name: linear ones and 1x1 convolutions with zeros enough."""
    found: dict[str, nn.Linear | nn.Conv2d] = {}
    for name, module in network.named_modules():
        linear = type(module) is nn.Linear
        pointwise = (
            type(module) is nn.Conv2d and module.kernel_size == (1, 1) and module.groups == 1 and not any(_padding(module))
        )
        if (
            name
            and (linear or pointwise)
            and isinstance(module, nn.Linear | nn.Conv2d)
            and density_of(module.weight) <= DENSEST
        ):
            found[name] = module
    return found


def _padding(module: nn.Module) -> tuple[int, ...]:
    padding = module.padding
    return (0,) if isinstance(padding, str) else tuple(padding)  # type: ignore[arg-type]


def density_of(weight: Tensor) -> float:
    """Which fraction of a weight is not zero."""
    return int(torch.count_nonzero(weight)) / max(1, weight.numel())


@torch.inference_mode()
def choices(network: nn.Module, example: Example, *, seconds: float = 0.5) -> dict[str, LayerChoice]:
    """Every layer that can run as compressed rows, measured dense and sparse on what it gets from the example.

    Args:
        network: with zeros where its ticket prunes, in evaluation mode.
        example: inputs of the batch size that it will run with; threads are those that torch has now.
        seconds: for each layer.

    Raises:
        WinsomeError: no layer can, or none is called.
    """
    layers = candidates(network)
    if not layers:
        raise WinsomeError(
            f"{type(network).__name__} has no linear layer and no 1x1 convolution of density {DENSEST:g} or less: "
            "torch has no sparse kernels for others"
        )
    inputs = _inputs_of(network, layers, example)
    found = {}
    for name, layer in layers.items():
        if name not in inputs:
            continue  # never called with the example, or its weight only is read
        given, sparse = inputs[name], CompressedRows(layer)
        calls = {"dense": partial(layer, given), "sparse": partial(sparse, given)}
        times = milliseconds(calls, seconds=seconds, least=3, most=15)
        found[name] = LayerChoice(density_of(layer.weight), median(times["dense"]), median(times["sparse"]))
    if not found:
        raise WinsomeError(
            f"no layer of {type(network).__name__} is called by itself on the example: none can run as compressed rows"
        )
    return found


def _inputs_of(network: nn.Module, layers: Mapping[str, nn.Module], example: Example) -> dict[str, Tensor]:
    """What each layer gets first from the example."""
    inputs: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def see(_: nn.Module, given: tuple[Any, ...]) -> None:
            inputs.setdefault(name, given[0].detach())

        return see

    hooks = [layer.register_forward_pre_hook(keep(name)) for name, layer in layers.items()]
    try:
        answer(network, example)
    finally:
        for hook in hooks:
            hook.remove()
    return inputs


def with_compressed_rows(network: nn.Module, names: list[str]) -> nn.Module:
    """A copy of a network in which the layers of these names run as compressed rows."""
    sparse = copy.deepcopy(network).eval()
    for name in names:
        _replace(sparse, name, CompressedRows(sparse.get_submodule(name)))
    return sparse


def _replace(network: nn.Module, name: str, layer: nn.Module) -> None:
    owner, _, own = name.rpartition(".")
    setattr(network.get_submodule(owner), own, layer)


def write_compressed(network: nn.Module, path: str | os.PathLike[str], *, record: Mapping[str, Any] | None = None) -> int:
    """Write a network that `with_compressed_rows` made; returns the file's bytes.

    Args:
        network: the network.
        path: the file.
        record: which network it was (`NetworkSpec.record()`), so that it can be loaded without one.

    Raises:
        WinsomeError: the disk refuses.
    """
    layers = {
        name: module.get_buffer("weight") for name, module in network.named_modules() if isinstance(module, CompressedRows)
    }
    tensors = {name: value for name, value in network.state_dict().items() if value.layout == torch.strided}
    for name, rows in layers.items():
        parts = (rows.crow_indices(), rows.col_indices(), rows.values())
        tensors |= {f"{name}.{part}": value for part, value in zip(PARTS, parts, strict=True)}
    return write(path, FORM, tensors, layers={name: list(rows.shape) for name, rows in layers.items()}, network=record)


def read_compressed(path: str | os.PathLike[str], model: nn.Module | None = None) -> nn.Module:
    """The network of a file in compressed rows, in evaluation mode, as it was measured.

    Args:
        path: the file.
        model: the network that it was made from, with any weights; it is changed. None: the file says which.

    Raises:
        WinsomeError: the file is damaged, of another form, or made from another network.
    """
    tensors, head = read(path, FORM)
    network = network_for(head, model, path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, shape in head["layers"].items():
            rows, columns, values = (tensors.pop(f"{name}.{part}") for part in PARTS)
            weight = torch.sparse_csr_tensor(rows, columns, values, shape)
            _replace(network, name, CompressedRows(network.get_submodule(name), weight))
            tensors[f"{name}.weight"] = weight
    resize(network, tensors)
    return network.eval()

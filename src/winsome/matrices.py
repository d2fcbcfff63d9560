"""Matrix-valued weights by role: what people would call a weight, and along which of its axes the inputs lie."""

from __future__ import annotations

import re
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from winsome.errors import WinsomeError

LAYERS = (_ConvNd, nn.Linear)
_RECURRENT = (nn.RNNBase, nn.RNNCellBase)
_ATTENTION = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")
_OF_A_MATRIX = frozenset({"weight", "weights", "kernel", "kernels", "proj", "projection", "w"})  # the last word of a name


@dataclass(frozen=True)
class Role:
    """How a parameter is used as a weight.

    Attributes:
        name: of the role: "linear layer".
        input_axis: the axis that a product sums over (of a convolution, the channels that come in).
        output_axis: the axis of outputs.
        stacked: how many leading axes count matrices (experts) instead of being a side of one.
    """

    name: str
    input_axis: int = 1
    output_axis: int = 0
    stacked: int = 0


LINEAR = Role("linear layer")
CONVOLUTION = Role("convolution")
TRANSPOSED_CONVOLUTION = Role("transposed convolution", 0, 1)
CONV1D = Role("linear layer with its inputs first (Conv1D)", 0, 1)
ATTENTION = Role("attention's projection")
RECURRENT = Role("recurrent layer")
BILINEAR = Role("bilinear layer", 1, 0)
EXPERTS = Role("experts", 2, 1, 1)
EXPERTS_INPUTS_FIRST = Role("experts with their inputs first", 1, 2, 1)
MATRIX = Role("matrix")
MATRICES = Role("stack of matrices", 2, 1, 1)


def role_of(owner: nn.Module, kind: str, parameter: Tensor) -> Role | None:
    """The role of a parameter as a weight; None for one that has none (a bias, a scale, an embedding, a position).

    By torch's class where it is one of torch's or derived from it, of transformers by the class's name (`Conv1D`). Other
    modules' own parameters are weights if the last word of their name says so (`weight`, `kernel`, `proj`) and two or more of
    their sides are longer than 1: [outputs, inputs], as torch has it, of three axes a stack of these (experts), of four or five
    a convolution.

    Args:
        owner: the module that holds it.
        kind: its name there.
        parameter: its value.
    """
    if isinstance(owner, LAYERS):
        if kind != "weight":
            return None
        transposed = TRANSPOSED_CONVOLUTION if isinstance(owner, _ConvTransposeNd) else CONVOLUTION
        return transposed if isinstance(owner, _ConvNd) else LINEAR
    if isinstance(owner, nn.MultiheadAttention):
        return ATTENTION if kind in _ATTENTION else None
    if isinstance(owner, _RECURRENT):
        return RECURRENT if kind.startswith("weight") else None
    if isinstance(owner, nn.Bilinear):
        return BILINEAR if kind == "weight" else None
    if is_embedding(owner) or "norm" in type(owner).__name__.lower():
        return None
    if type(owner).__name__ == "Conv1D" and kind == "weight" and parameter.ndim == 2:
        return CONV1D
    return _by_name(owner, kind, parameter)


def _by_name(owner: nn.Module, kind: str, parameter: Tensor) -> Role | None:
    last = re.split(r"[_\d.]+", kind.lower().rstrip("_0123456789"))[-1]
    if last not in _OF_A_MATRIX or sum(side > 1 for side in parameter.shape) < 2:
        return None
    if parameter.ndim == 3:
        if re.search(r"expert|moe", type(owner).__name__.lower()):
            return EXPERTS_INPUTS_FIRST if getattr(owner, "is_transposed", False) else EXPERTS
        return MATRICES
    return {2: MATRIX, 4: CONVOLUTION, 5: CONVOLUTION}.get(parameter.ndim)


def is_embedding(owner: nn.Module) -> bool:
    """Whether a module looks rows up: torch's embeddings, and classes that are called one."""
    return isinstance(owner, nn.Embedding | nn.EmbeddingBag) or "embedding" in type(owner).__name__.lower()


def roles(model: nn.Module) -> dict[str, Role]:
    """The parameters that are weights, by name (a shared one under its first), in the model's order.

    One that has a role under any of its names has it: a linear layer's weight that is an embedding's as well.
    """
    by_id: dict[int, Role] = {}
    for module in model.modules():
        for kind, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            if (role := role_of(module, kind, parameter)) is not None:
                by_id.setdefault(id(parameter), role)
    return {name: by_id[id(parameter)] for name, parameter in model.named_parameters() if id(parameter) in by_id}


def input_axis(model: nn.Module, name: str) -> int:
    """The axis of a weight along which its inputs lie: 1 of most layers, 0 of transposed convolutions and `Conv1D`.

    Of a grouped convolution it holds the inputs of one group. A parameter that is no weight by its role, but is pruned since
    its name says so, counts as [outputs, inputs, ...].

    Args:
        model: the network.
        name: of a parameter, as in `model.named_parameters()`.

    Raises:
        WinsomeError: the model has no such parameter, or it has less than two axes.
    """
    parameters = dict(model.named_parameters())
    if name not in parameters:
        raise WinsomeError(f"the model has no parameter {name!r}; see winsome.plan(model) for its names")
    if (role := roles(model).get(name)) is not None:
        return role.input_axis
    if parameters[name].ndim < 2:
        raise WinsomeError(f"{name!r} has {parameters[name].ndim} axes: it has no inputs that a product sums over")
    return 1


def input_axes(model: nn.Module) -> dict[str, int]:
    """The input axis of every parameter that is a weight by its role; see `input_axis`."""
    return {name: role.input_axis for name, role in roles(model).items()}


def experts(model: nn.Module) -> dict[str, int]:
    """How many matrices a weight holds that is a stack of them, by name; weights of one matrix are left out."""
    parameters = dict(model.named_parameters())
    return {name: len(parameters[name]) for name, role in roles(model).items() if role.stacked}

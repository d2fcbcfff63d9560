"""Which module's forward reads a parameter, and which parameters a layer's tensor is computed from."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList, is_parametrized

_OLDER = ("orig", "g", "v")  # weight_orig of torch's older spectral_norm and of torch.nn.utils.prune; weight_g, weight_v


def has_forward(module: nn.Module) -> bool:
    """Whether a module computes something: a list or dict of parameters or of modules only holds them."""
    return "forward" in vars(module) or type(module).forward is not nn.Module.forward


def readers(model: nn.Module) -> dict[nn.Module, tuple[nn.Module, str]]:
    """The modules whose parameters another one's forward reads: that one, and their name from there.

    A container (`nn.ParameterDict`) is read by the next module above it that computes something; an attention multiplies by its
    `out_proj` itself.
    """
    modules = dict(model.named_modules())
    found: dict[nn.Module, tuple[nn.Module, str]] = {}
    for name, module in modules.items():
        if isinstance(module, nn.MultiheadAttention):
            found[module.out_proj] = module, "out_proj"
        above = name
        while above and not has_forward(modules[above]):
            above = above.rpartition(".")[0]
        if above != name and has_forward(modules[above]):
            found[module] = modules[above], name.removeprefix(f"{above}.") if above else name
    return found


def computing(model: nn.Module) -> dict[tuple[nn.Module, str], tuple[str, str]]:
    """What is computed from parameters: {(the module that holds one, its name there): (layer's name, name of the tensor)}.

    By `torch.nn.utils.parametrize`, on which `torch.nn.utils.parametrizations` build, or by the older hooks that leave the
    tensor in the layer as a plain attribute: `weight_norm`, `spectral_norm` and `torch.nn.utils.prune`.
    """
    found: dict[tuple[nn.Module, str], tuple[str, str]] = {}
    for name, layer in model.named_modules():
        for tensor, one in parametrisations(layer):
            for inner in one.modules():
                found |= {(inner, kind): (name, tensor) for kind in inner._parameters}
        for kind in layer._parameters:
            if tensor := _by_older_hook(layer, kind):
                found[layer, kind] = name, tensor
    return found


def parametrisations(layer: nn.Module) -> Iterator[tuple[str, ParametrizationList]]:
    """The parametrised tensors of a layer."""
    if is_parametrized(layer):
        for tensor, one in layer.get_submodule("parametrizations").named_children():
            if isinstance(one, ParametrizationList):
                yield tensor, one


def _by_older_hook(layer: nn.Module, kind: str) -> str:
    tensor, _, last = kind.rpartition("_")
    made = last in _OLDER and tensor not in layer._parameters and isinstance(vars(layer).get(tensor), Tensor)
    return tensor if made else ""

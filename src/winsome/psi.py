"""psi: the parameters of normalisation, found by what they are, each with its identity; or any parameters that are chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from winsome.errors import WinsomeError
from winsome.matrices import LAYERS, is_embedding
from winsome.norm_probe import acts_entry_by_entry, probed_identity

# BatchNorm 1-3d, SyncBatchNorm and InstanceNorm are _NormBase; layers without parameters have no psi.
_RECURRENT = (nn.RNNBase, nn.RNNCellBase)
_CALLED = ("norm", "grn")
NORM_LAYERS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
Toward = Literal["identity", "start"] | float

# Names or globs, of parameters or of modules (all their own parameters); or a predicate, called with a parameter's name and
# the module that holds it. None: the parameters of all norms that are found.
Which = str | Sequence[str] | Callable[[str, nn.Module], bool] | None


def hashable(which: Which) -> Which:
    """The choice as a part of a method keeps it: a method is known by the values of its parts, and a list has no hash."""
    return tuple(which) if isinstance(which, list) else which


@dataclass(frozen=True)
class Chosen:
    """A parameter that is interpolated, frozen or rewound, and where it is read."""

    owner: nn.Module
    kind: str  # its name there
    parameter: nn.Parameter


def is_norm(module: nn.Module, name: str = "") -> bool:
    """Whether a module is normalisation.

    One of torch's classes or derived from it; a class with an attribute `psi_init`; or a module that is called a norm (or GRN,
    global response normalisation), by its class or by its name in the network, holds no other modules with parameters, and has
    parameters of its own of which each has one value a channel (one side longer than 1), as LlamaRMSNorm, T5LayerNorm or
    apex's FusedLayerNorm; or one a channel of each head, as CohereLayerNorm's, if trying it shows that it is no matrix.
    """
    if isinstance(module, NORM_LAYERS) or hasattr(type(module), "psi_init"):
        return True
    names = type(module).__name__.lower(), name.rpartition(".")[2].lower()
    called = any(word in one for one in names for word in _CALLED)
    if not called or isinstance(module, LAYERS) or is_embedding(module):
        return False
    own = list(module.parameters(recurse=False))
    if not own or len(own) != sum(1 for _ in module.parameters()):
        return False
    named = module.named_parameters(recurse=False)
    return all(_per_channel(one) or (one.ndim == 2 and acts_entry_by_entry(module, kind)) for kind, one in named)


def _per_channel(parameter: Tensor) -> bool:
    return parameter.is_floating_point() and parameter.ndim > 0 and parameter.numel() == max(parameter.shape)


def norm_layers(model: nn.Module) -> dict[str, nn.Module]:
    """The normalisation layers of a model by name, those without parameters and statistics included."""
    return {name: module for name, module in model.named_modules() if is_norm(module, name)}


def chosen(model: nn.Module, which: Which = None) -> dict[str, Chosen]:
    """The parameters of a choice by their names in the model; those of all norms by default.

    The default: the parameters of every module that `is_norm`, and the `gain` of weight-standardised layers: a parameter of
    that name of a convolution or linear layer, one value an output channel (timm's `ScaledStdConv2d`).

    Args:
        model: the network.
        which: names, globs or a predicate, see `Which`.

    Raises:
        WinsomeError: a name or pattern matches nothing.
    """
    everything = dict(_everything(model))
    if which is None:
        return {name: one for name, one in everything.items() if _is_psi(name, one)}
    if not isinstance(which, str) and callable(which):
        return {name: one for name, one in everything.items() if which(name, one.owner)}
    patterns = (which,) if isinstance(which, str) else tuple(which)
    matching = {pattern: [name for name in everything if _matches(name, pattern)] for pattern in patterns}
    for pattern, names in matching.items():
        if not names:
            examples = ", ".join(list(everything)[:5])
            raise WinsomeError(
                f"{pattern!r} matches no parameter and no module that has one; parameters are named like {examples}"
            )
    wanted = {name for names in matching.values() for name in names}
    return {name: one for name, one in everything.items() if name in wanted}


def biases(name: str, owner: nn.Module) -> bool:
    """The biases of layers that multiply by a matrix: a choice of what is interpolated or frozen."""
    kind = name.rpartition(".")[2]
    return (kind == "bias" and _multiplies(owner)) or (isinstance(owner, _RECURRENT) and kind.startswith("bias"))


def _multiplies(owner: nn.Module) -> bool:
    weight = owner._parameters.get("weight")
    return isinstance(owner, LAYERS) or (weight is not None and weight.ndim > 1 and not is_norm(owner))


def norm_parameters(model: nn.Module, which: Which = None) -> dict[str, nn.Parameter]:
    """psi: the parameters of all normalisation layers, or of a choice, by their names in the model."""
    return {name: one.parameter for name, one in chosen(model, which).items()}


def norm_state_names(model: nn.Module, which: Which = None) -> frozenset[str]:
    """The state_dict names of everything in normalisation layers, or of a choice: parameters and running statistics."""
    found = chosen(model, which)
    owners = {id(one.owner) for one in found.values()}
    layers = {name: layer for name, layer in norm_layers(model).items() if which is None or id(layer) in owners}
    statistics = {
        f"{name}.{key}" if name else key
        for name, layer in layers.items()
        for key in layer.state_dict()
        if key not in layer._parameters
    }
    return frozenset(statistics | set(found))


def identities(found: Mapping[str, Chosen]) -> dict[str, float]:
    """The value of every parameter at which it does nothing: gamma = 1, beta = 0; w = 0 of a norm that computes x * (1 + w).

    Of torch's layers as they are defined; of a class with `psi_init = {"weight": 1.0}` as that says; of every other layer it
    is found by trying: its forward on random inputs with the parameter at 0, 1 and 2.

    Raises:
        WinsomeError: that of some cannot be known; names them.
    """
    values = {name: identity_of(one) for name, one in found.items()}
    if unknown := [name for name, value in values.items() if value is None]:
        first = found[unknown[0]]
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        kind = type(first.owner).__name__
        raise WinsomeError(
            f"the value at which {unknown[0]}{more} ({kind}) does nothing cannot be known by trying: say what it is "
            f'({kind}.psi_init = {{{first.kind!r}: 1.0}}), go toward the start instead (toward="start"), or choose the '
            "parameters by name (norms=...)"
        )
    return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class Goal:
    """A parameter and the value that it is interpolated toward, or frozen at."""

    owner: nn.Module
    kind: str  # its name there
    parameter: nn.Parameter
    value: float | Tensor

    def like(self, psi: Tensor) -> Tensor:
        """The value in the parameter's shape and number format, on its device."""
        return torch.full_like(psi, self.value) if isinstance(self.value, float) else self.value.to(psi.device, psi.dtype)


def goals(
    model: nn.Module, which: Which = None, toward: Toward = "identity", start: Mapping[str, Tensor] | None = None
) -> dict[str, Goal]:
    """The parameters of a choice, each with where it goes, by name.

    Args:
        model: the network.
        which: see `Which`; all norms by default.
        toward: "identity", where each does nothing (gamma = 1, beta = 0; arXiv:2504.05357); "start", its value in the network
            that the search began with; or a number.
        start: that network's state; what the parameters are now, if not given.

    Raises:
        WinsomeError: an identity that cannot be known; a name that matches nothing, or that the start lacks.
    """
    found = chosen(model, which)
    values: Mapping[str, float | Tensor]
    if toward == "identity":
        values = identities(found)
    elif toward == "start":
        begun = start if start is not None else {name: one.parameter for name, one in found.items()}
        if unknown := [name for name in found if name not in begun]:
            raise WinsomeError(
                f"{unknown[0]!r} was not in the network that the search began with: it cannot go toward its start"
            )
        values = {name: begun[name].detach().clone() for name in found}
    else:
        values = dict.fromkeys(found, float(toward))
    return {name: Goal(one.owner, one.kind, one.parameter, values[name]) for name, one in found.items()}


def identity_of(one: Chosen) -> float | None:
    """The identity of a parameter; None where it cannot be known."""
    layer, kind = one.owner, one.kind
    own: Mapping[str, float] | None = getattr(type(layer), "psi_init", None)
    usual = 1.0 if kind == "weight" else 0.0
    if own is not None:
        return own.get(kind, usual)
    if isinstance(layer, NORM_LAYERS):
        if type(layer).__module__.partition(".")[0] in ("torch", "winsome"):
            return usual
        tried = probed_identity(layer, kind)
        return usual if tried is None else tried  # with an activation in it (timm's BatchNormAct2d) it cannot be tried
    if (kind == "bias" and _multiplies(layer)) or (isinstance(layer, _RECURRENT) and kind.startswith("bias")):
        return 0.0
    return probed_identity(layer, kind)


def _everything(model: nn.Module) -> Iterator[tuple[str, Chosen]]:
    for name, module in model.named_modules():
        for kind, parameter in module.named_parameters(recurse=False):
            yield (f"{name}.{kind}" if name else kind), Chosen(module, kind, parameter)


def _is_psi(name: str, one: Chosen) -> bool:
    if isinstance(one.owner, LAYERS):
        return one.kind == "gain" and _per_channel(one.parameter)
    return is_norm(one.owner, name.rpartition(".")[0])


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or fnmatchcase(name.rpartition(".")[0], pattern)

"""psi: the parameters of normalisation, found by what they are, each with its identity; or any parameters that are chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from winsome.errors import WinsomeError
from winsome.matrices import LAYERS, is_embedding
from winsome.norm_probe import acts_entry_by_entry, probed_identity
from winsome.read_by import computing, has_forward, parametrisations, readers

# BatchNorm 1-3d, SyncBatchNorm and InstanceNorm are _NormBase; layers without parameters have no psi.
_RECURRENT = (nn.RNNBase, nn.RNNCellBase)
_CALLED = ("norm", "grn")
NORM_LAYERS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
Toward = Literal["identity", "start"] | float

FOUND = "found"  # in a choice by names: the parameters of all norms that are found

# Names or globs, of parameters or of modules (all their own parameters), "found" for those of all norms that are found; or a
# predicate, called with a parameter's name and the module that holds it. None: the parameters of all norms that are found.
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
    reader: nn.Module  # whose forward reads it: mostly its owner
    path: str  # its name from there
    layer: str  # the name of the layer that it is of
    computes: str = ""  # the tensor of that layer that is computed from it, if it is not read as it is


def is_norm(module: nn.Module, name: str = "") -> bool:
    """Whether a module is normalisation.

    One of torch's classes or derived from it; one with an attribute `psi_init`; or a module that is called a norm (or GRN,
    global response normalisation), by its class or by its name in the network, computes something, holds no other modules with
    parameters, and has parameters of its own of which each has one value a channel (at most one side longer than 1), as
    LlamaRMSNorm, T5LayerNorm or apex's FusedLayerNorm; or one a channel of each head, as CohereLayerNorm's, if trying it shows
    that it is no matrix. What its parameters are computed from (a parametrisation) counts as they do.
    """
    if isinstance(module, NORM_LAYERS) or _said_identities(module) is not None:
        return True
    names = type(module).__name__.lower(), name.rpartition(".")[2].lower()
    called = any(word in one for one in names for word in _CALLED)
    if not called or isinstance(module, LAYERS) or is_embedding(module) or not has_forward(module):
        return False
    own = dict(module.named_parameters(recurse=False))
    behind = [one for _, made in parametrisations(module) for one in made.parameters(recurse=False)]
    inside = {id(p) for _, made in parametrisations(module) for p in made.parameters()} | {id(p) for p in own.values()}
    if not (own or behind) or any(id(p) not in inside for p in module.parameters()):
        return False
    alone = (_per_channel(one) or (one.ndim == 2 and acts_entry_by_entry(module, kind)) for kind, one in own.items())
    return all(map(_per_channel, behind)) and all(alone)


def _said_identities(module: nn.Module) -> Mapping[str, float] | None:
    said = getattr(module, "psi_init", None)
    return said if isinstance(said, Mapping) else None


def _per_channel(parameter: Tensor) -> bool:
    return parameter.is_floating_point() and parameter.numel() == max(parameter.shape, default=1)


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
    every = everything(model)
    if which is None:
        psi = _psi_names(model, every)
        return {name: one for name, one in every.items() if name in psi}
    if not isinstance(which, str) and callable(which):
        return {name: one for name, one in every.items() if which(name, one.owner)}
    patterns = (which,) if isinstance(which, str) else tuple(which)
    matching = {pattern: [name for name, one in every.items() if _matches(name, one, pattern)] for pattern in patterns}
    for pattern, names in matching.items():
        if not names and pattern != FOUND:
            examples = ", ".join(list(every)[:5])
            raise WinsomeError(
                f"{pattern!r} matches no parameter and no module that has one; parameters are named like {examples}"
            )
    wanted = {name for names in matching.values() for name in names}
    wanted |= _psi_names(model, every) if FOUND in patterns else frozenset()
    return {name: one for name, one in every.items() if name in wanted}


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
    of = {one.layer for one in found.values()}
    layers = {name: layer for name, layer in norm_layers(model).items() if which is None or name in of}
    statistics = {
        f"{name}.{key}" if name else key
        for name, layer in layers.items()
        for key in layer.state_dict().keys() - dict(layer.named_parameters(remove_duplicate=False)).keys()
    }
    return frozenset(statistics | set(found))


def identities(found: Mapping[str, Chosen]) -> dict[str, float]:
    """The value of every parameter at which it does nothing: gamma = 1, beta = 0; w = 0 of a norm that computes x * (1 + w).

    Of torch's layers as they are defined; of a class, or a layer, with `psi_init = {"weight": 1.0}` as that says; of every
    other layer it is found by trying: its forward on random inputs with the parameter at 0, 1 and 2.

    Raises:
        WinsomeError: that of some cannot be known; names them.
    """
    _refuse_computed(found)
    values = {name: identity_of(one) for name, one in found.items()}
    if unknown := [name for name, value in values.items() if value is None]:
        first = found[unknown[0]]
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        kind = type(first.reader).__name__
        say = f"say what it is ({kind}.psi_init = {{{first.kind!r}: 1.0}}, or the attribute psi_init of one such layer), "
        raise WinsomeError(
            f"the value at which {unknown[0]}{more} ({kind}) does nothing cannot be known by trying: "
            f'{say if first.reader is first.owner else ""}go toward the start instead (toward="start"), or choose the '
            "parameters by name (norms=...)"
        )
    return {name: value for name, value in values.items() if value is not None}


def _refuse_computed(found: Mapping[str, Chosen]) -> None:
    """Refuse to set what a layer's tensor is computed from: which value of it does nothing to that tensor is not known."""
    for name, one in found.items():
        if one.computes:
            tensor = one.computes
            older = f"torch.nn.utils.remove_weight_norm(layer), remove_spectral_norm(layer) or prune.remove(layer, {tensor!r})"
            newer = f"torch.nn.utils.parametrize.remove_parametrizations(layer, {tensor!r})"
            raise WinsomeError(
                f"the {tensor} of {one.layer or 'the model'!r} is computed from {name} (a parametrisation, weight_norm, "
                "spectral_norm or torch.nn.utils.prune), of which no value is known that does nothing: take that off first "
                f'({older if one.kind.startswith(f"{tensor}_") else newer}), go toward the start instead (toward="start"), or '
                "choose the parameters of other layers by name (norms=...)"
            )


@dataclass(frozen=True)
class Goal:
    """A parameter and the value that it is interpolated toward, or frozen at."""

    owner: nn.Module
    kind: str  # its name there
    parameter: nn.Parameter
    reader: nn.Module  # whose forward reads it: mostly its owner
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
        WinsomeError: an identity that cannot be known; a name that matches nothing, or that the start lacks; a tensor that is
            computed from others, but toward the start.
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
        _refuse_computed(found)
        values = dict.fromkeys(found, float(toward))
    return {name: Goal(one.owner, one.kind, one.parameter, one.reader, values[name]) for name, one in found.items()}


def scale_of(norm: nn.Module) -> Chosen:
    """The weight of a norm."""
    return Chosen(norm, "weight", norm.get_parameter("weight"), norm, "weight", "norm")


def identity_of(one: Chosen) -> float | None:
    """The identity of a parameter; None where it cannot be known."""
    layer, kind = one.owner, one.kind
    said = _said_identities(layer)
    if said is not None and kind in said:
        return said[kind]
    if isinstance(layer, NORM_LAYERS):
        usual = {"weight": 1.0, "bias": 0.0}.get(kind)
        if usual is not None and type(layer).__module__.partition(".")[0] in ("torch", "winsome"):
            return usual
        tried = probed_identity(layer, kind)
        return usual if tried is None else tried  # with an activation in it (timm's BatchNormAct2d) it cannot be tried
    if (kind == "bias" and _multiplies(layer)) or (isinstance(layer, _RECURRENT) and kind.startswith("bias")):
        return 0.0
    return probed_identity(one.reader, one.path, residual=is_norm(layer, one.layer))


def everything(model: nn.Module) -> dict[str, Chosen]:
    """Every parameter by its name, a shared one under each of its own, and where it is read."""
    read, computed = readers(model), computing(model)
    found = {}
    for name, module in model.named_modules():
        reader, path = read.get(module, (module, ""))
        for kind, parameter in module.named_parameters(recurse=False):
            layer, computes = computed.get((module, kind), (name, ""))
            whole = f"{path}.{kind}" if path else kind
            found[f"{name}.{kind}" if name else kind] = Chosen(module, kind, parameter, reader, whole, layer, computes)
    return found


def _psi_names(model: nn.Module, every: Mapping[str, Chosen]) -> frozenset[str]:
    """The parameters of all norms, and the gains of weight-standardised layers."""
    modules = dict(model.named_modules())
    layers = {name: modules[name] for name in dict.fromkeys(one.layer for one in every.values())}
    norms = {name for name, layer in layers.items() if not isinstance(layer, LAYERS) and is_norm(layer, name)}
    gains = {name for name, one in every.items() if (one.computes or one.kind) == "gain" and _per_channel(one.parameter)}
    standardised = {name for name in gains if isinstance(layers[every[name].layer], LAYERS)}
    return frozenset({name for name, one in every.items() if one.layer in norms} | standardised)


def _matches(name: str, one: Chosen, pattern: str) -> bool:
    held = name.rpartition(".")[0]
    return any(fnmatchcase(path, pattern) for path in (name, held, *([one.layer] if one.computes else [])))

"""Which weights may be pruned, by layer type and name, and the plan that says so before a run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from fnmatch import fnmatchcase

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from winsome.bare_scales import bare_scales
from winsome.classifiers import classifiers
from winsome.errors import WinsomeError
from winsome.matrices import LAYERS, is_embedding, role_of, roles
from winsome.planned import Plan, PlannedParameter
from winsome.psi import Which, chosen

log = logging.getLogger("winsome")

MUCH = 0.1  # of all matrix weights: if more stay dense for no usual reason, it is said
_COMPUTED = "a layer's weight is computed from it (parametrisation)"
_EMBEDDING = "embedding"
_TIED = "tied to an embedding"
_CLASSIFIER = "classifier"
_COMPLEX = "complex numbers, which have no sign"
_PSI = "psi (normalisation)"
_COMPUTES_PSI = "psi (normalisation) is computed from it (parametrisation)"
_BARE = "a scale or shift outside of norms (norms=... takes it for psi)"


def plan(
    model: nn.Module,
    *,
    prune_classifier: bool = False,
    classifier: str | Sequence[str] | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    norms: Which = None,
) -> Plan:
    """Every parameter of the model in its order: prunable or not, and why, and whether it is psi.

    By default every weight by its role (`winsome.matrices`) is prunable but those of the classifiers (`winsome.classifiers`)
    and of embeddings, tied ones too (arXiv:2504.05357 has convolutions and linear layers but the classifier);
    `prune_classifier` adds the classifiers' (arXiv:2402.19262). Biases, positions and normalisation parameters never are,
    unless `include` names them.

    Args:
        model: the network; it is not changed.
        prune_classifier: prune the classifiers' weights too.
        classifier: module names of the classifiers, where they are not what `winsome.classifiers.output_layers` finds.
        include: glob patterns of parameter names that are prunable whatever their layer (`"encoder.*.position"`).
        exclude: glob patterns of parameter names that are not; they win over `include`.
        norms: which parameters are psi, by name, glob or predicate; those of all norms that are found if None.

    Raises:
        WinsomeError: a pattern or a classifier's name matches nothing; a parameter has no shape or no values yet.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
        >>> [(line.name, line.prunable) for line in plan(model)][:3]
        [('0.weight', True), ('0.bias', False), ('1.weight', False)]
    """
    refuse_unmade(model)
    modules = dict(model.named_modules())
    named = dict(model.named_parameters())
    heads = classifiers(model, classifier)
    for pattern in (*include, *exclude):
        if not any(fnmatchcase(name, pattern) for name in named):
            examples = ", ".join(list(named)[:5])
            raise WinsomeError(f"the pattern {pattern!r} matches no parameter; parameters are named like {examples}")
    head_parameters = {id(p) for head in heads for p in modules[head].parameters()}
    embedded = {id(p) for m in modules.values() if is_embedding(m) for p in m.parameters(recurse=False)}
    psi, bare = chosen(model, norms), bare_scales(model)
    weights = roles(model)
    lines = []
    for name, parameter in named.items():
        owner = modules[name.rpartition(".")[0]]
        role = weights.get(name)
        prunable = False
        if any(fnmatchcase(name, pattern) for pattern in exclude):
            reason = "excluded by name"
        elif any(fnmatchcase(name, pattern) for pattern in include):
            prunable, reason = True, "included by name"
        elif name in psi and psi[name].computes and role is None:
            reason = _COMPUTES_PSI
        elif _is_computed_from(owner, name):
            reason = _CLASSIFIER if id(parameter) in head_parameters else _COMPUTED
        elif parameter.is_complex():
            reason = _COMPLEX
        elif role is None:
            usual = _BARE if name in bare else _no_role(name, parameter, embedded=id(parameter) in embedded)
            reason = _PSI if name in psi else usual
        elif id(parameter) in embedded and not prune_classifier:
            reason = _TIED
        elif id(parameter) in head_parameters and not prune_classifier:
            reason = _CLASSIFIER
        elif not parameter.requires_grad:
            reason = "not trained (requires_grad is False)"
        else:
            prunable, reason = True, f"weight of a {role.name}"
        shape = tuple(parameter.shape)
        lines.append(PlannedParameter(name, type(owner).__name__, shape, prunable, reason, name in psi))
    return Plan(lines)


def _no_role(name: str, parameter: nn.Parameter, *, embedded: bool) -> str:
    last = name.rpartition(".")[2].lower()
    if embedded:
        return _EMBEDDING
    if "bias" in last:
        return "bias"
    if sum(side > 1 for side in parameter.shape) < 2:
        return "not a matrix"
    return "position or token" if any(word in last for word in ("pos", "token", "embed")) else "no weight by its layer or name"


def prunable(
    model: nn.Module,
    *,
    prune_classifier: bool = False,
    classifier: str | Sequence[str] | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> tuple[str, ...]:
    """The names of the prunable parameters, in the model's order; see `plan` for the rules.

    Raises:
        WinsomeError: there is none; a weight is computed from other parameters and not excluded by name; or a pattern or a
            classifier's name matches nothing.

    Example:
        >>> prunable(nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4, 2)))
        ('0.weight',)
    """
    lines = plan(model, prune_classifier=prune_classifier, classifier=classifier, include=include, exclude=exclude)
    if computed := [line.name for line in lines if line.reason == _COMPUTED and sum(side > 1 for side in line.shape) > 1]:
        layers = dict.fromkeys(name.partition(".parametrizations.")[0].partition(".weight_")[0] for name in computed)
        patterns = ", ".join(f"'{layer}.*'" for layer in layers)
        raise WinsomeError(
            f"the weights that {', '.join(computed[:5])} make are computed (weight_norm, spectral_norm, torch.nn.utils.prune "
            "or a parametrisation is on them), so that a mask would not hold on them; take it off first, for example by "
            "torch.nn.utils.parametrize.remove_parametrizations(layer, 'weight') or torch.nn.utils.prune.remove(layer, "
            f"'weight'), or leave them dense by name: prunable(model, exclude=[{patterns}])"
        )
    names = tuple(line.name for line in lines if line.prunable and line.n_weights)
    if not names:
        raise WinsomeError(f"the model has no prunable weights: {_why_none(model, lines)}")
    return names


def _why_none(model: nn.Module, lines: Sequence[PlannedParameter]) -> str:
    quantised = [name for name, m in model.named_modules() if ".quantized" in type(m).__module__ and hasattr(m, "weight")]
    if quantised:
        return f"the weights of {', '.join(quantised[:5])} are quantised; search the network before it is quantised"
    if some := [line.name for line in lines if line.reason == _COMPLEX and len(line.shape) > 1]:
        return f"the weights of {', '.join(some[:5])} are complex numbers, which have no sign"
    if any(line.reason.startswith("not trained") for line in lines):
        return (
            "all layers but the classifier are frozen (requires_grad is False); unfreeze what is to be pruned, or name it "
            "(include=...)"
        )
    return (
        "no convolution or linear layer but the classifier; "
        "name parameters to prune (include=...) or prune the classifier too (prune_classifier=True)"
    )


def warn_of_much_dense(model: nn.Module, prunable_names: Sequence[str], lines: Sequence[PlannedParameter]) -> None:
    """Say which matrices stay dense, if they are more than a tenth of all and no embeddings, positions or classifiers."""
    usual = (_EMBEDDING, _TIED, _CLASSIFIER, "position or token")
    kept = set(prunable_names)
    matrices = [line for line in lines if sum(side > 1 for side in line.shape) > 1 and not line.psi]
    left = [line for line in matrices if line.name not in kept and line.reason not in usual]
    share = sum(line.n_weights for line in left) / max(1, sum(line.n_weights for line in matrices))
    if share > MUCH:
        names = ", ".join(f"{line.name} ({line.reason})" for line in left[:5])
        more = f" and {len(left) - 5} more" if len(left) > 5 else ""
        log.warning(
            "%.0f %% of the matrix weights of %s stay dense: %s%s; to prune them, name them: "
            "find_tickets(..., prunable=winsome.prunable(model, include=[...]))",
            *(100 * share, type(model).__name__, names, more),
        )


def _is_computed_from(owner: nn.Module, name: str) -> bool:
    """Whether a layer's weight follows from this parameter: of a parametrisation, or in an older way."""
    if type(owner).__name__ == "ParametrizationList":
        return True
    made = isinstance(owner, LAYERS) and "weight" not in owner._parameters
    return made and name.rpartition(".")[2].startswith("weight")


def refuse_unmade(model: nn.Module) -> None:
    """Refuse a model whose parameters have no values yet.

    Raises:
        WinsomeError: names the first such parameter and the remedy.
    """
    for name, value in (*model.named_parameters(), *model.named_buffers()):
        if is_lazy(value):
            raise WinsomeError(f"{name!r} has no shape yet (a lazy layer): call the model on a batch first")
        if value.is_meta:
            raise WinsomeError(
                f"{name!r} has no values yet (device meta): load or make the model's weights first (model.to_empty)"
            )


def refuse_wrapped(model: nn.Module) -> None:
    """Refuse a model inside of another, under whose names its ticket would fit no bare network, and TorchScript.

    Raises:
        WinsomeError: names the wrapper, or the part that is TorchScript.
    """
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            what = f"{name!r} of the model" if name else "the model"
            raise WinsomeError(
                f"{what} is TorchScript (torch.jit), on which no hook holds what is pruned: search the nn.Module that it was "
                "made from, and make TorchScript of the result"
            )
    # By name, for importing these classes takes seconds.
    if (kind := type(model).__name__) in ("OptimizedModule", "DistributedDataParallel", "DataParallel"):
        made_by = "torch.compile(model)" if kind == "OptimizedModule" else f"{kind}(model)"
        first = next(iter(dict(model.named_parameters())), "")
        raise WinsomeError(
            f"{made_by} calls its parameters by other names ({first!r}): hand over the bare model, and wrap it in your loop"
        )


def unpruned_signed(model: nn.Module, prunable_names: Sequence[str]) -> tuple[str, ...]:
    """The unpruned parameters whose signs travel with a ticket (arXiv:2504.05357): classifier weights and all biases.

    Weights by their role (`winsome.matrices`) that are not pruned, and the biases of the layers that have weights, each under
    its own name. Normalisation parameters are not among them: they start fresh.
    """
    signed, pruned = signed_parameters(model), set(prunable_names)
    return tuple(name for name, p in model.named_parameters() if id(p) in signed and name not in pruned)


def signed_parameters(model: nn.Module) -> frozenset[int]:
    """The ids of all weights by their role, and of the biases of the layers that have them."""
    wanted: set[int] = set()
    for module in model.modules():
        own = module._parameters.items()
        if isinstance(module, LAYERS):
            wanted.update(id(p) for kind, p in own if p is not None and kind != "gain")
        elif any(p is not None and role_of(module, kind, p) is not None for kind, p in own):
            wanted.update(id(p) for kind, p in own if p is not None and (role_of(module, kind, p) or "bias" in kind))
    return frozenset(wanted - {id(p) for p in model.parameters() if p.is_complex()})  # these have no sign

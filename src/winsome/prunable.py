"""Which weights may be pruned, by layer type and name, and the plan that says so before a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.parameter import is_lazy

from winsome.errors import WinsomeError

WEIGHT_LAYERS = (_ConvNd, nn.Linear)


@dataclass(frozen=True)
class PlannedParameter:
    """One line of the plan: a parameter, and whether it may be pruned or why not."""

    name: str  # as in model.named_parameters(): a shared parameter is listed once, under its first name
    layer: str  # type of the layer that holds it
    shape: tuple[int, ...]
    prunable: bool
    reason: str  # why it is prunable or not

    @property
    def n_weights(self) -> int:
        """How many weights the parameter has."""
        count = 1
        for side in self.shape:
            count *= side
        return count


def classifier_of(model: nn.Module) -> str | None:
    """The name of the classifier: the last linear layer registered, or the last convolution of a network without one.

    The last *layer*, not "the linear layers with as many outputs as classes": a hidden layer of that width is prunable
    (the original code of arXiv:2504.05357 gets this wrong). Where a network registers its classifier earlier, name it.
    """
    linears = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    convolutions = [name for name, module in model.named_modules() if isinstance(module, _ConvNd)]
    layers = linears or convolutions
    return layers[-1] if layers else None


def plan(
    model: nn.Module,
    *,
    prune_classifier: bool = False,
    classifier: str | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> tuple[PlannedParameter, ...]:
    """Every parameter of the model in its order, prunable or not, and why.

    By default the weights of all convolutions and linear layers but the classifier are prunable (arXiv:2504.05357);
    `prune_classifier` adds the classifier's (arXiv:2402.19262). Biases and normalisation parameters never are, unless
    `include` names them.

    Args:
        model: the network; it is not changed.
        prune_classifier: prune the classifier's weight too.
        classifier: module name of the classifier, where the last linear layer is not it.
        include: glob patterns of parameter names that are prunable whatever their layer (`"encoder.*.in_proj_weight"`).
        exclude: glob patterns of parameter names that are not; they win over `include`.

    Raises:
        WinsomeError: a pattern or the classifier's name matches nothing.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
        >>> [(line.name, line.prunable) for line in plan(model)][:3]
        [('0.weight', True), ('0.bias', False), ('1.weight', False)]
    """
    refuse_unmade(model)
    modules = dict(model.named_modules())
    named = dict(model.named_parameters())
    head = classifier if classifier is not None else classifier_of(model)
    if head is not None and head not in modules:
        known = ", ".join(filter(None, modules))
        raise WinsomeError(f"classifier {head!r} is no module of the network; its modules: {known}")
    for pattern in (*include, *exclude):
        if not any(fnmatchcase(name, pattern) for name in named):
            examples = ", ".join(list(named)[:5])
            raise WinsomeError(f"the pattern {pattern!r} matches no parameter; parameters are named like {examples}")
    head_parameters = {id(p) for p in modules[head].parameters()} if head is not None else set()
    lines = []
    for name, parameter in named.items():
        owner = modules[name.rpartition(".")[0]]
        if any(fnmatchcase(name, pattern) for pattern in exclude):
            prunable, reason = False, "excluded by name"
        elif any(fnmatchcase(name, pattern) for pattern in include):
            prunable, reason = True, "included by name"
        elif _is_computed_from(owner, name):
            prunable, reason = False, "a layer's weight is computed from it (parametrisation)"
        elif parameter.is_complex():
            prunable, reason = False, "complex numbers, which have no sign"
        elif not _is_layer_weight(model, parameter):
            prunable, reason = False, "bias" if name.endswith("bias") else "not a convolution's or linear layer's weight"
        elif id(parameter) in head_parameters and not prune_classifier:
            prunable, reason = False, "classifier"
        elif not parameter.requires_grad:
            prunable, reason = False, "not trained (requires_grad is False)"
        else:
            prunable, reason = True, "weight of a convolution or linear layer"
        lines.append(PlannedParameter(name, type(owner).__name__, tuple(parameter.shape), prunable, reason))
    return tuple(lines)


def _is_layer_weight(model: nn.Module, parameter: nn.Parameter) -> bool:
    """Whether any layer, under any of the parameter's names, is a convolution or linear layer with this weight."""
    return any(isinstance(module, WEIGHT_LAYERS) and module.weight is parameter for module in model.modules())


def prunable(
    model: nn.Module,
    *,
    prune_classifier: bool = False,
    classifier: str | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> tuple[str, ...]:
    """The names of the prunable parameters, in the model's order; see `plan` for the rules.

    Raises:
        WinsomeError: there is none; or a pattern or the classifier's name matches nothing.

    Example:
        >>> prunable(nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4, 2)))
        ('0.weight',)
    """
    lines = plan(model, prune_classifier=prune_classifier, classifier=classifier, include=include, exclude=exclude)
    names = tuple(line.name for line in lines if line.prunable and line.n_weights)
    if not names:
        raise WinsomeError(f"the model has no prunable weights: {_why_none(model, lines)}")
    return names


def _why_none(model: nn.Module, lines: Sequence[PlannedParameter]) -> str:
    layers = {name: module for name, module in model.named_modules() if isinstance(module, WEIGHT_LAYERS)}
    if computed := [name for name, layer in layers.items() if "weight" not in layer._parameters]:
        return (
            f"those of {', '.join(computed)} are computed from other parameters (weight_norm, spectral_norm, "
            "torch.nn.utils.prune or a parametrisation is on them); take it off first, for example by torch.nn.utils."
            "parametrize.remove_parametrizations(layer, 'weight') or torch.nn.utils.prune.remove(layer, 'weight')"
        )
    if any(line.reason.startswith("not trained") for line in lines):
        return (
            "all layers but the classifier are frozen (requires_grad is False); unfreeze what is to be pruned, or name it "
            "(include=...)"
        )
    return (
        "no convolution or linear layer but the classifier; "
        "name parameters to prune (include=...) or prune the classifier too (prune_classifier=True)"
    )


def _is_computed_from(owner: nn.Module, name: str) -> bool:
    """Whether a layer's weight follows from this parameter: of a parametrisation, or in an older way."""
    if type(owner).__name__ == "ParametrizationList":
        return True
    return isinstance(owner, WEIGHT_LAYERS) and "weight" not in owner._parameters and not name.endswith("bias")


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
    """Refuse a model inside of another, under whose names its ticket would fit no bare network.

    Raises:
        WinsomeError: names the wrapper.
    """
    # By name, for importing these classes takes seconds.
    if (kind := type(model).__name__) in ("OptimizedModule", "DistributedDataParallel", "DataParallel"):
        made_by = "torch.compile(model)" if kind == "OptimizedModule" else f"{kind}(model)"
        first = next(iter(dict(model.named_parameters())), "")
        raise WinsomeError(
            f"{made_by} calls its parameters by other names ({first!r}): hand over the bare model, and wrap it in your loop"
        )


def unpruned_signed(model: nn.Module, prunable_names: Sequence[str]) -> tuple[str, ...]:
    """The unpruned parameters whose signs travel with a ticket (arXiv:2504.05357): classifier weights and all biases.

    Weights of convolutions and linear layers that are not pruned, and the biases of these layers, each under its own name.
    Normalisation parameters are not among them: they start fresh.
    """
    wanted: dict[int, None] = {}
    for module in model.modules():
        if isinstance(module, WEIGHT_LAYERS):
            wanted.update({id(p): None for p in module.parameters(recurse=False)})
    pruned = set(prunable_names)
    return tuple(name for name, p in model.named_parameters() if id(p) in wanted and name not in pruned)


def format_plan(lines: Sequence[PlannedParameter]) -> str:
    """The plan as an aligned table: parameter, layer, shape, weights, prunable or why not.

    Example:
        >>> print(format_plan(plan(nn.Sequential(nn.Linear(4, 3, bias=False), nn.Linear(3, 2, bias=False)))))
        parameter  layer   shape  weights  prunable
        0.weight   Linear  3x4         12  yes
        1.weight   Linear  2x3          6  no: classifier
        12 of 18 parameters are prunable
    """
    rows = [("parameter", "layer", "shape", "weights", "prunable")]
    rows += [
        (
            line.name,
            line.layer,
            "x".join(map(str, line.shape)),
            f"{line.n_weights:,}",
            "yes" if line.prunable else f"no: {line.reason}",
        )
        for line in lines
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    alignment = "<<<><"
    text = [
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(row, alignment, widths, strict=True)) for row in rows
    ]
    total = sum(line.n_weights for line in lines if line.prunable)
    return "\n".join([*text, f"{total:,} of {sum(line.n_weights for line in lines):,} parameters are prunable"])

"""Plant a ticket in another initialisation: its mask alone, its signs, or its signs and trained normalisation."""

from __future__ import annotations

import logging
import operator
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from winsome.errors import WinsomeError
from winsome.matrices import LAYERS
from winsome.norm_probe import turns_with_its_inputs
from winsome.prunable import signed_parameters
from winsome.psi import identity_of, is_norm, norm_layers, scale_of
from winsome.signed_mask import SignedMask, matching_parameters
from winsome.ticket import Ticket

log = logging.getLogger("winsome")

Keep = Callable[[Ticket], Ticket]  # what of a ticket is planted: a smaller ticket


def mask_only(ticket: Ticket) -> Ticket:
    """Only which weights are kept; every sign is the initialisation's own.

    Example:
        >>> mask_only(Ticket(SignedMask({"weight": torch.tensor([1, 0, -1])}))).mask["weight"].tolist()
        [1, 0, 1]
    """
    unsigned = SignedMask({name: ticket.mask.kept(name).to(torch.int8) for name in ticket.mask})
    return replace(ticket, mask=unsigned, signs={}, norms={})


def signs(ticket: Ticket) -> Ticket:
    """The signed mask and the signs of classifier and biases: |theta_0| * s (arXiv:2504.05357).

    Example:
        >>> signs(Ticket(SignedMask({"weight": torch.tensor([1, 0, -1])}))).mask["weight"].tolist()
        [1, 0, -1]
    """
    return replace(ticket, norms={})


def signs_and_norms(ticket: Ticket) -> Ticket:
    """The signs and the trained normalisation parameters: "phi only" is drawn anew (arXiv:2504.05357, motivation).

    Raises:
        WinsomeError: the ticket has no normalisation parameters.

    Example:
        >>> ticket = Ticket(SignedMask({"weight": torch.tensor([1, 0])})).with_norms({"gamma": torch.tensor([0.5])})
        >>> list(signs_and_norms(ticket).norms)
        ['gamma']
    """
    if not ticket.norms:
        raise WinsomeError("the ticket carries no normalisation parameters; add the trained ones with ticket.with_norms(...)")
    return ticket


@torch.no_grad()
def plant(ticket: Ticket, model: nn.Module, *, keep: Keep = signs) -> SignedMask:
    """Put a ticket on a freshly initialised model, in place: theta = |theta_0| * s.

    Weights are found by parameter name and checked by shape. The unpruned weights and biases whose signs the ticket knows
    (classifier, biases) become |theta_0| * sign. Normalisation stays fresh unless `keep` says otherwise. What is not trained
    (`requires_grad` False) keeps its values, but for pruned weights, which become zero. Train inside
    `with plant(ticket, model).enforced_on(model):` so that pruned weights stay zero.

    Args:
        ticket: what to plant.
        model: a fresh network of the ticket's architecture; it is changed.
        keep: `signs` (the default), `mask_only`, or `signs_and_norms`.

    Returns:
        The signed mask of the model as it now starts.

    Raises:
        WinsomeError: lists what is missing, surplus or of another shape.

    Example:
        >>> layer = nn.Linear(2, 1, bias=False)
        >>> _ = layer.weight.data.copy_(torch.tensor([[0.5, -2.0]]))
        >>> mask = plant(Ticket(SignedMask({"weight": torch.tensor([[-1, 0]])})), layer)
        >>> layer.weight.tolist()
        [[-0.5, 0.0]]
    """
    _refuse_other_kinds(ticket, model, keep)
    kept = keep(ticket)
    wanted: dict[str, Tensor] = {**{name: kept.mask[name] for name in kept.mask}, **kept.signs, **kept.norms}
    parameters = matching_parameters(wanted, model)
    _refuse_surplus(ticket, model)
    signed = keep is not mask_only
    for name in kept.mask:
        weight, sign = parameters[name], kept.mask[name].to(parameters[name].device, parameters[name].dtype)
        trained = signed and weight.requires_grad
        if trained and (lost := int(torch.count_nonzero((weight == 0) & (sign < 0)))):
            log.warning("%d weights of %s start at 0: the negative signs planted on them are lost", lost, name)
        weight.copy_(weight.abs() * sign if trained else weight * sign.abs())
    for name, sign in kept.signs.items():
        if parameters[name].requires_grad:
            parameters[name].copy_(parameters[name].abs() * sign.to(parameters[name].device, parameters[name].dtype))
    for name, value in kept.norms.items():
        if parameters[name].requires_grad:
            parameters[name].copy_(value)
    return SignedMask.of(parameters, {name: kept.mask.kept(name) for name in kept.mask})


def _refuse_other_kinds(ticket: object, model: object, keep: object) -> None:
    if not isinstance(ticket, Ticket) or not isinstance(model, nn.Module):
        given = f"{type(ticket).__name__}, {type(model).__name__}"
        raise WinsomeError(f"plant takes a ticket and then a model, plant(ticket, model); got plant({given})")
    if not callable(keep):
        names = ", ".join(f"winsome.transfer.{function.__name__}" for function in KEEPS.values())
        raise WinsomeError(f"`keep` is a function ({names}); got {keep!r}")


def _refuse_surplus(ticket: Ticket, model: nn.Module) -> None:
    """A network with convolutions or linear layers that the ticket does not know is another architecture."""
    known = {*ticket.mask, *ticket.signs}
    signed = signed_parameters(model)
    surplus = [name for name, p in model.named_parameters() if id(p) in signed and name not in known]
    if ticket.signs and surplus:
        raise WinsomeError(
            f"the model has layers that the ticket does not know: {', '.join(surplus)}; "
            "a ticket fits only the architecture that it was found in"
        )


@torch.no_grad()
def shuffled(mask: SignedMask, generator: torch.Generator) -> SignedMask:
    """A random mask of the same layer densities: the entries of every layer in random places, signs going along."""
    return SignedMask(
        {
            name: sign.view(-1)[torch.randperm(sign.numel(), generator=generator, device=generator.device)].view(sign.shape)
            for name, sign in ((name, mask[name]) for name in mask)
        }
    )


class _WholeLayers(fx.Tracer):
    """Takes layers of weights and of normalisation as they are, also those of other packages (timm's BatchNormAct2d)."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether the graph ends at a layer."""
        name = module_qualified_name
        return isinstance(m, LAYERS) or is_norm(m, name) or super().is_leaf_module(m, name)


def norm_pairs(model: nn.Module) -> dict[str, str]:
    """Which layer feeds which normalisation alone: {weight layer's name: normalisation's name}.

    Pairs for which turning the sign of an output channel and of gamma changes nothing: BatchNorm, or RMSNorm on a linear
    layer (also one of another class that is found to act so when it is tried), whose only input is a convolution's or linear
    layer's output that nothing else uses. Layers that run twice or share a parameter are passed over: one sign would have to
    serve two uses. Found by tracing.

    Raises:
        WinsomeError: the model cannot be traced by `torch.fx`; name the pairs yourself.
    """
    try:
        graph = _WholeLayers().trace(model)
    except Exception as error:
        raise WinsomeError(
            f"the model cannot be traced ({error}); give the pairs of layer and normalisation by name"
        ) from error
    modules = dict(model.named_modules())
    uses = _parameter_uses(graph, model)
    pairs: dict[str, str] = {}
    for node in graph.nodes:
        if node.op != "call_module" or not node.args or not isinstance(node.args[0], fx.Node):
            continue
        source = node.args[0]
        if source.op != "call_module" or len(source.users) != 1:
            continue
        layer, norm = modules[str(source.target)], modules[str(node.target)]
        if not isinstance(layer, LAYERS) or not is_norm(norm, str(node.target)) or not (_as_it_is(layer) and _as_it_is(norm)):
            continue
        if not isinstance(norm, _BatchNorm) and not (isinstance(layer, nn.Linear) and _turns(norm)):
            continue
        alone = all(uses[id(p)] == 1 for module in (layer, norm) for p in module.parameters())
        if alone and tuple(norm.weight.shape) == (_n_outputs(layer),):
            pairs[str(source.target)] = str(node.target)
    return pairs


def _as_it_is(layer: nn.Module) -> bool:
    """Whether a layer has a weight that can be written, and none or such a bias: nothing is computed from others."""
    own = layer._parameters
    return own.get("weight") is not None and getattr(layer, "bias", None) is own.get("bias")


def _turns(norm: nn.Module) -> bool:
    """Whether the sign of an input channel only turns that of its output, and gamma scales: RMSNorm, whosever it is."""
    if isinstance(norm, nn.LayerNorm | nn.GroupNorm | _NormBase):
        return False
    gamma = norm.get_parameter("weight")
    if isinstance(norm, nn.RMSNorm):
        return True
    return identity_of(scale_of(norm)) == 1.0 and turns_with_its_inputs(norm, gamma.numel())


def _parameter_uses(graph: fx.Graph, model: nn.Module) -> Counter[int]:
    """How often a forward uses each parameter, by id: in layers, however often they run, and read by name."""
    uses: Counter[int] = Counter()
    for node in graph.nodes:
        if node.op == "call_module":
            uses.update(id(p) for p in model.get_submodule(str(node.target)).parameters())
        elif node.op == "get_attr":
            uses[id(operator.attrgetter(str(node.target))(model))] += 1
    return uses


def _n_outputs(layer: nn.Module) -> int:
    return int(layer.out_channels if isinstance(layer, _ConvNd) else layer.get_parameter("weight").shape[0])


def _per_output(weight: Tensor, layer: nn.Module) -> Tensor:
    """A view of a layer's weight as [groups, ..., outputs of a group, ...]: the axes that a sign per output broadcasts to."""
    if isinstance(layer, _ConvTransposeNd):  # its weight is [inputs, outputs / groups, ...]
        return weight.view(layer.groups, -1, layer.out_channels // layer.groups, *weight.shape[2:])
    return weight.view(1, 1, *weight.shape)


@torch.no_grad()
def absorb_norm_signs(model: nn.Module, pairs: Mapping[str, str] | None = None) -> int:
    """Make every gamma non-negative in place by turning the signs of the channels that feed it; the function stays the same.

    Where gamma < 0, W -> -W (its bias and the running mean too) and gamma -> |gamma|: an exact reparametrisation. The signs
    read after it are those that a network with fresh gamma = 1 would need.

    Args:
        model: a trained network; it is changed.
        pairs: {layer's name: normalisation's name}; found by `norm_pairs` if not given.

    Returns:
        How many channels were turned. Negative gammas that are left are said in the log, by name.

    Raises:
        WinsomeError: the model cannot be traced, or lacks a layer of `pairs`.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 1, bias=False), nn.BatchNorm1d(1))
        >>> _ = model[1].weight.data.fill_(-2)
        >>> absorb_norm_signs(model), model[1].weight.tolist()
        (1, [2.0])
    """
    modules = dict(model.named_modules())
    turned = 0
    pairs = norm_pairs(model) if pairs is None else pairs
    if missing := [name for pair in pairs.items() for name in pair if name not in modules]:
        raise WinsomeError(f"the model has no layer {', '.join(missing)}; give pairs by names of model.named_modules()")
    if computed := [name for pair in pairs.items() for name in pair if not _as_it_is(modules[name])]:
        raise WinsomeError(
            f"{', '.join(computed)} has no weight that a sign can be turned in, or one computed from other parameters "
            "(a parametrisation): take that off first, or leave the pair out"
        )
    for layer_name, norm_name in pairs.items():
        layer, norm = modules[layer_name], modules[norm_name]
        weight, gamma = layer.get_parameter("weight"), norm.get_parameter("weight")
        sign = 1 - 2 * (gamma < 0).to(weight.dtype)
        outputs = _per_output(weight, layer)
        outputs.mul_(sign.view(outputs.shape[0], 1, -1, *[1] * (outputs.ndim - 3)))
        gamma.mul_(sign)
        for value in (layer.bias, getattr(norm, "running_mean", None)):
            if isinstance(value, Tensor):
                value.mul_(sign)
        turned += int((sign < 0).sum())
    left = {f"{name}.weight" if name else "weight": _n_negative(layer) for name, layer in norm_layers(model).items()}
    if total := sum(left.values()):
        names = [name for name, count in left.items() if count]
        log.warning(
            "%d negative gammas are left, of normalisation that no layer feeds alone: %s%s",
            *(total, ", ".join(names[:5]), f" and {len(names) - 5} more" if len(names) > 5 else ""),
        )
    return turned


def _n_negative(norm: nn.Module) -> int:
    """How many channels a norm turns; its weight may be computed from other parameters, or one less than what it scales by."""
    gamma = getattr(norm, "weight", None)
    if not isinstance(gamma, Tensor) or not bool((gamma < 0).any()):
        return 0
    one_less = "weight" in norm._parameters and identity_of(scale_of(norm)) == 0
    return int((gamma < (-1 if one_less else 0)).sum())


KEEPS: dict[str, Keep] = {"signs": signs, "mask": mask_only, "phi": signs_and_norms}

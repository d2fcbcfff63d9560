"""Tickets from the checkpoints of other tools."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from winsome.about import about
from winsome.errors import WinsomeError
from winsome.neighbours.checkpoints import unwrapped
from winsome.neighbours.fitting import shaped_like, whole_of, zeros_of
from winsome.neighbours.layouts import LAYOUTS, layout_of, taken_apart, zeros
from winsome.neighbours.prefixes import prefix_of
from winsome.neighbours.source import Pruned, Source, some, with_files
from winsome.prunable import unpruned_signed
from winsome.psi import norm_parameters
from winsome.signed_mask import SignedMask
from winsome.ticket import Ticket, signs_of

log = logging.getLogger("winsome")

# So many kept weights without a negative one are no chance, in one layer, and in all layers together.
SURE, SURE_IN_ALL = 64, 20


@dataclass(frozen=True)
class Imported:
    """A ticket from another tool's checkpoint, and how it was read.

    Attributes:
        ticket: what was read.
        layout: a name in `LAYOUTS`.
        roles: what became of every entry of the checkpoint but the masks, by name.
        notes: what a reader has to know: a prefix that was taken off, zeros that were not counted.
    """

    ticket: Ticket
    layout: str
    roles: Mapping[str, str]
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        width = max(map(len, self.roles), default=0)
        lines = [f"layout {self.layout}: {about(LAYOUTS[self.layout]).sentence}", *self.notes]
        return "\n".join(lines + [f"{name:{width}}  {role}" for name, role in self.roles.items()])


def ticket_from_file(path: str | os.PathLike[str], **options: Any) -> Ticket:
    """The ticket of `import_file`, which has the arguments. What has to be known of how it was read goes to the log.

    Raises:
        WinsomeError: see `import_file`.
    """
    return _said(import_file(path, **options)).ticket


def ticket_from_state(state: Mapping[str, Tensor], **options: Any) -> Ticket:
    """The ticket of `import_state`, which has the arguments. What has to be known of how it was read goes to the log.

    Raises:
        WinsomeError: see `import_state`.
    """
    return _said(import_state(state, **options)).ticket


def import_file(
    path: str | os.PathLike[str],
    *,
    layout: str | None = None,
    weights: str | os.PathLike[str] | None = None,
    model: nn.Module | None = None,
    norms: bool = False,
) -> Imported:
    """The ticket in another tool's checkpoint file; provenance records the file's name, digest and layout.

    Args:
        path: a safetensors or PyTorch file, or a folder that a layout reads.
        layout: a name in `LAYOUTS`; found by the entries' names if not given.
        weights: the file with the weights, where `path` holds masks alone.
        model: a network of the same architecture, for exact roles, names and shapes; see `import_state`.
        norms: carry the trained normalisation parameters too.

    Raises:
        WinsomeError: the file cannot be read safely, is in none of the layouts or in several, or does not fit the model.
    """
    path = Path(path)
    source = Source.at(path, Path(weights) if weights is not None else None)
    try:
        imported, pruned = _imported(source, layout, model, norms)
    except WinsomeError as error:
        raise WinsomeError(f"{path}: {error}") from error
    masks, *others = pruned.files
    record: dict[str, Any] = {"file": masks.name, "sha256": hashlib.sha256(masks.read_bytes()).hexdigest()}
    if others:
        record["weights"] = others[0].name
    ticket = imported.ticket
    return replace(imported, ticket=ticket.with_provenance(imported=ticket.provenance["imported"] | record))


def import_state(
    state: Mapping[str, Tensor],
    *,
    layout: str | None = None,
    weights: Mapping[str, Tensor] | None = None,
    model: nn.Module | None = None,
    norms: bool = False,
) -> Imported:
    """The ticket in a state_dict of another tool.

    A kept weight that is exactly zero stays kept where there is a mask. Which unpruned entries are the classifier and biases,
    whose signs travel along, is the model's to say; without one it is read from shapes: entries of two or more dimensions, and
    the biases beside them and beside pruned weights. With a model, TurboPrune's linear layers, which it stores as
    convolutions of width 1, get their own shape back. A prefix of all names, such as Lightning's `model.`, is taken off; with a
    model, whatever stands before its names.

    Args:
        state: the state_dict, or masks by parameter name.
        layout: see `import_file`.
        weights: the network's state_dict where `state` holds masks alone.
        model: a network of the same architecture; it is not changed.
        norms: carry the trained normalisation parameters too.

    Raises:
        WinsomeError: the state is in none of the layouts or in several, holds NaN, does not fit the model, or what is taken for
            weights has no negative sign.
    """
    others = unwrapped(weights) if weights is not None else None
    return _imported(Source(unwrapped(state), weights=others), layout, model, norms)[0]


def _said(imported: Imported) -> Imported:
    for note in imported.notes:
        log.warning("import: %s", note)
    return imported


def _imported(source: Source, layout: str | None, model: nn.Module | None, norms: bool) -> tuple[Imported, Pruned]:
    source = replace(source, asked=layout is not None)
    found = layout or layout_of(source)
    by_network = model is not None and LAYOUTS.get(found) is zeros and bool(source.state)
    pruned = with_files(Pruned({}, {}, dict(source.state)), source) if by_network else taken_apart(source, found)
    pruned, prefix = _without_prefix(pruned, model)
    if model is not None:
        pruned = shaped_like(zeros_of(pruned, model) if by_network else whole_of(pruned, model), model)
    _refuse_what_has_no_sign(pruned, sure=layout is not None)
    signed, normalising = _roles(pruned) if model is None else _roles_in(model, pruned)
    mask = SignedMask.of(pruned.weights, pruned.kept)
    record = {"layout": found} | ({"prefix": prefix} if prefix else {})
    ticket = Ticket(mask, signs_of({name: pruned.others[name] for name in signed}), provenance={"imported": record})
    if norms:
        ticket = ticket.with_norms({name: pruned.others[name] for name in normalising})
    lost = ", ".join(mask.empty_layers())
    notes = (*pruned.notes, *([f"layers whose weights are all pruned: {lost}"] if lost else []))
    return Imported(ticket, found, _listed(pruned, ticket, normalising), notes), pruned


def _listed(pruned: Pruned, ticket: Ticket, normalising: list[str]) -> dict[str, str]:
    """What became of every entry."""
    roles = {}
    for name, count in ticket.mask.layers().items():
        negative = count.kept - count.positive
        roles[name] = f"pruned: {count.kept:,} of {count.total:,} kept, {negative:,} of them negative"
    for name in pruned.others:
        if name in ticket.signs:
            roles[name] = "unpruned, its signs travel along"
        elif name in normalising:
            roles[name] = "normalisation" + ("" if name in ticket.norms else ", left out")
        else:
            roles[name] = "left out"
    return roles


def _refuse_what_has_no_sign(pruned: Pruned, *, sure: bool) -> None:
    """Raise WinsomeError for NaN and infinities, and, unless the user is sure of the layout, for many weights of one sign."""
    positive = {}
    for name, weight in pruned.weights.items():
        if not bool(torch.isfinite(weight).all()):
            raise WinsomeError(f"the weight {name!r} holds NaN or infinite values, which have no usable sign")
        kept = weight[pruned.kept[name]]
        if not bool((kept < 0).any()):
            positive[name] = int((kept > 0).sum())
    odd = [name for name, count in positive.items() if count >= SURE]
    if len(positive) == len(pruned.weights) and sum(positive.values()) >= SURE_IN_ALL:
        odd = list(positive)
    if odd and not sure:
        raise WinsomeError(
            f"no kept value of {', '.join(odd)} is negative: these are masks, scores or magnitudes rather than weights; give "
            "the file of the weights, or say the layout (--layout) if they are weights"
        )


def _without_prefix(pruned: Pruned, model: nn.Module | None) -> tuple[Pruned, str]:
    """The same by names without what a wrapper put before them, and that prefix."""
    wanted = None if model is None else [name for name, _ in model.named_parameters()]
    names = pruned.others | pruned.weights
    prefix = prefix_of(names, wanted, matrices=[name for name, value in names.items() if value.ndim >= 2])
    if not prefix:
        return pruned, ""

    def bare(part: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): value for name, value in part.items() if name.startswith(prefix)}

    remedy = "" if model is not None else " (if it belongs to the network, name that: --network, model=)"
    notes = (*pruned.notes, f"the prefix {prefix!r} was taken off every name{remedy}")
    if left := [name for name in names if not name.startswith(prefix)]:
        notes = (*notes, f"no part of the network below {prefix!r}, and left aside: {some(left)}")
    whole = tuple(name.removeprefix(prefix) for name in pruned.whole if name.startswith(prefix))
    weights, kept, others = (bare(part) for part in (pruned.weights, pruned.kept, pruned.others))
    return replace(pruned, weights=weights, kept=kept, others=others, whole=whole, notes=notes), prefix


def _roles(pruned: Pruned) -> tuple[list[str], list[str]]:
    """The unpruned entries whose signs travel, and the normalisation parameters, told by shape."""
    others = {name: value for name, value in pruned.others.items() if value.is_floating_point()}
    many = {name for name, value in (*pruned.weights.items(), *others.items()) if value.ndim >= 2}
    layers = {name.rpartition(".")[0] for name in many if name.endswith("weight")}
    signed = [n for n, v in others.items() if v.ndim >= 2 or (n.endswith("bias") and n.rpartition(".")[0] in layers)]
    normalising = [
        name
        for name, value in others.items()
        if value.ndim == 1 and name not in signed and name.rpartition(".")[2] in ("weight", "bias")
    ]
    return signed, normalising


def _roles_in(model: nn.Module, pruned: Pruned) -> tuple[list[str], list[str]]:
    """The same, as the model says it.

    Raises:
        WinsomeError: the checkpoint lacks some of the model.
    """
    signed, normalising = list(unpruned_signed(model, list(pruned.weights))), list(norm_parameters(model))
    missing = [name for name in (*signed, *normalising) if name not in pruned.others and name not in pruned.weights]
    if missing:
        raise WinsomeError(
            f"the checkpoint lacks {', '.join(missing)} of the model; give the architecture that it was made with"
        )
    return signed, [name for name in normalising if name in pruned.others]

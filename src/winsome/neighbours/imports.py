"""Tickets from the checkpoints of other tools."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from winsome.errors import WinsomeError
from winsome.neighbours.checkpoints import read_checkpoint, unwrapped
from winsome.neighbours.layouts import Pruned, layout_of, taken_apart
from winsome.norms import norm_parameters
from winsome.prunable import prunable, unpruned_signed
from winsome.signed_mask import SignedMask
from winsome.ticket import Ticket, signs_of


def ticket_from_file(
    path: str | os.PathLike[str],
    *,
    layout: str | None = None,
    weights: str | os.PathLike[str] | None = None,
    model: nn.Module | None = None,
    norms: bool = False,
) -> Ticket:
    """The ticket in another tool's checkpoint file; provenance records the file's name, digest and layout.

    Args:
        path: a safetensors or PyTorch file, or a folder of open_lth with `mask.pth` and `model_ep*_it*.pth`.
        layout: "torch-prune", "fixed_m", "mask-buffers", "open_lth" or "zeros"; found by the entries' names if not given.
        weights: the file with the weights, where `path` holds masks alone.
        model: a network of the same architecture, for exact roles and shapes; see `ticket_from_state`.
        norms: carry the trained normalisation parameters too.

    Raises:
        WinsomeError: the file cannot be read safely, or is in none of the layouts.
    """
    path = Path(path)
    if path.is_dir():
        path, weights = _open_lth_files(path, weights)
    state = read_checkpoint(path)
    found = layout or layout_of(state)
    try:
        others = read_checkpoint(weights) if weights is not None else None
        ticket = ticket_from_state(state, layout=found, weights=others, model=model, norms=norms)
    except WinsomeError as error:
        raise WinsomeError(f"{path}: {error}") from error
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    imported: dict[str, Any] = {"layout": found, "file": path.name, "sha256": digest}
    if weights is not None:
        imported["weights"] = Path(weights).name
    return ticket.with_provenance(imported=imported)


def ticket_from_state(
    state: Mapping[str, Tensor],
    *,
    layout: str | None = None,
    weights: Mapping[str, Tensor] | None = None,
    model: nn.Module | None = None,
    norms: bool = False,
) -> Ticket:
    """The ticket in a state_dict of another tool.

    A kept weight that is exactly zero stays kept where there is a mask. Which unpruned entries are the classifier and biases,
    whose signs travel along, is the model's to say; without one it is read from shapes: entries of two or more dimensions, and
    the biases beside them and beside pruned weights. With a model, TurboPrune's linear layers, which it stores as
    convolutions of width 1, get their own shape back.

    Args:
        state: the state_dict, or open_lth's masks.
        layout: see `ticket_from_file`.
        weights: the network's state_dict where `state` holds masks alone.
        model: a network of the same architecture; it is not changed.
        norms: carry the trained normalisation parameters too.

    Raises:
        WinsomeError: the state is in none of the layouts, holds NaN, or does not fit the model.
    """
    state = unwrapped(state)
    layout = layout or layout_of(state)
    pruned = taken_apart(state, layout, unwrapped(weights) if weights is not None else None)
    if model is not None:
        if layout == "zeros":
            pruned = _zeros_of(pruned, model)
        pruned = _shaped_like(pruned, model)
    for name, weight in pruned.weights.items():
        if not bool(torch.isfinite(weight).all()):
            raise WinsomeError(f"the weight {name!r} holds NaN or infinite values, which have no usable sign")
    mask = SignedMask.of(pruned.weights, pruned.kept)
    signed, normalising = _roles(pruned) if model is None else _roles_in(model, pruned)
    ticket = Ticket(mask, signs_of({name: pruned.others[name] for name in signed}), provenance={"imported": {"layout": layout}})
    return ticket.with_norms({name: pruned.others[name] for name in normalising}) if norms else ticket


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
    """The same, as the model says it."""
    signed, normalising = list(unpruned_signed(model, list(pruned.weights))), list(norm_parameters(model))
    missing = [name for name in (*signed, *normalising) if name not in pruned.others and name not in pruned.weights]
    if missing:
        raise WinsomeError(
            f"the checkpoint lacks {', '.join(missing)} of the model; give the architecture that it was made with"
        )
    return signed, [name for name in normalising if name in pruned.others]


def _zeros_of(pruned: Pruned, model: nn.Module) -> Pruned:
    """Every prunable parameter of the model counts as pruned where it is zero, one without zeros as wholly kept."""
    everything = {**pruned.weights, **pruned.others}
    names = [name for name in prunable(model) if name in everything]
    weights = {name: everything[name] for name in names}
    others = {name: value for name, value in everything.items() if name not in weights}
    return Pruned(weights, {name: weight != 0 for name, weight in weights.items()}, others)


def _shaped_like(pruned: Pruned, model: nn.Module) -> Pruned:
    """The model's own shapes where they differ by trailing sides of 1.

    Raises:
        WinsomeError: the model lacks a masked parameter or has it in another shape.
    """
    shapes = {name: parameter.shape for name, parameter in model.named_parameters()}
    absent = [name for name in pruned.weights if name not in shapes]
    if absent:
        raise WinsomeError(f"the model lacks {', '.join(absent)}; give the architecture that the checkpoint was made with")

    def fit(name: str, value: Tensor) -> Tensor:
        shape = shapes.get(name, value.shape)
        if value.shape == shape:
            return value
        if _without_trailing_ones(value.shape) != _without_trailing_ones(shape):
            raise WinsomeError(f"{name} is {tuple(value.shape)} in the checkpoint, {tuple(shape)} in the model")
        return value.reshape(shape)

    return replace(
        pruned,
        weights={name: fit(name, value) for name, value in pruned.weights.items()},
        kept={name: fit(name, value) for name, value in pruned.kept.items()},
        others={name: fit(name, value) for name, value in pruned.others.items()},
    )


def _without_trailing_ones(shape: torch.Size) -> tuple[int, ...]:
    sides = list(shape)
    while sides and sides[-1] == 1:
        sides.pop()
    return tuple(sides)


def _open_lth_files(folder: Path, weights: str | os.PathLike[str] | None) -> tuple[Path, str | os.PathLike[str] | None]:
    """The mask file of an open_lth folder, and its last network where none is given."""
    mask = folder / "mask.pth"
    if not mask.exists():
        raise WinsomeError(f"{folder} has no mask.pth; name a checkpoint file, or a folder `level_N/main` of open_lth")
    networks = list(folder.glob("model_ep*_it*.pth"))
    if weights is None and networks:
        weights = max(networks, key=lambda path: [int(part) for part in path.stem.removeprefix("model_ep").split("_it")])
    return mask, weights

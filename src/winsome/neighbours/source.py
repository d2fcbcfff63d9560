"""A pruned network before and after it is taken apart, and what tells a mask, a layer's matrix and anything else apart."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from winsome.errors import WinsomeError
from winsome.neighbours.checkpoints import open_checkpoint, read_checkpoint

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Source:
    """What a ticket is to be read from.

    Attributes:
        state: the tensors by name.
        unnamed: the tensors of a file that holds a list, without names.
        weights: the network's state_dict where it is given apart, for masks that are alone.
        path: the file or folder; None for tensors in memory.
        weights_path: the file that `weights` came from.
        asked: whether this layout was asked for by name, and not found.
    """

    state: State
    unnamed: tuple[Tensor, ...] = ()
    weights: State | None = None
    path: Path | None = None
    weights_path: Path | None = None
    asked: bool = False

    @classmethod
    def at(cls, path: Path, weights: Path | None = None) -> Source:
        """The content of a file, or a folder as it is.

        Raises:
            WinsomeError: a file cannot be read safely.
        """
        others = read_checkpoint(weights) if weights is not None else None
        if path.is_dir():
            return cls({}, weights=others, path=path, weights_path=weights)
        found = open_checkpoint(path)
        return cls(found.state, found.unnamed, others, path, weights)


@dataclass(frozen=True)
class Pruned:
    """A pruned network taken apart.

    Attributes:
        weights: the masked parameters by name.
        kept: which of their entries are kept: bool, of the same names and shapes.
        others: everything else in the state_dict but the masks.
        whole: names among `others` of parameters whose mask keeps everything.
        notes: what a reader has to know of how it was read.
        files: the files that were read, the one with the masks first; none for tensors in memory.
    """

    weights: dict[str, Tensor]
    kept: dict[str, Tensor]
    others: dict[str, Tensor]
    whole: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()


def checked_mask(name: str, mask: Tensor, weight: Tensor) -> Tensor:
    """A mask as bool, of the weight's shape.

    Raises:
        WinsomeError: it has another shape, holds something else than zeros and ones, or its weight cannot be one.
    """
    if mask.shape != weight.shape:
        raise WinsomeError(f"the mask of {name!r} is {tuple(mask.shape)}, its weight {tuple(weight.shape)}; they must be alike")
    if not bool(((mask == 0) | (mask == 1)).all()):
        raise WinsomeError(f"the mask of {name!r} holds values other than 0 and 1; a ticket keeps a weight or prunes it")
    if not weight.is_floating_point():
        raise WinsomeError(f"{name!r} is {weight.dtype}, which is no weight with a sign; save the weights as floats")
    return mask.to(torch.bool)


def unpruned(pruned: Pruned, names: Iterable[str]) -> Pruned:
    """The same with these parameters among the others."""
    names = set(names)
    others = pruned.others | {name: value for name, value in pruned.weights.items() if name in names}
    weights, kept = (
        {name: value for name, value in part.items() if name not in names} for part in (pruned.weights, pruned.kept)
    )
    return replace(pruned, weights=weights, kept=kept, others=others)


def beside(state: State, suffix: str) -> dict[str, tuple[str, str]]:
    """Weights that have a mask entry of the given suffix beside them: {weight: (weight, mask)}."""
    layers = [key.removesuffix(suffix) for key in state if key.endswith(suffix)]
    return {f"{layer}.weight": (f"{layer}.weight", f"{layer}{suffix}") for layer in layers if f"{layer}.weight" in state}


def taken_apart_by(source: Source, entries: Mapping[str, tuple[str, str]]) -> Pruned | None:
    """The source by {name: (entry of the weight, entry of the mask)}; None without any."""
    if not entries:
        return None
    state = source.state
    weights = {name: state[weight] for name, (weight, _) in entries.items()}
    kept = {name: checked_mask(name, state[mask], weights[name]) for name, (_, mask) in entries.items()}
    used = {key for pair in entries.values() for key in pair}
    return with_files(Pruned(weights, kept, {name: value for name, value in state.items() if name not in used}), source)


def masks_alone(source: Source, masks: State) -> Pruned:
    """Masks by parameter name, the weights apart.

    Raises:
        WinsomeError: there are no weights, or they lack a masked parameter.
    """
    if source.weights is None:
        raise WinsomeError(
            f"it holds masks alone ({some(masks)}), and they have no signs: give the network's weights too (--weights FILE; "
            "open_lth's `model_ep*_it*.pth` of the same folder)"
        )
    weights = source.weights
    masks = {name if name in weights else parameter_of(name): mask for name, mask in masks.items()}
    missing = [name for name in masks if name not in weights]
    if missing:
        raise WinsomeError(f"the weights lack {', '.join(missing)}, which the mask names; give the weights of the same network")
    kept = {name: checked_mask(name, mask, weights[name]) for name, mask in masks.items()}
    others = {name: value for name, value in weights.items() if name not in kept}
    return with_files(Pruned({name: weights[name] for name in kept}, kept, others), source)


def with_files(pruned: Pruned, source: Source) -> Pruned:
    """The same with the files that it was read from."""
    return replace(pruned, files=tuple(path for path in (source.path, source.weights_path) if path is not None))


def parameter_of(key: str) -> str:
    """The parameter that a mask is named after: `fc._weight_mask` is of `fc.weight`, `fc.mask` too; else the key itself."""
    layer, dot, entry = key.rpartition(".")
    if entry in ("mask", "fixed_m"):
        return f"{layer}{dot}weight"
    return named_after(key) or key


def named_after(key: str) -> str:
    """The parameter whose name is in that of its mask, nothing where there is none: `fc._weight_mask` is of `fc.weight`."""
    layer, dot, entry = key.rpartition(".")
    named = re.fullmatch(r"_*(.+?)_(?:mma_)?mask", entry)
    return f"{layer}{dot}{named[1]}" if named else ""


def is_mask(value: Tensor) -> bool:
    """Whether a tensor holds nothing but zeros and ones."""
    return value.ndim > 0 and bool(((value == 0) | (value == 1)).all())


def prunes(value: Tensor) -> bool:
    """Whether an entry is a mask by what it holds: zeros and ones, and both of them."""
    return is_mask(value) and bool((value == 0).any()) and bool((value == 1).any())


def is_matrix(name: str, state: State) -> bool:
    """Whether an entry can be the matrix of a layer: `weight`, `in_proj_weight`, `weight_hh_l0`; no mask, no embedding."""
    value = state[name]
    *layers, entry = name.lower().split(".")
    embeds = any("emb" in part or part in ("wte", "wpe") for part in layers)
    table = embeds and value.ndim == 2 and not has_bias(name, state)
    named = "weight" in entry and "mask" not in entry
    return named and value.ndim >= 2 and value.is_floating_point() and not table and not prunes(value)


def has_bias(name: str, state: State) -> bool:
    """Whether a bias lies beside a weight."""
    return f"{name.removesuffix('weight')}bias" in state


def some(names: Iterable[str]) -> str:
    """The first three names, and how many more there are."""
    listed = list(names)
    return ", ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")


def without_trailing_ones(shape: torch.Size) -> tuple[int, ...]:
    """A shape without its trailing sides of 1."""
    sides = list(shape)
    while sides and sides[-1] == 1:
        sides.pop()
    return tuple(sides)

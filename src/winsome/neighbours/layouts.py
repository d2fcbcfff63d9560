"""How other tools lay a pruned network out in a state_dict: which entries are weights, which are masks, which are neither."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from winsome.errors import WinsomeError, unknown

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Pruned:
    """A pruned network taken apart."""

    weights: dict[str, Tensor]  # the masked parameters by name
    kept: dict[str, Tensor]  # which of their entries are kept: bool, of the same names and shapes
    others: dict[str, Tensor]  # everything else in the state_dict


def torch_prune(state: State) -> Pruned:
    """`torch.nn.utils.prune`: every pruned parameter is there as `NAME_orig` with `NAME_mask`."""
    names = [
        key.removesuffix("_orig") for key in state if key.endswith("_orig") and f"{key.removesuffix('_orig')}_mask" in state
    ]
    return _taken_apart(state, {name: (f"{name}_orig", f"{name}_mask") for name in names})


def fixed_m(state: State) -> Pruned:
    """The authors' code of arXiv:2504.05357: `LAYER.fixed_m` beside `LAYER.weight`, the weight itself not masked."""
    return _taken_apart(state, _beside(state, ".fixed_m"))


def mask_buffers(state: State) -> Pruned:
    """TurboPrune: `LAYER.mask` beside `LAYER.weight`, the weight itself not masked."""
    return _taken_apart(state, _beside(state, ".mask"))


def zeros(state: State) -> Pruned:
    """A plain state_dict: in parameters of two or more dimensions that hold exact zeros, the zeros are pruned.

    One that holds none is taken for unpruned, which planting does not distinguish from "everything kept".
    """
    names = [
        name for name, value in state.items() if value.ndim >= 2 and value.is_floating_point() and bool((value == 0).any())
    ]
    weights = {name: state[name] for name in names}
    others = {name: value for name, value in state.items() if name not in weights}
    return Pruned(weights, {name: weight != 0 for name, weight in weights.items()}, others)


def masks_alone(state: State, weights: State) -> Pruned:
    """open_lth: a mask of zeros and ones by parameter name in a file of its own (`mask.pth`), the weights in another.

    Raises:
        WinsomeError: the weights lack a masked parameter.
    """
    missing = [name for name in state if name not in weights]
    if missing:
        raise WinsomeError(f"the weights lack {', '.join(missing)}, which the mask names; give the weights of the same network")
    kept = {name: checked_mask(name, mask, weights[name]) for name, mask in state.items()}
    others = {name: value for name, value in weights.items() if name not in kept}
    return Pruned({name: weights[name] for name in kept}, kept, others)


def layout_of(state: State) -> str:
    """Which of LAYOUTS, or "open_lth", a state_dict is in: by its entries' names, and "zeros" where nothing else fits."""
    for name in ("torch-prune", "fixed_m", "mask-buffers"):
        if LAYOUTS[name](state).kept:
            return name
    masks = all(bool(((value == 0) | (value == 1)).all()) for value in state.values())
    return "open_lth" if state and masks and not any(value.is_floating_point() for value in state.values()) else "zeros"


def taken_apart(state: State, layout: str, weights: State | None = None) -> Pruned:
    """A state_dict of the named layout taken apart.

    Args:
        state: the state_dict.
        layout: a name in LAYOUTS, or "open_lth".
        weights: for "open_lth" the network's own state_dict.

    Raises:
        WinsomeError: the layout is unknown, or the state is not in it.
    """
    if layout == "open_lth":
        if weights is None:
            raise WinsomeError(
                "a mask file has no signs: give the network's weights too, open_lth's `model_ep*_it*.pth` of the same folder"
            )
        pruned = masks_alone(state, weights)
    elif layout in LAYOUTS:
        pruned = LAYOUTS[layout](state)
    else:
        raise unknown("layout", layout, [*LAYOUTS, "open_lth"])
    if not pruned.kept:
        remedy = "no weight in it is exactly zero; prune the network first" if layout == "zeros" else "it has no masks in it"
        raise WinsomeError(f"the checkpoint is not in the layout {layout!r}: {remedy}")
    return pruned


def checked_mask(name: str, mask: Tensor, weight: Tensor) -> Tensor:
    """A mask as bool, of the weight's shape.

    Raises:
        WinsomeError: it has another shape, or holds something else than zeros and ones.
    """
    if mask.shape != weight.shape:
        raise WinsomeError(f"the mask of {name!r} is {tuple(mask.shape)}, its weight {tuple(weight.shape)}; they must be alike")
    if not bool(((mask == 0) | (mask == 1)).all()):
        raise WinsomeError(f"the mask of {name!r} holds values other than 0 and 1; a ticket keeps a weight or prunes it")
    return mask.to(torch.bool)


def _beside(state: State, suffix: str) -> dict[str, tuple[str, str]]:
    """Weights that have a mask entry of the given suffix beside them: {weight: (weight, mask)}."""
    layers = [key.removesuffix(suffix) for key in state if key.endswith(suffix)]
    return {f"{layer}.weight": (f"{layer}.weight", f"{layer}{suffix}") for layer in layers if f"{layer}.weight" in state}


def _taken_apart(state: State, entries: Mapping[str, tuple[str, str]]) -> Pruned:
    weights = {name: state[weight] for name, (weight, _) in entries.items()}
    kept = {name: checked_mask(name, state[mask], weights[name]) for name, (_, mask) in entries.items()}
    used = {key for pair in entries.values() for key in pair}
    return Pruned(weights, kept, {name: value for name, value in state.items() if name not in used})


LAYOUTS: dict[str, Callable[[State], Pruned]] = {
    "torch-prune": torch_prune,
    "fixed_m": fixed_m,
    "mask-buffers": mask_buffers,
    "zeros": zeros,
}

"""Read the tensors of anybody's checkpoint without running what is in it: safetensors, or PyTorch files with weights only."""

from __future__ import annotations

import logging
import os
import pickle
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from winsome.errors import WinsomeError

log = logging.getLogger("winsome")

STATE_KEYS = ("state_dict", "model_state_dict", "model", "net", "network", "weights")
MASK_KEYS = ("mask", "masks", "mask_dict")  # masks by parameter name in a dict of their own beside the state_dict
WRAPPERS = ("module.",)  # what DataParallel puts before every name
INNER_WRAPPERS = (
    "_orig_mod.",
    "_fsdp_wrapped_module.",
    "_checkpoint_wrapped_module.",
)  # at any place


@dataclass(frozen=True)
class Checkpoint:
    """What a file held: tensors by name, or a list of tensors that have none."""

    state: dict[str, Tensor]
    unnamed: tuple[Tensor, ...] = ()


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The state_dict in a checkpoint file, dense tensors on the CPU, without the prefixes of DataParallel and torch.compile.

    A pickled file is read with `torch.load(weights_only=True)`, which runs no code from it, and never otherwise. A state_dict
    inside a larger checkpoint is found under its usual names, or as the only one that is there; other tensors beside it are
    left alone, but for masks by parameter name, which become entries `NAME_mask`.

    Raises:
        WinsomeError: the file is missing or unreadable, holds pickled objects, or no tensors by name.
    """
    state = open_checkpoint(path).state
    if not state:
        raise WinsomeError(f"{path} holds no tensors by name; save the network's state_dict")
    return state


def open_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """The same, or the list of tensors that a file holds.

    Raises:
        WinsomeError: see `read_checkpoint`.
    """
    path = Path(path)
    loaded = _loaded(path)
    if isinstance(loaded, list | tuple) and loaded and all(isinstance(value, Tensor) for value in loaded):
        return Checkpoint({}, tuple(_plain(value) for value in loaded))
    state = _state_in(loaded, path)
    if not state:
        raise WinsomeError(f"{path} holds no tensors by name; save the network's state_dict")
    return Checkpoint(unwrapped(state))


def unwrapped(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state with dense tensors and without wrappers' prefixes, where every name has them."""
    names = list(state)
    for wrapper in INNER_WRAPPERS:
        bare = [name.replace(wrapper, "") for name in names]
        names = bare if len(set(bare)) == len(bare) else names
    while wrapper := next((w for w in WRAPPERS if names and all(name.startswith(w) for name in names)), ""):
        names = [name.removeprefix(wrapper) for name in names]
    return {name: _plain(value) for name, value in zip(names, state.values(), strict=True)}


def _plain(value: Tensor) -> Tensor:
    return (value if value.layout == torch.strided else value.to_dense()).detach().to("cpu")


def _loaded(path: Path) -> Any:
    """What a file holds.

    Raises:
        WinsomeError: see `read_checkpoint`.
    """
    try:
        with path.open("rb") as file:
            head = file.read(9)
        return load_file(path) if head[8:9] == b"{" else torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        named = f" ({found[1]})" if found else ""
        number = ", a number by float(...)" if found and "numpy" in found[1] else ""
        raise WinsomeError(
            f"{path} holds pickled Python objects{named} and not tensors only; unpickling runs code from the file, so Winsome "
            "does not do it. Save its state_dict where the file was made: torch.save(model.state_dict(), ...), or as "
            f"safetensors; or save again what is no tensor as plain Python{number}"
        ) from error
    except OSError as error:
        raise WinsomeError(f"cannot read {path}: {error.strerror or error}; check the path") from error
    except (SafetensorError, RuntimeError, ValueError, KeyError, EOFError, AttributeError, TypeError, IndexError) as error:
        raise WinsomeError(
            f"{path} is no checkpoint that Winsome reads ({type(error).__name__}); it reads safetensors and PyTorch files"
        ) from error


def _state_in(loaded: Any, path: Path) -> dict[str, Tensor]:
    """The tensors by name in what a file held: those of a dict inside it, if there is one; what lies beside is no weight.

    Raises:
        WinsomeError: there are several dicts of tensors, none of them under a usual name; or masks of other parameters.
    """
    if not isinstance(loaded, Mapping):
        return {}
    inside = {key: _state_in(value, path) for key, value in loaded.items() if isinstance(key, str)}
    states = {key: state for key, state in inside.items() if state and key not in MASK_KEYS}
    usual = next((key for key in STATE_KEYS if key in states), None)
    if usual is None and len(states) > 1:
        raise WinsomeError(
            f"{path} holds several dicts of tensors ({', '.join(states)}); save the one of the pruned network to a file alone"
        )
    masks = next((inside[key] for key in MASK_KEYS if inside.get(key)), {})
    if states:
        taken = usual or next(iter(states))
        state, masks = unwrapped(states.pop(taken)), unwrapped(masks)
        _tell_others(taken, state, states, path)
        listed = next((loaded[key] for key in MASK_KEYS if _is_list(loaded.get(key))), ())
        return state | _named_masks(masks or _in_order(listed, state, path), state, path)
    return masks or {key: value for key, value in loaded.items() if isinstance(key, str) and isinstance(value, Tensor)}


def _tell_others(taken: str, state: Mapping[str, Tensor], others: Mapping[str, Mapping[str, Tensor]], path: Path) -> None:
    """Say which other networks lie beside the one that is taken.

    Raises:
        WinsomeError: one of them is zeros and ones, which may be masks under another name.
    """
    for key, other in others.items():
        bare = unwrapped(other)
        alike = [value for name, value in bare.items() if name in state and state[name].shape == value.shape]
        if not bare or 2 * len(alike) < len(bare):
            continue
        if all(bool(((value == 0) | (value == 1)).all()) for value in alike):
            raise WinsomeError(
                f"{path} holds zeros and ones by parameter name under {key!r}: if they say what is kept, save them under "
                "'masks'; if not, save the state_dict alone"
            )
        log.warning("import: %s holds another network under %r, which is left aside: %r is read", path.name, key, taken)


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(one, Tensor) for one in value)


def _in_order(masks: Sequence[Tensor], state: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Masks without names as those of the matrices in the same order, of all or of all but the last: the classifier.

    Raises:
        WinsomeError: their shapes are not those of the matrices.
    """
    if not masks:
        return {}
    names = [name for name, value in state.items() if value.ndim >= 2 and value.is_floating_point()]
    shapes = [mask.shape for mask in masks]
    for some in (names, names[:-1]):
        if [state[name].shape for name in some] == shapes:
            return dict(zip(some, masks, strict=True))
    raise WinsomeError(
        f"{path} holds a list of {len(masks)} masks without names, which are not those of the {len(names)} matrices beside "
        "them in this order; save them by parameter name"
    )


def _named_masks(masks: Mapping[str, Tensor], state: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Masks by parameter name as entries beside the parameters."""
    if missing := [name for name in masks if name not in state]:
        raise WinsomeError(f"{path} holds masks of {', '.join(missing)}, and no such weights; save both under the same names")
    return {f"{name}_mask": mask for name, mask in masks.items()}

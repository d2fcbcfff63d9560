"""Read the tensors of anybody's checkpoint without running what is in it: safetensors, or PyTorch files with weights only."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from winsome.errors import WinsomeError

STATE_KEYS = ("state_dict", "model_state_dict", "model", "net", "network", "weights")
WRAPPERS = ("module.", "_orig_mod.")  # what DataParallel and torch.compile put before every name


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The state_dict in a checkpoint file, dense tensors on the CPU, without the prefixes of DataParallel and torch.compile.

    A pickled file is read with `torch.load(weights_only=True)`, which runs no code from it, and never otherwise. A state_dict
    inside a larger checkpoint is found under its usual names.

    Raises:
        WinsomeError: the file is missing or unreadable, holds pickled objects, or no tensors by name.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            head = file.read(9)
        loaded: Any = load_file(path) if head[8:9] == b"{" else torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WinsomeError(
            f"{path} holds pickled Python objects and not tensors only; unpickling runs code from the file, so Winsome does "
            "not do it. Save its state_dict where the file was made: torch.save(model.state_dict(), ...), or as safetensors"
        ) from error
    except OSError as error:
        raise WinsomeError(f"cannot read {path}: {error.strerror or error}; check the path") from error
    except (SafetensorError, RuntimeError, ValueError, KeyError, EOFError, AttributeError, TypeError, IndexError) as error:
        raise WinsomeError(
            f"{path} is no checkpoint that Winsome reads ({type(error).__name__}); it reads safetensors and PyTorch files"
        ) from error
    state = _state_in(loaded)
    if not state:
        raise WinsomeError(f"{path} holds no tensors by name; save the network's state_dict")
    return unwrapped(state)


def unwrapped(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state with dense tensors and without wrappers' prefixes, where every name has them."""
    names = list(state)
    while wrapper := next((w for w in WRAPPERS if names and all(name.startswith(w) for name in names)), None):
        names = [name.removeprefix(wrapper) for name in names]
    return {
        name: (value if value.layout == torch.strided else value.to_dense()).detach().to("cpu")
        for name, value in zip(names, state.values(), strict=True)
    }


def _state_in(loaded: Any) -> dict[str, Tensor]:
    """The tensors by name in what a file held."""
    if not isinstance(loaded, Mapping):
        return {}
    tensors = {name: value for name, value in loaded.items() if isinstance(name, str) and isinstance(value, Tensor)}
    if tensors:
        return tensors
    nested = (_state_in(loaded[key]) for key in STATE_KEYS if key in loaded)
    return next((state for state in nested if state), {})

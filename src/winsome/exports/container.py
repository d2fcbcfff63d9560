"""The files of exports: safetensors whose one metadata entry says the form, and what a network needs to take it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from winsome.errors import WinsomeError
from winsome.files import read_state, write_state
from winsome.models.spec import NetworkSpec
from winsome.state import State

KEY = "winsome-export"
VERSION = 1


def write(path: str | os.PathLike[str], form: str, tensors: Mapping[str, Tensor], **head: Any) -> int:
    """Write a file of a form; returns its bytes.

    Args:
        path: the file.
        form: its form.
        tensors: what it holds.
        head: what else is to be known; JSON values.

    Raises:
        WinsomeError: the disk refuses.
    """
    said = json.dumps({"version": VERSION, "form": form, **head}, separators=(",", ":"))
    write_state(Path(path), {name: value.detach().cpu().contiguous() for name, value in tensors.items()}, **{KEY: said})
    return Path(path).stat().st_size


def head_of(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """What a file says of itself; None of a file that is no export."""
    try:
        with safe_open(path, framework="pt") as file:
            said = (file.metadata() or {}).get(KEY)
        return None if said is None else dict(json.loads(said))
    except (OSError, SafetensorError, ValueError):
        return None


def read(path: str | os.PathLike[str], *forms: str) -> tuple[State, dict[str, Any]]:
    """What an export holds, and what it says of itself.

    Raises:
        WinsomeError: it is missing, damaged, no export, of another form than these, or of a newer version.
    """
    if not Path(path).exists():
        raise WinsomeError(f"cannot read {path}: there is no such file; check the path")
    head = head_of(path)
    if head is None or head.get("form") not in forms:
        found = "no export of Winsome" if head is None else f"of the form {head.get('form')!r}"
        raise WinsomeError(f"{path} is {found}; expected the form {' or '.join(forms)}, which `winsome ticket export` writes")
    if head["version"] > VERSION:
        raise WinsomeError(f"{path} is of version {head['version']}; this Winsome reads up to {VERSION}: upgrade it")
    return read_state(Path(path))[0], head


def network_for(head: Mapping[str, Any], model: nn.Module | None, path: str | os.PathLike[str]) -> nn.Module:
    """The network that a file was made from, freshly made, or the one that is given.

    Raises:
        WinsomeError: the file does not say which, and none is given.
    """
    if model is not None:
        return model
    if not head.get("network"):
        raise WinsomeError(f"{path} does not say which network it is of; hand one over: load(path, model)")
    return NetworkSpec.from_record(head["network"]).build(0)

"""What was timed on this machine, kept beside the decoded images for later estimates."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from winsome.data.cache import cache_folder
from winsome.errors import WinsomeError
from winsome.files import read_json, write_json
from winsome.machine import usable_cores
from winsome.training.precision import default_device

Times = Mapping[str, float]
_MEASURED: dict[str, Times] = {}  # by this process


def kept(facts: Sequence[object], names: Sequence[str], measure: Callable[[], Times]) -> Times:
    """Times by name: those that were kept of the same facts on this machine, else measured now, and kept.

    What is measured while the machine has other work is not kept, nor is anything where no cache can be written.

    Args:
        facts: JSON values: all that the times depend on beside the machine.
        names: of the times.
        measure: measures them.
    """
    text = json.dumps([*facts, *_machine()])
    if text in _MEASURED:
        return _MEASURED[text]
    path = None if _is_busy() else _place(text)
    if path is not None and path.exists():
        with contextlib.suppress(WinsomeError):  # not whole: timed anew
            found = read_json(path)
            if isinstance(found, dict) and found.keys() == {*names}:
                return found
    times = _MEASURED[text] = dict(measure())
    if path is not None:
        with contextlib.suppress(WinsomeError, OSError):  # the next estimate measures again
            write_json(path, times)
    return times


def forget() -> None:
    """Forget what this process has measured; what is kept on disk stays."""
    _MEASURED.clear()


def _is_busy() -> bool:
    """Whether the machine has other work, where the system says so."""
    return hasattr(os, "getloadavg") and os.getloadavg()[0] > usable_cores()


def _machine() -> list[object]:
    """What times depend on beside the work."""
    device = default_device()
    processor = torch.cuda.get_device_name(device) if device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
    return [platform.node(), str(device), processor, torch.get_num_threads(), torch.__version__]


def _place(text: str) -> Path | None:
    """Where times are kept on this machine, by all that they depend on."""
    folder = cache_folder()
    return None if folder is None else folder / "step-times" / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"

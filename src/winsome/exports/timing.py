"""How long calls take and how much memory they need, side by side."""

from __future__ import annotations

import ctypes
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

Call = Callable[[], object]


def milliseconds(
    calls: Mapping[str, Call], *, seconds: float = 10.0, least: int = 5, most: int = 50, repeats: int = 3
) -> dict[str, tuple[float, ...]]:
    """What each call takes, in rounds that go through all of them, so that what else the machine does meets all alike.

    A round calls each once unmeasured (threads of another runtime still spin) and takes the median of the next ones.

    Args:
        calls: by name.
        seconds: rounds begin until so many have passed.
        least: rounds at least.
        most: rounds at most.
        repeats: measured calls of each in a round.
    """
    for call in calls.values():
        call()
    found: dict[str, list[float]] = {name: [] for name in calls}
    start = time.perf_counter()
    for number in range(most):
        if number >= least and time.perf_counter() - start > seconds:
            break
        for name, call in calls.items():
            call()
            found[name].append(statistics.median(_once(call) for _ in range(repeats)))
    return {name: tuple(times) for name, times in found.items()}


def _once(call: Call) -> float:
    start = time.perf_counter()
    call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return 1000 * (time.perf_counter() - start)


def peak_bytes(call: Call) -> int | None:
    """By how much the process grew at most during a call, what was free before given back first (Linux; None elsewhere)."""
    clear, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    try:
        ctypes.CDLL(None).malloc_trim(0)
        clear.write_text("5")
        before = _status_bytes(status, "VmRSS")
        call()
        return max(0, _status_bytes(status, "VmHWM") - before)
    except (OSError, AttributeError, StopIteration):
        return None


def gpu_peak_bytes(call: Call) -> int | None:
    """By how much PyTorch's memory on the GPU grew at most during a call."""
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    return int(torch.cuda.max_memory_allocated() - before)


def _status_bytes(status: Path, entry: str) -> int:
    lines = status.read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(entry))

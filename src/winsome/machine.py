"""What this machine lends to this process."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """The cores that this process may use: under a scheduler or `taskset` fewer than there are."""
    if hasattr(os, "sched_getaffinity"):  # Linux alone has it
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

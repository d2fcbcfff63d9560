"""What a launcher such as torchrun says of this process, in the environment; asked before torch is imported."""

from __future__ import annotations

import os

_LAUNCH = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")  # what torchrun sets
ALIKE = "every rank says the same"  # the note of an error that rank 0 raises as well


def launched() -> bool:
    """Whether a launcher such as torchrun started several processes, of which this is one."""
    return all(name in os.environ for name in _LAUNCH) and int(os.environ["WORLD_SIZE"]) > 1


def launched_rank() -> int:
    """The rank that the launcher gave to this process, joined or not; 0 without a launcher."""
    return int(os.environ["RANK"]) if launched() else 0

"""Independent random streams by (seed, purpose, level): alike on every rank, in every process, in any order of calls."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def stream_seed(seed: int, purpose: str, level: int = 0) -> int:
    """A 63-bit seed of the stream named by (seed, purpose, level).

    It comes from a cryptographic digest, never from `hash()`, which Python salts anew in every process.
    """
    digest = hashlib.sha256(f"{seed}/{purpose}/{level}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def generator(seed: int, purpose: str, level: int = 0, *, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator of its own for one purpose: no other draw can shift it."""
    return torch.Generator(device=device).manual_seed(stream_seed(seed, purpose, level))


@contextmanager
def seeded(seed: int, purpose: str, level: int = 0) -> Iterator[None]:
    """Seed the global streams of torch, numpy and Python inside the block, and give them back as they were after it.

    For code that draws from global streams: a network's initialisation, a user's loop, dropout.
    """
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002 - the user's code may draw from it
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        seed_streams(seed, purpose, level)
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)  # noqa: NPY002


def seed_streams(seed: int, purpose: str, level: int = 0) -> None:
    """Seed the global streams of torch, numpy and Python; inside of `seeded` they are given back."""
    value = stream_seed(seed, purpose, level)
    torch.manual_seed(value)
    random.seed(value)
    np.random.seed(value & 0xFFFF_FFFF)  # noqa: NPY002 - the user's code may draw from it

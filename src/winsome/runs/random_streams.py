"""Where the global random streams stand, as tensors and JSON."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from winsome.state import State


def random_streams() -> tuple[State, dict[str, Any]]:
    """Where the global streams of torch, numpy and Python stand: those that `seeded` gives to a level."""
    _, words, *numpy_rest = np.random.get_state(legacy=True)  # noqa: NPY002 - the user's code may draw from it
    tensors = {"cpu": torch.get_rng_state(), "numpy": torch.from_numpy(np.asarray(words, np.int64))}
    if torch.cuda.is_available():
        tensors["cuda"] = torch.cuda.get_rng_state()
    return tensors, {"numpy": numpy_rest, "python": random.getstate()}


def restore_random_streams(tensors: State, record: Mapping[str, Any]) -> None:
    """Put them back to where `random_streams` found them."""
    torch.set_rng_state(tensors["cpu"])
    if "cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["cuda"])
    np.random.set_state(("MT19937", tensors["numpy"].numpy().astype(np.uint32), *record["numpy"]))  # noqa: NPY002
    version, words, gauss = record["python"]
    random.setstate((version, tuple(words), gauss))

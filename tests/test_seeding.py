"""Random streams by (seed, purpose, level): fixed in every process, and the user's own streams untouched."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
import torch

from winsome.seeding import generator, seeded, stream_seed


def test_a_stream_seed_is_the_digest() -> None:
    number = int.from_bytes(hashlib.sha256(b"7/training/3").digest()[:8], "little") // 2
    assert stream_seed(7, "training", 3) == number < 2**63


def test_every_seed_purpose_and_level_has_its_own_stream() -> None:
    seeds = {stream_seed(*names) for names in product(range(-3, 20), ("training", "score", "level", ""), range(16))}
    assert len(seeds) == 23 * 4 * 16


def test_a_generator_is_its_own_stream() -> None:
    expected = torch.rand(3, generator=generator(1, "score", 2))
    other = generator(1, "training", 2)
    mine = generator(1, "score", 2)
    torch.rand(10, generator=other)
    torch.rand(10)
    assert torch.equal(torch.rand(3, generator=mine), expected)
    assert not torch.equal(torch.rand(3, generator=generator(1, "training", 2)), expected)


DRAWS: dict[str, Callable[[], float]] = {
    "torch": lambda: float(torch.rand(())),
    "numpy": lambda: float(np.random.rand()),  # noqa: NPY002
    "numpy normal": lambda: float(np.random.standard_normal()),  # noqa: NPY002
    "python": random.random,
    "python normal": lambda: random.gauss(0, 1),
}


@pytest.mark.parametrize("name", DRAWS)
def test_seeded_is_repeatable_and_gives_the_streams_back(name: str) -> None:
    draw = DRAWS[name]
    draw()  # half of a pair of normal draws may be pending
    states = random.getstate(), torch.get_rng_state(), str(np.random.get_state())  # noqa: NPY002
    with seeded(3, "training", 1):
        first = [draw() for _ in range(5)]
    with pytest.raises(ZeroDivisionError), seeded(3, "training", 1):  # noqa: PT012
        assert [draw() for _ in range(5)] == first
        raise ZeroDivisionError
    with seeded(3, "training", 2):
        assert [draw() for _ in range(5)] != first
    with seeded(4, "training", 1), seeded(3, "training", 1):
        assert [draw() for _ in range(5)] == first
    after = random.getstate(), torch.get_rng_state(), str(np.random.get_state())  # noqa: NPY002
    assert states[0] == after[0]
    assert torch.equal(states[1], after[1])
    assert states[2] == after[2]

"""The entropy code of a layer in an N:M pattern: which N of each group of M inputs are kept, all choices alike likely.

A group's choice is one symbol, its place among the C(M, N) choices: log2 C(M, N) bits; a code by density takes M * H(N / M).
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import constriction
import numpy as np
import numpy.typing as npt

from winsome.errors import WinsomeError

Bytes = npt.NDArray[np.uint8]
Kept = npt.NDArray[np.bool_]
Pattern = tuple[int, int]  # (n, m)

SIZES = (2, 4, 8, 16)  # groups that a file knows; C(16, 8) = 12,870 choices
LEAST_GROUPS = 32  # with fewer a layer may look like a pattern by chance, and there is nothing to save
BLOCK = 1 << 20  # groups handled at a time


def pattern_of(kept: Kept) -> Pattern | None:
    """The N:M pattern that a layer is in along its second axis, the one of the shortest code; None for none."""
    fitting = []
    for m in SIZES:
        if kept.ndim < 2 or kept.shape[1] % m or kept.size < LEAST_GROUPS * m:
            continue
        counts = np.count_nonzero(_groups(kept, m), axis=1)
        n = int(counts[0])
        if 0 < n < m and bool((counts == n).all()):
            fitting.append((n, m))
    return min(fitting, key=lambda pattern: pattern_bits(pattern, kept.size), default=None)


def pattern_bits(pattern: Pattern, total: int) -> float:
    """Bits that the mask of a layer of so many weights needs in a pattern, without signs."""
    n, m = pattern
    return total / m * math.log2(math.comb(m, n))


def encode_pattern(kept: Kept, pattern: Pattern) -> Bytes:
    """ANS words of a layer's mask in a pattern, 4 bytes each, little-endian."""
    n, m = pattern
    groups = _groups(kept, m)
    coder = constriction.stream.stack.AnsCoder()
    for start in reversed(range(0, len(groups), BLOCK)):  # the coder is a stack: what goes in last comes out first
        bits = groups[start : start + BLOCK] @ (1 << np.arange(m - 1, -1, -1))
        coder.encode_reverse(np.searchsorted(_choices(n, m), bits).astype(np.int32), _model(n, m))
    words: Bytes = coder.get_compressed().astype("<u4").view(np.uint8)
    return words


def decode_pattern(words: Bytes, shape: tuple[int, ...], pattern: Pattern) -> Bytes:
    """The mask of a layer as packed bits in flat order.

    Raises:
        WinsomeError: the words are no code of a layer of this shape in this pattern.
    """
    n, m = pattern
    numbers = words.view("<u4").astype(np.uint32)
    if not numbers.size or not numbers[-1]:  # ANS data never ends in a zero word
        raise WinsomeError("its code is broken; the file is damaged, fetch it again")
    coder = constriction.stream.stack.AnsCoder(numbers)
    groups = np.empty((math.prod(shape) // m, m), dtype=np.bool_)
    for start in range(0, len(groups), BLOCK):
        part = groups[start : start + BLOCK]
        bits = _choices(n, m)[coder.decode(_model(n, m), len(part))]
        part[:] = (bits[:, None] >> np.arange(m - 1, -1, -1)) & 1
    if not coder.is_empty():
        raise WinsomeError("its code is longer than its weights; the file is damaged, fetch it again")
    moved = (shape[0], *shape[2:], shape[1])
    return np.packbits(np.moveaxis(groups.reshape(moved), -1, 1))


def can_be(pattern: Pattern, shape: tuple[int, ...]) -> bool:
    """Whether a layer of this shape can be in a pattern that a file may hold."""
    n, m = pattern
    return m in SIZES and 0 < n < m and len(shape) > 1 and shape[1] > 0 and shape[1] % m == 0


def _groups(kept: Kept, m: int) -> Kept:
    return np.moveaxis(kept, 1, -1).reshape(-1, m)


@cache
def _choices(n: int, m: int) -> npt.NDArray[np.int64]:
    """The choices of N of M as whole numbers, growing; the first weight of a group is the highest bit."""
    return np.array([bits for bits in range(1 << m) if bits.bit_count() == n], dtype=np.int64)


@cache
def _model(n: int, m: int) -> Any:
    return constriction.stream.model.Uniform(math.comb(m, n))

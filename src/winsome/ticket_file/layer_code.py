"""The entropy code of one layer: which weights are kept by ANS at the layer's own density, the signs of the kept as raw bits.

Eight weights of the mask make one symbol, a byte; how likely a byte is follows from its number of kept weights and the layer's
density. One symbol for eight weights is what makes it fast: coding weight by weight takes three to six times as long.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from functools import cache
from typing import Any

import constriction
import numpy as np
import numpy.typing as npt

from winsome.errors import WinsomeError
from winsome.signed_mask import SignedMask
from winsome.ticket_file.pattern_code import Pattern, decode_pattern, encode_pattern, pattern_bits, pattern_of

Bytes = npt.NDArray[np.uint8]
Signs = npt.NDArray[np.int8]

SYMBOLS = 256
PRECISION = 24  # bits of constriction's fixed-point probabilities
FREE_WEIGHT = (1 << PRECISION) - SYMBOLS  # what is left once every symbol has its least probability, 2 ** -24
BLOCK = 1 << 20  # symbols or weights handled at a time, where each takes 4 or 8 bytes meanwhile


@dataclass(frozen=True)
class CodedLayer:
    """One layer of a signed mask in coded form."""

    kept: int  # how many weights are kept: with the layer's size the only parameter of the code
    words: Bytes  # ANS words of the mask, 4 bytes each, little-endian; none where all or no weights are kept
    signs: Bytes  # a bit per kept weight in order, 1 for negative, the first in the highest bit
    checksum: int  # CRC-32 of the mask as packed bits followed by `signs`
    pattern: Pattern | None = None  # (n, m) where the words are of the code of a pattern


def encode_layer(values: Signs) -> CodedLayer:
    """The code of a layer's signs (-1, 0, +1, in the layer's shape)."""
    signs = values.reshape(-1)
    kept_bits = signs != 0
    kept = int(np.count_nonzero(kept_bits))
    packed = np.packbits(kept_bits)
    negative = np.packbits(_values_where(kept_bits, signs) < 0)
    if (pattern := pattern_of(kept_bits.reshape(values.shape))) is not None:
        words = encode_pattern(kept_bits.reshape(values.shape), pattern)
        return CodedLayer(kept, words, negative, checksum(packed, negative), pattern)
    coder = constriction.stream.stack.AnsCoder()
    if 0 < kept < signs.size:
        model = _model(kept, signs.size)
        # The coder is a stack: what goes in last comes out first.
        for start in reversed(range(0, packed.size, BLOCK)):
            coder.encode_reverse(packed[start : start + BLOCK].astype(np.int32), model)
    words = coder.get_compressed().astype("<u4").view(np.uint8)
    return CodedLayer(kept, words, negative, checksum(packed, negative))


def decode_layer(coded: CodedLayer, shape: tuple[int, ...]) -> Signs:
    """The signs (flat int8) of a layer of this shape.

    Raises:
        WinsomeError: the code is not that of a layer with so many weights, so many of them kept, and this checksum.
    """
    total = math.prod(shape)
    packed = _decode_mask(coded, total) if coded.pattern is None else decode_pattern(coded.words, shape, coded.pattern)
    if checksum(packed, coded.signs) != coded.checksum:
        raise WinsomeError("its checksum does not match; the file is corrupted, fetch it again")
    signs = np.unpackbits(packed, count=total).view(np.int8)
    if int(np.count_nonzero(signs)) != coded.kept or packed_size(coded.kept) != coded.signs.size:
        raise WinsomeError("it keeps another number of weights than it states; the file is damaged, fetch it again")
    _put_negative(signs, np.unpackbits(coded.signs, count=coded.kept))
    return signs


def _decode_mask(coded: CodedLayer, total: int) -> Bytes:
    """The mask of a layer as packed bits."""
    if coded.kept == 0:
        return np.zeros(packed_size(total), dtype=np.uint8)
    if coded.kept == total:
        return np.packbits(np.ones(total, dtype=np.bool_))
    words = coded.words.view("<u4").astype(np.uint32)
    if not words.size or not words[-1]:  # ANS data never ends in a zero word
        raise WinsomeError("its code is broken; the file is damaged, fetch it again")
    coder = constriction.stream.stack.AnsCoder(words)
    model = _model(coded.kept, total)
    packed = np.empty(packed_size(total), dtype=np.uint8)
    for start in range(0, packed.size, BLOCK):
        block = packed[start : start + BLOCK]
        block[:] = coder.decode(model, block.size)
    if not coder.is_empty():
        raise WinsomeError("its code is longer than its weights; the file is damaged, fetch it again")
    return packed


def _values_where(kept: npt.NDArray[np.bool_], signs: Signs) -> Signs:
    """`signs[kept]`; block by block with listed positions, which is three times faster than a boolean index."""
    blocks = [slice(start, start + BLOCK) for start in range(0, signs.size, BLOCK)]
    return np.concatenate([np.zeros(0, np.int8), *(signs[block].take(np.flatnonzero(kept[block])) for block in blocks)])


def _put_negative(signs: Signs, negative: npt.NDArray[np.uint8]) -> None:
    """Turn the ones of `signs` (0 or 1) into -1 where `negative`, one entry for each of them in order, is 1."""
    values = 1 - 2 * negative.view(np.int8)
    used = 0
    for start in range(0, signs.size, BLOCK):
        block = signs[start : start + BLOCK]
        positions = np.flatnonzero(block.view(np.bool_))
        block[positions] = values[used : used + positions.size]
        used += positions.size


def checksum(*parts: Bytes) -> int:
    """CRC-32 of the parts one after another."""
    value = 0
    for part in parts:
        value = zlib.crc32(part.data, value)
    return value


def packed_size(bits: int) -> int:
    """How many bytes hold so many bits."""
    return (bits + 7) // 8


@cache
def _popcounts() -> npt.NDArray[np.intp]:
    return np.array([symbol.bit_count() for symbol in range(SYMBOLS)])


def symbol_weights(kept: int, total: int) -> npt.NDArray[np.float64]:
    """How likely each byte of eight mask bits is at density kept / total: whole numbers that sum to FREE_WEIGHT.

    They are found in integers, so that they are the same on every machine. constriction scales what it is given to exactly
    this sum and adds 1 to each; with whole numbers of that sum its floating point has nothing to round.
    """
    odds = [kept**ones * (total - kept) ** (8 - ones) * FREE_WEIGHT // total**8 for ones in range(9)]
    weights = np.array(odds, dtype=np.float64)[_popcounts()]
    likeliest = 0 if 2 * kept <= total else SYMBOLS - 1
    weights[likeliest] += FREE_WEIGHT - weights.sum()
    return weights


def _model(kept: int, total: int) -> Any:
    return constriction.stream.model.Categorical(symbol_weights(kept, total), perfect=False)


def entropy_bits(kept: int, total: int) -> float:
    """Bits that the mask of one layer needs at its density, without signs: total * H(kept / total)."""
    return sum(-count * math.log2(count / total) for count in (kept, total - kept) if count)


def entropy_bytes(mask: SignedMask) -> float:
    """Bytes that a signed mask needs: each layer's mask at its own density or in its N:M pattern, and a bit for each sign."""
    bits = 0.0
    for name, layer in mask.layers().items():
        pattern = pattern_of(mask.kept(name).numpy())
        at_density = pattern is None
        bits += entropy_bits(layer.kept, layer.total) if at_density else pattern_bits(pattern or (1, 1), layer.total)
    return (bits + mask.n_kept) / 8

"""The index of a ticket file: names, shapes, counts and checksums of all its parts, checked before anything is allocated."""

from __future__ import annotations

import bz2
import json
import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from winsome.errors import WinsomeError
from winsome.ticket_file.layer_code import packed_size
from winsome.ticket_file.pattern_code import Pattern, can_be

MAX_SIDES = 32  # dimensions of a tensor
MAX_WEIGHTS = 2**48  # of one tensor: beyond it sizes overflow somewhere
MAX_INDEX_BYTES = 2**24  # unpacked: room for a quarter of a million layers
WORD_BYTES = 4
CHECKSUM_BYTES = 4
DAMAGED = "its index is damaged"
Entry = TypeVar("Entry")


@dataclass(frozen=True)
class LayerEntry:
    """One layer of the signed mask: what its code needs and the bytes that it takes."""

    name: str
    shape: tuple[int, ...]
    kept: int
    n_words: int
    checksum: int
    pattern: Pattern | None = None  # (n, m), where its mask is coded as one

    @property
    def total(self) -> int:
        """How many weights the layer has."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class SignsEntry:
    """The signs of one unpruned parameter."""

    name: str
    shape: tuple[int, ...]
    checksum: int

    @property
    def total(self) -> int:
        """How many signs there are."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class NormEntry:
    """One normalisation parameter: shape and type are its tensor's, which the checksum covers."""

    name: str
    checksum: int


@dataclass(frozen=True)
class Index:
    """What a ticket file holds, in order."""

    layers: tuple[LayerEntry, ...]
    signs: tuple[SignsEntry, ...]
    norms: tuple[NormEntry, ...]
    metadata_checksum: int

    @property
    def n_weights(self) -> int:
        """How many prunable weights there are."""
        return sum(layer.total for layer in self.layers)

    @property
    def mask_bytes(self) -> int:
        """Bytes of the coded masks."""
        return sum(layer.n_words for layer in self.layers) * WORD_BYTES

    @property
    def mask_signs_bytes(self) -> int:
        """Bytes of the kept weights' signs."""
        return sum(packed_size(layer.kept) for layer in self.layers)

    @property
    def signs_bytes(self) -> int:
        """Bytes of the signs of unpruned parameters."""
        return sum(packed_size(entry.total) for entry in self.signs)


def index_bytes(index: Index) -> bytes:
    """The index as JSON (ASCII), compressed by bzip2, followed by its CRC-32, 4 bytes, little-endian.

    Plain, it would be most of what a file of low density has beyond its entropy. bzip2 and not zlib: equal tickets shall give
    equal bytes, and the builds of zlib in use differ in their output.

    Raises:
        WinsomeError: `read_index` would refuse it.
    """
    rows = {
        "metadata": index.metadata_checksum,
        "layers": [[e.name, e.shape, e.kept, e.n_words, e.checksum, *([e.pattern] if e.pattern else [])] for e in index.layers],
        "signs": [[e.name, e.shape, e.checksum] for e in index.signs],
        "norms": [[e.name, e.checksum] for e in index.norms],
    }
    shaped: tuple[LayerEntry | SignsEntry, ...] = (*index.layers, *index.signs)
    for entry in shaped:
        if len(entry.shape) > MAX_SIDES:
            raise WinsomeError(
                f"{entry.name!r} has {len(entry.shape)} dimensions; a ticket file holds tensors of up to {MAX_SIDES}"
            )
    text = json.dumps(rows, separators=(",", ":")).encode("ascii")
    if len(text) > MAX_INDEX_BYTES:
        raise WinsomeError(
            f"names and shapes of {len(index.layers):,} layers take {len(text):,} bytes; a ticket file holds "
            f"{MAX_INDEX_BYTES:,}: shorten the names, or save parts of the network as tickets of their own"
        )
    packed = bz2.compress(text, 9)
    return packed + zlib.crc32(packed).to_bytes(CHECKSUM_BYTES, "little")


def read_index(data: bytes) -> Index:
    """The index from its bytes, every entry checked for type and range.

    Raises:
        WinsomeError: it is corrupted or says what cannot be.
    """
    packed, stored = data[:-CHECKSUM_BYTES], data[-CHECKSUM_BYTES:]
    if len(data) <= CHECKSUM_BYTES or zlib.crc32(packed).to_bytes(CHECKSUM_BYTES, "little") != stored:
        raise WinsomeError(f"{DAMAGED}: its checksum does not match; the file is corrupted, fetch it again")
    try:
        text = bz2.BZ2Decompressor().decompress(packed, MAX_INDEX_BYTES + 1)
        if len(text) > MAX_INDEX_BYTES:
            raise WinsomeError(f"{DAMAGED}: it unpacks to more than {MAX_INDEX_BYTES:,} bytes; fetch the file again")
        rows = json.loads(text)
    except WinsomeError:
        raise
    except (OSError, ValueError, RecursionError) as error:  # bzip2's complaint is an OSError
        raise WinsomeError(f"{DAMAGED}: it is not compressed JSON; fetch the file again") from error
    if not isinstance(rows, dict):
        raise WinsomeError(f"{DAMAGED}: it is not a JSON object; fetch the file again")
    index = Index(
        tuple(_entries(rows.get("layers"), 5, _layer, wider=True)),
        tuple(_entries(rows.get("signs"), 3, lambda name, shape, crc: SignsEntry(name, _shape(shape), _count(crc)))),
        tuple(_entries(rows.get("norms"), 2, lambda name, crc: NormEntry(name, _count(crc)))),
        _count(rows.get("metadata")),
    )
    for part in (index.layers, index.signs, index.norms):
        names = [entry.name for entry in part]
        if len(set(names)) != len(names):
            raise WinsomeError(f"{DAMAGED}: a name comes twice; fetch the file again")
    return index


def _entries(rows: object, width: int, entry: Callable[..., Entry], *, wider: bool = False) -> Iterator[Entry]:
    if not isinstance(rows, list):
        raise WinsomeError(f"{DAMAGED}: a list is missing; fetch the file again")
    for row in rows:
        if not isinstance(row, list) or len(row) - width not in (0, wider) or not row or not isinstance(row[0], str):
            raise WinsomeError(f"{DAMAGED}: an entry is malformed; fetch the file again")
        yield entry(*row)


def _layer(name: str, shape: Any, kept: Any, n_words: Any, crc: Any, pattern: Any = None) -> LayerEntry:
    layer = LayerEntry(name, _shape(shape), _count(kept), _count(n_words), _count(crc), _pattern(pattern))
    if layer.pattern is not None:
        n, m = layer.pattern
        if not can_be(layer.pattern, layer.shape) or layer.kept * m != layer.total * n:
            raise WinsomeError(f"{DAMAGED}: {name!r} cannot be {n}:{m} with {layer.kept} of {layer.total} weights")
    if layer.kept > layer.total:
        raise WinsomeError(f"{DAMAGED}: {name!r} keeps {layer.kept} of {layer.total} weights; fetch the file again")
    if (layer.n_words == 0) != (layer.kept in (0, layer.total)):
        raise WinsomeError(f"{DAMAGED}: {name!r} has {layer.n_words} words for {layer.kept} of {layer.total} weights")
    return layer


def _shape(sides: object) -> tuple[int, ...]:
    if not isinstance(sides, list) or len(sides) > MAX_SIDES:
        raise WinsomeError(f"{DAMAGED}: a shape is malformed; fetch the file again")
    shape = tuple(_count(side) for side in sides)
    if math.prod(max(side, 1) for side in shape) > MAX_WEIGHTS:
        raise WinsomeError(f"{DAMAGED}: a shape has more than 2^48 entries; fetch the file again")
    return shape


def _pattern(value: object) -> Pattern | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2:
        raise WinsomeError(f"{DAMAGED}: a pattern is malformed; fetch the file again")
    return _count(value[0]), _count(value[1])


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise WinsomeError(f"{DAMAGED}: it holds something that is no count; fetch the file again")
    return value

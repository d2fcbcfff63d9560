"""The ticket file of N:M patterns: round trips, size against the entropy, the page, the committed sample, damage."""

from __future__ import annotations

import bz2
import json
import math
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from winsome import SignedMask, Ticket, WinsomeError, n_of_m, ticket_file
from winsome.ticket_file import header
from winsome.ticket_file.index import read_index
from winsome.ticket_file.pattern_code import pattern_of

SAMPLE = Path(__file__).parent / "samples" / "v2.ticket"


def in_pattern(shape: tuple[int, ...], n: int, m: int, seed: int = 0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    scores = {"w": torch.rand(shape, generator=draw)}
    kept = n_of_m(n, m)(scores, n / m, {"w": torch.ones(shape, dtype=torch.bool)})["w"]
    return torch.where(torch.rand(shape, generator=draw) < 0.5, -1, 1).to(torch.int8) * kept


def version_of(data: bytes) -> int:
    size = int.from_bytes(data[:8], "little")
    version: int = json.loads(json.loads(data[8 : 8 + size])["__metadata__"]["winsome-ticket"])["version"]
    return version


@settings(max_examples=40, deadline=None)
@given(m=st.sampled_from([2, 4, 8, 16]), n=st.integers(1, 15), rows=st.integers(16, 40), kernel=st.integers(1, 3))
def test_a_ticket_of_a_pattern_comes_back_as_it_was(m: int, n: int, rows: int, kernel: int) -> None:
    n = 1 + (n - 1) % (m - 1)
    mask = SignedMask({"conv": in_pattern((rows, 2 * m, kernel, kernel), n, m), "linear": in_pattern((rows, 3 * m), n, m)})
    data = ticket_file.encode(Ticket(mask))
    assert ticket_file.decode(data).mask == mask
    assert data == ticket_file.encode(Ticket(mask))
    assert pattern_of(mask.kept("linear").numpy()) in {(n, m), (n // 2, m // 2)}


@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 4), (2, 8), (8, 16)])
def test_a_file_is_within_a_hundredth_of_the_patterns_entropy(n: int, m: int) -> None:
    mask = SignedMask({f"layers.{i}.weight": in_pattern((512, 1024), n, m, i) for i in range(4)})
    groups = 4 * 512 * 1024 // m
    needed = groups * (math.log2(math.comb(m, n)) + n) / 8
    assert ticket_file.entropy_bytes(mask) == pytest.approx(needed, rel=1e-12)
    assert needed <= len(ticket_file.encode(Ticket(mask))) <= 1.01 * needed


def test_only_files_with_a_pattern_are_of_version_2() -> None:
    """A version that knows no patterns reads all others."""
    random = torch.where(torch.rand(40, 40, generator=torch.Generator().manual_seed(0)) < 0.5, 1, 0).to(torch.int8)
    assert version_of(ticket_file.encode(Ticket(SignedMask({"w": random})))) == 1
    few = in_pattern((4, 28), 2, 4)  # 28 groups may look like a pattern by chance
    assert version_of(ticket_file.encode(Ticket(SignedMask({"w": few})))) == 1
    assert version_of(ticket_file.encode(Ticket(SignedMask({"w": random, "v": in_pattern((4, 32), 2, 4)})))) == 2
    assert header.VERSION == 2


@pytest.mark.parametrize(
    ("kept", "pattern"),
    [
        (np.tile([True, False], (32, 2)), (1, 2)),
        (np.tile([True, True, False, False], (32, 1)), (2, 4)),
        (np.tile([True, True, True, False], (32, 2)), (3, 4)),
        (np.ones((32, 4), np.bool_), None),
        (np.zeros((32, 4), np.bool_), None),
        (np.tile([True, False, False], (32, 2)), None),
        (np.tile([True, False], 64), None),
    ],
)
def test_the_pattern_of_a_layer_is_the_one_of_the_shortest_code(
    kept: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], pattern: tuple[int, int] | None
) -> None:
    assert pattern_of(kept) == pattern


# ---- a decoder from docs/ticket-format.md alone: no constriction


def symbols(words: list[int], count: int, choices: int) -> Iterator[int]:
    least = 2**24 // choices
    weights = [least] * (choices - 1) + [2**24 - least * (choices - 1)]
    state = 0
    while words and state < 2**32:
        state = state << 32 | words.pop()
    for _ in range(count):
        rest = state & 0xFFFFFF
        symbol = min(rest // least, choices - 1)
        state = (state >> 24) * weights[symbol] + rest - symbol * least
        if state < 2**32 and words:
            state = state << 32 | words.pop()
        yield symbol
    assert state == 0
    assert not words


@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 4), (3, 8), (1, 2), (5, 16)])
def test_the_page_describes_the_code_of_patterns(n: int, m: int) -> None:
    signs = in_pattern((6, 2 * m, 3, 3), n, m)
    data = ticket_file.encode(Ticket(SignedMask({"w": signs})))
    body = 8 + int.from_bytes(data[:8], "little")
    parts = {name: entry["data_offsets"] for name, entry in json.loads(data[8:body]).items() if name != "__metadata__"}
    index = json.loads(bz2.decompress(data[body + parts["index"][0] : body + parts["index"][1] - 4]))
    ((_, shape, kept, n_words, crc, pattern),) = index["layers"]
    assert pattern == [n, m]
    words = data[body + parts["mask"][0] : body + parts["mask"][1]]
    choices = [bits for bits in range(2**m) if bits.bit_count() == n]
    found = symbols([int.from_bytes(words[4 * i : 4 * i + 4], "little") for i in range(n_words)], 6 * 2 * 9, len(choices))
    mask = [[[[0] * 3 for _ in range(3)] for _ in range(2 * m)] for _ in range(6)]
    for place, symbol in enumerate(found):
        group, (unit, y, x) = place % 2, np.unravel_index(place // 2, (6, 3, 3))
        for i, bit in enumerate(f"{choices[symbol]:0{m}b}"):
            mask[unit][group * m + i][y][x] = int(bit)
    assert shape == [6, 2 * m, 3, 3]
    assert torch.equal(torch.tensor(mask), (signs != 0).long())
    assert kept == int((signs != 0).sum())
    stored = data[body + parts["mask_signs"][0] : body + parts["mask_signs"][1]]
    assert zlib.crc32(np.packbits(np.array(mask, np.uint8)).tobytes() + stored) == crc


def sample() -> Ticket:
    """What the sample was written from; the file stays as it is whatever becomes of this function."""
    row = torch.zeros(8, 16, dtype=torch.int8)
    for unit in range(8):
        for group in range(4):
            first = (unit + group) % 4
            row[unit, 4 * group + first] = 1
            row[unit, 4 * group + (first + 1 + unit % 3) % 4] = -1
    return Ticket(SignedMask({"w": row}), provenance={"method": "aws"})


def test_the_sample_of_version_2_is_read() -> None:
    ticket = ticket_file.read(SAMPLE)
    assert version_of(SAMPLE.read_bytes()) == 2
    assert ticket.mask["w"][0, :8].tolist() == [1, -1, 0, 0, 0, 1, -1, 0]
    assert ticket.mask["w"][1, :8].tolist() == [0, 1, 0, -1, -1, 0, 1, 0]
    assert ticket.mask == sample().mask
    assert ticket.provenance == {"method": "aws"}


def damaged_index(pattern: object) -> bytes:
    rows = {"metadata": 0, "layers": [["w", [8, 16], 64, 3, 0, pattern]], "signs": [], "norms": []}
    packed = bz2.compress(json.dumps(rows).encode(), 9)
    return packed + zlib.crc32(packed).to_bytes(4, "little")


@pytest.mark.parametrize("pattern", [[2], "2:4", [2, 5], [4, 4], [0, 4], [1, 4], [2, 2**40], [1.0, 2], [-1, 4]])
def test_an_index_of_a_pattern_that_cannot_be_is_refused(pattern: object) -> None:
    with pytest.raises(WinsomeError, match="its index is damaged"):
        read_index(damaged_index(pattern))
    assert read_index(damaged_index([2, 4])).layers[0].pattern == (2, 4)


def test_damage_of_a_pattern_is_refused_in_a_sentence() -> None:
    data = SAMPLE.read_bytes()
    for place in range(len(data)):
        for change in (0x01, 0xFF):
            other = data[:place] + bytes([data[place] ^ change]) + data[place + 1 :]
            try:
                ticket = ticket_file.decode(other)
            except WinsomeError:
                continue
            assert ticket.mask == sample().mask, "only what is not the ticket's may change unseen"

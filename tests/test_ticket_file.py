"""The ticket file: round trips, determinism, size, refusals, and a decoder written from the format's page alone."""

from __future__ import annotations

import bz2
import json
import math
import multiprocessing
import os
import random
import resource
import zlib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from winsome import ticket_file
from winsome.errors import WinsomeError
from winsome.signed_mask import SignedMask
from winsome.ticket import Ticket
from winsome.ticket_file.layer_code import FREE_WEIGHT, entropy_bits, symbol_weights

SAMPLE = Path(__file__).parent / "samples" / "v1.ticket"
Rows = dict[str, Any]


def random_signs(shape: tuple[int, ...], density: float, seed: int = 0) -> Tensor:
    rng = np.random.default_rng(seed)
    kept = rng.random(shape) < density
    return torch.from_numpy(np.where(kept, np.where(rng.random(shape) < 0.5, 1, -1), 0).astype(np.int8).reshape(shape))


def small_ticket(seed: int = 0) -> Ticket:
    mask = SignedMask(
        {
            "stem.weight": random_signs((8, 3, 3, 3), 0.3, seed),
            "block.weight": random_signs((16, 40), 0.1, seed + 1),
            "empty.weight": torch.zeros(5, 5, dtype=torch.int8),
            "full.weight": random_signs((7, 9), 1.1, seed + 2),
        }
    )
    signs = {"head.weight": random_signs((10, 16), 1.1, seed + 3), "head.bias": random_signs((10,), 1.1, seed + 4)}
    norms = {
        "norm.weight": torch.linspace(-1, 2, 16),
        "norm.bias": torch.randn(16, generator=torch.Generator().manual_seed(seed)),
    }
    return Ticket(mask, signs, norms, {"method": "aws", "level": 3, "metrics": {"test_accuracy": 0.5}})


def assert_same(one: Ticket, two: Ticket) -> None:
    assert one.mask == two.mask
    for before, after in ((one.signs, two.signs), (one.norms, two.norms)):
        assert list(before) == list(after)
        for name, value in before.items():
            assert after[name].dtype == value.dtype
            assert after[name].shape == value.shape
            flat, other = value.reshape(-1).contiguous().view(torch.uint8), after[name].reshape(-1).view(torch.uint8)
            assert torch.equal(flat, other), name  # bits, so that NaN equals itself
    assert json.dumps(one.provenance) == json.dumps(two.provenance)


# ---- round trips

shapes = st.lists(st.integers(0, 12), max_size=4).map(tuple)
layers = st.tuples(shapes, st.sampled_from([0.0, 0.01, 0.1, 0.5, 0.9, 1.1]), st.integers(0, 2**32 - 1))
names = st.text(st.characters(codec="utf-8"), max_size=12)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
float_types = st.sampled_from([torch.float32, torch.float64, torch.float16, torch.bfloat16])


@given(
    st.dictionaries(names, layers, max_size=4),
    st.dictionaries(names, shapes, max_size=3),
    st.dictionaries(names, st.tuples(shapes, float_types), max_size=3),
    st.dictionaries(st.text(max_size=5), json_values, max_size=3),
)
@settings(deadline=None, max_examples=200)
def test_round_trip(
    mask: dict[str, tuple[tuple[int, ...], float, int]],
    signs: dict[str, tuple[int, ...]],
    norms: dict[str, tuple[tuple[int, ...], torch.dtype]],
    provenance: dict[str, Any],
) -> None:
    ticket = Ticket(
        SignedMask({name: random_signs(*layer) for name, layer in mask.items()}),
        {name: random_signs(shape, 1.1) for name, shape in signs.items()},
        {name: torch.randn(shape).to(dtype) for name, (shape, dtype) in norms.items()},
        provenance,
    )
    data = ticket_file.encode(ticket)
    assert_same(ticket, ticket_file.decode(data))
    assert ticket_file.encode(ticket_file.decode(data)) == data


@pytest.mark.parametrize(
    "sign",
    [
        torch.tensor(-1, dtype=torch.int8),  # a scalar
        torch.tensor(0, dtype=torch.int8),
        torch.tensor([1], dtype=torch.int8),  # one weight
        torch.zeros(0, 3, dtype=torch.int8),  # no weights
        torch.zeros(100, dtype=torch.int8),  # none kept
        -torch.ones(9, dtype=torch.int8),  # all kept
        torch.eye(9, dtype=torch.int8)[0],  # only the first
        torch.eye(9, dtype=torch.int8)[8],  # only the last
        torch.zeros(3000, 3000, dtype=torch.int8).index_fill(0, torch.tensor([2999]), -1),  # several blocks, first all zero
        random_signs((5, 4, 3), 0.5).transpose(0, 2),  # not contiguous
    ],
    ids=lambda sign: "x".join(map(str, sign.shape)) or "scalar",
)
def test_round_trip_of_extremes(sign: Tensor) -> None:
    ticket = Ticket(SignedMask({"w": sign}))
    assert_same(ticket, ticket_file.decode(ticket_file.encode(ticket)))


def test_every_density_of_a_short_layer() -> None:
    for kept in range(21):
        sign = torch.zeros(20, dtype=torch.int8)
        sign[torch.randperm(20, generator=torch.Generator().manual_seed(kept))[:kept]] = -1
        ticket = Ticket(SignedMask({"w": sign}))
        assert_same(ticket, ticket_file.decode(ticket_file.encode(ticket)))


@pytest.mark.slow
@pytest.mark.parametrize("density", [0.0, 0.05, 1.1])
def test_round_trip_of_a_hundred_million_weights(density: float) -> None:
    sign = torch.zeros(100_000_000, dtype=torch.int8)
    if density:
        draw = torch.rand(100_000_000, generator=torch.Generator().manual_seed(1))
        sign = (draw < density).to(torch.int8) * (1 - 2 * (draw < density / 2).to(torch.int8))
    mask = SignedMask({"w": sign})
    data = ticket_file.encode(Ticket(mask))
    assert ticket_file.decode(data).mask == mask
    assert len(data) <= 1.01 * ticket_file.entropy_bytes(mask) + 1000


def test_norms_keep_type_and_bits() -> None:
    norms = {
        "a": torch.tensor([math.nan, -0.0, math.inf, 1e-45]),
        "b": torch.tensor(1.5, dtype=torch.bfloat16),
        "c": torch.arange(6, dtype=torch.float64).reshape(2, 3).T,
        "d": torch.zeros(0, 2, dtype=torch.float16),
        "__metadata__": torch.ones(1),
    }
    ticket = Ticket(SignedMask({}), norms=norms)
    assert_same(ticket, ticket_file.decode(ticket_file.encode(ticket)))


def test_provenance_keeps_a_diverged_metric() -> None:
    provenance = ticket_file.decode(ticket_file.encode(Ticket(SignedMask({}), provenance={"loss": math.nan}))).provenance
    assert math.isnan(provenance["loss"])


# ---- the code itself


@given(st.integers(1, 10**12).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_symbol_weights_are_whole_and_sum_exactly(counts: tuple[int, int]) -> None:
    kept, total = counts
    weights = symbol_weights(kept, total)
    assert weights.sum() == FREE_WEIGHT
    assert (weights == np.floor(weights)).all()
    assert (weights >= 0).all()
    expected = np.array([(kept / total) ** s.bit_count() * (1 - kept / total) ** (8 - s.bit_count()) for s in range(256)])
    assert np.abs(weights / FREE_WEIGHT - expected).max() < 300 / FREE_WEIGHT


def test_entropy_is_log_of_the_number_of_masks() -> None:
    kept, total = 3_000, 100_000
    log2_choices = (math.lgamma(total + 1) - math.lgamma(kept + 1) - math.lgamma(total - kept + 1)) / math.log(2)
    assert entropy_bits(kept, total) == pytest.approx(log2_choices, rel=1e-3)
    assert entropy_bits(0, 10) == entropy_bits(10, 10) == entropy_bits(0, 0) == 0
    mask = SignedMask({"w": torch.tensor([1, -1, 0, 0], dtype=torch.int8)})
    assert ticket_file.entropy_bytes(mask) == (4 + 2) / 8


@pytest.mark.parametrize("density", [0.2, 0.02, 0.001])
def test_size_is_the_entropy(density: float) -> None:
    mask = SignedMask({"a": random_signs((1000, 1000), density), "b": random_signs((500, 1000), density / 3)})
    entropy = ticket_file.entropy_bytes(mask)
    assert len(ticket_file.encode(Ticket(mask))) <= 1.002 * entropy + 600  # 600 bytes of header and index


def test_same_ticket_same_bytes() -> None:
    assert len({ticket_file.encode(small_ticket()) for _ in range(20)}) == 1
    assert ticket_file.encode(small_ticket(1)) != ticket_file.encode(small_ticket())


# ---- a decoder from docs/ticket-format.md alone: no constriction


def decode_by_the_page(data: bytes) -> dict[str, Tensor]:
    """The signed mask in a ticket file of version 1, weight by weight."""
    body = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:body])
    parts = {name: header[name]["data_offsets"] for name in ("index", "mask", "mask_signs")}
    packed_index, words, sign_bytes = (data[body + start : body + end] for start, end in parts.values())
    index = json.loads(bz2.decompress(packed_index[:-4]))
    mask = {}
    for name, shape, kept, n_words, crc in index["layers"]:
        total = math.prod(shape)
        layer_words = [int.from_bytes(words[4 * i : 4 * i + 4], "little") for i in range(n_words)]
        layer_signs = sign_bytes[: -(-kept // 8)]
        words, sign_bytes = words[4 * n_words :], sign_bytes[-(-kept // 8) :]
        bits = "".join(f"{symbol:08b}" for symbol in ans_symbols(layer_words, kept, total))
        packed = bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
        assert zlib.crc32(packed + layer_signs) == crc
        negative = iter("".join(f"{byte:08b}" for byte in layer_signs))
        values = [0 if bit == "0" else 1 - 2 * int(next(negative)) for bit in bits[:total]]
        mask[name] = torch.tensor(values, dtype=torch.int8).reshape(shape)
    return mask


def ans_symbols(words: list[int], kept: int, total: int) -> Iterator[int]:
    n_symbols = -(-total // 8)
    if kept in (0, total):
        tail = (0xFF << (8 * n_symbols - total)) & 0xFF
        yield from ([255] * (n_symbols - 1) + [tail] if kept and total else [0] * n_symbols)
        return
    free = 2**24 - 256
    odds = [kept**k * (total - kept) ** (8 - k) * free // total**8 for k in range(9)]
    weights = [odds[s.bit_count()] for s in range(256)]
    weights[0 if 2 * kept <= total else 255] += free - sum(weights)
    state = 0
    while words and state < 2**32:
        state = state << 32 | words.pop()
    for _ in range(n_symbols):
        rest = quantile = state & 0xFFFFFF
        symbol = 0
        while rest >= weights[symbol] + 1:
            rest -= weights[symbol] + 1
            symbol += 1
        state = (state >> 24) * (weights[symbol] + 1) + rest
        if state < 2**32 and words:
            state = state << 32 | words.pop()
        yield symbol
        assert quantile < 2**24
    assert state == 0
    assert not words


@pytest.mark.parametrize("density", [0.0, 0.02, 0.3, 0.8, 1.1])
def test_the_page_describes_the_file(density: float) -> None:
    mask = SignedMask({"a": random_signs((53, 47), density), "b": random_signs((3,), density), "c": random_signs((), density)})
    assert SignedMask(decode_by_the_page(ticket_file.encode(Ticket(mask)))) == mask


# ---- the committed sample: every later version must read it


def sample_ticket() -> Ticket:
    """What the sample was written from; the file stays as it is whatever becomes of this function."""
    position = torch.arange(6 * 7 * 3 * 3)
    conv = torch.where(position % 5 == 0, torch.where(position % 3 == 0, -1, 1), 0).to(torch.int8).reshape(6, 7, 3, 3)
    return Ticket(
        SignedMask(
            {
                "conv.weight": conv,
                "pruned.weight": torch.zeros(4, 4, dtype=torch.int8),
                "kept.weight": torch.tensor([[1, -1, 1], [-1, -1, 1]], dtype=torch.int8),
                "scalar": torch.tensor(-1, dtype=torch.int8),
            }
        ),
        {
            "head.weight": torch.tensor([[1, -1], [-1, 1], [1, 1]], dtype=torch.int8),
            "head.bias": torch.ones(3, dtype=torch.int8),
        },
        {"norm.weight": torch.tensor([0.5, -2.0]), "norm.bias": torch.tensor([1.0, 0.25], dtype=torch.bfloat16)},
        {"method": "aws", "network": "é", "level": 3, "seeds": [1, 2], "metrics": {"test_accuracy": 0.75}, "parent": None},
    )


def test_the_sample_of_version_1_is_read() -> None:
    ticket = ticket_file.read(SAMPLE)
    assert list(ticket.mask) == ["conv.weight", "pruned.weight", "kept.weight", "scalar"]
    conv = ticket.mask["conv.weight"]
    assert conv.shape == (6, 7, 3, 3)
    assert {i: int(value) for i, value in enumerate(conv.flatten()) if value} == {
        i: -1 if i % 3 == 0 else 1 for i in range(378) if i % 5 == 0
    }
    assert torch.equal(ticket.mask["pruned.weight"], torch.zeros(4, 4, dtype=torch.int8))
    assert ticket.mask["kept.weight"].tolist() == [[1, -1, 1], [-1, -1, 1]]
    assert ticket.mask["scalar"].item() == -1
    assert {name: value.tolist() for name, value in ticket.signs.items()} == {
        "head.weight": [[1, -1], [-1, 1], [1, 1]],
        "head.bias": [1, 1, 1],
    }
    assert {name: (value.dtype, value.tolist()) for name, value in ticket.norms.items()} == {
        "norm.weight": (torch.float32, [0.5, -2.0]),
        "norm.bias": (torch.bfloat16, [1.0, 0.25]),
    }
    assert ticket.provenance == {
        "method": "aws",
        "network": "é",
        "level": 3,
        "seeds": [1, 2],
        "metrics": {"test_accuracy": 0.75},
        "parent": None,
    }
    assert SignedMask(decode_by_the_page(SAMPLE.read_bytes())) == ticket.mask


def test_the_writer_still_writes_the_sample() -> None:
    old, new = SAMPLE.read_bytes(), ticket_file.encode(sample_ticket())
    tensors, expected = safetensors.torch.load(new), safetensors.torch.load(old)
    assert tensors.keys() == expected.keys()
    assert all(torch.equal(value, tensors[name]) for name, value in expected.items())
    headers = [json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]) for data in (old, new)]
    assert headers[0] == headers[1]


# ---- refusals


def rebuilt(data: bytes, change: Any) -> bytes:
    """The same file with its index changed by `change(rows)` and all checksums of index and metadata right."""
    tensors = safetensors.torch.load(data)
    rows = json.loads(bz2.decompress(bytes(tensors["index"].tolist()[:-4])))
    change(rows)
    packed = bz2.compress(json.dumps(rows).encode())
    tensors["index"] = torch.tensor(list(packed + zlib.crc32(packed).to_bytes(4, "little")), dtype=torch.uint8)
    size = int.from_bytes(data[:8], "little")
    return safetensors.torch.save(tensors, json.loads(data[8 : 8 + size])["__metadata__"])


def test_rebuilt_without_a_change_is_read() -> None:
    assert_same(ticket_file.decode(rebuilt(ticket_file.encode(small_ticket()), lambda _rows: None)), small_ticket())


def layer_says(field: int, value: Any, layer: int = 1) -> Any:
    def change(rows: Rows) -> None:
        rows["layers"][layer][field] = value

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (layer_says(1, [16, 39]), "cannot be decoded"),
        (layer_says(1, [2**40, 2**40]), "2\\^48"),
        (layer_says(1, [2**40], layer=2), "max_weights="),
        (layer_says(1, [2**27], layer=2), "max_weights="),
        (layer_says(1, [0, 2**62, 2**62], layer=2), "2\\^48"),
        (layer_says(1, [1] * 40), "shape is malformed"),
        (layer_says(1, [-16, 40]), "no count"),
        (layer_says(1, [16.0, 40]), "no count"),
        (layer_says(1, "16x40"), "shape is malformed"),
        (layer_says(2, 641), "keeps 641 of 640 weights"),
        (layer_says(2, 0), "words for 0 of 640"),
        (layer_says(2, 640), "words for 640 of 640"),
        (layer_says(2, 2**62), "keeps"),
        (layer_says(2, True), "no count"),
        (layer_says(3, 10**9), "its index states"),
        (layer_says(3, 0), "has 0 words"),
        (layer_says(4, 1), "checksum does not match"),
        (layer_says(0, "stem.weight"), "a name comes twice"),
        (layer_says(0, 7), "malformed"),
        (lambda rows: rows.update(layers=None), "list is missing"),
        (lambda rows: rows.update(metadata=3), "metadata does not match"),
        (lambda rows: rows.update(norms=[]), "does not list"),
        (lambda rows: rows["norms"].append(["more", 0]), "does not list"),
        (lambda rows: rows["norms"][0].__setitem__(1, 0), "norm 'norm.weight' does not match"),
        (lambda rows: rows["signs"][0].__setitem__(2, 0), "signs of 'head.weight' do not match"),
        (lambda rows: rows["signs"][0].__setitem__(1, [10**6]), "its index states"),
        (lambda rows: rows["layers"].append(["deep", [[[1]]], 0, 0, 0]), "no count"),
    ],
)
def test_a_lying_index_is_refused(change: Any, sentence: str) -> None:
    with pytest.raises(WinsomeError, match=sentence):
        ticket_file.decode(rebuilt(ticket_file.encode(small_ticket()), change))


def test_a_wrong_kept_count_with_a_right_checksum_is_refused() -> None:
    sign = torch.zeros(64, dtype=torch.int8)
    sign[::16] = 1

    def change(rows: Rows) -> None:
        rows["layers"][0][1] = [60]  # the code decodes alike at a slightly different length, or is refused before

    with pytest.raises(WinsomeError, match="cannot be decoded"):
        ticket_file.decode(rebuilt(ticket_file.encode(Ticket(SignedMask({"w": sign}))), change))


def test_an_index_that_unpacks_to_a_giant_is_refused() -> None:
    tensors = safetensors.torch.load(ticket_file.encode(small_ticket()))
    packed = bz2.compress(b"[" + b" " * 2**25 + b"]")
    tensors["index"] = torch.tensor(list(packed + zlib.crc32(packed).to_bytes(4, "little")), dtype=torch.uint8)
    with pytest.raises(WinsomeError, match="unpacks to more than"):
        ticket_file.decode(safetensors.torch.save(tensors, {"winsome-ticket": '{"version":1,"provenance":{}}'}))


def test_more_weights_than_allowed_are_refused_and_the_remedy_works() -> None:
    data = ticket_file.encode(small_ticket())
    with pytest.raises(WinsomeError, match="max_weights=944"):
        ticket_file.decode(data, max_weights=943)
    assert_same(ticket_file.decode(data, max_weights=944), small_ticket())


def with_metadata(text: str) -> bytes:
    return safetensors.torch.save(safetensors.torch.load(ticket_file.encode(small_ticket())), {"winsome-ticket": text})


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "empty"),
        (b"PK\x03\x04 and so on, as torch.save writes it", "not a safetensors file"),
        (b"\x80\x02 a pickle", "not a safetensors file"),
        (b"12345678{", "not a safetensors file"),
        ((40).to_bytes(8, "little") + b'{"a":', "truncated"),
        ((4).to_bytes(8, "little") + b"{ no", "not JSON"),
        ((2).to_bytes(8, "little") + b"{}", "another safetensors file"),
        ((100_000).to_bytes(8, "little") + b'{"a":' + b"[" * 99_995, "not JSON"),
        (safetensors.torch.save({"weight": torch.ones(3)}), "another safetensors file.*convert"),
        (safetensors.torch.save({"weight": torch.ones(3)}, {"format": "pt"}), "another safetensors file"),
        (with_metadata("{}"), "no version number"),
        (with_metadata("no json"), "metadata is damaged"),
        (with_metadata("[" * 100_000), "metadata is damaged"),
        (with_metadata('{"version":true,"provenance":{}}'), "no version number"),
        (with_metadata('{"version":1,"provenance":[]}'), "no provenance"),
        (with_metadata('{"version":1,"provenance":{}}'), "metadata does not match its checksum"),
        (with_metadata('{"version":3,"something":"new"}'), "version 3.*pip install -U winsome"),
        (
            safetensors.torch.save({"index": torch.ones(3)}, {"winsome-ticket": '{"version":1,"provenance":{}}'}),
            "no bytes named 'index'",
        ),
        (safetensors.torch.save({"new": torch.ones(3)}, {"winsome-ticket": '{"version":99}'}), "version 99"),
    ],
)
def test_foreign_and_future_files_are_refused(data: bytes, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(WinsomeError, match=f"(?s){sentence}"):
        ticket_file.decode(data)
    path = tmp_path / "some.ticket"
    path.write_bytes(data)
    with pytest.raises(WinsomeError, match=f"(?s)some.ticket.*{sentence}"):
        ticket_file.read(path)


def test_every_truncation_is_refused() -> None:
    data = ticket_file.encode(small_ticket())
    for length in range(len(data)):
        with pytest.raises(WinsomeError):
            ticket_file.decode(data[:length])


def test_every_flipped_byte_is_refused_or_harmless() -> None:
    ticket = small_ticket()
    data = ticket_file.encode(ticket)
    harmless = 0
    for position in range(len(data)):
        mutated = bytearray(data)
        mutated[position] ^= 0x20
        try:
            assert_same(ticket_file.decode(bytes(mutated)), ticket)
            harmless += 1
        except WinsomeError:
            pass
    assert harmless < 8  # padding of the header, if any


def mutate(data: bytes, other: bytes, draw: random.Random) -> bytes:
    """One damaged copy of a file."""
    kind = draw.randrange(6)
    start, end = sorted((draw.randrange(len(data)), draw.randrange(len(data))))
    changed = bytearray(data)
    if kind == 0:
        for _ in range(draw.choice([1, 1, 2, 10])):
            changed[draw.randrange(len(changed))] = draw.randrange(256)
    elif kind == 1:
        del changed[start : min(end, start + draw.choice([1, 4, 10**6]))]
    elif kind == 2:
        changed[start:start] = draw.randbytes(draw.choice([1, 8, 1000]))
    elif kind == 3:
        changed[start:end] = other[start:end]
    elif kind == 4:
        return bytes(changed[:start])
    else:
        at = draw.randrange(8, int.from_bytes(data[:8], "little"))
        changed[at : at + 1] = draw.choice([b"9", b"-", b'"', b"[", b"1e9", b"\\u0000", b"999999999999999999999"])
    return bytes(changed)


def lie(data: bytes, draw: random.Random) -> bytes:
    """One copy of a file whose index says something else, with right checksums."""
    junk: list[Any] = [0, 1, -1, 7, 640, 2**20, 2**27, 2**31, 2**40, 2**63, 2**70, 1.5, None, True, "x", [], {}, [2**20, 2**20]]

    def change(rows: Rows) -> None:
        for _ in range(draw.choice([1, 1, 2, 3])):
            part = rows[draw.choice(["layers", "layers", "layers", "signs", "norms"])]
            row = draw.choice(part)
            field = draw.randrange(len(row))
            if field == 1 and isinstance(row[1], list) and row[1] and draw.random() < 0.7:
                row[1][draw.randrange(len(row[1]))] = draw.choice(junk)
            else:
                row[field] = draw.choice(junk)

    return rebuilt(data, change)


def fuzz(n_files: int, seed: int) -> int:
    """How many of so many damaged files were refused; any error but WinsomeError is passed on."""
    draw = random.Random(seed)
    tickets = [small_ticket(), small_ticket(5), sample_ticket()]
    files = [ticket_file.encode(ticket) for ticket in tickets]
    refused = 0
    for _ in range(n_files):
        which = draw.randrange(3)
        honest = draw.random() < 0.7
        data = mutate(files[which], files[which - 1], draw) if honest else lie(files[which], draw)
        try:
            ticket = ticket_file.decode(data)
        except WinsomeError:
            refused += 1
        else:
            if honest:  # damage that no checksum saw must have left the ticket as it was
                assert any(ticket.mask == known.mask and ticket.provenance == known.provenance for known in tickets)
    return refused


def test_damaged_files_are_refused() -> None:
    assert fuzz(400, seed=1) > 300


def fuzz_and_growth(n_files: int, seed: int) -> tuple[int, int]:
    """How many damaged files were refused, and by how many KiB the process's peak memory grew meanwhile."""
    fuzz(100, seed=seed + 1)  # what the first calls load is not the files' doing
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB on Linux
    refused = fuzz(n_files, seed)
    return refused, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before


@pytest.mark.slow
def test_ten_thousand_damaged_files_are_refused_within_little_memory() -> None:
    # A process of its own: the peak of this one may be from another test.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        refused, grown = pool.submit(fuzz_and_growth, 10_000, 2).result()
    assert refused > 8_000
    assert grown < 350 * 1024, f"peak memory grew by {grown / 1024:.0f} MiB"  # 2^27 weights of one byte, twice, and some


@pytest.mark.parametrize(
    ("ticket", "sentence"),
    [
        (Ticket(SignedMask({}), signs={"bias": torch.tensor([1, 0])}), "signs of 'bias' hold values other than"),
        (Ticket(SignedMask({}), signs={"bias": torch.tensor([1.0, math.nan])}), "signs of 'bias' hold values other than"),
        (Ticket(SignedMask({}), norms={"gamma": torch.ones(2, dtype=torch.int64)}), "norm 'gamma' is torch.int64"),
        (Ticket(SignedMask({}), norms={"gamma": torch.ones(2, dtype=torch.complex64)}), "norm 'gamma' is torch.complex64"),
        (Ticket(SignedMask({}), provenance={"loss": torch.ones(1)}), r"provenance\['loss'\] is a Tensor"),
        (Ticket(SignedMask({}), provenance={"a": [{"b": Path()}]}), r"provenance\['a'\]\[0\]\['b'\] is a \w*Path"),
        (Ticket(SignedMask({}), provenance={"levels": {3: 0.5}}), "the key 3; keys must be strings"),
        (Ticket(SignedMask({}), provenance={"seed": 10**5000}), "provenance holds a number that JSON cannot"),
        (Ticket(SignedMask({}), provenance={"log": '"' * 2**24}), "provenance takes 33,554,469 bytes.*record less"),
        (Ticket(SignedMask({"w": torch.ones([1] * 33, dtype=torch.int8)})), "'w' has 33 dimensions"),
        (
            Ticket(SignedMask({f"{n}{'x' * 2**20}": torch.ones(1, dtype=torch.int8) for n in range(16)})),
            "names and shapes of 16 layers take",
        ),
    ],
)
def test_what_a_file_cannot_hold_is_refused(ticket: Ticket, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(WinsomeError, match=sentence):
        ticket_file.encode(ticket)
    with pytest.raises(WinsomeError, match=f"x.ticket.*{sentence}"):
        ticket_file.write(ticket, tmp_path / "x.ticket")
    assert not list(tmp_path.iterdir())


def test_what_is_just_small_enough_comes_back() -> None:
    """The writer's limits are the reader's, and those of safetensors: a ticket that was written can be read."""
    names = [f"{n}{'x' * (2**20 - 100)}" for n in range(16)]
    mask = SignedMask({name: torch.ones([1] * 32, dtype=torch.int8) for name in names})
    ticket = Ticket(mask, provenance={"log": "\\" * (2**24 - 100)})
    assert_same(ticket_file.decode(ticket_file.encode(ticket)), ticket)


def test_provenance_that_contains_itself_is_refused() -> None:
    loop: dict[str, Any] = {}
    loop["again"] = loop
    with pytest.raises(WinsomeError, match="nested deeper"):
        ticket_file.encode(Ticket(SignedMask({}), provenance=loop))


# ---- on disk


def test_write_then_read(tmp_path: Path) -> None:
    path = tmp_path / "a.ticket"
    ticket_file.write(small_ticket(), path)
    assert_same(ticket_file.read(str(path)), small_ticket())
    ticket_file.write(small_ticket(7), path)
    assert_same(ticket_file.read(path), small_ticket(7))
    assert [file.name for file in tmp_path.iterdir()] == ["a.ticket"]
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    assert path.stat().st_mode == plain.stat().st_mode  # readable by whom other files are


def test_missing_files_and_folders_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(WinsomeError, match=r"absent\.ticket.*No such file"):
        ticket_file.read(tmp_path / "absent.ticket")
    with pytest.raises(WinsomeError, match="Is a directory"):
        ticket_file.read(tmp_path)
    with pytest.raises(WinsomeError, match=r"nowhere/a\.ticket.*No such file.*choose another folder that is there"):
        ticket_file.write(small_ticket(), tmp_path / "nowhere" / "a.ticket")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    with pytest.raises(WinsomeError, match="Permission denied"):
        ticket_file.write(small_ticket(), folder / "a.ticket")


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.ticket"
    ticket_file.write(small_ticket(), path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))  # no file may grow beyond 100 bytes
    try:
        with pytest.raises(WinsomeError, match=r"a\.ticket \([\d,]+ bytes\): File too large; free space"):
            ticket_file.write(small_ticket(7), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert_same(ticket_file.read(path), small_ticket())
    assert [file.name for file in tmp_path.iterdir()] == ["a.ticket"]


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.ticket"
    ticket_file.write(small_ticket(), path)

    def interrupt(_handle: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        ticket_file.write(small_ticket(7), path)
    assert_same(ticket_file.read(path), small_ticket())
    assert [file.name for file in tmp_path.iterdir()] == ["a.ticket"]

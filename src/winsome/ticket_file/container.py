"""A ticket as bytes and back: a safetensors container with the coded signed mask, the unpruned signs and the norms."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from winsome.errors import WinsomeError
from winsome.signed_mask import SignedMask
from winsome.ticket import Ticket
from winsome.ticket_file.header import FIRST_VERSION, FORMAT, VERSION, metadata_text, provenance_of, read_metadata
from winsome.ticket_file.index import Index, LayerEntry, NormEntry, SignsEntry, index_bytes, read_index
from winsome.ticket_file.layer_code import (
    Bytes,
    CodedLayer,
    checksum,
    decode_layer,
    encode_layer,
    entropy_bytes,
    packed_size,
)

__all__ = ["VERSION", "decode", "encode", "least_bytes"]

NORM_PREFIX = "norm."
NORM_TYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
FREE_WEIGHTS = 2**27  # weights that a file of any size may hold: 134 MB once decoded
WEIGHTS_PER_BYTE = 2**14  # and for each of its bytes: a mask of density 1e-4 has about 5,000 weights a byte


def encode(ticket: Ticket) -> bytes:
    """The bytes of a ticket file; equal tickets give equal bytes.

    Raises:
        WinsomeError: a sign is neither -1 nor +1, a norm is no plain float tensor, or provenance is not JSON.
    """
    coded = {name: (sign.shape, encode_layer(sign.numpy())) for name, sign in ticket.mask.items()}
    # What an older Winsome can read stays in the version that it knows.
    version = VERSION if any(layer.pattern is not None for _, layer in coded.values()) else FIRST_VERSION
    metadata = metadata_text(ticket.provenance, version)
    signs = {name: (value.shape, _packed_signs(name, value)) for name, value in ticket.signs.items()}
    norms = {name: _plain_norm(name, value) for name, value in ticket.norms.items()}
    index = Index(
        tuple(LayerEntry(n, tuple(s), c.kept, c.words.size // 4, c.checksum, c.pattern) for n, (s, c) in coded.items()),
        tuple(SignsEntry(name, tuple(shape), checksum(bits)) for name, (shape, bits) in signs.items()),
        tuple(NormEntry(name, _norm_checksum(value)) for name, value in norms.items()),
        zlib.crc32(metadata.encode()),
    )
    tensors = {
        "index": torch.from_numpy(np.frombuffer(index_bytes(index), np.uint8).copy()),
        "mask": _joined([code.words for _, code in coded.values()]),
        "mask_signs": _joined([code.signs for _, code in coded.values()]),
        "signs": _joined([bits for _, bits in signs.values()]),
    }
    tensors |= {f"{NORM_PREFIX}{position}": value for position, value in enumerate(norms.values())}
    # One metadata entry, not several: safetensors writes entries in an order that changes from run to run.
    return safetensors.torch.save(tensors, {FORMAT: metadata})


def decode(data: bytes, *, max_weights: int | None = None) -> Ticket:
    """The ticket in the bytes of a ticket file.

    Args:
        data: all bytes of the file.
        max_weights: refuse a ticket with more prunable weights. Each takes a byte of memory, and a file of a few hundred
            bytes can hold any number of pruned ones; by default 2^27, or 2^14 for each byte of the file where that is more.

    Raises:
        WinsomeError: the data is no ticket, truncated, corrupted, of a newer version, or larger than allowed.
    """
    metadata = read_metadata(data, len(data))
    provenance = provenance_of(metadata)
    tensors = _tensors(data)
    index = read_index(tensors["index"].numpy().tobytes())
    if zlib.crc32(metadata.encode("utf-8", "surrogatepass")) != index.metadata_checksum:
        raise WinsomeError("its metadata does not match its checksum; the file is corrupted, fetch it again")
    _check_sizes(index, tensors)
    limit = max(FREE_WEIGHTS, WEIGHTS_PER_BYTE * len(data)) if max_weights is None else max_weights
    if index.n_weights > limit:
        raise WinsomeError(
            f"{len(data):,} bytes that unpack to {index.n_weights:,} weights are more than the limit of {limit:,}; "
            f"if you trust the file, read it with max_weights={index.n_weights}"
        )
    return Ticket(_mask(index, tensors), _signs(index, tensors), _norms(index, tensors), provenance)


def least_bytes(ticket: Ticket) -> float:
    """Bytes that a ticket's tensors need: the mask at its layers' own densities, one bit a sign, and the norms as they are."""
    bits = sum(value.numel() for value in ticket.signs.values())
    norms = sum(value.numel() * value.element_size() for value in ticket.norms.values())
    return entropy_bytes(ticket.mask) + bits / 8 + norms


def _tensors(data: bytes) -> dict[str, Tensor]:
    """The container's tensors, with the four that every ticket has as flat bytes."""
    try:
        tensors = safetensors.torch.load(data)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, RuntimeError, OverflowError, AttributeError) as error:
        raise WinsomeError(f"the file is truncated or corrupted ({error}); fetch it again") from error
    for name in ("index", "mask", "mask_signs", "signs"):
        if name not in tensors or tensors[name].dtype != torch.uint8 or tensors[name].dim() != 1:
            raise WinsomeError(f"the file is damaged: it has no bytes named {name!r}; fetch it again")
    return tensors


def _check_sizes(index: Index, tensors: Mapping[str, Tensor]) -> None:
    """Whether the parts have the sizes that the index states."""
    stated = {"mask": index.mask_bytes, "mask_signs": index.mask_signs_bytes, "signs": index.signs_bytes}
    for name, size in stated.items():
        if tensors[name].numel() != size:
            raise WinsomeError(f"{name!r} has {tensors[name].numel()} bytes, its index states {size}; fetch the file again")
    if len(tensors) != 4 + len(index.norms):
        raise WinsomeError("the file holds tensors that its index does not list; fetch it again")


def _mask(index: Index, tensors: Mapping[str, Tensor]) -> SignedMask:
    words = _pieces(tensors["mask"], (layer.n_words * 4 for layer in index.layers))
    signs = _pieces(tensors["mask_signs"], (packed_size(layer.kept) for layer in index.layers))
    decoded = {}
    for layer, layer_words, layer_signs in zip(index.layers, words, signs, strict=True):
        try:
            code = CodedLayer(layer.kept, layer_words, layer_signs, layer.checksum, layer.pattern)
            flat = decode_layer(code, layer.shape)
        except WinsomeError as error:
            raise WinsomeError(f"layer {layer.name!r} cannot be decoded: {error}") from error
        decoded[layer.name] = torch.from_numpy(flat).reshape(layer.shape)
    return SignedMask(decoded)


def _signs(index: Index, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    signs = {}
    pieces = _pieces(tensors["signs"], (packed_size(entry.total) for entry in index.signs))
    for entry, bits in zip(index.signs, pieces, strict=True):
        if checksum(bits) != entry.checksum:
            raise WinsomeError(
                f"the signs of {entry.name!r} do not match their checksum; the file is corrupted, fetch it again"
            )
        flat = 1 - 2 * np.unpackbits(bits, count=entry.total).view(np.int8)
        signs[entry.name] = torch.from_numpy(flat).reshape(entry.shape)
    return signs


def _norms(index: Index, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    norms = {}
    for position, entry in enumerate(index.norms):
        value = tensors.get(f"{NORM_PREFIX}{position}")
        if value is None or value.dtype not in NORM_TYPES or _norm_checksum(value) != entry.checksum:
            raise WinsomeError(f"the norm {entry.name!r} does not match its checksum; the file is corrupted, fetch it again")
        norms[entry.name] = value
    return norms


def _packed_signs(name: str, value: Tensor) -> Bytes:
    value = value.detach().to("cpu")
    negative = value < 0
    if not bool(((value == 1) | (negative & (value == -1))).all()):
        raise WinsomeError(f"the signs of {name!r} hold values other than -1 and +1; take them with ticket_of or signs_of")
    return np.packbits(negative.reshape(-1).numpy())


def _plain_norm(name: str, value: Tensor) -> Tensor:
    if value.dtype not in NORM_TYPES or value.layout != torch.strided:
        raise WinsomeError(f"the norm {name!r} is {value.dtype}; a ticket file holds float16, bfloat16, float32, float64")
    return value.detach().to("cpu").contiguous().clone()


def _norm_checksum(value: Tensor) -> int:
    """CRC-32 of type, shape and bytes, as a safetensors file says them."""
    head = f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}:".encode()
    return zlib.crc32(value.reshape(-1).view(torch.uint8).numpy().tobytes(), zlib.crc32(head))


def _joined(parts: list[Bytes]) -> Tensor:
    return torch.from_numpy(np.concatenate([np.zeros(0, np.uint8), *parts]))


def _pieces(whole: Tensor, sizes: Iterator[int]) -> Iterator[Bytes]:
    start = 0
    for size in sizes:
        yield whole.numpy()[start : start + size]
        start += size

"""A checkpoint that is small: the ticket, and the magnitudes of the weights that it keeps, in one safetensors file.

The ticket says which weights there are and their signs, entropy-coded (docs/ticket-format.md); what is left to store of a
pruned layer is a magnitude for each kept weight. It loads back to the whole state, bit for bit.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from winsome import ticket_file
from winsome.errors import WinsomeError
from winsome.exports.container import read, write
from winsome.neighbours.exports import Exported, dense_state
from winsome.state import State
from winsome.ticket import Ticket

FORM = "small"
PRECISIONS = ("bf16", "fp32")
SPEED = "It loads as the dense network with its zeros, and runs as fast as that: what it saves is disk and download."
_STATE = "state."


def write_small(
    ticket: Ticket, state: Mapping[str, Tensor], path: str | os.PathLike[str], *, precision: str = "fp32"
) -> Exported:
    """Write a ticket and the weights that it keeps; `read_small` gives both back.

    Args:
        ticket: what is kept.
        state: the network's state_dict.
        path: the file.
        precision: "fp32" keeps every number as it is; "bf16" rounds kept weights and unpruned matrices to bfloat16, and
            leaves biases, normalisation and statistics as they are.

    Raises:
        WinsomeError: the precision is unknown, the state does not fit the ticket, or the disk refuses.
    """
    if precision not in PRECISIONS:
        raise WinsomeError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    dense = dense_state(ticket.mask, state)
    kept = {name: dense[name][ticket.mask.kept(name)] for name in ticket.mask}
    rounded = precision == "bf16"
    tensors: dict[str, Tensor] = {"ticket": torch.from_numpy(np.frombuffer(ticket_file.encode(ticket), np.uint8).copy())}
    tensors["magnitudes"] = _joined([value.abs() for value in kept.values()], torch.bfloat16 if rounded else None)
    flipped = _joined([torch.signbit(value) != (ticket.mask[name][ticket.mask.kept(name)] < 0) for name, value in kept.items()])
    if flipped.any():  # weights that have another sign than their ticket, minus zero too
        tensors["flipped"] = torch.from_numpy(np.packbits(flipped.numpy()))
    tied = _tied(ticket, dense)
    for name, value in dense.items():
        if name not in ticket.mask and name not in tied:
            coarse = rounded and value.ndim > 1 and value.is_floating_point()
            tensors[_STATE + name] = value.to(torch.bfloat16) if coarse else value
    types = {name: str(value.dtype).removeprefix("torch.") for name, value in dense.items()}
    n_bytes = write(path, FORM, tensors, precision=precision, types=types, tied=tied)
    return Exported(Path(path), n_bytes, SPEED)


def read_small(path: str | os.PathLike[str]) -> tuple[Ticket, State]:
    """The ticket and the whole state_dict of a small checkpoint, with zeros where weights are pruned.

    Raises:
        WinsomeError: it is missing, damaged, of another form, or of a newer version.
    """
    tensors, head = read(path, FORM)
    try:
        ticket = ticket_file.decode(tensors["ticket"].numpy().tobytes())
        return ticket, _state(ticket, tensors, head)
    except (KeyError, RuntimeError, ValueError, IndexError, TypeError) as error:
        raise WinsomeError(f"{path} is damaged ({error}); fetch it again") from error


def _state(ticket: Ticket, tensors: State, head: Mapping[str, Any]) -> State:
    counts = [ticket.mask.layers()[name].kept for name in ticket.mask]
    magnitudes = dict(zip(ticket.mask, torch.split(tensors["magnitudes"], counts), strict=True))
    flips = torch.zeros(sum(counts), dtype=torch.bool)
    if "flipped" in tensors:
        flips = torch.from_numpy(np.unpackbits(tensors["flipped"].numpy(), count=sum(counts)).astype(bool))
    flipped = dict(zip(ticket.mask, torch.split(flips, counts), strict=True))
    state: State = {}
    for name, kind in head["types"].items():
        dtype: torch.dtype = getattr(torch, kind)
        if name in head["tied"]:
            continue
        if name not in ticket.mask:
            state[name] = tensors[_STATE + name].to(dtype)
            continue
        kept = ticket.mask.kept(name)
        negative = (ticket.mask[name][kept] < 0) != flipped[name]
        state[name] = torch.zeros(kept.shape, dtype=dtype)
        state[name][kept] = torch.where(negative, -magnitudes[name], magnitudes[name]).to(dtype)
    return {name: state[head["tied"].get(name, name)] for name in head["types"]}


def _joined(parts: list[Tensor], dtype: torch.dtype | None = None) -> Tensor:
    return torch.cat([torch.zeros(0, dtype=parts[0].dtype if parts else torch.bool), *parts]).to(
        dtype or (parts[0].dtype if parts else torch.bool)
    )


def _tied(ticket: Ticket, state: Mapping[str, Tensor]) -> dict[str, str]:
    """Entries that are equal to a pruned weight: a shared parameter under its other names."""
    others = [name for name, value in state.items() if name not in ticket.mask and value.ndim > 1]
    pruned = [name for name in ticket.mask if not bool(ticket.mask.kept(name).all())]
    return {other: name for other in others for name in pruned if _same(state[other], state[name])}


def _same(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype and torch.equal(one, other)

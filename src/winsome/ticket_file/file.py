"""Ticket files on disk: written whole or not at all, and refused with a sentence that names the file."""

from __future__ import annotations

import os
from pathlib import Path

from winsome.errors import WinsomeError
from winsome.files import write_whole
from winsome.ticket import Ticket
from winsome.ticket_file.container import decode, encode
from winsome.ticket_file.header import header_bytes, provenance_of, read_metadata


def write(ticket: Ticket, path: str | os.PathLike[str]) -> None:
    """Write a ticket file; an existing one is replaced in one step, and nothing half-written stays.

    Raises:
        WinsomeError: the ticket cannot be encoded, or the disk refuses.
    """
    path = Path(path)
    try:
        data = encode(ticket)
    except WinsomeError as error:
        raise WinsomeError(f"cannot write {path}: {error}") from error
    write_whole(path, data, make_folder=False)


def read(path: str | os.PathLike[str], *, max_weights: int | None = None) -> Ticket:
    """Read a ticket file.

    Args:
        path: the file.
        max_weights: refuse a ticket with more prunable weights; see `decode`.

    Raises:
        WinsomeError: it is missing, no ticket, truncated, corrupted, of a newer version, or larger than allowed.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            n_bytes = os.fstat(file.fileno()).st_size
            # A foreign file of any size is refused by its header, without reading the rest.
            start = file.read(9)
            head = start + file.read(header_bytes(start, n_bytes) - len(start))
            provenance_of(read_metadata(head, n_bytes))
            return decode(head + file.read(), max_weights=max_weights)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise WinsomeError(f"cannot read the ticket file {path}: {reason}; check the path") from error
    except WinsomeError as error:
        raise WinsomeError(f"cannot read {path}: {error}") from error

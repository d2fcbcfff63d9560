"""Ticket files on disk: written whole or not at all, and refused with a sentence that names the file."""

from __future__ import annotations

import os
from pathlib import Path

from winsome.errors import WinsomeError
from winsome.files import write_whole
from winsome.ticket import Ticket
from winsome.ticket_file.container import decode, encode
from winsome.ticket_file.header import provenance_of, read_head, read_metadata, refusals_named


def write(ticket: Ticket, path: str | os.PathLike[str]) -> None:
    """Write a ticket file; an existing one is replaced in one step, and nothing half-written stays.

    Raises:
        WinsomeError: the ticket cannot be encoded, or the disk refuses.

    Example:
        >>> import tempfile, winsome
        >>> ticket = winsome.Ticket(winsome.SignedMask({"weight": torch.tensor([1, 0, 0, -1])}))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     winsome.write(ticket, f"{folder}/mine.ticket")
        ...     winsome.read(f"{folder}/mine.ticket").mask == ticket.mask
        True
    """
    if not isinstance(ticket, Ticket):
        raise WinsomeError(f"write takes a ticket and then a path, write(ticket, path); got a {type(ticket).__name__} first")
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

    Example:
        >>> import winsome
        >>> winsome.read("nowhere.ticket")
        Traceback (most recent call last):
            ...
        winsome.errors.WinsomeError: cannot read the ticket file nowhere.ticket: No such file or directory; check the path
    """
    with refusals_named(Path(path)), Path(path).open("rb") as file:
        head, n_bytes = read_head(file)
        provenance_of(read_metadata(head, n_bytes))
        return decode(head + file.read(), max_weights=max_weights)

"""The head of a ticket file: whether it is a ticket at all, of which version, and where it came from."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from winsome.errors import WinsomeError
from winsome.strict_json import text_of, value_of

FORMAT = "winsome-ticket"  # the one key of the safetensors metadata
FIRST_VERSION = 1
VERSION = 2  # layers in an N:M pattern have a code of their own; files without such layers stay in version 1
MAX_HEADER_BYTES = 100_000_000  # safetensors' own limit
MAX_PROVENANCE_BYTES = 2**25  # as JSON; inside the header every quotation mark takes a second byte, a backslash too
MAX_DEPTH = 50  # of nested provenance
NOT_A_TICKET = "it is no ticket file"
CONVERT = "`winsome ticket convert` reads the checkpoints of other tools"


def read_provenance(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Where the ticket of a file came from; nothing else of the file is read or checked.

    Raises:
        WinsomeError: it is missing, no ticket, cut off within its header, or of a newer version.
    """
    with refusals_named(Path(path)), Path(path).open("rb") as file:
        return provenance_of(read_metadata(*read_head(file)))


def read_head(file: BinaryIO) -> tuple[bytes, int]:
    """The header's bytes, from the beginning of a file, and the length of the file: a foreign one is refused by these alone.

    Raises:
        WinsomeError: this is no safetensors file, or it is cut off.
    """
    n_bytes = os.fstat(file.fileno()).st_size
    start = file.read(9)
    return start + file.read(header_bytes(start, n_bytes) - len(start)), n_bytes


@contextmanager
def refusals_named(path: Path) -> Iterator[None]:
    """Say of which file it is that reading was refused.

    Raises:
        WinsomeError: in place of errors of the file system, with the path.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise WinsomeError(f"cannot read the ticket file {path}: {reason}; check the path") from error
    except WinsomeError as error:
        raise WinsomeError(f"cannot read {path}: {error}") from error


def metadata_text(provenance: Mapping[str, Any], version: int = FIRST_VERSION) -> str:
    """Version and provenance as JSON text, plain ASCII.

    Raises:
        WinsomeError: provenance holds something that JSON cannot say unchanged.
    """
    content = {"version": version, "provenance": plain_json(provenance, "provenance")}
    try:
        text = text_of(content, separators=(",", ":"))
    except ValueError as error:  # Python writes no integer of more than 4,300 digits
        raise WinsomeError(f"provenance holds a number that JSON cannot: {error}") from error
    if len(text) > MAX_PROVENANCE_BYTES:
        raise WinsomeError(f"provenance takes {len(text):,} bytes; a ticket file holds {MAX_PROVENANCE_BYTES:,}: record less")
    return text


def read_metadata(head: bytes, n_bytes: int) -> str:
    """The metadata text of a ticket file, from its first bytes (all of the header, or more).

    Args:
        head: the first bytes of the file.
        n_bytes: length of the whole file.

    Raises:
        WinsomeError: the file is no ticket, or is cut off before its header ends.
    """
    size = header_bytes(head, n_bytes)
    try:
        header = json.loads(head[8:size])
    except (ValueError, RecursionError) as error:
        raise WinsomeError(f"{NOT_A_TICKET}: its header is not JSON ({type(error).__name__})") from error
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    text = metadata.get(FORMAT) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise WinsomeError(f"{NOT_A_TICKET} but another safetensors file; {CONVERT}")
    return text


def header_bytes(head: bytes, n_bytes: int) -> int:
    """Length of the safetensors header with its 8 bytes of length, read from the first 9 bytes of a file.

    Raises:
        WinsomeError: this is no safetensors file, or it is cut off.
    """
    if not n_bytes:
        raise WinsomeError(f"{NOT_A_TICKET}: it is empty")
    size = int.from_bytes(head[:8], "little")
    if len(head) < 9 or head[8:9] != b"{" or not 2 <= size <= MAX_HEADER_BYTES:
        raise WinsomeError(f"{NOT_A_TICKET}: it is not a safetensors file; {CONVERT}")
    if 8 + size > n_bytes:
        raise WinsomeError(f"the file is truncated: its header alone takes {8 + size} bytes, it has {n_bytes}; fetch it again")
    return 8 + size


def provenance_of(text: str) -> dict[str, Any]:
    """The provenance in the metadata text.

    Raises:
        WinsomeError: a newer Winsome wrote it, or it is damaged.
    """
    try:
        metadata = value_of(text)
    except (ValueError, RecursionError) as error:
        raise WinsomeError("its metadata is damaged; fetch it again") from error
    version = metadata.get("version") if isinstance(metadata, dict) else None
    if type(version) is not int or version < 1:
        raise WinsomeError("its metadata is damaged: no version number; fetch it again")
    if version > VERSION:
        raise WinsomeError(
            f"it is of ticket version {version}, this Winsome reads versions up to {VERSION}; upgrade: pip install -U winsome"
        )
    provenance = metadata.get("provenance")
    if not isinstance(provenance, dict):
        raise WinsomeError("its metadata is damaged: no provenance; fetch it again")
    return provenance


def plain_json(value: object, where: str, depth: int = 0) -> Any:
    """A value as JSON holds it: dicts, lists, strings, numbers, True, False, None (a tuple becomes a list).

    NaN and infinities stay, for a diverged run's ticket must still be written: as strings of their names (`strict_json`).

    Raises:
        WinsomeError: names the entry that JSON cannot hold.
    """
    if depth > MAX_DEPTH:
        raise WinsomeError(f"{where} is nested deeper than {MAX_DEPTH} levels; record something flatter")
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise WinsomeError(f"{where} has the key {key!r}; keys must be strings")
        return {key: plain_json(entry, f"{where}[{key!r}]", depth + 1) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(entry, f"{where}[{index}]", depth + 1) for index, entry in enumerate(value)]
    if not isinstance(value, str | int | float | bool | None):
        kind = type(value).__name__
        raise WinsomeError(f"{where} is a {kind}; record JSON values (numbers, strings, lists, dicts, True, False, None)")
    return value

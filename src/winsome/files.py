"""Files that are there whole or not at all, and what networks are in them. Each function acts on the rank that calls it."""

from __future__ import annotations

import contextlib
import csv
import errno
import glob
import io
import json
import logging
import math
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from winsome.errors import DiskFull, WinsomeError
from winsome.odd_values import KEY, plain_tensors, with_odd_values
from winsome.strict_json import text_of, value_of

if TYPE_CHECKING:  # who reads or writes JSON alone does not wait for torch
    from torch import Tensor

    from winsome.state import State

log = logging.getLogger("winsome")

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
PART = ".part"  # the ending of a file that is being written


def write_whole(path: Path, data: bytes, *, make_folder: bool = True) -> None:
    """Write a file so that it is there whole or as it was before.

    Args:
        path: the file.
        data: its content.
        make_folder: make the folder that it is to lie in where it is missing.

    Raises:
        WinsomeError: the disk is read-only, or full (DiskFull); the path is named, nothing half-written stays.
    """
    try:
        if make_folder:
            path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        kind = DiskFull if error.errno in DISK_FULL else WinsomeError
        raise kind(
            f"cannot write {path} ({len(data):,} bytes): {error.strerror or type(error).__name__}; free space or choose "
            "another folder that is there and writable, then run the same command again: what is finished is kept"
        ) from error


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """The path of a temporary file to write inside the block; at its end it is flushed to disk and renamed to `path`.

    The folder is flushed too: the renaming itself outlasts a power cut. Whatever goes wrong, nothing half-written stays.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}{PART}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):  # a folder below a file has nothing to remove
            temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make a renaming durable, where the system can (Windows opens no folders)."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def sweep(folder: Path, name: str = "") -> None:
    """Remove what earlier processes were killed in the midst of writing, of one file or of all: for folders with one writer."""
    for part in folder.glob(f".{glob.escape(name)}.*{PART}" if name else f".*{PART}"):
        part.unlink(missing_ok=True)


def as_json(metrics: object) -> dict[str, Any]:
    """What a user's loop returned, as JSON values, whatever it is: a mistake here must not cost a trained level.

    Tensors and arrays become numbers and lists of them, other things their text, and what is no mapping gets the name "value".
    """
    plain: dict[str, Any] = _plain(metrics if isinstance(metrics, Mapping) else {"value": metrics})
    return plain


def _plain(value: Any) -> Any:
    """JSON for any value; an enumeration's member counts as what it is a kind of."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if value is None or isinstance(value, bool | int | float | str):
        return json.loads(json.dumps(value))
    if isinstance(getattr(value, "ndim", None), int) and callable(getattr(value, "tolist", None)) and _is_small(value):
        return _plain(value.tolist())  # of torch or numpy
    return str(value)


def _is_small(value: Any) -> bool:
    """Whether the numbers of a tensor or array are few enough for a record."""
    return bool(math.prod(value.shape) <= 10_000)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file whole or not at all."""
    write_whole(path, (text_of(value, indent=1, ensure_ascii=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        WinsomeError: it is no JSON.
    """
    try:
        return value_of(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WinsomeError(f"{path} cannot be read ({error}); delete it to compute it again") from error


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file whole or not at all, numbers in full, None as nothing."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_whole(path, text.getvalue().encode())


def write_state(path: Path, state: Mapping[str, Tensor], **metadata: str) -> None:
    """Write a state as safetensors. Shared tensors are written under each of their names, odd values as text beside them.

    Raises:
        WinsomeError: it holds a value that no file keeps safely.
    """
    from safetensors.torch import save

    tensors, odd = plain_tensors(state)
    metadata |= {} if odd is None else {KEY: odd}
    write_whole(path, save(tensors, metadata=metadata or None))


def read_state(path: Path) -> tuple[State, dict[str, str]]:
    """Tensors and metadata of a safetensors file.

    Raises:
        WinsomeError: the file is truncated or no safetensors file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return with_odd_values(tensors, metadata.pop(KEY, None)), metadata
    except (OSError, SafetensorError) as error:
        raise WinsomeError(f"{path} is damaged ({error}); delete it to compute it again") from error

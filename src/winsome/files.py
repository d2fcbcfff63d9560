"""Files that are there whole or not at all, and what networks are in them. Each function acts on the rank that calls it."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from winsome.errors import WinsomeError
from winsome.state import State

log = logging.getLogger("winsome")


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or as it was before: a temporary file, flushed to disk, then renamed.

    Raises:
        WinsomeError: the disk is full or read-only; the path is named, nothing half-written stays.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):  # a folder below a file has nothing to remove
            temporary.unlink(missing_ok=True)
        raise WinsomeError(
            f"cannot write {path}: {error.strerror or error}; free space or choose another folder, then run the same "
            "command again: what is finished is kept"
        ) from error


def as_json(metrics: object) -> dict[str, Any]:
    """What a user's loop returned, as JSON values, whatever it is: a mistake here must not cost a trained level.

    Scalars of torch and numpy become numbers, other things their text, and what is no mapping gets the name "value".
    """
    named = metrics if isinstance(metrics, Mapping) else {"value": metrics}
    plain: dict[str, Any] = json.loads(
        json.dumps({str(key): value for key, value in named.items()}, default=_plain, skipkeys=True)
    )
    return plain


def _plain(value: Any) -> Any:
    return value.item() if getattr(value, "ndim", None) == 0 else str(value)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file whole or not at all."""
    write_whole(path, (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        WinsomeError: it is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
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
    """Write tensors as safetensors. Shared tensors are written under each of their names."""
    tensors = {name: value.detach().to("cpu").contiguous().clone() for name, value in state.items()}
    write_whole(path, save(tensors, metadata=metadata or None))


def read_state(path: Path) -> tuple[State, dict[str, str]]:
    """Tensors and metadata of a safetensors file.

    Raises:
        WinsomeError: the file is truncated or no safetensors file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise WinsomeError(f"{path} is damaged ({error}); delete it to compute it again") from error

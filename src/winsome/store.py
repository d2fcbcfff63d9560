"""The run folder of a search: finished levels, the early network and one checkpoint, each written whole or not at all.

Where several ranks run, rank 0 alone reads and writes a run folder and the others get what it read; the plain functions
(`write_json`, `read_state` and so on) act on the rank that calls them.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import itertools
import json
import logging
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from winsome import distributed, ticket_file
from winsome.errors import WinsomeError
from winsome.rewinding import State
from winsome.ticket import Ticket

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


def claim_folder(
    folder: Path,
    config: Mapping[str, Any],
    *,
    may_grow: Collection[str] = (),
    may_lengthen: tuple[str, str] | None = None,
    write: bool = True,
) -> None:
    """Take a folder for one configuration: write it down there, or compare with what is written. Every rank calls it.

    The number of ranks belongs to the configuration: another one gives other bits. Lists and dicts under the keys in
    `may_grow` may hold more than what is written, which is then written anew: what is there stays valid. The list under the
    two keys `may_lengthen` may be the beginning of what is written, or go on from it: the longer one is kept. Without
    `write` nothing is written: only refused.

    Raises:
        WinsomeError: the folder was made with another configuration; every difference is listed.
    """
    plain = json.loads(json.dumps({**config, **distributed.record()}))
    distributed.from_main(lambda: _claim(folder, plain, may_grow, may_lengthen, write))


def _claim(
    folder: Path, config: dict[str, Any], may_grow: Collection[str], may_lengthen: tuple[str, str] | None, write: bool
) -> None:
    path = folder / "config.json"
    if not path.exists():
        if write:
            write_json(path, config)
        return
    there = read_json(path)
    grown = {key: config[key] for key in may_grow if key in there and _holds(config.get(key), there[key])}
    wanted = _lengthened(config, there, may_lengthen)
    differences = list(_differences("", {**_lengthened(there, config, may_lengthen), **grown}, wanted))
    if write and not differences and there != wanted:
        write_json(path, wanted)
    if differences:
        raise WinsomeError(
            f"{folder} was made with another configuration: {'; '.join(differences)}; "
            "choose another folder (--save-to), or the same settings to continue"
        )


def _lengthened(config: dict[str, Any], by: dict[str, Any], keys: tuple[str, str] | None) -> dict[str, Any]:
    """The configuration with the other one's list under these keys, where that goes on from its own."""
    if keys is None:
        return config
    outer, inner = keys
    own, longer = (one.get(outer, {}).get(inner, []) for one in (config, by))
    return {**config, outer: {**config[outer], inner: longer}} if own and longer[: len(own)] == own else config


def _holds(whole: Any, part: Any) -> bool:
    """Whether a list has all items of another, a dict all entries of another."""
    if isinstance(whole, dict) and isinstance(part, dict):
        return all(key in whole and whole[key] == value for key, value in part.items())
    return isinstance(whole, list) and isinstance(part, list) and all(item in whole for item in part)


def _differences(place: str, there: Any, here: Any) -> list[str]:
    if isinstance(there, dict) and isinstance(here, dict):
        keys = [*there, *(key for key in here if key not in there)]
        return [
            line for key in keys for line in _differences(f"{place}.{key}" if place else key, there.get(key), here.get(key))
        ]
    say = _shortly if _shortly(there) != _shortly(here) else json.dumps  # a difference in what is left out is one, too
    return [] if there == here else [f"{place} was {say(there)}, is now {say(here)}"]


def _shortly(value: Any) -> str:
    """The value on a line: of a long list its first and last items and their number, numbers of six digits."""
    if isinstance(value, float):
        return json.dumps(float(f"{value:.6g}"))
    if isinstance(value, list):
        items = [_shortly(item) for item in value]
        shown = items if len(items) <= 6 else [*items[:3], "...", items[-1]]
        return f"[{', '.join(shown)}]" + (f" ({len(items)} values)" if len(items) > 6 else "")
    return json.dumps(value)


class RunFolder:
    """What one search has computed, in one folder.

    `config.json`, `initial.safetensors`, `early.safetensors` (where a method rewinds to a later step), and for every
    finished level `level-NN.safetensors` (weights), `level-NN.ticket` and, written last, `level-NN.json`: a level is finished
    if and only if the latter is there. `checkpoint.safetensors` belongs to the level under way. Every rank calls every method.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        self.folder = folder
        claim_folder(folder, config, may_lengthen=("method", "densities"))

    def _level(self, number: int, kind: str) -> Path:
        return self.folder / f"level-{number:02d}.{kind}"

    def read_level(self, number: int) -> tuple[State, Ticket, dict[str, Any]] | None:
        """State, ticket and record of a level, or None where it is not finished."""
        return distributed.from_main(lambda: self._read_level(number))

    def _read_level(self, number: int) -> tuple[State, Ticket, dict[str, Any]] | None:
        if not self._level(number, "json").exists():
            return None
        record = read_json(self._level(number, "json"))
        state, _ = read_state(self._level(number, "safetensors"))
        return state, ticket_file.read(self._level(number, "ticket")), record

    def read_ticket(self, number: int) -> Ticket | None:
        """Only the ticket of a level, or None where it is not finished."""
        finished, ticket = (self._level(number, kind) for kind in ("json", "ticket"))
        return distributed.from_main(lambda: ticket_file.read(ticket) if finished.exists() else None)

    def n_finished(self) -> int:
        """How many levels are finished, counted from level 0 to the first that is not."""
        numbers = itertools.count()
        return distributed.from_main(lambda: next(k for k in numbers if not self._level(k, "json").exists()))

    def write_level(self, number: int, state: State, ticket: Ticket, record: Mapping[str, Any]) -> None:
        """Finish a level: its record is written last, and the checkpoint inside the level goes."""
        distributed.from_main(lambda: self._write_level(number, state, ticket, record))

    def _write_level(self, number: int, state: State, ticket: Ticket, record: Mapping[str, Any]) -> None:
        write_state(self._level(number, "safetensors"), state)
        ticket_file.write(ticket, self._level(number, "ticket"))
        write_json(self._level(number, "json"), record)
        (self.folder / "checkpoint.safetensors").unlink(missing_ok=True)
        _sweep(self.folder, ".*.part*")  # .partial of ticket files

    def read_named(self, name: str) -> State | None:
        """A network kept under a name ("initial", "early"), or None."""
        path = self.folder / f"{name}.safetensors"
        return distributed.from_main(lambda: read_state(path)[0] if path.exists() else None)

    def write_named(self, name: str, state: State) -> None:
        """Keep a network under a name."""
        distributed.from_main(lambda: write_state(self.folder / f"{name}.safetensors", state))

    def read_checkpoint(self, number: int) -> tuple[State, dict[str, Any]] | None:
        """Tensors and record of the checkpoint inside level `number`, or None; one that is damaged counts as none."""
        return read_checkpoint(self.folder / "checkpoint.safetensors", number)

    def write_checkpoint(self, tensors: State, record: Mapping[str, Any]) -> None:
        """Keep where the level under way stands; the one before it is replaced."""
        write_checkpoint(self.folder / "checkpoint.safetensors", tensors, record)


def read_checkpoint(path: Path, number: int = 0) -> tuple[State, dict[str, Any]] | None:
    """Tensors and record of a checkpoint of level `number`; None without one, or if it is damaged. Every rank calls it."""
    return distributed.from_main(lambda: _read_checkpoint(path, number))


def _read_checkpoint(path: Path, number: int) -> tuple[State, dict[str, Any]] | None:
    if not path.exists():
        return None
    try:
        tensors, metadata = read_state(path)
        record = json.loads(metadata["record"])
        return (tensors, record) if record["level"] == number else None
    except (WinsomeError, KeyError, ValueError) as error:
        log.warning("the checkpoint of level %d is not used: %s", number, error)
        return None


def write_checkpoint(path: Path, tensors: State, record: Mapping[str, Any]) -> None:
    """Keep where a training stands; the checkpoint before it is replaced. Every rank calls it."""
    distributed.from_main(lambda: _write_checkpoint(path, tensors, record))


def _write_checkpoint(path: Path, tensors: State, record: Mapping[str, Any]) -> None:
    _sweep(path.parent, f".{path.name}.*.part")  # before, for the disk may be short
    write_state(path, tensors, record=json.dumps(record))


def _sweep(folder: Path, pattern: str) -> None:
    """Remove what earlier processes were killed in the midst of writing: what is swept has one process that writes."""
    for part in folder.glob(pattern):
        part.unlink(missing_ok=True)


def full_state(model: torch.nn.Module) -> State:
    """A copy of the model's state_dict on the CPU."""
    return {name: value.detach().to("cpu", copy=True) for name, value in model.state_dict().items()}


def state_digest(state: State) -> str:
    """SHA-256 over names, shapes, types and values of a state on the CPU."""
    sha = hashlib.sha256()
    for name, value in state.items():
        sha.update(f"{name}:{tuple(value.shape)}:{value.dtype};".encode())
        sha.update(value.contiguous().flatten().view(torch.uint8).numpy().data)
    return sha.hexdigest()

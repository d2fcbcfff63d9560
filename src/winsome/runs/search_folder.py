"""The folder of a search: finished levels, the early network and one checkpoint, each written whole or not at all.

Where several ranks run, rank 0 alone reads and writes it, and the others get what it read.
"""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from winsome import distributed, ticket_file
from winsome.errors import WinsomeError
from winsome.files import read_json, read_state, sweep, write_json, write_state
from winsome.runs.configuration import read_config, take_folder
from winsome.runs.file_names import CONFIG, DATA_FOLDER
from winsome.runs.lock import only_process
from winsome.state import State
from winsome.strict_json import text_of, value_of
from winsome.ticket import Ticket

log = logging.getLogger("winsome")


@dataclass(frozen=True)
class SearchFolder:
    """What one search has computed, in one folder; opened to read, it needs no configuration and writes nothing.

    `config.json`, `initial.safetensors`, `early.safetensors` (where a method rewinds to a later step), and for every
    finished level `level-NN.safetensors` (weights), `level-NN.ticket` and, written last, `level-NN.json`: a level is finished
    if and only if the latter is there. `checkpoint.safetensors` belongs to the level under way. Every rank calls every method;
    those that say "here" act on the rank that calls them.
    """

    path: Path

    @classmethod
    def take(cls, path: Path, config: Mapping[str, Any]) -> SearchFolder:
        """The folder of the search of this configuration, to be written to.

        Raises:
            WinsomeError: the folder was made with another configuration; every difference is listed.
        """
        take_folder(path, config, may_lengthen=("method", "densities"))
        return cls(path)

    def held(self) -> AbstractContextManager[None]:
        """Keeps other processes out while levels are opened and closed."""
        return only_process(self.path)

    def _level(self, number: int, kind: str) -> Path:
        return self.path / f"level-{number:02d}.{kind}"

    def ticket_path(self, number: int) -> Path:
        """Where the ticket of a level lies."""
        return self._level(number, "ticket")

    def weights_path(self, number: int) -> Path:
        """Where the trained network of a level lies."""
        return self._level(number, "safetensors")

    def is_finished(self, number: int) -> bool:
        """Whether a level is finished, here."""
        return self._level(number, "json").exists()

    def levels(self) -> tuple[int, ...]:
        """The numbers of all finished levels, here, in order: level 100 comes after level 99."""
        names = (re.fullmatch(r"level-(\d+)\.json", path.name) for path in self.path.glob("level-*.json"))
        return tuple(sorted(int(name[1]) for name in names if name))

    def config(self) -> dict[str, Any]:
        """The configuration that the folder was made with, here; empty where there is none."""
        return read_config(self.path)

    def read_level(self, number: int) -> tuple[State, Ticket, dict[str, Any]] | None:
        """State, ticket and record of a level, or None where it is not finished."""
        return distributed.from_main(lambda: self._read_level(number))

    def _read_level(self, number: int) -> tuple[State, Ticket, dict[str, Any]] | None:
        if not self.is_finished(number):
            return None
        record = self.read_record(number)
        for path in (self._level(number, kind) for kind in ("safetensors", "ticket")):
            if not path.exists():
                raise WinsomeError(
                    f"{path} is gone; delete {self._level(number, 'json').name} too, and the level is trained again"
                )
        state, _ = read_state(self._level(number, "safetensors"))
        return state, ticket_file.read(self._level(number, "ticket")), record

    def read_record(self, number: int) -> dict[str, Any]:
        """The record of a finished level, here: its density, metrics and seconds."""
        record: dict[str, Any] = read_json(self._level(number, "json"))
        return record

    def read_ticket(self, number: int) -> Ticket | None:
        """Only the ticket of a level, or None where it is not finished."""
        finished, ticket = (self._level(number, kind) for kind in ("json", "ticket"))
        return distributed.from_main(lambda: ticket_file.read(ticket) if finished.exists() else None)

    def n_finished(self) -> int:
        """How many levels are finished, counted from level 0 to the first that is not."""
        numbers = itertools.count()
        return distributed.from_main(lambda: next(k for k in numbers if not self.is_finished(k)))

    def write_level(self, number: int, state: State, ticket: Ticket, record: Mapping[str, Any]) -> None:
        """Finish a level: its record is written last, and the checkpoint inside the level goes."""
        distributed.from_main(lambda: self._write_level(number, state, ticket, record))

    def _write_level(self, number: int, state: State, ticket: Ticket, record: Mapping[str, Any]) -> None:
        write_state(self._level(number, "safetensors"), state)
        ticket_file.write(ticket, self._level(number, "ticket"))
        write_json(self._level(number, "json"), record)
        (self.path / "checkpoint.safetensors").unlink(missing_ok=True)
        sweep(self.path)

    def read_named(self, name: str) -> State | None:
        """A network kept under a name ("initial", "early"), or None."""
        path = self.path / f"{name}.safetensors"
        return distributed.from_main(lambda: read_state(path)[0] if path.exists() else None)

    def write_named(self, name: str, state: State) -> None:
        """Keep a network under a name."""
        distributed.from_main(lambda: write_state(self.path / f"{name}.safetensors", state))

    def read_checkpoint(self, number: int) -> tuple[State, dict[str, Any]] | None:
        """Tensors and record of the checkpoint inside level `number`, or None; one that is damaged counts as none."""
        return read_checkpoint(self.path / "checkpoint.safetensors", number)

    def write_checkpoint(self, tensors: State, record: Mapping[str, Any]) -> None:
        """Keep where the level under way stands; the one before it is replaced."""
        write_checkpoint(self.path / "checkpoint.safetensors", tensors, record)


def identifying(config: Mapping[str, Any]) -> dict[str, Any]:
    """What of a configuration identifies a search, and stands in its tickets: not where its images lie."""
    return {key: value for key, value in config.items() if key != DATA_FOLDER}


def search_folders(place: Path) -> tuple[SearchFolder, ...]:
    """The folders of searches with a finished level in and below a folder, here, by their paths."""
    firsts = sorted(place.rglob("level-00.json"))
    return tuple(SearchFolder(first.parent) for first in firsts if (first.parent / CONFIG).exists())


def read_checkpoint(path: Path, number: int = 0) -> tuple[State, dict[str, Any]] | None:
    """Tensors and record of a checkpoint of level `number`; None without one, or if it is damaged. Every rank calls it."""
    return distributed.from_main(lambda: _read_checkpoint(path, number))


def _read_checkpoint(path: Path, number: int) -> tuple[State, dict[str, Any]] | None:
    if not path.exists():
        return None
    try:
        tensors, metadata = read_state(path)
        record = value_of(metadata["record"])
        return (tensors, record) if record["level"] == number else None
    except (WinsomeError, KeyError, ValueError) as error:
        log.warning("the checkpoint of level %d is not used: %s", number, error)
        return None


def write_checkpoint(path: Path, tensors: State, record: Mapping[str, Any]) -> None:
    """Keep where a training stands; the checkpoint before it is replaced. Every rank calls it."""
    distributed.from_main(lambda: _write_checkpoint(path, tensors, record))


def _write_checkpoint(path: Path, tensors: State, record: Mapping[str, Any]) -> None:
    sweep(path.parent, path.name)  # before, for the disk may be short
    write_state(path, tensors, record=text_of(record))

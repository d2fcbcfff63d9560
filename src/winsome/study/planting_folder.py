"""The folder of a planting: the only module that knows the names of its files."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from winsome import distributed
from winsome.files import read_json, write_json, write_state
from winsome.runs.configuration import take_folder
from winsome.runs.lock import only_process
from winsome.state import State


@dataclass(frozen=True)
class PlantedRun:
    """One planted start, trained and judged."""

    start: int
    accuracy: float  # fraction in [0, 1]
    loss: float
    before: bool = False  # whether it was finished before


@dataclass(frozen=True)
class PlantingFolder:
    """Weights and results of a planting, start by start. Rank 0 alone reads and writes; every rank calls every method."""

    path: Path

    @classmethod
    def take(cls, path: Path, config: Mapping[str, Any]) -> PlantingFolder:
        """The folder, taken for a planting of this configuration.

        Raises:
            WinsomeError: it was made with another one.
        """
        take_folder(path, config)
        return cls(path)

    def held(self) -> AbstractContextManager[None]:
        """Keeps other processes out while starts are trained."""
        return only_process(self.path)

    def checkpoint_path(self, start: int) -> Path:
        """From which the training of a start that was killed goes on."""
        return self._file(start, ".checkpoint")

    def finished(self, start: int) -> PlantedRun | None:
        """What a start came to, if it is trained."""
        result = self._file(start, ".json")
        record = distributed.from_main(lambda: read_json(result) if result.exists() else None)
        return record and PlantedRun(start, float(record["accuracy"]), float(record["loss"]), before=True)

    def write_start(self, start: int, state: State) -> None:
        """Keep a start's weights after planting, before training."""
        distributed.from_main(lambda: write_state(self._file(start, "-start.safetensors"), state))

    def finish(self, run: PlantedRun, trained: State) -> None:
        """Keep what a start came to, and its trained weights; its checkpoint goes."""

        def write() -> None:
            write_state(self._file(run.start, "-trained.safetensors"), trained)
            write_json(self._file(run.start, ".json"), {"seed": run.start, "accuracy": run.accuracy, "loss": run.loss})
            self.checkpoint_path(run.start).unlink(missing_ok=True)

        distributed.from_main(write)

    def _file(self, start: int, ending: str) -> Path:
        return self.path / f"seed-{start}{ending}"

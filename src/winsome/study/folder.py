"""The folder of a study: the one place that knows where its searches, its arms' runs and its results lie.

    config.json, time.json, results.json, results.csv, report.html
    searches/NAME/seed-NN/             each the folder of a search
    arms/ARM/level-NN/seed-NN-start-N  .json (written last), .safetensors, .checkpoint; arms/dense/dense/ for the dense arm
    connectivity/                      lines between its networks

Where several ranks run, rank 0 alone writes: every rank calls what writes or decides. Methods that say "here" act on the rank
that calls them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from winsome import distributed
from winsome.errors import WinsomeError
from winsome.files import read_json, write_json, write_state
from winsome.runs.configuration import read_config, take_folder
from winsome.runs.search_folder import SearchFolder
from winsome.state import State
from winsome.study.transplants import Found


class Run(NamedTuple):
    """What one training of an arm follows from: an independent search, and a fresh start."""

    search_seed: int
    start: int


@dataclass(frozen=True)
class ArmRun:
    """One run of an arm: which arm, judged at which level of its search, and of which search seed and start."""

    arm: str
    level: int | None  # None for the dense arm, which stands beside every level
    run: Run


@dataclass(frozen=True)
class StudyFolder:
    """A study on disk; opened, it writes nothing."""

    path: Path

    def take(self, config: Mapping[str, Any], *, may_grow: Collection[str], write: bool = True) -> None:
        """Take the folder for a study; see `runs.configuration.take_folder`."""
        take_folder(self.path, config, may_grow=may_grow, write=write)

    def config(self) -> dict[str, Any]:
        """The record of the study that the folder was made for; empty where there is none."""
        return distributed.from_main(lambda: read_config(self.path))

    def study_record(self) -> dict[str, Any]:
        """The record of the study that the folder was made for.

        Raises:
            WinsomeError: the folder is not a study's.
        """
        record = self.config()
        if "search_seeds" not in record:
            raise WinsomeError(
                f"{self.path} is not the folder of a study; give one that `winsome study` made, or two networks: "
                "winsome barrier A B"
            )
        return record

    # Searches.

    def search(self, name: str, seed: int) -> SearchFolder:
        """The folder of the search of a name and seed."""
        return SearchFolder(self.path / "searches" / name / f"seed-{seed:02d}")

    def searched(self, name: str, seeds: Iterable[int], level: int) -> bool:
        """Whether the searches of these seeds have finished a level."""
        folders = [self.search(name, seed) for seed in seeds]
        return distributed.from_main(lambda: all(folder.is_finished(level) for folder in folders))

    def found(self, name: str, seed: int, level: int) -> Found:
        """What a search found at a level.

        Raises:
            WinsomeError: it has not finished the level.
        """
        search = self.search(name, seed)
        read = search.read_level(level)
        if read is None:
            raise WinsomeError(f"{search.path} has no finished level {level}; run the search to that level first")
        state, ticket, _ = read
        return Found(ticket, state)

    # Runs of arms.

    def _run(self, run: ArmRun, kind: str) -> Path:
        place = "dense" if run.level is None else f"level-{run.level:02d}"
        return self.path / "arms" / run.arm / place / f"seed-{run.run.search_seed:02d}-start-{run.run.start}.{kind}"

    def result_path(self, run: ArmRun) -> Path:
        """Where the result of a run lies; written last, it says that the run is finished."""
        return self._run(run, "json")

    def weights_path(self, run: ArmRun) -> Path:
        """Where the trained network of a run lies."""
        return self._run(run, "safetensors")

    def checkpoint_path(self, run: ArmRun) -> Path:
        """Where the checkpoint of a run under way lies."""
        return self._run(run, "checkpoint")

    def missing(self, runs: Sequence[ArmRun]) -> list[ArmRun]:
        """Those of these runs that are not finished."""
        return distributed.from_main(lambda: [run for run in runs if not self.result_path(run).exists()])

    def results(self, runs: Iterable[ArmRun]) -> list[dict[str, Any]]:
        """The results of those of these runs that are finished, here."""
        return [read_json(path) for run in runs if (path := self.result_path(run)).exists()]

    def write_runs(self, results: Mapping[ArmRun, Mapping[str, Any]], networks: Mapping[ArmRun, State]) -> None:
        """Finish runs: trained networks first, then results; checkpoints go."""

        def write() -> None:
            for run, state in networks.items():
                write_state(self.weights_path(run), state)
            for run, result in results.items():
                write_json(self.result_path(run), result)
                self.checkpoint_path(run).unlink(missing_ok=True)

        distributed.from_main(write)

    # The study as a whole.

    def seconds(self) -> float:
        """What the study took up to its last finished job, over all stretches in which it ran, here; 0 for none."""
        path = self.path / "time.json"
        return float(read_json(path)["seconds"]) if path.exists() else 0.0

    def write_seconds(self, seconds: float) -> None:
        """Keep what the study has taken so far."""
        distributed.from_main(lambda: write_json(self.path / "time.json", {"seconds": seconds}))

    @property
    def connectivity(self) -> Path:
        """The folder of lines between its networks."""
        return self.path / "connectivity"

"""The log of a run: a JSON line for each finished level and planted network, sent to a tracker, too, each once."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from typing import Any, Self

from winsome.errors import WinsomeError
from winsome.strict_json import text_of
from winsome.tracking.trackers import Send, tracker_named

FILE_NAME = "log.jsonl"


@dataclass(frozen=True)
class LogEntry:
    """What is logged of a level or a planted network: in which run, at which step, and its numbers by name."""

    run: str  # "searches/aws/seed-00", "arms/planted_aws/level-06": the same in the file and in every tracker
    step: int  # the level of a search; of planted networks their place, from 0
    values: Mapping[str, float]  # density, accuracy and loss, and what else a training loop returned


def numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """Of any metrics those that are finite numbers: no tracker takes others."""
    return {
        name: float(value)
        for name, value in values.items()
        if isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    }


@dataclass
class RunLog:
    """Writes `log.jsonl` of a folder, and tells a tracker; what either knows already is not told again.

    A context manager, for the tracker's run ends with it. Called by one process, rank 0.

    Attributes:
        folder: of the search, planting or study.
        tracker: one of `trackers.TRACKERS`, or "none".
    """

    folder: Path
    tracker: str = "none"
    _told: dict[Path, set[tuple[str, int]]] = field(default_factory=dict)
    _run: str = ""
    _opened: ExitStack = field(default_factory=ExitStack)
    _send: Send | None = None

    def __enter__(self) -> Self:
        """Read what was told before; a tracker that is not installed is refused here, before any work."""
        self._tracker = None if self.tracker == "none" else tracker_named(self.tracker)
        for name in (FILE_NAME, *([f"log.{self.tracker}.jsonl"] if self._tracker else [])):
            self._told[self.folder / name] = _known(self.folder / name)
        return self

    def __exit__(self, *_: object) -> None:
        """End the tracker's run."""
        self._opened.close()

    def tell(self, entries: Iterable[LogEntry]) -> None:
        """Log what is not logged yet."""
        for entry in entries:
            for path, told in self._told.items():
                if (entry.run, entry.step) in told:
                    continue
                if path.name != FILE_NAME:
                    self._sender(entry.run)(entry.step, entry.values)
                told.add((entry.run, entry.step))
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("a", encoding="utf-8") as file:  # after it was sent: rather twice than never
                    file.write(text_of({"run": entry.run, "step": entry.step, **entry.values}, ensure_ascii=False) + "\n")

    def _sender(self, run: str) -> Send:
        """The tracker's run of this name: one is open at a time, for a study has hundreds."""
        if run != self._run or self._send is None:
            assert self._tracker is not None
            self._opened.close()
            self._run, self._send = run, self._opened.enter_context(self._tracker(run, self.folder))
        return self._send


def _known(path: Path) -> set[tuple[str, int]]:
    if not path.exists():
        return set()
    lines = path.read_text(encoding="utf-8").splitlines()
    found = set()
    for number, line in enumerate(lines):
        try:
            record = json.loads(line)
            found.add((str(record["run"]), int(record["step"])))
        except (ValueError, KeyError, TypeError) as error:
            if number < len(lines) - 1:  # the last line may have been cut by a kill
                raise WinsomeError(f"{path} is damaged in line {number + 1}; delete it to have it written anew") from error
            path.write_text("".join(f"{whole}\n" for whole in lines[:-1]), encoding="utf-8")
    return found

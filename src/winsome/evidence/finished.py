"""What finished runs left, as records: a study, a search, a sweep, lines between networks; each gives a DataFrame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from winsome import ticket_file
from winsome.analysis.sign_history import common_level, search_runs, sign_history
from winsome.analysis.signs import Agreement, SignDynamics, agreements, dynamics
from winsome.errors import WinsomeError
from winsome.evidence.barriers import Connectivity
from winsome.evidence.networks import NETWORK_COLUMNS, network_rows
from winsome.evidence.results import Results, densities_of, label_of
from winsome.evidence.verdicts import sentence
from winsome.html_table import html_table
from winsome.runs.search_folder import SearchFolder
from winsome.wording import mean_and_spread, percent

if TYPE_CHECKING:
    from pandas import DataFrame

    from winsome.ticket import Ticket


@dataclass(frozen=True)
class FinishedLevel:
    """One level of a search that is finished."""

    number: int
    density: float  # fraction kept, in (0, 1]
    metrics: Mapping[str, Any]  # what the training loop returned
    seconds: float
    ticket_path: Path

    @property
    def ticket(self) -> Ticket:
        """The level's ticket, read from its file."""
        return ticket_file.read(self.ticket_path)


@dataclass(frozen=True)
class FinishedSearch:
    """A search: its configuration, and the levels that it has finished."""

    folder: Path
    config: Mapping[str, Any]
    levels: tuple[FinishedLevel, ...]

    def to_pandas(self) -> DataFrame:
        """A row for each level: number, density, seconds, and a column for each metric."""
        rows = [{"level": one.number, "density": one.density, "seconds": one.seconds, **one.metrics} for one in self.levels]
        return _frame(rows)

    def signs(self) -> list[SignDynamics]:
        """How the signs of its weights change over its levels."""
        return counted_signs(self.folder)

    def _repr_html_(self) -> str:
        frame = self.to_pandas()
        rows = [[_short(cell) for cell in row] for row in frame.itertuples(index=False)]
        return html_table(f"Search {self.folder}", [str(name) for name in frame.columns], rows)


@dataclass(frozen=True)
class FinishedBarrier:
    """What was measured along lines between networks: error and loss point by point, and how high the barriers are."""

    folder: Path
    connectivity: Connectivity

    def to_pandas(self) -> DataFrame:
        """A row for each point of each line: pair, search_seed, start, alpha, error, loss."""
        return _frame(
            {"pair": line["pair"], "search_seed": line["search_seed"], "start": line["start"]}
            | {"alpha": alpha, "error": error, "loss": loss}
            for line in self.connectivity["lines"]
            for alpha, error, loss in zip(line["alphas"], line["errors"], line["losses"], strict=True)
        )

    def _repr_html_(self) -> str:
        labels = {pair["name"]: pair["label"] for pair in self.connectivity["pairs"]}
        rows = [
            (labels.get(one["pair"], one["pair"]), one["base_line"], mean_and_spread(one["error"], one["std"]), one["n"])
            for one in self.connectivity["barriers"]
        ]
        columns = ("between", "above the line", "error barrier (points)", "search seeds")
        return html_table(f"Barriers of {self.connectivity['title']}", columns, rows)


@dataclass(frozen=True)
class FinishedStudy:
    """A study: all that its `results.json` says, the searches in its folder, and its barriers where they were measured."""

    folder: Path
    results: Results
    searches: tuple[FinishedSearch, ...]
    barrier: FinishedBarrier | None = None

    def to_pandas(self) -> DataFrame:
        """A row for each network that was judged, with the columns of `results.csv`."""
        return _frame(dict(zip(NETWORK_COLUMNS, row, strict=True)) for row in network_rows(self.results))

    def signs(self) -> list[SignDynamics]:
        """How the signs of weights change over its searches, to the deepest level that all have finished."""
        return counted_signs(self.folder)

    def agreements(self) -> list[Agreement]:
        """What the tickets of its searches share at that level."""
        runs = search_runs([self.folder])
        last = common_level(runs)
        return agreements(last, {(run.method, run.seed): run.ticket(last).mask for run in runs})

    def _repr_html_(self) -> str:
        densities = densities_of(self.results)
        entries = {(one["arm"], percent(one["density"])): one for one in self.results["table"]}
        there = {column for _, column in entries}
        columns = [one for one in dict.fromkeys(percent(density) for density in (1.0, *densities)) if one in there]
        rows = []
        for arm in dict.fromkeys(one["arm"] for one in self.results["table"]):
            cells = [entries.get((arm, column)) for column in columns]
            rows.append((label_of(self.results, arm), *(mean_and_spread(c["mean"], c["std"]) if c else "" for c in cells)))
        said = [f"{verdict['claim']} {_capital(sentence(verdict))}" for verdict in self.results["verdicts"]]
        return html_table(f"{self.results['study']['title']}: accuracy (%)", ("arm", *columns), rows, said)


@dataclass(frozen=True)
class FinishedSweep:
    """A sweep: the studies that are finished in it, and the jobs that failed."""

    folder: Path
    studies: tuple[FinishedStudy, ...]
    failures: tuple[Mapping[str, str], ...]  # study, job and error

    def to_pandas(self) -> DataFrame:
        """The networks of all its studies, told apart by the column `study`."""
        return _frame(
            dict(zip(NETWORK_COLUMNS, row, strict=True)) for study in self.studies for row in network_rows(study.results)
        )

    def _repr_html_(self) -> str:
        rows = [(one.results["study"]["name"], len(one.results["rows"]), len(one.searches)) for one in self.studies]
        failed = [f"{one['study']}, {one['job']}: {one['error']}" for one in self.failures]
        return html_table(f"Sweep {self.folder}", ("study", "networks", "searches"), rows, failed)


def finished_search(folder: Path) -> FinishedSearch:
    """The search of a folder, as far as it is finished.

    Raises:
        WinsomeError: no level of it is finished.
    """
    place = SearchFolder(folder)
    if not (numbers := place.levels()):
        raise WinsomeError(f"{folder} has no finished level; run the search again to go on with it")
    levels = []
    for number in numbers:
        record = place.read_record(number)
        metrics = record.get("metrics") or {}
        levels.append(
            FinishedLevel(
                number, record["density"], metrics, record["seconds"], ticket_path=place.ticket_path(number)
            )
        )  # fmt: skip
    return FinishedSearch(folder, place.config(), tuple(levels))


def counted_signs(folder: Path) -> list[SignDynamics]:
    """The signs of all searches in and below a folder, to the deepest level that all have finished."""
    runs = search_runs([folder])
    last = common_level(runs)
    return [dynamics(sign_history(run, level=last)) for run in runs]


def _frame(rows: Any) -> DataFrame:
    from pandas import DataFrame  # here, for it takes a second to import

    return DataFrame(list(rows))


def _capital(words: str) -> str:
    """A sentence of its own, whatever it was a part of."""
    return words[:1].upper() + words[1:]


def _short(cell: object) -> str:
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)


def results_of(found: Results | FinishedStudy) -> Results:
    """The results that a figure draws, of whichever is handed to it."""
    return found.results if isinstance(found, FinishedStudy) else found


def connectivity_of(found: Connectivity | FinishedBarrier | FinishedStudy) -> Connectivity:
    """The lines that a figure draws, of whichever is handed to it.

    Raises:
        WinsomeError: no line was measured in the study.
    """
    if isinstance(found, FinishedStudy):
        if found.barrier is None:
            raise WinsomeError(f"no line was measured in {found.folder}; run winsome barrier {found.folder} first")
        return found.barrier.connectivity
    return found.connectivity if isinstance(found, FinishedBarrier) else found


def signs_of_all(found: Sequence[SignDynamics] | FinishedStudy | FinishedSearch) -> Sequence[SignDynamics]:
    """The signs that a figure draws, of whichever is handed to it."""
    return found.signs() if isinstance(found, FinishedStudy | FinishedSearch) else found


def agreements_of(found: Sequence[Agreement] | FinishedStudy) -> Sequence[Agreement]:
    """The agreement that a figure draws, of whichever is handed to it."""
    return found.agreements() if isinstance(found, FinishedStudy) else found

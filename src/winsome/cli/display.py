"""What a running study shows: progress with the time left and the table filling up, or lines on a plain pipe."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from winsome.cli import console as consoles
from winsome.cli.progress import progress_bar
from winsome.cli.tables import add_row, fitting, open_table, show
from winsome.evidence.intervals import by_seed, spread
from winsome.evidence.results import Results, RunRow, Verdict
from winsome.evidence.verdicts import sentence
from winsome.study import run as study_run
from winsome.study.design import Study
from winsome.study.folder import StudyFolder
from winsome.study.jobs import ArmJob, jobs_of
from winsome.training.conditions import Conditions
from winsome.wording import counted, mean_and_spread, time_left

LINE_EVERY = 60  # seconds between lines on a pipe while nothing finishes


class Display:
    """Shows a study while it runs; a context manager whose `watch` is told of progress."""

    def __init__(self, study: Study, folder: Path, conditions: Conditions, console: Console | None = None) -> None:
        self.study, self.folder, self.conditions = study, StudyFolder(folder), conditions
        self.console = console or consoles.open_console()
        self.rows: list[RunRow] = []
        self._start = self._said = time.monotonic()
        self._done_before = -1.0
        self._bar = progress_bar(self.console)
        self._task = self._bar.add_task("starting", total=1.0, left="")
        self._live: Live | None = None

    def __enter__(self) -> Self:
        conditions, data = self.conditions, self.conditions.data
        self.say(
            f"{self.study.title}: {self.study.network.name}, {len(data.train):,} training and {len(data.test):,} test images, "
            f"{counted(len(self.study.search_seeds), 'search seed')} x {counted(len(self.study.starts), 'start')}, "
            f"{conditions.precision.label} on {conditions.device}"
        )
        for job in jobs_of(self.study, at_once=1):
            if isinstance(job, ArmJob):
                self._add(job)
        if consoles.draws_over(self.console):
            # Transient: the command prints the finished table, whole and once.
            self._live = Live(self._picture(), console=self.console, refresh_per_second=4, transient=True)
            self._live.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, trace)

    def say(self, sentence: str) -> None:
        """A sentence above the table."""
        consoles.say(self.console, sentence)

    def watch(self, progress: study_run.StudyProgress) -> None:
        """Take note of a progress."""
        if self._done_before < 0:
            self._done_before, self._start = progress.done, time.monotonic()
        left, share = self._time_left(progress), progress.done / progress.total
        job = progress.job
        if progress.finished and job is not None:
            line = job.label
            if isinstance(job, ArmJob):
                added = self._add(job)
                line += f": {mean_and_spread(fmean(added), spread(added))} % ({counted(len(added), 'run')})"
            self._say_how_far(share, f"{line}, {progress.seconds:.1f} s{left and ', ' + left}")
        elif job is not None and time.monotonic() - self._said > LINE_EVERY:
            self._say_how_far(share, f"{job.label} is under way{left and ', ' + left}")
        self._bar.update(self._task, completed=share, left=left)
        if job is not None:
            self._bar.update(self._task, description=job.label)
        if self._live is not None:
            self._live.update(self._picture())

    def _say_how_far(self, share: float, line: str) -> None:
        """A line where no bar can be shown."""
        if self._live is None:
            self._said = time.monotonic()
            self.say(f"[{share:4.0%}] {line}")

    def _time_left(self, progress: study_run.StudyProgress) -> str:
        gained, spent = progress.done - self._done_before, time.monotonic() - self._start
        return time_left(gained, spent, progress.total - progress.done)

    def _add(self, job: ArmJob) -> list[float]:
        rows: list[RunRow] = self.folder.results(job.arm_runs)  # type: ignore[assignment]
        self.rows += rows
        return [row["accuracy"] for row in rows]

    def _picture(self) -> Group:
        table = accuracy_table(_labels(self.study), self.study.densities, self.rows)
        return Group(*fitting(table, self.console), self._bar)


def _labels(study: Study) -> dict[str, str]:
    return {arm.name: arm.label for arm in study.arms}


def accuracy_table(labels: Mapping[str, str], densities: Sequence[float], rows: Sequence[RunRow], *, title: str = "") -> Table:
    """Arms, by name and label, over densities: mean and standard deviation over search seeds, as far as the runs have got."""
    heading = f"{title}: test accuracy (%)" if title else "test accuracy (%)"
    table = open_table("arm", *(f"density {density:.3g}" for density in densities), title=heading)
    for name, label in labels.items():
        cells = []
        for density in densities:
            values = list(by_seed(rows, name, density).values())
            cells.append(mean_and_spread(fmean(values), spread(values)) if values else "·")
        add_row(table, label, *cells)
    return table


def print_results(results: Results, page: Path) -> None:
    """The table, one sentence for each claim, what is missing, and where the report is."""
    print_accuracies(results)
    print_verdicts(results["verdicts"])
    console = consoles.open_console()
    for warning in results["warnings"]:
        consoles.say(console, ("warning:", "yellow"), f" {warning}")
    for missing in results["missing"]:
        consoles.say(console, ("not finished:", "yellow"), f" {missing}")
    consoles.say(console, f"report: {page}")


def print_accuracies(results: Results, *, title: str = "") -> None:
    """The table of a finished study."""
    study = results["study"]
    labels = {arm["name"]: arm["label"] for arm in study["arms"]}
    show(consoles.open_console(), accuracy_table(labels, study["densities"], results["rows"], title=title))


def print_verdicts(verdicts: Sequence[Verdict]) -> None:
    """One sentence for each claim."""
    console = consoles.open_console()
    for verdict in verdicts:
        mark = {"shown": ("✓", "green"), "not judged": ("?", "yellow")}.get(verdict["status"], ("✗", "red"))
        where = f"{verdict['study']}: " if verdict["study"] else ""
        consoles.say(console, mark, f" {verdict['claim']}\n    {where}{sentence(verdict)}")

"""What the page over a sweep says: every study in one table, and what failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from winsome import figures
from winsome.errors import WinsomeError
from winsome.evidence.results import FILE_NAME as RESULTS
from winsome.evidence.results import Results, dense_entry, densities_of, entry_of, percent
from winsome.files import read_json
from winsome.report.tables import accuracy
from winsome.report.wording import counted
from winsome.sweep.run import FILE_NAME, FORMAT


@dataclass(frozen=True)
class StudyLine:
    """One study at one density: its cells stand under the arms."""

    name: str
    link: str  # to the study's own page; empty where there is none
    rows: int  # that the name spans: all of the study's lines on the first, 0 on the others
    density: str
    cells: list[str]


@dataclass(frozen=True)
class Overview:
    """All that the template needs of a sweep."""

    title: str
    summary: str
    note: str
    arms: list[str]  # labels, one for each column
    lines: list[StudyLine]
    failures: list[dict[str, str]]  # study, job, error, trace
    skipped: str
    unread: list[str]  # sentences on studies whose results cannot be read


def overview(folder: Path) -> Overview:
    """Gather what a sweep's folder holds.

    Raises:
        WinsomeError: its `sweep.json` is damaged or of another format.
    """
    record = read_json(folder / FILE_NAME)
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise WinsomeError(f"{folder / FILE_NAME} is not of format {FORMAT}; run `winsome sweep` again to write it anew")
    unread: list[str] = []
    studies = [(study, _read(folder / study["name"], unread)) for study in record["studies"]]
    finished = [results for _, results in studies if results is not None]
    arms = {arm["name"]: arm["label"] for results in finished for arm in results["study"]["arms"]}
    lines = [line for study, results in studies for line in _lines(study, results, list(arms))]
    return Overview(
        title=f"A sweep of {counted(len(studies), 'study', 'studies')}",
        summary=_summary(len(studies), finished),
        note=_note(finished),
        arms=list(arms.values()),
        lines=lines,
        failures=record["failures"],
        skipped=_skipped(record["skipped"]),
        unread=unread,
    )


def _read(folder: Path, unread: list[str]) -> Results | None:
    """A study's results; where there are none that can be read, a sentence goes to `unread`."""
    if not (folder / RESULTS).is_file():
        return None
    try:
        return figures.read(folder)
    except WinsomeError as error:
        unread.append(str(error))
        return None


def _lines(study: dict[str, str], results: Results | None, arms: Sequence[str]) -> list[StudyLine]:
    name = study["name"]
    if results is None:
        return [StudyLine(name, "", 1, "not finished", [""] * len(arms))]
    dense = {arm["name"] for arm in results["study"]["arms"] if arm["kind"] == "dense"}
    found = []
    densities = densities_of(results) or [1.0]
    for place, density in enumerate(densities):
        entries = [dense_entry(results) if arm in dense else entry_of(results, arm, density) for arm in arms]
        cells = [accuracy(entry) if entry is not None else "" for entry in entries]
        rows = len(densities) if place == 0 else 0
        found.append(StudyLine(name, f"{name}/report.html", rows, percent(density), cells))
    return found


def _summary(n_studies: int, finished: Sequence[Results]) -> str:
    results = sum(len(study["rows"]) for study in finished)
    state = "All are finished" if len(finished) == n_studies else f"{len(finished)} of {n_studies} are finished"
    return f"{state}: {counted(results, 'result')}."


def _note(finished: Sequence[Results]) -> str:
    seeds = {len(study["study"]["search_seeds"]) for study in finished}
    if not seeds:
        return ""
    if seeds == {1}:
        return "Test accuracy in percent, of one search seed."
    words = f"{min(seeds)} to {max(seeds)}" if len(seeds) > 1 else f"{max(seeds)}"
    return f"Test accuracy in percent: mean ± standard deviation over {words} search seeds."


def _skipped(skipped: Sequence[dict[str, Any]]) -> str:
    studies = sorted({entry["study"] for entry in skipped})
    return f"{counted(len(skipped), 'job')} not done, for they need what failed: {', '.join(studies)}" if skipped else ""

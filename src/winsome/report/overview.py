"""What the page over several studies says: all of them side by side, and what failed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from winsome.errors import WinsomeError
from winsome.evidence.results import FILE_NAME as RESULTS
from winsome.evidence.results import Results, Verdict, dense_entry, dense_names, densities_of, entry_of, read
from winsome.files import read_json
from winsome.report.sections import setting
from winsome.report.verdicts import VerdictLine, verdict_line
from winsome.sweep.run import FILE_NAME, FORMAT
from winsome.wording import counted, mean_and_spread, percent


@dataclass(frozen=True)
class StudyLine:
    """One study at one density: its cells stand under the arms."""

    name: str
    link: str  # to the study's own page; empty where there is none
    about: str
    rows: int  # that the name spans: all of the study's lines on the first, 0 on the others
    density: str
    cells: list[str]


@dataclass(frozen=True)
class ClaimLine:
    """One claim, and what each study says to it; None where it was not judged there."""

    claim: str
    source: str
    verdicts: list[VerdictLine | None]


@dataclass(frozen=True)
class Overview:
    """All that the template needs of several studies."""

    kicker: str
    title: str
    summary: str
    note: str
    arms: list[str]  # labels, one for each column
    lines: list[StudyLine]
    studies: list[str]  # that say something to a claim
    claims: list[ClaimLine]
    failures: list[dict[str, str]]  # study, job, error, trace
    skipped: str
    unread: list[str]  # sentences on studies whose results cannot be read


def sweep_overview(folder: Path) -> Overview:
    """Gather what a sweep's folder holds.

    Raises:
        WinsomeError: its `sweep.json` is damaged or of another format.
    """
    record = read_json(folder / FILE_NAME)
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise WinsomeError(f"{folder / FILE_NAME} is not of format {FORMAT}; run `winsome sweep` again to write it anew")
    unread: list[str] = []
    studies = {study["name"]: _read(folder / study["name"], unread) for study in record["studies"]}
    title = f"A sweep of {counted(len(studies), 'study', 'studies')}"
    pages = {name for name in studies if (folder / name / "report.html").is_file()}
    return _overview("sweep", title, studies, unread, record["failures"], record["skipped"], pages=pages)


def studies_overview(studies: Mapping[str, Results], unread: Sequence[str]) -> Overview:
    """Several studies side by side, each under its folder as seen from the page."""
    return _overview("studies", f"{len(studies)} studies of winning tickets", studies, unread, pages=set(studies))


def _overview(
    kicker: str,
    title: str,
    studies: Mapping[str, Results | None],
    unread: Sequence[str],
    failures: Sequence[dict[str, str]] = (),
    skipped: Sequence[dict[str, Any]] = (),
    *,
    pages: Collection[str],  # names of studies that have a page of their own
) -> Overview:
    finished = {name: results for name, results in studies.items() if results is not None}
    arms = {arm["name"]: arm["label"] for results in finished.values() for arm in results["study"]["arms"]}
    judged = {name: results["verdicts"] for name, results in finished.items() if results["verdicts"]}
    return Overview(
        kicker=kicker,
        title=title,
        summary=_summary(studies, finished),
        note=_note(list(finished.values())),
        arms=list(arms.values()),
        lines=[line for name, results in studies.items() for line in _lines(name, results, list(arms), linked=name in pages)],
        studies=list(judged),
        claims=_claims(judged),
        failures=list(failures),
        skipped=_skipped(skipped),
        unread=list(unread),
    )


def _read(folder: Path, unread: list[str]) -> Results | None:
    """A study's results; where there are none that can be read, a sentence goes to `unread`."""
    if not (folder / RESULTS).is_file():
        return None
    try:
        return read(folder)
    except WinsomeError as error:
        unread.append(str(error))
        return None


def _lines(name: str, results: Results | None, arms: Sequence[str], *, linked: bool) -> list[StudyLine]:
    if results is None:
        return [StudyLine(name, "", "", 1, "not finished", [""] * len(arms))]
    dense = dense_names(results["study"]["arms"])
    found = []
    link = f"{name}/report.html" if linked else ""
    densities = densities_of(results) or [1.0]
    missing = f"; {counted(len(results['missing']), 'part')} not finished" if results["missing"] else ""
    for place, density in enumerate(densities):
        entries = [dense_entry(results) if arm in dense else entry_of(results, arm, density) for arm in arms]
        cells = [mean_and_spread(entry["mean"], entry["std"]) if entry is not None else "" for entry in entries]
        rows = len(densities) if place == 0 else 0
        about = setting(results) + missing
        found.append(StudyLine(name, link, about, rows, percent(density), cells))
    return found


def _claims(judged: Mapping[str, Sequence[Verdict]]) -> list[ClaimLine]:
    """A line for every claim that any of the studies judged, in the order in which they come."""
    claims = dict.fromkeys((verdict["claim"], verdict["source"]) for verdicts in judged.values() for verdict in verdicts)
    return [
        ClaimLine(
            claim,
            source,
            [
                next((verdict_line(one) for one in verdicts if (one["claim"], one["source"]) == (claim, source)), None)
                for verdicts in judged.values()
            ],
        )
        for claim, source in claims
    ]


def _summary(studies: Mapping[str, object], finished: Mapping[str, Results]) -> str:
    results = sum(len(study["rows"]) for study in finished.values())
    state = "All are finished" if len(finished) == len(studies) else f"{len(finished)} of {len(studies)} are finished"
    return f"{state}: {counted(results, 'result')}."


def _note(finished: Sequence[Results]) -> str:
    seeds = {len(study["study"]["search_seeds"]) for study in finished}
    if not seeds:
        return ""
    if seeds == {1}:
        return "Test accuracy in percent, of one search seed."
    how_many = f"{min(seeds)} to {max(seeds)}" if len(seeds) > 1 else f"{max(seeds)}"
    return f"Test accuracy in percent: mean ± standard deviation over {how_many} search seeds."


def _skipped(skipped: Sequence[dict[str, Any]]) -> str:
    studies = sorted({entry["study"] for entry in skipped})
    return f"{counted(len(skipped), 'job')} not done, for they need what failed: {', '.join(studies)}" if skipped else ""

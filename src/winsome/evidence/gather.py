"""What a study found, gathered into `results.json` (rows, searches, table, comparisons, verdicts) and `results.csv`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from winsome.errors import WinsomeError
from winsome.evidence.description import dense_arms, describe, design_of, hardware, notes
from winsome.evidence.intervals import comparison, table
from winsome.evidence.networks import write_results
from winsome.evidence.results import (
    FORMAT,
    Comparison,
    Results,
    RunRow,
    SearchRow,
    Verdict,
    read,
)
from winsome.evidence.rows import collapses, finished_levels, finished_rows, seconds_spent
from winsome.evidence.unfinished import unfinished
from winsome.evidence.verdicts import verdict
from winsome.study.conditions import conditions_of
from winsome.study.design import Study
from winsome.study.folder import StudyFolder
from winsome.training.conditions import Conditions


def collect(study: Study, folder: Path, conditions: Conditions | None = None, *, command: str) -> Results:
    """Gather everything that is finished, say what is missing, and write `results.json` and `results.csv`."""
    conditions, place = conditions or conditions_of(study), StudyFolder(folder)
    rows = finished_rows(study, place)
    searches: list[SearchRow] = [
        {"search": name, "search_seed": seed, "levels": finished_levels(study, place, name, seed)}
        for name in study.needed_searches()
        for seed in study.search_seeds
    ]
    compared, judged = _compared(study, rows), _judged(study, rows)
    results: Results = {
        "format": FORMAT,
        "study": describe(study, conditions),
        "environment": {**hardware(command), "precision": conditions.precision.label},
        "seconds": seconds_spent(study, place, rows, searches),
        "rows": rows,
        "searches": searches,
        "table": table(rows, dense=dense_arms(study)),
        "comparisons": compared,
        "verdicts": judged,
        "notes": notes(study),
        "warnings": collapses(searches),
        "missing": unfinished(study, place),
    }
    write_results(folder, results)
    return results


def is_gathered(study: Study, folder: Path) -> bool:
    """Whether the study's `results.json` says all that its runs say now: it may have grown since, or its claims changed."""
    try:
        there = read(folder)
    except WinsomeError:
        return False
    if {**there["study"], **design_of(study)} != there["study"]:
        return False
    now = (_compared(study, there["rows"]), _judged(study, there["rows"]), unfinished(study, StudyFolder(folder)))
    return now == (there["comparisons"], there["verdicts"], there["missing"])


def _compared(study: Study, rows: Sequence[RunRow]) -> list[Comparison]:
    """The paired differences of the study's comparisons, at every density."""
    dense = dense_arms(study)
    found = (comparison(rows, *pair, density, dense=dense) for density in study.densities for pair in study.comparisons)
    return [entry for entry in found if entry is not None]


def _judged(study: Study, rows: Sequence[RunRow]) -> list[Verdict]:
    found = (verdict(rows, claim, min(study.densities), dense=dense_arms(study)) for claim in study.claims)
    return [entry for entry in found if entry is not None]

"""What a study found, gathered from its folder into `results.json`: rows, searches, table, comparisons, verdicts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from winsome.errors import WinsomeError
from winsome.evidence.description import describe, design_of, hardware, notes, reported
from winsome.evidence.intervals import comparison, table
from winsome.evidence.results import (
    FORMAT,
    Comparison,
    LayerRow,
    LevelRow,
    Results,
    RunRow,
    SearchRow,
    Verdict,
    read,
)
from winsome.evidence.verdicts import verdict
from winsome.files import write_json
from winsome.study.arms import Dense, is_reported, kind_of
from winsome.study.conditions import conditions_of
from winsome.study.design import Study
from winsome.study.folder import StudyFolder
from winsome.study.jobs import ArmJob, SearchJob, is_done, jobs_of
from winsome.training.conditions import Conditions
from winsome.wording import percent, ranges


def collect(study: Study, folder: Path, conditions: Conditions | None = None, *, command: str) -> Results:
    """Gather everything that is finished, say what is missing, and write `results.json`."""
    conditions, place = conditions or conditions_of(study), StudyFolder(folder)
    rows = finished_rows(study, place)
    searches: list[SearchRow] = [
        {"search": name, "search_seed": seed, "levels": _levels(study, place, name, seed)}
        for name in study.needed_searches()
        for seed in study.search_seeds
    ]
    compared, judged = _compared(study, rows), _judged(study, rows)
    results: Results = {
        "format": FORMAT,
        "study": describe(study, conditions),
        "environment": {**hardware(command), "precision": conditions.precision.label},
        "seconds": _seconds(study, place, rows, searches),
        "rows": rows,
        "searches": searches,
        "table": table(rows, dense=_dense(study)),
        "comparisons": compared,
        "verdicts": judged,
        "notes": notes(study),
        "warnings": sorted({warning for search in searches for level in search["levels"] for warning in level["warnings"]}),
        "missing": _missing(study, place),
    }
    write_json(place.results_path, results)
    return results


def is_gathered(study: Study, folder: Path) -> bool:
    """Whether the study's `results.json` says all that its runs say now: it may have grown since, or its claims changed."""
    try:
        there = read(folder)
    except WinsomeError:
        return False
    if {**there["study"], **design_of(study)} != there["study"]:
        return False
    now = (_compared(study, there["rows"]), _judged(study, there["rows"]), _missing(study, StudyFolder(folder)))
    return now == (there["comparisons"], there["verdicts"], there["missing"])


def _compared(study: Study, rows: Sequence[RunRow]) -> list[Comparison]:
    """The paired differences of the study's comparisons, at every density."""
    dense = _dense(study)
    found = (comparison(rows, *pair, density, dense=dense) for density in study.densities for pair in study.comparisons)
    return [entry for entry in found if entry is not None]


def _judged(study: Study, rows: Sequence[RunRow]) -> list[Verdict]:
    found = (verdict(rows, claim, min(study.densities), dense=_dense(study)) for claim in study.claims)
    return [entry for entry in found if entry is not None]


def _dense(study: Study) -> frozenset[str]:
    return frozenset(arm.name for arm in study.arms if isinstance(arm, Dense))


def _missing(study: Study, folder: StudyFolder) -> list[str]:
    """What is not finished, arm by arm and search by search, in sentences."""
    jobs = jobs_of(study, at_once=1)
    sentences = []
    for name in study.needed_searches():
        seeds = [
            seed
            for job in jobs
            if isinstance(job, SearchJob) and job.search == name and not is_done(job, study, folder)
            for seed in job.seeds
        ]
        if seeds:
            sentences.append(f"search {name}: not finished for {_of_seeds(seeds, study)}")
    for arm, level in dict.fromkeys((job.arm, job.level) for job in jobs if isinstance(job, ArmJob)):
        own = [job for job in jobs if isinstance(job, ArmJob) and (job.arm, job.level) == (arm, level)]
        absent = [run.run.search_seed for job in own for run in folder.missing(job.arm_runs)]
        if absent and is_reported(arm):
            where = "" if isinstance(arm, Dense) else f" at {percent(study.all_densities[level])} of the weights"
            sentences.append(f"{arm.name}{where}: no result for {_of_seeds(absent, study)}")
    return sentences


def _of_seeds(seeds: Sequence[int], study: Study) -> str:
    if set(seeds) == set(study.search_seeds):
        return "any search seed"
    return f"search {'seed' if len(set(seeds)) == 1 else 'seeds'} {ranges(seeds)}"


def finished_rows(study: Study, folder: StudyFolder) -> list[RunRow]:
    """The runs that are finished, arm by arm in the study's order; repeats for SGD noise are left out."""
    rows: list[RunRow] = []
    order = {arm.name: place for place, arm in enumerate(reported(study))}
    jobs = [job for job in jobs_of(study, at_once=1) if isinstance(job, ArmJob) and job.arm.name in order]
    for job in sorted(jobs, key=lambda job: (order[job.arm.name], -study.all_densities[job.level])):
        rows += folder.results(job.arm_runs)  # type: ignore[arg-type]
    return rows


def _seconds(study: Study, folder: StudyFolder, rows: Sequence[RunRow], searches: Sequence[SearchRow]) -> dict[str, float]:
    """The time that the study took, where it ran by itself, and what its work took by kind, over all workers.

    Work that a sweep's studies share is counted in each of them.
    """
    spent: dict[str, float] = defaultdict(float)
    spent["searches"] = sum(level["seconds"] for search in searches for level in search["levels"])
    kinds = {arm.name: kind_of(arm) for arm in study.arms}
    for row in rows:
        spent[kinds[row["arm"]]] += row["seconds"]
    total = folder.seconds()
    return ({"total": total} if total else {}) | {"jobs": sum(spent.values()), **spent}


def _levels(study: Study, folder: StudyFolder, search: str, seed: int) -> list[LevelRow]:
    levels: list[LevelRow] = []
    for number in range(study.deepest + 1):
        read = folder.search(search, seed).read_level(number)
        if read is None:
            break
        _, ticket, record = read
        layers: dict[str, LayerRow] = {
            name: {"kept": count.kept, "total": count.total, "positive": count.positive}
            for name, count in ticket.mask.layers().items()
        }
        where = f"search {search}, seed {seed}, level {number}"
        metrics = record["metrics"]
        levels.append(
            {
                "number": number,
                "density": ticket.density,
                "accuracy": metrics["accuracy"],
                "stored_accuracy": metrics["stored_accuracy"],
                "loss": metrics["loss"],
                "seconds": record["seconds"],
                "layers": layers,
                "warnings": [f"{where}: {name} has lost all its weights" for name in ticket.mask.empty_layers()],
            }
        )
    return levels

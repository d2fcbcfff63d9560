"""What is finished of a study, row by row as `results.json` holds it: runs of arms, levels of searches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from winsome.evidence.description import reported
from winsome.evidence.results import LayerRow, LevelRow, RunRow, SearchRow
from winsome.study.arms import kind_of
from winsome.study.design import Study
from winsome.study.folder import StudyFolder
from winsome.study.jobs import ArmJob, jobs_of


def finished_rows(study: Study, folder: StudyFolder) -> list[RunRow]:
    """The runs that are finished, arm by arm in the study's order; repeats for SGD noise are left out."""
    rows: list[RunRow] = []
    order = {arm.name: place for place, arm in enumerate(reported(study))}
    jobs = [job for job in jobs_of(study, at_once=1) if isinstance(job, ArmJob) and job.arm.name in order]
    for job in sorted(jobs, key=lambda job: (order[job.arm.name], -study.all_densities[job.level])):
        rows += folder.results(job.arm_runs)  # type: ignore[arg-type]
    return rows


def finished_levels(study: Study, folder: StudyFolder, search: str, seed: int) -> list[LevelRow]:
    """The levels of a search that are finished, up to the first that is not."""
    levels: list[LevelRow] = []
    for number in range(study.depth(search) + 1):
        read = folder.search(search, seed).read_level(number)
        if read is None:
            break
        _, ticket, record = read
        layers: dict[str, LayerRow] = {
            name: {"kept": count.kept, "total": count.total, "positive": count.positive}
            for name, count in ticket.mask.layers().items()
        }
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
            }
        )
    return levels


def seconds_spent(study: Study, folder: StudyFolder, rows: Sequence[RunRow], searches: Sequence[SearchRow]) -> dict[str, float]:
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

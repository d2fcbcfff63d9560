"""What is finished of a study, row by row as `results.json` holds it: runs of arms, levels of searches, layers they emptied."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from winsome.evidence.description import reported
from winsome.evidence.results import LayerRow, LevelRow, RunRow, SearchRow
from winsome.study.arms import kind_of
from winsome.study.design import Study
from winsome.study.folder import StudyFolder
from winsome.study.jobs import ArmJob, jobs_of
from winsome.wording import ranges

_NAMED = 4  # seeds that a sentence names; more would bury what else is warned of


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


def collapses(searches: Sequence[SearchRow]) -> list[str]:
    """A sentence for each layer of each kind of search that some level has emptied: at which seeds and levels."""
    found: dict[tuple[str, str], dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for search in searches:
        for level in search["levels"]:
            for name, layer in level["layers"].items():
                if not layer["kept"]:
                    found[search["search"], name][search["search_seed"]].append(level["number"])
    counts = {name: sum(one["search"] == name for one in searches) for name, _ in found}
    return [
        f"search {name}, {_where(seeds, counts[name])}: {layer} has lost all its weights"
        for (name, layer), seeds in found.items()
    ]


def _where(seeds: dict[int, list[int]], n_searches: int) -> str:
    """The seeds with the levels of each; how many there are, where there are several."""
    named = [f"seed {seed} at {_levels(levels)}" for seed, levels in list(seeds.items())[:_NAMED]]
    more = [f"{len(seeds) - _NAMED} more"] if len(seeds) > _NAMED else []
    listed = "; ".join((*named, *more))
    return listed if len(seeds) == 1 else f"{len(seeds)} of {n_searches} seeds ({listed})"


def _levels(levels: Sequence[int]) -> str:
    return f"level {levels[0]}" if len(levels) == 1 else f"levels {ranges(levels)}"

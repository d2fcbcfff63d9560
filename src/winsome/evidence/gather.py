"""What a study found, gathered from its folder into `results.json`: rows, searches, table, comparisons, verdicts."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from winsome.evidence.intervals import comparison, table, verdict
from winsome.files import read_json, write_json
from winsome.runs.search_folder import RunFolder
from winsome.study.arms import Arm, FoundNetwork, is_reported, kind_of
from winsome.study.conditions import conditions_of
from winsome.study.design import Study
from winsome.study.jobs import ArmJob, jobs_of, result_file, search_folder
from winsome.study.run import time_spent

FORMAT = 1
FILE_NAME = "results.json"


def collect(study: Study, folder: Path, *, command: str) -> dict[str, Any]:
    """Gather everything that is finished and write `results.json`."""
    rows = finished_rows(study, folder)
    searches: list[dict[str, Any]] = [
        {"method": method, "search_seed": seed, "levels": _levels(study, folder, method, seed)}
        for method in study.needed_searches()
        for seed in study.search_seeds
    ]
    results = {
        "format": FORMAT,
        "study": {**_study(study), "data": _data(study)},
        "environment": environment(study, command),
        "seconds": _seconds(study, folder, rows),
        "rows": rows,
        "searches": searches,
        **_said(study, rows),
        "notes": _notes(study),
        "warnings": sorted({warning for search in searches for level in search["levels"] for warning in level["warnings"]}),
    }
    write_json(folder / FILE_NAME, results)
    return results


def is_gathered(study: Study, folder: Path) -> bool:
    """Whether the study's `results.json` says all that its runs say now: it may have grown since, or its claims changed."""
    if not (folder / FILE_NAME).exists():
        return False
    there = read_json(folder / FILE_NAME)
    now = json.loads(json.dumps({"study": _study(study), **_said(study, there["rows"])}))
    same_study = {**there["study"], **now.pop("study")} == there["study"]
    return same_study and all(there[key] == value for key, value in now.items())


def _said(study: Study, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What these rows say: the table, the comparisons, and the verdicts."""
    arms = [arm.name for arm in _reported(study)]
    pairs = [(study.reference, arm) for arm in arms if arm != study.reference] if study.reference in arms else []
    compared = [comparison(rows, a, b, density) for density in study.densities for a, b in pairs]
    verdicts = [verdict(rows, claim, min(study.densities)) for claim in study.claims]
    return {
        "table": table(rows),
        "comparisons": [entry for entry in compared if entry is not None],
        "claims": [entry for entry in verdicts if entry is not None],
    }


def finished_rows(study: Study, folder: Path) -> list[dict[str, Any]]:
    """The runs that are finished, arm by arm in the study's order; repeats for SGD noise are left out."""
    rows = []
    order = {arm.name: place for place, arm in enumerate(_reported(study))}
    jobs = [job for job in jobs_of(study, at_once=1) if isinstance(job, ArmJob) and job.arm.name in order]
    for job in sorted(jobs, key=lambda job: (order[job.arm.name], -study.all_densities[job.level])):
        rows += [read_json(path) for run in job.runs if (path := result_file(folder, job, run)).exists()]
    return rows


def _seconds(study: Study, folder: Path, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The time that the study took, where it ran by itself, and what its work took by kind, over all workers.

    Work that a sweep's studies share is counted in each of them.
    """
    spent: Counter[str] = Counter()
    for method in study.needed_searches():
        for seed in study.search_seeds:
            levels = (search_folder(folder, method, seed) / f"level-{n:02d}.json" for n in range(study.deepest + 1))
            spent["searches"] += sum(read_json(path)["seconds"] for path in levels)
    kinds = {arm.name: kind_of(arm) for arm in study.arms}
    for row in rows:
        spent[kinds[row["arm"]]] += row["seconds"]
    total = time_spent(folder)
    return ({"total": total} if total else {}) | {"jobs": sum(spent.values()), **spent}


def _reported(study: Study) -> tuple[Arm, ...]:
    return tuple(arm for arm in study.arms if is_reported(arm))


def environment(study: Study, command: str) -> dict[str, Any]:
    """Versions, hardware, precision and command: what a figure needs beside it."""
    return hardware(command) | {"precision": conditions_of(study).precision.label}


def hardware(command: str) -> dict[str, Any]:
    """Versions, hardware and command."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "winsome": importlib.metadata.version("winsome"),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "cpu": f"{_cpu_name()}, {len(os.sched_getaffinity(0))} cores",
        "gpu": gpu,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": command,
    }


def _cpu_name() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _data(study: Study) -> dict[str, Any]:
    data = conditions_of(study).data
    return {
        "name": data.name,
        "train_images": len(data.train),
        "test_images": len(data.test),
        "image_shape": list(data.image_shape),
        "classes": len(data.classes),
    }


def _study(study: Study) -> dict[str, Any]:
    record = study.record()
    citations = {key for spec in study.needed_searches().values() for key in spec.method.citations}
    arms = [
        {"name": arm.name, "label": arm.label, "kind": kind_of(arm), "explanation": arm.explanation, "method": arm.search}
        for arm in _reported(study)
    ]
    return {
        "name": study.name,
        "title": study.title,
        "network": record["network"],
        "densities": list(study.densities),
        "search_seeds": list(study.search_seeds),
        "starts": list(study.starts),
        "arms": arms,
        "searches": record["searches"],
        "search_training": record["search_training"],
        "training": record["training"],
        "citations": ["oh2025sign", *sorted(citations - {"oh2025sign"})],
    }


def _levels(study: Study, folder: Path, method: str, seed: int) -> list[dict[str, Any]]:
    place = search_folder(folder, method, seed)
    if not (place / "config.json").exists():
        return []
    run = RunFolder(place, read_json(place / "config.json"))
    levels = []
    for number in range(study.deepest + 1):
        read = run.read_level(number)
        if read is None:
            break
        _, ticket, record = read
        layers = {
            name: {"kept": count.kept, "total": count.total, "positive": count.positive}
            for name, count in ticket.mask.layers().items()
        }
        empty = ticket.mask.empty_layers()
        where = f"search {method}, seed {seed}, level {number}"
        warnings = [f"{where}: {name} has lost all its weights" for name in empty]
        metrics = record["metrics"]
        levels.append(
            {"number": number, "density": ticket.density, "seconds": record["seconds"], "layers": layers, "warnings": warnings}
            | {key: metrics[key] for key in ("accuracy", "stored_accuracy", "loss")}
        )
    return levels


def _notes(study: Study) -> list[str]:
    kind = "augmented " if study.statistics_augmented else ""
    notes = [
        f"BatchNorm statistics were re-estimated on {study.statistics_images:,} {kind}training images before any network was "
        "judged: the statistics that AWS stores average over its random interpolation and read as chance.",
        "The search seed is the unit of every interval: fresh starts of one ticket are averaged first, because they are not "
        "independent of each other. Differences are paired: all arms of a seed share their fresh starts and their data order.",
        "The test split chose nothing: settings were tuned on a validation part of the train split."
        if not study.data.validation
        else "Judged on a validation part of the train split: a tuning run, not a result.",
    ]
    if any(isinstance(arm, FoundNetwork) for arm in study.arms):
        notes.append("Networks of a search are judged as they ended; planted and dense networks are trained from scratch.")
    return notes

"""What a study was: its arms, searches, network and data, what it ran on, and what a reader has to know."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import platform
from pathlib import Path

import torch

from winsome.about import about
from winsome.data.catalogue import DATA_SETS
from winsome.evidence.results import ArmRecord, DataRecord, Hardware, SearchRecord, StudyDesign, StudyRecord
from winsome.identity import name_of
from winsome.machine import usable_cores
from winsome.method import Method
from winsome.prunable import prunable
from winsome.study.arms import Arm, Dense, FoundNetwork, is_reported, kind_of
from winsome.study.conditions import fresh_network
from winsome.study.design import SearchSpec, Study
from winsome.training.conditions import Conditions


def describe(study: Study, conditions: Conditions) -> StudyRecord:
    """The study with its data and the size of its network."""
    network = fresh_network(study, conditions, seed=0)
    names = prunable(network, prune_classifier=study.prune_classifier)
    return {
        **design_of(study),
        "data": _data(study, conditions),
        "parameters": sum(value.numel() for value in network.parameters()),
        "prunable": sum(network.get_parameter(name).numel() for name in names),
    }


def design_of(study: Study) -> StudyDesign:
    """What the study compares, known without its data."""
    record = json.loads(json.dumps(study.record()))  # as it will be read again: no tuples
    searches = [_search(name, plan) for name, plan in study.needed_searches().items()]
    citations = {key for search in searches for key in search["citations"]}
    if study.data.name in DATA_SETS:
        citations |= set(DATA_SETS[study.data.name].citations)
    return {
        "name": study.name,
        "title": study.title,
        "network": {"name": study.network.name, "options": record["network"]["options"]},
        "densities": list(study.densities),
        "search_seeds": list(study.search_seeds),
        "starts": list(study.starts),
        "arms": [_arm(arm) for arm in reported(study)],
        "searches": searches,
        "search_training": record["search_training"],
        "training": record["training"],
        "citations": ["oh2025sign", *sorted(citations - {"oh2025sign"})],
    }


def _arm(arm: Arm) -> ArmRecord:
    return {
        "name": arm.name,
        "label": arm.label,
        "kind": kind_of(arm),
        "explanation": arm.explanation,
        "search": arm.search,
    }


def _search(name: str, spec: SearchSpec) -> SearchRecord:
    method = spec.method
    lent = about(spec.borrow).citations if spec.masks_of is not None else ()
    return {
        "name": name,
        "label": method.label or name.replace("_", " "),
        "sentence": method.sentence,
        "citations": list(dict.fromkeys((*method.cited, *lent))),
        "score": name_of(method.score) + _scored(method),
        "allocation": name_of(method.allocate),
        "rewinding": name_of(method.rewind) + _carried(method),
        "while_training": name_of(method.while_training),
        "masks": "" if spec.masks_of is None else f"of {spec.masks_of}, {name_of(spec.borrow)}",
        "densities": list(method.densities),
        "training": None if spec.training is None else json.loads(json.dumps(spec.training.record())),
    }


def _scored(method: Method) -> str:
    rounds = f", in {method.scoring.rounds} rounds" if method.scoring.rounds > 1 else ""
    return rounds + (", before training" if method.scoring.before_training else "")


def _carried(method: Method) -> str:
    return "" if method.optimizer_state == "fresh" else f", optimizer's state {method.optimizer_state}"


def _data(study: Study, conditions: Conditions) -> DataRecord:
    data = conditions.data
    return {
        "name": data.name,
        "train_images": len(data.train),
        "test_images": len(data.test),
        "image_shape": list(data.image_shape),
        "classes": len(data.classes),
        "validation": study.data.validation,
    }


def reported(study: Study) -> tuple[Arm, ...]:
    """The arms whose accuracy is a result: repeats for SGD noise are not."""
    return tuple(arm for arm in study.arms if is_reported(arm))


def dense_arms(study: Study) -> frozenset[str]:
    """The names of the arms that are dense, and so have no density of their own."""
    return frozenset(arm.name for arm in study.arms if isinstance(arm, Dense))


def notes(study: Study) -> list[str]:
    """What a reader has to know of how the study was done."""
    kind = "augmented " if study.statistics_augmented else ""
    sentences = [
        f"BatchNorm statistics were re-estimated on {study.statistics_images:,} {kind}training images before any network was "
        "judged: the statistics that AWS stores average over its random interpolation and read as chance.",
        "The search seed is the unit of every interval: fresh starts of one ticket are averaged first, because they are not "
        "independent of each other. Differences are paired: all arms of a seed share their fresh starts and their data order.",
    ]
    if study.data.validation:
        sentences.append("Judged on a validation part of the train split: a tuning run, not a result.")
    if any(isinstance(arm, FoundNetwork) for arm in study.arms):
        sentences.append("Networks of a search are judged as they ended; planted and dense networks are trained from scratch.")
    return sentences


def hardware(command: str) -> Hardware:
    """Versions, hardware and command."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "winsome": importlib.metadata.version("winsome"),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "cpu": f"{_cpu_name()}, {usable_cores()} cores",
        "gpu": gpu,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": command,
    }


def _cpu_name() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()

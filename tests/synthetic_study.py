"""Made-up study results of any size, for tests of figures and reports.

Only the runs are invented: the table, the comparisons and the verdicts are computed from them as a study does, and all of it
is in the producer's own types.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np

from winsome.evidence.intervals import comparison, table
from winsome.evidence.results import (
    FILE_NAME,
    FORMAT,
    ArmRecord,
    LayerRow,
    LevelRow,
    Results,
    RunRow,
    SearchRecord,
    SearchRow,
)
from winsome.evidence.verdicts import verdict
from winsome.study.arms import Claim
from winsome.training.settings import SGD, Constant, StepDecay, Training

PLANTED: dict[str, tuple[str, str | None, float]] = {  # name -> (label, method, points lost at 5 % density)
    "planted_aws": ("|θ₀|·s_AWS", "aws", 2.0),
    "planted_lrr": ("|θ₀|·s_LRR", "lrr", 4.5),
    "mask_only": ("θ₀·m (mask only)", "lrr", 8.0),
    "random_mask": ("random mask, same layer densities", "aws", 11.0),
    "planted_frozen": ("|θ₀|·s_frozen", "frozen", 2.2),
    "planted_lrr_absorbed": ("|θ₀|·s_LRR, sign(γ) absorbed", "lrr", 3.0),
    "planted_imp": ("|θ₀|·s_IMP", "imp", 6.0),
}
NETWORKS: dict[str, tuple[str, str, float]] = {
    "network_aws": ("AWS network", "aws", 5.0),
    "network_aws_psi_init": ("AWS network, ψ := ψ_init", "aws", 6.0),
    "network_lrr": ("LRR network", "lrr", 3.0),
    "network_lrr_psi_init": ("LRR network, ψ := ψ_init", "lrr", 28.0),
}


SEARCHES = {
    "aws": ("AWS", "LRR in which every training step uses ψ drawn at random between the trained and the initial one."),
    "lrr": ("LRR", "Train, prune the smallest weights, keep the rest, restart the schedule."),
    "frozen": ("LRR, frozen norms", "LRR with ψ held at γ = 1, β = 0 through the whole search."),
    "imp": ("IMP", ""),
}
CLAIMS = tuple(
    Claim(text, "arXiv:2504.05357", {first: 1, second: -1}, f"{first} minus {second}")
    for first, second, text in (
        ("planted_aws", "planted_lrr", "AWS's signed mask trains better from a fresh start than LRR's."),
        ("planted_aws", "mask_only", "The signs carry it: AWS's signed mask trains better than its mask alone."),
        ("mask_only", "random_mask", "A found mask trains better than a random one of the same layer densities."),
        ("network_lrr", "network_lrr_psi_init", "LRR's network leans on its normalisation parameters ψ."),
        ("network_aws_psi_init", "network_aws", "AWS's network gains when ψ is set back to ψ_init."),
    )
)


def results(
    *,
    densities: tuple[float, ...] = (0.0563,),
    seeds: int = 16,
    starts: int = 2,
    arms: tuple[str, ...] = ("dense", *list(PLANTED)[:4], *NETWORKS),
    layers: int = 6,
    levels: int = 11,
    curves: bool = True,
    random_seed: int = 0,
) -> Results:
    """The results of a study that never ran, of the size asked for."""
    generator = np.random.default_rng(random_seed)
    records = [_arm(name) for name in arms]
    rows = _rows(records, densities, seeds, starts, curves=curves, generator=generator)
    searches = list(dict.fromkeys(arm["search"] for arm in records if arm["search"]))
    others = [name for name in arms if name != "planted_aws"] if "planted_aws" in arms else []
    compared = [comparison(rows, "planted_aws", other, density) for density in densities for other in others]
    judged = [verdict(rows, claim, min(densities)) for claim in CLAIMS]
    return {
        "format": FORMAT,
        "study": {
            "name": "digits",
            "title": "Signs of winning tickets on handwritten digits",
            "network": {"name": "residual_mlp", "options": {"width": 64, "blocks": 5}},
            "parameters": 25866,
            "prunable": 24576,
            "data": {
                "name": "digits",
                "train_images": 1297,
                "test_images": 500,
                "image_shape": [1, 8, 8],
                "classes": 10,
                "validation": False,
            },
            "densities": list(densities),
            "search_seeds": list(range(seeds)),
            "starts": list(range(starts)),
            "arms": records,
            "searches": [_search_record(name, min(densities), levels) for name in searches],
            "search_training": Training(8, 128, SGD(0.1, 0.9, 1e-3), Constant()).record()
            | {"warmup_epochs_before_level_0": 10},
            "training": json.loads(json.dumps(Training(40, 128, SGD(0.05, 0.9, 1e-3), StepDecay()).record())),
            "citations": ["oh2025sign", "gadhikar2024masks", "renda2020comparing"],
        },
        "environment": {
            "winsome": "0.1.0",
            "torch": "2.15.0",
            "python": "3.11.7",
            "cpu": "AMD EPYC, 2 cores",
            "gpu": None,
            "date": "2026-11-21T03:00:00Z",
            "command": "winsome study",
            "precision": "fp32",
        },
        "seconds": {"total": 100.1, "jobs": 95.0, "searches": 40.0, "dense": 10.0, "network": 0.0, "planted": 45.0},
        "rows": rows,
        "searches": [_search(name, seed, densities, (levels, layers), generator) for name in searches for seed in range(seeds)],
        "table": table(rows),
        "comparisons": [entry for entry in compared if entry is not None],
        "verdicts": [entry for entry in judged if entry is not None],
        "notes": [
            "BatchNorm statistics were re-estimated on 1,000 training images before any network of a search was evaluated.",
            "The search seed is the unit of every interval.",
        ],
        "warnings": ["aws, search seed 3, level 10: layer blocks.4 lost all its weights"] if layers > 20 else [],
        "missing": [],
    }


def write(folder: Path, content: Results) -> Path:
    """Put the results where a study would; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE_NAME).write_text(json.dumps(content), encoding="utf-8")
    return folder


def small() -> Results:
    """One search seed, one start, one density: nothing to draw an interval from, nothing to judge."""
    return results(seeds=1, starts=1, arms=("dense", "planted_aws", "planted_lrr", "mask_only"), curves=False)


def several() -> Results:
    """Four densities, every arm of the default study."""
    return results(densities=(0.41, 0.168, 0.0687, 0.0281), seeds=4, layers=9)


def large() -> Results:
    """Twenty densities, twelve arms, a network of 54 layers."""
    arms = ("dense", *PLANTED, *NETWORKS)
    return results(densities=tuple(0.8**k for k in range(1, 21)), seeds=3, arms=arms, layers=54, levels=21)


def two_seeds() -> Results:
    """Two search seeds on a convolutional network: intervals so wide that they say little."""
    made = results(densities=(0.168, 0.0352), seeds=2, starts=1, layers=20, curves=True)
    made["searches"][-1]["levels"][0]["stored_accuracy"] = 1.0  # a tick at the very top of its axis
    return made


def usual() -> Results:
    """Two densities, sixteen seeds and eleven arms: what `winsome study` does by default."""
    arms = ("dense", *NETWORKS, *list(PLANTED)[:6])
    return results(densities=(0.237, 0.0563), arms=arms)


CASES = {
    "one_density": results,
    "usual": usual,
    "small": small,
    "several": several,
    "large": large,
    "two_seeds": two_seeds,
}


def _arm(name: str) -> ArmRecord:
    if name == "dense":
        return ArmRecord(name=name, label="dense", kind="dense", explanation="All weights, from θ₀.", search=None)
    if name in PLANTED:
        label, method, _ = PLANTED[name]
        sentence = f"Trained from scratch, starting at {label}."
        return ArmRecord(name=name, label=label, kind="planted", explanation=sentence, search=method)
    label, method, _ = NETWORKS[name]
    return ArmRecord(name=name, label=label, kind="network", explanation=f"What the {method} search ends with.", search=method)


def _points_lost(name: str) -> float:
    return {"dense": 0.0, **{k: v[2] for k, v in PLANTED.items()}, **{k: v[2] for k, v in NETWORKS.items()}}[name]


def _rows(
    arms: list[ArmRecord],
    densities: tuple[float, ...],
    seeds: int,
    starts: int,
    *,
    curves: bool,
    generator: np.random.Generator,
) -> list[RunRow]:
    rows: list[RunRow] = []
    for seed in range(seeds):
        of_seed = {arm["name"]: generator.normal(0, 0.9) for arm in arms}
        for arm in arms:
            for density in (1.0,) if arm["kind"] == "dense" else densities:
                depth = math.log(density) / math.log(0.05)
                for start in (0,) if arm["kind"] == "network" else range(starts):
                    lost = _points_lost(arm["name"]) * depth**2 + of_seed[arm["name"]] * (0.2 + depth)
                    accuracy = float(np.clip((91 - lost + generator.normal(0, 0.4)) / 100, 0.1, 1))
                    rows.append(
                        RunRow(
                            arm=arm["name"],
                            density=density,
                            search_seed=seed,
                            start=start,
                            accuracy=accuracy,
                            loss=-math.log(accuracy),
                            curve=_curve(accuracy, arm) if curves else [],
                            seconds=1.0,
                        )
                    )
    return rows


def _curve(accuracy: float, arm: ArmRecord) -> list[list[float]]:
    if arm["kind"] == "network":
        return []
    speed = 4 + 0.5 * _points_lost(arm["name"])
    return [[epoch, accuracy * (1 - 0.9 * math.exp(-epoch / speed))] for epoch in (1, 2, 3, 5, 8, 12, 16, 20, 25, 30, 40)]


def _search(
    method: str, seed: int, densities: tuple[float, ...], sizes: tuple[int, int], generator: np.random.Generator
) -> SearchRow:
    levels, layers = sizes
    rate = min(densities) ** (1 / (levels - 1))
    walked = sorted({*densities, *(rate**k for k in range(levels))}, reverse=True)
    unique = [d for index, d in enumerate(walked) if index == 0 or d / walked[index - 1] < 0.995]
    found: list[LevelRow] = []
    for number, density in enumerate(unique):
        accuracy = 0.93 - 0.03 * (math.log(density) / math.log(0.05)) ** 2 + generator.normal(0, 0.006)
        stored = 0.1 + abs(generator.normal(0, 0.03)) if method == "aws" else accuracy - abs(generator.normal(0.04, 0.03))
        counts: dict[str, LayerRow] = {}
        for layer in range(layers):
            kept_share = density ** (1 + 0.5 * math.sin(layer) * (1.3 if method == "aws" else 0.8))
            kept = round(4096 * min(1.0, kept_share * math.exp(generator.normal(0, 0.04))))
            kept = 0 if layers > 20 and layer == 4 and method == "aws" and density == unique[-1] else kept
            counts[f"blocks.{layer}.weight"] = {"kept": kept, "total": 4096, "positive": kept // 2}
        found.append(
            {
                "number": number,
                "density": density,
                "accuracy": accuracy,
                "stored_accuracy": stored,
                "loss": 0.3,
                "seconds": 1.0,
                "layers": counts,
            }
        )
    return {"search": method, "search_seed": seed, "levels": found}


def _search_record(name: str, lowest: float, levels: int) -> SearchRecord:
    label, sentence = SEARCHES[name]
    return {
        "name": name,
        "label": label,
        "sentence": sentence,
        "citations": ["renda2020comparing"],
        "score": "magnitude",
        "allocation": "globally",
        "rewinding": "KeepWeights(step=0)",
        "while_training": "plain",
        "masks": "",
        "densities": [lowest ** (k / (levels - 1)) for k in range(levels)],
        "training": None,
    }

"""A study's folder made by hand, with networks that were never trained: for tests of what reads such folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from winsome import models
from winsome.data import DataSpec
from winsome.files import write_json
from winsome.models import NetworkSpec
from winsome.prunable import prunable
from winsome.seeding import generator
from winsome.state import State, full_state
from winsome.study.folder import ArmRun, Run, StudyFolder
from winsome.ticket import ticket_of

SHAPE, CLASSES = (1, 8, 8), 10


def network(seed: int, name: str = "residual_mlp", **options: Any) -> nn.Module:
    """A network for the digits, with BatchNorm statistics and parameters that are not those of a fresh one."""
    made = models.build(name, image_shape=SHAPE, n_classes=CLASSES, seed=seed, **options)
    random = generator(seed, "made")
    with torch.no_grad():
        for part, value in made.state_dict().items():
            if part.endswith(("running_mean", "running_var")) or (value.ndim == 1 and value.is_floating_point()):
                value.add_(0.3 * torch.rand(value.shape, generator=random))
    return made


def study(
    folder: Path, arms: tuple[str, ...], *, seeds: int = 2, starts: int = 1, level: int = 1, data: str = "digits"
) -> Path:
    """A finished study with searches by AWS and LRR to `level` (density 1/2 there) and these arms, each on every start."""
    options: dict[str, Any] = {"width": 8, "blocks": 2}
    config = {
        "name": "made",
        "data": DataSpec(data, train_images=300, test_images=60).record(),
        "network": NetworkSpec("residual_mlp", tuple(options.items())).record(),
        "searches": {method: {"densities": [0.5**k for k in range(level + 1)]} for method in ("lrr", "aws")},
        "arms": list(arms),
        "levels": [level],
        "search_seeds": list(range(seeds)),
        "starts": list(range(starts)),
        "statistics_images": 200,
        "fast": True,
    }
    write_json(folder / "config.json", config)
    place = StudyFolder(folder)
    for number, method in enumerate(("lrr", "aws")):
        for seed in range(seeds):
            found = network(100 * number + seed, **options)
            names = prunable(found)
            random = generator(seed, method)
            kept = {name: torch.rand(found.get_parameter(name).shape, generator=random) < 0.5 for name in names}
            place.search(method, seed).write_level(level, pruned(found, kept), ticket_of(found, names, kept), {})
            for index, arm in enumerate(name for name in arms if f"_{method}" in name):
                for start in range(starts):
                    planted = network(1000 + 100 * index + 10 * seed + start, **options)
                    run = ArmRun(arm, level, Run(seed, start))
                    place.write_runs({run: {}}, {run: pruned(planted, kept)})
    return folder


def pruned(made: nn.Module, kept: dict[str, torch.Tensor]) -> State:
    """The network's state with zeros outside the mask."""
    return {name: value * kept[name] if name in kept else value for name, value in full_state(made).items()}

"""How the default study was chosen: search rates x trainings from scratch, judged on a fifth of the train split.

    uv run winsome sweep benchmarks/choose_default.py --no-ray

Search seeds of their own, so that neither the test split nor the seeds of `winsome study` had a part in the choice.
"""

from __future__ import annotations

from dataclasses import replace

from winsome.study.arms import ARMS
from winsome.study.design import Study
from winsome.study.presets import digits
from winsome.sweep import grid
from winsome.training.settings import SGD, Constant, StepDecay, Training

WEIGHT_DECAY = 1e-3
COMPARED = ("dense", "planted_aws", "planted_lrr", "mask_only", "random_mask", "planted_frozen")


def searching(rate: float) -> Training:
    """A level's training at a constant rate."""
    return Training(8, 128, SGD(rate, 0.9, WEIGHT_DECAY), Constant())


def from_scratch(epochs: int, rate: float) -> Training:
    """A training of dense and planted networks."""
    return Training(epochs, 128, SGD(rate, 0.9, WEIGHT_DECAY), StepDecay((0.5, 0.75), 0.1))


SCRATCH = ((20, 0.02), (20, 0.05), (20, 0.1), (40, 0.05), (80, 0.05))  # epochs, peak learning rate


def sweep() -> tuple[Study, ...]:
    """Ten studies on 32 search seeds each."""
    base = digits()
    return grid(
        replace(
            base,
            data=replace(base.data, validation=True),
            levels=(10, 12),
            search_seeds=tuple(range(100, 132)),
            curve_at=(),
            arms=tuple(ARMS[name] for name in COMPARED),
            claims=tuple(claim for claim in base.claims if claim.contrast.keys() <= set(COMPARED)),
        ),
        variants={
            f"search-{rate}_{epochs}-epochs-{peak}": {
                "search_training": searching(rate),
                "training": from_scratch(epochs, peak),
            }
            for rate in (0.1, 0.2)
            for epochs, peak in SCRATCH
        },
    )

"""What the page of the medium scale has beside the recipes: how its set-ups were chosen, and networks of full size.

    winsome sweep benchmarks/medium_scale.py --no-ray --save-to runs/choose-photographs
    winsome study benchmarks/medium_scale.py:full_size --save-to runs/full-size

The choice was judged on a fifth of the training images, with search seeds of its own.
"""

from __future__ import annotations

from dataclasses import replace

from winsome.recipes.set_ups import IMP, LRR, PHOTOGRAPHS, Searches, SetUp, at_rate, imp, lrr, study_of_searches
from winsome.study import presets
from winsome.study.arms import ARMS
from winsome.study.design import SearchSpec, Study
from winsome.training.settings import SGD

SEEDS = (100, 101, 102, 103)
COMPARED = ("dense", "planted_aws", "planted_lrr", "mask_only", "network_lrr", "network_aws")
FULL_SIZE = ("dense", "planted_aws", "planted_lrr", "planted_frozen", "mask_only", "network_lrr", "network_aws")
TRIED = ((0.05, 5e-4), (0.1, 5e-4), (0.2, 5e-4), (0.1, 2e-3))  # learning rate, weight decay
LEVELS_TRIED = ((0.1, 10), (0.2, 10), (0.1, 16))  # learning rate, epochs


def sweep() -> tuple[Study, ...]:
    """The studies that were compared, of tickets and of levels."""
    base = presets.photographs()
    data = replace(base.data, validation=True)
    tickets = [
        replace(
            base,
            name=f"tickets-{rate:g}-{decay:g}",
            data=data,
            arms=tuple(ARMS[name] for name in COMPARED),
            levels=(5,),
            search_seeds=SEEDS,
            curve_at=(4, 8, 12, 16, 20),
            search_training=replace(base.search_training, optimizer=SGD(rate, 0.9, decay)),
            training=replace(base.training, optimizer=SGD(rate, 0.9, decay)),
        )
        for rate, decay in TRIED
    ]
    tried = tuple(
        replace(
            PHOTOGRAPHS,
            name=f"levels-{rate:g}-{epochs}",
            data=data,
            training=replace(at_rate(PHOTOGRAPHS.training, rate), epochs=epochs),
            steps_per_epoch=31,
            judged=(2, 4),
        )
        for rate, epochs in LEVELS_TRIED
    )
    levels = [study_of_searches(one, "LRR and IMP", _searches(one), (), reference="imp") for one in tried]
    return (*tickets, *(replace(study, search_seeds=SEEDS) for study in levels))


def _searches(set_up: SetUp) -> Searches:
    return {"lrr": (SearchSpec(lrr(set_up)), *LRR), "imp": (SearchSpec(imp(set_up)), *IMP)}


def full_size() -> Study:
    """ResNet-20 as it is usual, on 20,000 images of CIFAR-10: few and short levels."""
    base = presets.images("cifar10", levels=4, rate=0.53)
    return replace(
        base,
        name="full-size",
        data=replace(base.data, train_images=20_000),
        arms=tuple(ARMS[name] for name in FULL_SIZE),
        levels=(4,),
        search_training=replace(base.search_training, epochs=3),
        warmup_epochs=4,
        training=replace(base.training, epochs=14),
        search_seeds=tuple(range(6)),
        starts=(0,),
    )

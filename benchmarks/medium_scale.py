"""What the page of the medium scale has beside the recipes: how its set-ups were chosen, and networks of full size.

    winsome reproduce benchmarks/medium_scale.py:photographs_compared
    winsome reproduce benchmarks/medium_scale.py:full_size
    winsome reproduce benchmarks/medium_scale.py:full_size_decay
    winsome reproduce benchmarks/medium_scale.py:full_size_longer

The choice was judged on a fifth of the training images, with search seeds of its own. Records are in docs/results/benchmarks.
"""

from __future__ import annotations

from dataclasses import replace

from winsome.methods import weight_rewinding
from winsome.recipes.accuracy import accuracy_evidence
from winsome.recipes.recipe import Recipe
from winsome.recipes.set_ups import IMP, LRR, OURS, PHOTOGRAPHS, A, Searches, SetUp, at_rate, imp, lrr, study_of_searches
from winsome.study import presets
from winsome.study.arms import ARMS, arms_of_search
from winsome.study.design import SearchSpec, Study
from winsome.training.settings import SGD

SEEDS = (100, 101, 102, 103)
COMPARED = ("dense", "planted_aws", "planted_lrr", "mask_only", "network_lrr", "network_aws")
FULL_SIZE = ("dense", "planted_aws", "planted_lrr", "planted_frozen", "mask_only", "network_lrr", "network_aws")
TRIED = ((0.05, 5e-4), (0.1, 5e-4), (0.2, 5e-4), (0.1, 2e-3))  # learning rate, weight decay
FULL_SIZE_STEPS = 390  # of an epoch of 50,000 images
LEVELS_TRIED = ((0.1, 10), (0.2, 10), (0.1, 16))  # learning rate, epochs


def photographs_compared() -> Recipe:
    """The set-ups that the medium scale was chosen from, side by side."""
    claim = "Of these set-ups the medium scale's has the best dense network."
    studies = {study.name: study for study in compared()}
    return Recipe("How the medium scale was chosen", OURS, claim, studies, analyse=accuracy_evidence)


def compared() -> tuple[Study, ...]:
    """The studies that were compared, of tickets and of levels; a choice is not a claim, and none is judged."""
    base = presets.photographs()
    data = replace(base.data, validation=True)
    tickets = [
        replace(
            base,
            name=f"tickets-{rate:g}-{decay:g}",
            data=data,
            arms=tuple(ARMS[name] for name in COMPARED),
            levels=(5,),
            claims=(),
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


def full_size() -> Recipe:
    """ResNet-20 as it is usual, on 20,000 images of CIFAR-10, in few and short levels."""
    return _at_full_size("Full-size networks, shortly", _full_size("full-size", before=4, level=3, scratch=14, images=20_000))


def full_size_decay() -> Recipe:
    """The same with the weight decay of the medium scale, four times as much: does it decide between AWS's signs and LRR's?"""
    study = _full_size("full-size-decay", before=4, level=3, scratch=14, images=20_000)
    searching, scratch = (replace(one, optimizer=SGD(0.1, 0.9, 2e-3)) for one in (study.search_training, study.training))
    return _at_full_size("Full-size networks, more weight decay", replace(study, search_training=searching, training=scratch))


def full_size_longer() -> Recipe:
    """The same on all 50,000 images, with five times as many steps in a level and from scratch, and IMP beside it."""
    study = _full_size("full-size-longer", before=8, level=6, scratch=30)
    search = weight_rewinding(levels=4, rate=0.53, step=2 * FULL_SIZE_STEPS)
    arms = arms_of_search("imp", "IMP")
    both = replace(
        study, searches=(*study.searches, ("imp", search)), arms=(*study.arms, arms["network_imp"], arms["planted_imp"])
    )
    return _at_full_size("Full-size networks, longer", both)


def _full_size(name: str, *, before: int, level: int, scratch: int, images: int | None = None) -> Study:
    """Four levels: epochs before the first one, of each, and from scratch."""
    base = presets.images("cifar10", levels=4, rate=0.53)
    return replace(
        base,
        name=name,
        data=replace(base.data, train_images=images),
        arms=tuple(ARMS[one] for one in FULL_SIZE),
        levels=(4,),
        search_training=replace(base.search_training, epochs=level),
        warmup_epochs=before,
        training=replace(base.training, epochs=scratch),
        search_seeds=tuple(range(6)),
        starts=(0,),
    )


def _at_full_size(title: str, study: Study) -> Recipe:
    claim = "On any start |θ₀|·s_AWS trains to nearly the dense network's accuracy; s_LRR and the mask alone do not."
    return Recipe(title, A, claim, {study.name: study}, analyse=accuracy_evidence)

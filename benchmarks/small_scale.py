"""What the documentation measures at small scale beside the recipes: methods beside each other, and the price of a search.

    winsome study --methods imp wr lrr lrr_with_norm_rewinding aws frozen sign-in benchmarks/small_scale.py:ham gmp ac-dc \\
        sculpt snip grasp benchmarks/small_scale.py:synflow random_at_initialisation --rewind-step 50 --seeds 16 \\
        --at-levels 12 --save-to runs/methods
    winsome study benchmarks/small_scale.py:convolutional_budget --save-to runs/convolutional-budget
"""

from __future__ import annotations

from dataclasses import replace

from winsome import Method, lrr_with_ham
from winsome import synflow as every_round
from winsome.recipes.budget_plans import budget_study
from winsome.study import presets
from winsome.study.design import Study


def ham(levels: int, rate: float) -> Method:
    """HAM at a strength that trains at these learning rates: the paper's alpha of 200 is for ImageNet's gradients."""
    return lrr_with_ham(levels, rate, alpha=5.0)


def synflow(density: float) -> Method:
    """SynFlow in ten rounds at each of a study's densities; in the paper's hundred each it takes minutes and ends alike."""
    return every_round(density, rounds=10)


def convolutional_budget() -> Study:
    """The price of a search by AWS on a small convolutional network, where BatchNorm stands between its layers."""
    base = replace(presets.digits_conv(), search_seeds=tuple(range(8)), starts=(0,), curve_at=())
    return budget_study(base, steps=10, kinds=("aws",))

"""What the documentation measures at small scale beside the recipes: methods beside each other.

    winsome study --methods imp wr lrr lrr_with_norm_rewinding aws frozen sign-in benchmarks/small_scale.py:ham gmp ac-dc \\
        sculpt snip grasp benchmarks/small_scale.py:synflow random_at_initialisation --rewind-step 50 --seeds 16 \\
        --at-levels 12 --save-to runs/methods
"""

from __future__ import annotations

from winsome import Method, lrr_with_ham
from winsome import synflow as every_round


def ham(levels: int, rate: float) -> Method:
    """HAM at a strength that trains at these learning rates: the paper's alpha of 200 is for ImageNet's gradients."""
    return lrr_with_ham(levels, rate, alpha=5.0)


def synflow(density: float) -> Method:
    """SynFlow in ten rounds at each of a study's densities; in the paper's hundred each it takes minutes and ends alike."""
    return every_round(density, rounds=10)

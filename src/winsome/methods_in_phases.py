"""Named methods whose levels are phases: gradual pruning, sparse and dense in turn, cycles on one mask."""

from __future__ import annotations

from collections.abc import Sequence

from winsome.densities import check_density, cubic
from winsome.errors import WinsomeError
from winsome.method import Method, named_method
from winsome.rewinding import KeepWeights
from winsome.scores import magnitude, random
from winsome.scoring import FirstBy


@named_method(
    "GMP",
    "Prune the smallest weights little by little, most of them at first, while one training goes on.",
    citations=("zhu2017prune",),
    example={"density": 0.3},
    short="gmp",
)
def gradual(levels: int = 15, density: float = 0.1, *, prune_at: Sequence[int] = ()) -> Method:
    """Gradual magnitude pruning: densities fall by a cubic schedule, weights and momentum go on (arXiv:1710.01878).

    Args:
        levels: how often is pruned; as often as there are steps where `prune_at` is given.
        density: of the last level, in (0, 1].
        prune_at: the training steps before which is pruned: all of it is one training, whose schedule goes on. If there are
            none every level is a training of its own.

    Example:
        >>> [round(density, 3) for density in gradual(density=0.2, prune_at=(100, 200)).densities]
        [1.0, 0.3, 0.2]
    """
    densities = cubic(len(prune_at) or levels, density)
    return Method(densities, KeepWeights(), optimizer_state="kept", prune_at=tuple(prune_at))


@named_method(
    "AC/DC",
    "Train sparse and dense in turn: all weights come back, at zero, after each sparse phase but the last.",
    citations=("peste2021acdc",),
    example={"levels": 3, "density": 0.3},
    short="ac-dc",
)
def ac_dc(levels: int = 15, density: float = 0.1, *, prune_at: Sequence[int] = ()) -> Method:
    """AC/DC: phases of training with the largest weights of all, and with all of them (arXiv:2106.12379).

    The last phase is sparse, the first one dense; before it they take turns, and where that does not come out even the first
    two are dense. In the authors' code, as here, what a dense phase brings back is zero and momentum starts anew, there in
    dense phases only.

    Args:
        levels: phases after the first one.
        density: of the sparse phases, in (0, 1].
        prune_at: the training steps at which phases 1, 2, ... begin: all of it is one training, whose schedule goes on, as in
            the paper. If there are none every phase has a schedule of its own.

    Raises:
        WinsomeError: fewer than one phase after the first.

    Example:
        >>> ac_dc(5, 0.2).densities
        (1.0, 0.2, 1.0, 0.2, 1.0, 0.2)
    """
    levels = len(prune_at) or levels
    if levels < 1:
        raise WinsomeError(f"AC/DC needs a dense phase and a sparse one: levels must be 1 or more, got {levels}")
    sparse = check_density(density)
    densities = tuple(sparse if level and (levels - level) % 2 == 0 else 1.0 for level in range(levels + 1))
    return Method(densities, KeepWeights(), nested=False, prune_at=tuple(prune_at))


@named_method(
    "SCULPT",
    "Train a random mask in cycles of the learning rate, prune the smallest weights once, train once more.",
    citations=("gadhikar2024cyclic",),
    example={"density": 0.2},
    short="sculpt",
)
def sculpt(levels: int = 15, density: float = 0.1, *, first: float | None = None) -> Method:
    """Cycles of training on one random mask, then one pruning by magnitude and a last cycle (arXiv:2406.02773).

    Args:
        levels: cycles on the first mask; each is a level with the whole learning-rate schedule.
        density: of the last level, in (0, 1].
        first: density of the first mask, three times the last one's by default.

    Raises:
        WinsomeError: fewer than one cycle, or a first density below the last.

    Example:
        >>> sculpt(3, 0.1, first=0.3).densities
        (0.3, 0.3, 0.3, 0.1)
    """
    if levels < 1:
        raise WinsomeError(f"SCULPT trains its first mask in 1 cycle or more, got levels={levels}")
    densities = (min(3 * density, 1.0) if first is None else first,) * levels + (density,)
    return Method(densities, KeepWeights(), score=FirstBy(random, then=magnitude))

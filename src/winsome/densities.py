"""How fast weights are removed: the density of every level."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from itertools import pairwise

from winsome.errors import WinsomeError, check_whole


def check_density(density: float) -> float:
    """The density itself if it is in (0, 1].

    Raises:
        WinsomeError: it is not; a number above 1 reads as a percentage, and the error says so.
    """
    if not isinstance(density, numbers.Real):
        raise WinsomeError(f"density must be a number in (0, 1], got {density!r}")
    if isinstance(density, bool) or not 0 < density <= 1:  # NaN compares false too
        remedy = f"; {density:g} % kept is density {density / 100:g}" if 1 < density <= 100 else ""
        if 50 <= density < 100:
            remedy += f", {density:g} % sparsity is density {1 - density / 100:.4g}"
        raise WinsomeError(f"density must be in (0, 1], got {density:g}{remedy}")
    return float(density)


def check_densities(densities: Sequence[float], *, nested: bool = True) -> tuple[float, ...]:
    """The densities of a search, each in (0, 1] and, where masks are nested, none above the one before it.

    Raises:
        WinsomeError: there is none, one is out of range, or they grow where they must not.
    """
    checked = tuple(check_density(density) for density in densities)
    if not checked:
        raise WinsomeError("a method needs at least one density, for example geometric(15)")
    for earlier, later in pairwise(checked):
        if nested and later > earlier:
            raise WinsomeError(
                f"densities must not grow from level to level, got {earlier:g} then {later:g}; a method whose weights come "
                "back says so: Method(..., nested=False)"
            )
    return checked


def geometric(levels: int, rate: float = 0.2) -> tuple[float, ...]:
    """Levels 0..levels that each remove the fraction `rate` of what is left: (1, 0.8, 0.64, ...) (arXiv:1803.03635).

    Raises:
        WinsomeError: fewer than 0 levels, or a rate outside (0, 1).

    Example:
        >>> geometric(3, rate=0.5)
        (1.0, 0.5, 0.25, 0.125)
    """
    check_whole("levels", levels)
    if levels < 0:
        raise WinsomeError(f"levels must be 0 or more, got {levels}")
    if not isinstance(rate, numbers.Real):
        raise WinsomeError(f"rate is the fraction removed per level, in (0, 1), got {rate!r}")
    if not 0 < rate < 1:
        remedy = f"; {rate:g} % is {rate / 100:g}" if 1 < rate < 100 else ""
        raise WinsomeError(f"rate is the fraction removed per level, in (0, 1), got {rate:g}{remedy}")
    return tuple((1 - rate) ** level for level in range(levels + 1))


def cubic(levels: int, density: float) -> tuple[float, ...]:
    """Levels 0..levels from dense to `density`, most removed at first: d + (1 - d) (1 - k / levels)^3 (arXiv:1710.01878).

    The schedule of gradual magnitude pruning (`winsome.gradual`): with `Method(..., prune_at=...)` within one training, else
    with a training after each pruning.

    Raises:
        WinsomeError: fewer than 1 level, or a density out of range.

    Example:
        >>> cubic(2, 0.2)
        (1.0, 0.30000000000000004, 0.2)
    """
    check_whole("levels", levels)
    if levels < 1:
        raise WinsomeError(f"levels must be 1 or more, got {levels}")
    last = check_density(density)
    return tuple(last + (1 - last) * (1 - level / levels) ** 3 for level in range(levels + 1))


def one_shot(density: float) -> tuple[float, ...]:
    """Train dense, then prune once to `density`.

    Example:
        >>> one_shot(0.1)
        (1.0, 0.1)
    """
    return (1.0, check_density(density))


def at_initialisation(density: float) -> tuple[float, ...]:
    """Prune to `density` before any training: a first density below 1 is pruning at initialisation.

    Example:
        >>> at_initialisation(0.1)
        (0.1,)
    """
    return (check_density(density),)

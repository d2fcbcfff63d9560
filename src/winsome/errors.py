"""The one error that means: what was asked for cannot be done, and here is the remedy."""

from __future__ import annotations

import difflib
import numbers
from collections.abc import Iterable


class WinsomeError(ValueError):
    """A mistake in what was asked for, said in a sentence that names the thing and the remedy (exit code 2).

    Example:
        >>> import winsome
        >>> winsome.geometric(15, rate=20)
        Traceback (most recent call last):
            ...
        winsome.errors.WinsomeError: rate is the fraction removed per level, in (0, 1), got 20; 20 % is 0.2
    """


class DiskFull(WinsomeError):
    """A disk that is full, over its quota or failing: nothing was wrong with what was asked for (exit code 1)."""


def unknown(kind: str, name: str, known: Iterable[str]) -> WinsomeError:
    """The error for a name that stands for nothing: says the nearest names, or all of them."""
    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    remedy = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"
    return WinsomeError(f"unknown {kind} {name!r}; {remedy}")


def check_whole(name: str, number: object) -> None:
    """Refuse what is no whole number.

    Raises:
        WinsomeError: it is none; names the argument.
    """
    if not isinstance(number, numbers.Integral):
        raise WinsomeError(f"{name} is a whole number, got {number!r}")


class RankLost(RuntimeError):
    """Another rank of a run died, or no longer answers (exit code 1)."""


class Diverged(RuntimeError):
    """A training whose loss became NaN or infinite (exit code 1).

    Example:
        >>> raise Diverged("level 3: the loss became nan at step 40; try a lower learning rate")
        Traceback (most recent call last):
            ...
        winsome.errors.Diverged: level 3: the loss became nan at step 40; try a lower learning rate
    """

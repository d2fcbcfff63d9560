"""Names and numbers of a study that would make folders or counts go wrong."""

from __future__ import annotations

import re
from collections.abc import Sequence

from winsome.errors import WinsomeError


def refuse_odd_names(kind: str, names: Sequence[str]) -> None:
    """Refuse names that cannot be a folder's, and two of one name: the results of one would count as the other's.

    Raises:
        WinsomeError: names the name.
    """
    for name in names:
        if not _NAME.fullmatch(name):
            raise WinsomeError(f"the {kind} {name!r} cannot name a folder: use letters, digits and . _ + -, and not . first")
        if names.count(name) > 1:
            raise WinsomeError(f"two of the study's {kind} names are {name!r}; every name is a folder: give each its own")


def refuse_odd_numbers(field: str, numbers: Sequence[int]) -> None:
    """Refuse what is no whole number from 0 up, and one that is there twice: what it stands for would count twice.

    Raises:
        WinsomeError: names the field and the number.
    """
    for number in numbers:
        if not isinstance(number, int) or number < 0:
            raise WinsomeError(f"{field} takes whole numbers from 0 up, got {number!r}")
        if numbers.count(number) > 1:
            raise WinsomeError(f"{field} has {number} twice; leave one out")


_NAME = re.compile(r"\w[\w.+-]*")

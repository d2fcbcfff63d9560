"""What parts are called with: one that cannot be called so is refused where it is named, before anything is trained."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager
from numbers import Integral
from typing import Any

from winsome.errors import WinsomeError
from winsome.identity import name_of
from winsome.raised import noting

CALLED_WITH = {
    "score": ("weights", "model", "probe", "random"),
    "allocate": ("scores", "density", "kept"),
    "rewind": ("early", "trained", "restart"),
    "while_training": ("model", "seed", "mask"),
}

_KINDS = {"score": "score", "allocate": "allocation", "rewind": "rewind"}


def named(kind: str, part: Callable[..., object]) -> str:
    """A part in the words of an error: "the score 'mine'"."""
    return f"the {_KINDS[kind]} {name_of(part)!r}"


def calling(kind: str, part: Callable[..., object], level: int) -> AbstractContextManager[None]:
    """Inside the block a part is called between two levels: an error of its own names it, with the user's lines."""
    return noting(f"{named(kind, part)}, before level {level}")


def check_call(kind: str, part: object) -> None:
    """Refuse what cannot be called as a part of this kind.

    Args:
        kind: one of `CALLED_WITH`.
        part: what is given for it.

    Raises:
        WinsomeError: it is no function, or takes other arguments; a rewind says no step to go back to.
    """
    called = f"({', '.join(CALLED_WITH[kind])})"
    if not callable(part):
        raise WinsomeError(f"`{kind}` is a function or an object that is called with {called}; got {part!r}")
    given = name_of(part)
    if not _takes(part, len(CALLED_WITH[kind])):
        what = f"is a class: name an object made with it, {given}(...), which" if isinstance(part, type) else "takes others: it"
        raise WinsomeError(f"{given!r} ({kind}) {what} is called with {called}")
    if kind == "rewind":
        step: Any = getattr(part, "step", None)
        if isinstance(step, bool) or not isinstance(step, Integral) or int(step) < 0:
            said = "has no `step`" if step is None else f"has the step {step!r}"
            raise WinsomeError(
                f"{given!r} (rewind) {said}; a rewind is a frozen dataclass with the training step of level 0, a whole number "
                "from 0 up, at which `early` is taken"
            )


def _takes(part: Callable[..., object], count: int) -> bool:
    try:
        signature = inspect.signature(part)
    except (TypeError, ValueError):  # of something built in, which does not say
        return True
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True

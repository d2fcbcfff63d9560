"""What a part says of itself where it stands: its label, a sentence, what to cite, how to call it, what it needs.

Help, figures, report, glossary, `winsome cite` and the contract tests read this; nothing else lists names of parts.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

Part = TypeVar("Part", bound=Callable[..., Any])
Need = Literal["probe", "norms", "gradient"]
_PLACE = "__about__"


@dataclass(frozen=True)
class About:
    """A part of a method, or a method itself, described.

    Attributes:
        label: as the papers write it: "LRR".
        sentence: one, for a glossary and for help.
        citations: keys of `winsome.citation.CITATIONS`.
        example: keyword arguments that a contract test calls it with, beyond those that all parts of its kind take.
        needs: what a search has to have for it: a probe, normalisation layers, gradients of a loss.
        stacks: whether it can act on a stack of networks, whose tensors have a leading axis.
    """

    label: str
    sentence: str
    citations: tuple[str, ...] = ()
    example: Mapping[str, Any] = field(default_factory=dict, hash=False)
    needs: frozenset[Need] = frozenset()
    stacks: bool = False


def described(
    label: str,
    sentence: str,
    *,
    citations: tuple[str, ...] = (),
    example: Mapping[str, Any] | None = None,
    needs: tuple[Need, ...] = (),
    stacks: bool = False,
) -> Callable[[Part], Part]:
    """Describe a function or class where it is defined; see `About` for the arguments."""

    def describe(part: Part) -> Part:
        setattr(part, _PLACE, About(label, sentence, citations, dict(example or {}), frozenset(needs), stacks))
        return part

    return describe


def about(part: Callable[..., Any]) -> About:
    """What a part says of itself: a function, a partial of one, a class or an instance of it.

    One that says nothing is known by its name and by the first sentence of its docstring.
    """
    while isinstance(part, functools.partial):
        part = part.func
    found = getattr(part, _PLACE, None)
    if isinstance(found, About):
        return found
    named = part if hasattr(part, "__name__") else type(part)
    first = (inspect.getdoc(named) or "").partition("\n\n")[0]
    return About(named.__name__.replace("_", " "), " ".join(first.split()))

"""What a part says of itself where it stands: its label, a sentence, what to cite, how to call it, what it needs.

Help, figures, report, glossary, `winsome cite` and the contract tests read this; nothing else lists names of parts.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from winsome.errors import WinsomeError

Part = TypeVar("Part", bound=Callable[..., Any])
Need = Literal["probe", "shape", "norms", "gradient", "experts"]
_PLACE = "__about__"


@dataclass(frozen=True)
class About:
    """A part of a method, or a method itself, described.

    Attributes:
        label: as the papers write it: "LRR".
        sentence: one, for a glossary and for help.
        citations: keys of `winsome.citation.CITATIONS`, or BibTeX entries of one's own, which begin with "@".
        example: keyword arguments that a contract test calls it with, beyond those that all parts of its kind take.
        needs: what a search has to have for it: a probe, of which the shape may be all that counts, normalisation layers,
            gradients of a loss, counts of experts.
        stacks: whether it can act on a stack of networks, whose tensors have a leading axis.
        training: of a score, whether the network is in training mode meanwhile where the probe does not say.
        short: a shorter name for the command line: "lrr".
    """

    label: str
    sentence: str
    citations: tuple[str, ...] = ()
    example: Mapping[str, Any] = field(default_factory=dict, hash=False)
    needs: frozenset[Need] = frozenset()
    stacks: bool = False
    short: str = ""
    training: bool = True


def described(
    label: str,
    sentence: str,
    *,
    citations: tuple[str, ...] = (),
    example: Mapping[str, Any] | None = None,
    needs: tuple[Need, ...] = (),
    stacks: bool = False,
    short: str = "",
    training: bool = True,
) -> Callable[[Part], Part]:
    """Describe a function or class where it is defined; see `About` for the arguments."""

    def describe(part: Part) -> Part:
        said = About(label, sentence, citations, dict(example or {}), frozenset(needs), stacks, short, training)
        setattr(part, _PLACE, said)
        return part

    return describe


def about(part: Callable[..., Any]) -> About:
    """What a part says of itself: a function, a partial of one, a class or an instance of it.

    One that says nothing is known by its name and by the first paragraph of its docstring. One that is made of others, which
    it has as its `parts`, cites what they cite, needs what they need, and can act on a stack if all of them can.
    """
    while isinstance(part, functools.partial):
        part = part.func
    found = getattr(part, _PLACE, None)
    if not isinstance(found, About):
        named = part if hasattr(part, "__name__") else type(part)
        first = (inspect.getdoc(named) or "").partition("\n\n")[0]
        found = About(named.__name__.replace("_", " "), " ".join(first.split()))
    parts = [about(one) for one in parts_of(part)]
    if not parts:
        return found
    return replace(
        found,
        citations=tuple(dict.fromkeys((*found.citations, *(key for one in parts for key in one.citations)))),
        needs=found.needs.union(*(one.needs for one in parts)),
        stacks=all(one.stacks for one in parts),
    )


def parts_of(part: object) -> tuple[Callable[..., Any], ...]:
    """The parts that a part is made of; none for most."""
    return () if isinstance(part, type) else tuple(getattr(part, "parts", ()))


def taken_by(part: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of some options that a part takes by their names; none of something built in that does not say what it takes."""
    parameters = parameters_of(part)
    return {name: value for name, value in options.items() if name in parameters}


def parameters_of(part: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """The parameters of a function by name; none of something built in that does not say them."""
    try:
        return inspect.signature(part).parameters
    except (TypeError, ValueError):
        return {}


def made_with(make: Callable[..., Any], options: Mapping[str, Any], what: str) -> Any:
    """Call a function with those of some options that it takes.

    Args:
        make: the function.
        options: by name.
        what: is called, for errors: "the method 'mine'".

    Raises:
        WinsomeError: it needs another one, which is named.
    """
    taken = taken_by(make, options)
    for name, parameter in parameters_of(make).items():
        variable = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if parameter.default is parameter.empty and name not in taken and not variable:
            known = ", ".join(options) or "none"
            raise WinsomeError(
                f"{what} needs {name!r}, which is not given here (given are {known}); "
                "give it a default value, or write a function around it that has one"
            )
    return make(**taken)

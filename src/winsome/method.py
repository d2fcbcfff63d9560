"""What a method is: a composition of densities, rewinding, score, allocation, rounds and what happens while training."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ParamSpec

from winsome.about import Need, about, described, taken_by
from winsome.allocation import Allocate, globally
from winsome.densities import check_densities
from winsome.errors import WinsomeError, unknown
from winsome.identity import identity, name_of
from winsome.optimizer_state import OPTIMIZER_STATES, OptimizerState
from winsome.rewinding import Rewind, RewindTo
from winsome.scores import Score, magnitude
from winsome.scoring import ONCE, Rounds
from winsome.while_training import WhileTraining, plain

P = ParamSpec("P")


@dataclass(frozen=True)
class Method:
    """How tickets are searched for: level k trains at density `densities[k]`, and each level but the first is pruned.

    Attributes:
        densities: of every level, in (0, 1], never growing; a first value below 1 is pruning at initialisation.
        rewind: from where a level restarts.
        score: what matters; the weights of highest score are kept.
        allocate: how many weights each layer keeps, and which.
        while_training: a context around every level's training (`OnLevels` for some levels only).
        optimizer_state: what becomes of the optimizer's state, such as momentum, where a level starts: "fresh" (as it is handed
            over), "kept" from the last level, or "rewound" to the step that the method rewinds to.
        scoring: in how many rounds scores are taken before a level, and of which network.
        citations: of the papers that the method itself comes from; see `cited` for all of them.
        label: as the papers write it, for figures and tables; not part of what identifies it. One that you vary with
            `dataclasses.replace` keeps it until you give it another.
        sentence: what it does, in one sentence, for help and glossary; not part of what identifies it.

    Raises:
        WinsomeError: densities that are none, or an `optimizer_state` that is none of "fresh", "kept" and "rewound".

    Example:
        >>> from winsome import KeepWeights, Method, balanced, geometric, random
        >>> lrr_with_random_masks = Method(geometric(2), KeepWeights(), score=random, allocate=balanced)
        >>> [round(density, 3) for density in lrr_with_random_masks.densities]
        [1.0, 0.8, 0.64]
    """

    densities: tuple[float, ...]
    rewind: Rewind = RewindTo(0)
    score: Score = magnitude
    allocate: Allocate = globally
    while_training: WhileTraining = plain
    optimizer_state: OptimizerState = "fresh"
    scoring: Rounds = ONCE
    citations: tuple[str, ...] = ()
    label: str = field(default="", compare=False)
    sentence: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "densities", check_densities(self.densities))
        if self.optimizer_state not in OPTIMIZER_STATES:
            raise unknown("optimizer_state", str(self.optimizer_state), OPTIMIZER_STATES)

    @property
    def parts(self) -> dict[str, Callable[..., object]]:
        """Its parts by what they are for."""
        usual: dict[str, Callable[..., object]] = {
            "rewind": self.rewind,
            "score": self.score,
            "allocate": self.allocate,
            "while_training": self.while_training,
            "optimizer_state": OPTIMIZER_STATES[self.optimizer_state],
        }
        return usual if self.scoring == ONCE else {**usual, "scoring": self.scoring}

    @property
    def cited(self) -> tuple[str, ...]:
        """What to cite: the method's own papers and those of all its parts, each once."""
        return tuple(dict.fromkeys((*self.citations, *(key for part in self.parts.values() for key in about(part).citations))))

    @property
    def needs(self) -> frozenset[Need]:
        """What a search has to have for it, such as a probe."""
        return frozenset().union(*(about(part).needs for part in self.parts.values()))

    def record(self) -> dict[str, object]:
        """The method as JSON values: what a run folder compares to refuse another configuration."""
        return {"densities": list(self.densities), **{kind: identity(part) for kind, part in self.parts.items()}}


def named_method(
    label: str,
    sentence: str,
    *,
    citations: tuple[str, ...] = (),
    example: Mapping[str, Any] | None = None,
    short: str = "",
) -> Callable[[Callable[P, Method]], Callable[P, Method]]:
    """Describe a function that returns a method, where it is defined; the method takes label, sentence and citations over.

    Args:
        label: as the papers write it: "LRR".
        sentence: what it does, for help and glossary.
        citations: keys of `winsome.citation.CITATIONS`, or BibTeX of one's own.
        example: arguments that a contract test calls it with, beside `levels` and `rate` where it has these.
        short: a shorter name for the command line: "lrr".
    """

    def describe(make: Callable[P, Method]) -> Callable[P, Method]:
        @functools.wraps(make)
        def made(*args: P.args, **options: P.kwargs) -> Method:
            method = make(*args, **options)
            cited = tuple(dict.fromkeys((*citations, *method.citations)))
            return replace(method, label=method.label or label, sentence=method.sentence or sentence, citations=cited)

        return described(label, sentence, citations=citations, example=example, short=short)(made)

    return describe


def make_method(make: Callable[..., Method], **options: Any) -> Method:
    """Call a method's function with those of the options that it takes: `make_method(aws, levels=3, rate=0.2, step=0)`.

    Raises:
        WinsomeError: it needs another one, which is named, or returns no method.
    """
    taken = taken_by(make, options)
    for name, parameter in inspect.signature(make).parameters.items():
        variable = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if parameter.default is parameter.empty and name not in taken and not variable:
            known = ", ".join(options)
            raise WinsomeError(
                f"the method {name_of(make)!r} needs {name!r}, which is not given here (given are {known}); "
                "give it a default value, or write a function around it that has one"
            )
    method: object = make(**taken)
    if not isinstance(method, Method):
        raise WinsomeError(f"{name_of(make)!r} returns a {type(method).__name__}; a method's function returns a winsome.Method")
    return method

"""What a method is: a composition of densities, rewinding, score, allocation, rounds and what happens while training."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, ParamSpec

from winsome.about import Need, about, described, made_with
from winsome.allocation import Allocate, globally
from winsome.calls import CALLED_WITH, check_call
from winsome.densities import check_densities
from winsome.errors import WinsomeError, unknown
from winsome.identity import identity, name_of
from winsome.optimizer_state import OPTIMIZER_STATES, OptimizerState
from winsome.rewinding import Rewind, RewindTo
from winsome.scores import Score, magnitude
from winsome.scoring import ONCE, FirstBy, Rounds
from winsome.while_training import WhileTraining, plain

P = ParamSpec("P")


@dataclass(frozen=True)
class Method:
    """How tickets are searched for: level k trains at density `densities[k]`, and each level but the first is pruned.

    Attributes:
        densities: of every level, in (0, 1], never growing unless `nested` is off; a first value below 1 is pruning at
            initialisation.
        rewind: from where a level restarts.
        score: what matters; the weights of highest score are kept.
        allocate: how many weights each layer keeps, and which.
        while_training: a context around every level's training (`OnLevels` for some levels only).
        optimizer_state: what becomes of the optimizer's state, such as momentum, where a level starts: "fresh" (as it is handed
            over), "kept" from the last level, or "rewound" to the step that the method rewinds to.
        scoring: in how many rounds scores are taken before a level, and of which network.
        nested: whether what is pruned stays pruned. If not, every level chooses among all weights, and densities may rise: what
            comes back starts at zero where the weights stay as trained, and at its early value where they go back.
        prune_at: the training steps at which levels 1, 2, ... begin, where all levels are stretches of one training, whose
            schedule goes on. If empty, every level is a training of its own.
        citations: of the papers that the method itself comes from; see `cited` for all of them.
        label: as the papers write it, for figures and tables; not part of what identifies it. One that you vary with
            `dataclasses.replace` keeps it until you give it another.
        sentence: what it does, in one sentence, for help and glossary; not part of what identifies it.

    Raises:
        WinsomeError: densities that are none, an `optimizer_state` that is none of "fresh", "kept" and "rewound", steps of
            pruning that are not one for every level but the first, in order, or a part that cannot be called as its kind is.

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
    nested: bool = True
    prune_at: tuple[int, ...] = ()
    citations: tuple[str, ...] = ()
    label: str = field(default="", compare=False)
    sentence: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "densities", check_densities(self.densities, nested=self.nested))
        object.__setattr__(self, "prune_at", _check_steps(self.prune_at, len(self.densities)))
        if self.optimizer_state not in OPTIMIZER_STATES:
            raise unknown("optimizer_state", str(self.optimizer_state), OPTIMIZER_STATES)
        if not isinstance(self.scoring, Rounds):
            raise WinsomeError(f"`scoring` is winsome.Rounds(...), in how many rounds scores are taken; got {self.scoring!r}")
        for kind in CALLED_WITH:
            check_call(kind, getattr(self, kind))

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
        more: dict[str, object] = {} if self.nested else {"nested": False}
        if self.prune_at:
            more["prune_at"] = list(self.prune_at)
        return {"densities": list(self.densities), **{kind: identity(part) for kind, part in self.parts.items()}, **more}

    def score_of(self, level: int) -> Score:
        """What weights are scored by before a level."""
        return self.score.at(level) if isinstance(self.score, FirstBy) else self.score

    def end_of(self, level: int, total: int) -> int:
        """The training step before which a level ends: `total`, unless the next level begins within this training.

        Raises:
            WinsomeError: the training ends before the last pruning.
        """
        if self.prune_at and total <= self.prune_at[-1]:
            raise WinsomeError(
                f"the method prunes at step {self.prune_at[-1]} (prune_at), but the training has {total} steps: prune earlier, "
                "or train longer"
            )
        return self.prune_at[level] if level < len(self.prune_at) else total


def _check_steps(steps: Sequence[int], levels: int) -> tuple[int, ...]:
    """The steps at which levels 1, 2, ... begin within one training; none where each is a training of its own."""
    checked = tuple(steps)
    if checked and (len(checked) != levels - 1 or checked[0] < 1 or any(a >= b for a, b in pairwise(checked))):
        raise WinsomeError(
            f"prune_at is the training step at which each level but the first begins, in order and from 1 up: {levels - 1} "
            f"for {levels} densities, got {list(checked)}"
        )
    return checked


def named_method(
    label: str,
    sentence: str,
    *,
    citations: tuple[str, ...] = (),
    example: Mapping[str, Any] | None = None,
    short: str = "",
) -> Callable[[Callable[P, Method]], Callable[P, Method]]:
    """Describe a function that returns a method, where it is defined; the method takes label, sentence and citations over.

    One that is made of another, `replace(aws(levels), score=mine)`, goes by its own label and cites the other's papers, too.

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
            return replace(method, label=label, sentence=sentence, citations=cited)

        return described(label, sentence, citations=citations, example=example, short=short)(made)

    return describe


def make_method(make: Callable[..., Method], /, **options: Any) -> Method:
    """Call a method's function with those of the options that it takes: `make_method(aws, levels=3, rate=0.2, step=0)`.

    Raises:
        WinsomeError: it is no function, needs another one, which is named, or returns no method.
    """
    if not callable(make):
        raise WinsomeError(f"{make!r} is no winsome.Method, and no function that returns one")
    method: object = made_with(make, options, f"the method {name_of(make)!r}")
    if not isinstance(method, Method):
        raise WinsomeError(f"{name_of(make)!r} returns a {type(method).__name__}; a method's function returns a winsome.Method")
    return method

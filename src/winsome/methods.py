"""Named methods: each is a composition of densities, rewinding, score, allocation and what happens while training."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ParamSpec

from winsome.about import Need, about, described, taken_by
from winsome.allocation import Allocate, erdos_renyi_kernel, globally
from winsome.densities import at_initialisation, check_densities, geometric
from winsome.errors import WinsomeError
from winsome.hyperbolic import HAM, SignIn
from winsome.identity import identity, name_of
from winsome.norms import frozen_norms, interpolated_norms
from winsome.perturbation import SignFlips, fixed_signs
from winsome.rewinding import KeepWeights, KeepWeightsRewindNorms, Rewind, RewindTo
from winsome.scores import Score, magnitude
from winsome.scores import grasp as grasp_score
from winsome.scores import random as random_score
from winsome.scores import snip as snip_score
from winsome.scores import synflow as synflow_score
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
        scoring: in how many rounds scores are taken before a level, and of which network.
        citations: of the papers that the method itself comes from; see `cited` for all of them.
        label: as the papers write it, for figures and tables; not part of what identifies it. One that you vary with
            `dataclasses.replace` keeps it until you give it another.
        sentence: what it does, in one sentence, for help and glossary; not part of what identifies it.

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
    scoring: Rounds = ONCE
    citations: tuple[str, ...] = ()
    label: str = field(default="", compare=False)
    sentence: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "densities", check_densities(self.densities))

    @property
    def parts(self) -> dict[str, Callable[..., object]]:
        """Its parts by what they are for."""
        usual: dict[str, Callable[..., object]] = {
            "rewind": self.rewind,
            "score": self.score,
            "allocate": self.allocate,
            "while_training": self.while_training,
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


@named_method(
    "IMP",
    "Train, prune the smallest weights, set the others back to their start, train again.",
    citations=("frankle2019lottery",),
    short="imp",
)
def imp(levels: int = 15, rate: float = 0.2) -> Method:
    """Iterative magnitude pruning: weights go back to their initial values at every level (arXiv:1803.03635).

    Example:
        >>> imp(levels=2, rate=0.5).rewind
        RewindTo(step=0)
    """
    return Method(geometric(levels, rate), RewindTo(0))


@named_method(
    "WR",
    "IMP whose weights go back to an early training step instead of their start.",
    citations=("frankle2020linear",),
    example={"step": 2},
    short="wr",
)
def weight_rewinding(levels: int = 15, rate: float = 0.2, *, step: int) -> Method:
    """IMP that goes back to an early training step instead of initialisation (arXiv:1912.05671).

    Example:
        >>> weight_rewinding(levels=2, step=500).rewind
        RewindTo(step=500)
    """
    return Method(geometric(levels, rate), RewindTo(step))


@named_method(
    "LRR",
    "Train, prune the smallest weights, keep the others, restart the learning-rate schedule, train again.",
    citations=("renda2020comparing",),
    short="lrr",
)
def learning_rate_rewinding(levels: int = 15, rate: float = 0.2) -> Method:
    """LRR: weights stay, only the learning-rate schedule restarts (arXiv:2003.02389).

    Example:
        >>> learning_rate_rewinding(levels=2).rewind
        KeepWeights(step=0)
    """
    return Method(geometric(levels, rate), KeepWeights())


@named_method(
    "LRR, norms rewound",
    "LRR whose normalisation parameters and statistics go back to an early step at every level.",
    citations=("gadhikar2024masks",),
    example={"step": 2},
)
def lrr_with_norm_rewinding(levels: int = 15, rate: float = 0.2, *, step: int = 0) -> Method:
    """LRR whose normalisation parameters and statistics go back to an early step at every level (arXiv:2402.19262).

    Example:
        >>> lrr_with_norm_rewinding(levels=2, step=500).rewind
        KeepWeightsRewindNorms(step=500)
    """
    return Method(geometric(levels, rate), KeepWeightsRewindNorms(step))


@named_method(
    "AWS",
    "LRR with normalisation parameters randomly interpolated toward their initial values at every training step.",
    citations=("oh2025sign",),
    short="aws",
)
def aws(levels: int = 15, rate: float = 0.2) -> Method:
    """AWS: LRR with normalisation parameters randomly interpolated toward their initial values (arXiv:2504.05357).

    Example:
        >>> [round(density, 3) for density in aws(levels=3).densities]
        [1.0, 0.8, 0.64, 0.512]
    """
    return Method(geometric(levels, rate), KeepWeights(), while_training=interpolated_norms)


@named_method(
    "LRR, frozen norms",
    "LRR with normalisation parameters fixed at gamma = 1, beta = 0: the control for AWS.",
    citations=("oh2025sign",),
    short="frozen",
)
def lrr_with_frozen_norms(levels: int = 15, rate: float = 0.2) -> Method:
    """LRR with normalisation parameters fixed at gamma = 1, beta = 0: the control for AWS.

    Example:
        >>> lrr_with_frozen_norms(levels=2).while_training.__name__
        'frozen_norms'
    """
    return Method(geometric(levels, rate), KeepWeights(), while_training=frozen_norms)


@named_method(
    "LRR, Sign-In",
    "LRR whose weights train as products of two factors, so that signs flip more easily.",
    citations=("gadhikar2025signin",),
    example={"every": 2},
    short="sign-in",
)
def lrr_with_sign_in(levels: int = 15, rate: float = 0.2, *, every: int = 100) -> Method:
    """LRR under Sign-In, balanced every so many steps (arXiv:2504.12801)."""
    return Method(geometric(levels, rate), KeepWeights(), while_training=SignIn(every))


@named_method(
    "LRR, HAM",
    "LRR whose weights are multiplied after each step by a factor that grows where the loss wants them larger.",
    citations=("jacobs2025ham",),
    example={"alpha": 20.0},
    short="ham",
)
def lrr_with_ham(levels: int = 15, rate: float = 0.2, *, alpha: float = 200.0, beta: float = 1e-3) -> Method:
    """LRR under hyperbolic aware minimisation (arXiv:2506.02630)."""
    return Method(geometric(levels, rate), KeepWeights(), while_training=HAM(alpha, beta))


def rewind_norms(method: Method, *, step: int = 0) -> Method:
    """The same method with normalisation rewound to an early step at every level: a switch (arXiv:2402.19262).

    A method that rewinds all its weights rewinds normalisation with them and comes back as it is.

    Raises:
        WinsomeError: the method restarts in a way of its own, which has to say itself what happens to normalisation.
    """
    if isinstance(method.rewind, RewindTo):
        return method
    if not isinstance(method.rewind, KeepWeights):
        raise WinsomeError(f"{method.rewind} does not keep the weights: write a rewind that also rewinds normalisation")
    return replace(method, rewind=KeepWeightsRewindNorms(step))


@named_method(
    "SNIP",
    "Prune before any training, by the effect of each weight on the loss.",
    citations=("lee2019snip",),
    example={"density": 0.3},
)
def snip(density: float = 0.1, *, rounds: int = 1) -> Method:
    """SNIP, scored and trained on the same start (arXiv:1810.02340); in rounds it is iterative SNIP (arXiv:2006.09081)."""
    return Method(at_initialisation(density), score=snip_score, scoring=Rounds(rounds, before_training=True))


@named_method(
    "GraSP",
    "Prune before any training, so that the gradient's norm is kept.",
    citations=("wang2020grasp",),
    example={"density": 0.3},
)
def grasp(density: float = 0.1, *, rounds: int = 1) -> Method:
    """GraSP (arXiv:2002.07376)."""
    return Method(at_initialisation(density), score=grasp_score, scoring=Rounds(rounds, before_training=True))


@named_method(
    "SynFlow",
    "Prune before any training and without data, in rounds, by the flow of absolute weights.",
    citations=("tanaka2020synflow",),
    example={"density": 0.3, "rounds": 5},
)
def synflow(density: float = 0.1, *, rounds: int = 100) -> Method:
    """SynFlow in 100 rounds (arXiv:2006.05467)."""
    return Method(at_initialisation(density), score=synflow_score, scoring=Rounds(rounds, before_training=True))


@named_method(
    "random at initialisation",
    "Prune at random before any training: the control of pruning at initialisation.",
    citations=("gadhikar2023random",),
    example={"density": 0.3},
)
def random_at_initialisation(density: float = 0.1, *, allocate: Allocate = erdos_renyi_kernel) -> Method:
    """Random places, by default in the layer densities of ERK (arXiv:2210.02412)."""
    scoring = Rounds(before_training=True)
    return Method(at_initialisation(density), score=random_score, allocate=allocate, scoring=scoring)


METHODS: dict[str, Callable[..., Method]] = {
    f.__name__: f
    for f in (
        imp,
        weight_rewinding,
        learning_rate_rewinding,
        lrr_with_norm_rewinding,
        aws,
        lrr_with_frozen_norms,
        lrr_with_sign_in,
        lrr_with_ham,
        snip,
        grasp,
        synflow,
        random_at_initialisation,
    )
}

WHILE_TRAINING: dict[str, Callable[..., Any]] = {  # parts, and classes whose instances are
    part.__name__: part for part in (plain, interpolated_norms, frozen_norms, fixed_signs, SignFlips, SignIn, HAM)
}

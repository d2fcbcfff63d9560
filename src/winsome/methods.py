"""Named methods: each is a composition of densities, rewinding, score, allocation and what happens while training."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from winsome.allocation import Allocate, globally
from winsome.densities import check_densities, geometric
from winsome.errors import WinsomeError
from winsome.norms import frozen_norms, interpolated_norms
from winsome.rewinding import KeepWeights, KeepWeightsRewindNorms, Rewind, RewindTo
from winsome.scores import Score, magnitude
from winsome.while_training import WhileTraining, plain


@dataclass(frozen=True)
class Method:
    """How tickets are searched for: level k trains at density `densities[k]`, and each level but the first is pruned.

    Attributes:
        densities: of every level, in (0, 1], never growing; a first value below 1 is pruning at initialisation.
        rewind: from where a level restarts.
        score: what matters; the weights of highest score are kept.
        allocate: how many weights each layer keeps, and which.
        while_training: a context around every level's training (`OnLevels` for some levels only).
        citations: keys of the papers that the method comes from.
        label: as the papers write it, for figures and tables; not part of what identifies it.
        sentence: what it does, in one sentence, for help and glossary; not part of what identifies it.
    """

    densities: tuple[float, ...]
    rewind: Rewind = RewindTo(0)
    score: Score = magnitude
    allocate: Allocate = globally
    while_training: WhileTraining = plain
    citations: tuple[str, ...] = ()
    label: str = field(default="", compare=False)
    sentence: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "densities", check_densities(self.densities))

    def record(self) -> dict[str, object]:
        """The method as JSON values: what a run folder compares to refuse another configuration."""
        return {
            "densities": list(self.densities),
            "rewind": repr(self.rewind),
            "score": name_of(self.score),
            "allocate": name_of(self.allocate),
            "while_training": name_of(self.while_training),
        }


def name_of(part: Callable[..., object]) -> str:
    """What a run folder knows a part of a method by: a function's name, a dataclass with its values."""
    # Without addresses, which change from process to process: a folder must know its method again.
    return getattr(part, "__name__", None) or re.sub(r" at 0x[0-9a-f]+", "", repr(part))


def imp(levels: int = 15, rate: float = 0.2) -> Method:
    """Iterative magnitude pruning: weights go back to their initial values at every level (arXiv:1803.03635)."""
    return Method(geometric(levels, rate), RewindTo(0), citations=("frankle2019lottery",))


def weight_rewinding(levels: int = 15, rate: float = 0.2, *, step: int) -> Method:
    """IMP that goes back to an early training step instead of initialisation (arXiv:1912.05671)."""
    return Method(geometric(levels, rate), RewindTo(step), citations=("frankle2020linear",))


def learning_rate_rewinding(levels: int = 15, rate: float = 0.2) -> Method:
    """LRR: weights stay, only the learning-rate schedule restarts (arXiv:2003.02389)."""
    return Method(geometric(levels, rate), KeepWeights(), citations=("renda2020comparing",))


def lrr_with_norm_rewinding(levels: int = 15, rate: float = 0.2, *, step: int = 0) -> Method:
    """LRR whose normalisation parameters and statistics go back to an early step at every level (arXiv:2402.19262)."""
    return Method(geometric(levels, rate), KeepWeightsRewindNorms(step), citations=("gadhikar2024masks",))


def aws(levels: int = 15, rate: float = 0.2) -> Method:
    """AWS: LRR with normalisation parameters randomly interpolated toward their initial values (arXiv:2504.05357)."""
    return Method(geometric(levels, rate), KeepWeights(), while_training=interpolated_norms, citations=("oh2025sign",))


def lrr_with_frozen_norms(levels: int = 15, rate: float = 0.2) -> Method:
    """LRR with normalisation parameters fixed at gamma = 1, beta = 0: the control for AWS."""
    return Method(geometric(levels, rate), KeepWeights(), while_training=frozen_norms, citations=("oh2025sign",))


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
    citations = tuple(dict.fromkeys((*method.citations, "gadhikar2024masks")))
    return replace(method, rewind=KeepWeightsRewindNorms(step), citations=citations)


METHODS: dict[str, Callable[..., Method]] = {
    f.__name__: f for f in (imp, weight_rewinding, learning_rate_rewinding, lrr_with_norm_rewinding, aws, lrr_with_frozen_norms)
}

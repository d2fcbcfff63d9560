"""Named methods that prune before any training: SNIP, GraSP, SynFlow, and chance as their control."""

from __future__ import annotations

from winsome.allocation import Allocate, erdos_renyi_kernel
from winsome.densities import at_initialisation
from winsome.method import Method, named_method
from winsome.scores import grasp as grasp_score
from winsome.scores import random as random_score
from winsome.scores import snip as snip_score
from winsome.scores import synflow as synflow_score
from winsome.scoring import Rounds


@named_method(
    "SNIP",
    "Prune before any training, by the effect of each weight on the loss.",
    citations=("lee2019snip",),
    example={"density": 0.3},
)
def snip(density: float = 0.1, *, rounds: int = 1) -> Method:
    """SNIP, scored and trained on the same start (arXiv:1810.02340); in rounds it is iterative SNIP (arXiv:2006.09081).

    Example:
        >>> snip(0.05).densities
        (0.05,)
    """
    return Method(at_initialisation(density), score=snip_score, scoring=Rounds(rounds, before_training=True))


@named_method(
    "GraSP",
    "Prune before any training, so that the gradient's norm is kept.",
    citations=("wang2020grasp",),
    example={"density": 0.3},
)
def grasp(density: float = 0.1, *, rounds: int = 1) -> Method:
    """GraSP (arXiv:2002.07376).

    Example:
        >>> grasp(0.05).scoring
        Rounds(rounds=1, before_training=True)
    """
    return Method(at_initialisation(density), score=grasp_score, scoring=Rounds(rounds, before_training=True))


@named_method(
    "SynFlow",
    "Prune before any training and without data, in rounds, by the flow of absolute weights.",
    citations=("tanaka2020synflow",),
    example={"density": 0.3, "rounds": 5},
)
def synflow(density: float = 0.1, *, rounds: int = 100) -> Method:
    """SynFlow in 100 rounds (arXiv:2006.05467).

    Example:
        >>> synflow(0.05).scoring
        Rounds(rounds=100, before_training=True)
    """
    return Method(at_initialisation(density), score=synflow_score, scoring=Rounds(rounds, before_training=True))


@named_method(
    "random at initialisation",
    "Prune at random before any training: the control of pruning at initialisation.",
    citations=("gadhikar2023random",),
    example={"density": 0.3},
)
def random_at_initialisation(density: float = 0.1, *, allocate: Allocate = erdos_renyi_kernel) -> Method:
    """Random places, by default in the layer densities of ERK (arXiv:2210.02412).

    Example:
        >>> random_at_initialisation(0.05).score.__name__
        'random'
    """
    scoring = Rounds(before_training=True)
    return Method(at_initialisation(density), score=random_score, allocate=allocate, scoring=scoring)

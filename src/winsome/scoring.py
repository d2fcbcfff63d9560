"""When scores are taken: in rounds, of the trained network or of the one that a search was given, the first by another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from winsome.about import described
from winsome.calls import check_call
from winsome.errors import WinsomeError, check_whole
from winsome.identity import name_of
from winsome.ranking import Kept
from winsome.scores import Probe, Score, Scores, Weights

Choose = Callable[[float, Kept], Kept]  # score the network, and keep a density of its weights among those kept so far


@described(
    "rounds",
    "Weights are scored and pruned a few at a time, with those that are gone at zero, before anything is trained.",
    citations=("dejorge2021progressive",),
)
@dataclass(frozen=True)
class Rounds:
    """Score, prune a little, score again: before one level, without training in between (arXiv:2006.09081, 2006.05467).

    Round r of R keeps d_0 * (d / d_0)^(r / R) of the weights on the way from density d_0 to d. From the second on, scores are
    those of the network whose pruned weights are at zero; afterwards all weights are what they were. Masks are nested.

    Attributes:
        rounds: how many; 1 scores the network as it stands.
        before_training: the network that is scored is the one that the search was given, at every level: pruning at
            initialisation, at several densities. A level's ticket has that network's signs, whatever training made of them.

    Raises:
        WinsomeError: fewer than one round, or no whole number of them.

    Example:
        >>> kept = {"w": torch.ones(8, dtype=torch.bool)}
        >>> asked = []
        >>> _ = Rounds(2)(lambda density, kept: asked.append(round(density, 3)) or kept, 0.25, kept)
        >>> asked
        [0.5, 0.25]
    """

    rounds: int = 1
    before_training: bool = False

    def __post_init__(self) -> None:
        check_whole("rounds", self.rounds)
        if self.rounds < 1:
            raise WinsomeError(f"scores are taken in 1 round or more, got {self.rounds}")

    def __call__(self, choose: Choose, density: float, kept: Kept) -> Kept:
        """Which weights are kept at a density, nested in those kept before."""
        left = sum(int(torch.count_nonzero(keep)) for keep in kept.values())
        first = left / sum(keep.numel() for keep in kept.values())
        for number in range(1, self.rounds):
            kept = choose(first * (density / first) ** (number / self.rounds), kept)
        return choose(density, kept)


ONCE = Rounds()


@described("another score at first", "One score chooses the first mask, another one all later masks.")
@dataclass(frozen=True)
class FirstBy:
    """A score for the first mask of a search, and another one for all later masks.

    Attributes:
        first: of level 0, whose density is below 1: a random mask, for example.
        then: of all other levels.

    Raises:
        WinsomeError: one of them is no score.

    Example:
        >>> from winsome import magnitude, random
        >>> FirstBy(random, then=magnitude).at(1).__name__
        'magnitude'
    """

    first: Score
    then: Score

    def __post_init__(self) -> None:
        for score in self.parts:
            check_call("score", score)

    def __repr__(self) -> str:  # a search's folder knows it by this
        return f"FirstBy({name_of(self.first)}, then={name_of(self.then)})"

    @property
    def parts(self) -> tuple[Score, ...]:
        """What it is made of."""
        return (self.first, self.then)

    def at(self, level: int) -> Score:
        """The score of a level."""
        return self.then if level else self.first

    def __call__(self, weights: Weights, model: nn.Module, probe: Probe | None, random: torch.Generator) -> Scores:
        """Those of a trained network."""
        return self.then(weights, model, probe, random)

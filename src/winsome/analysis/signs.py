"""How the signs of weights change over a search: flips, when they settle, their balance, and what searches agree on."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from winsome.analysis.overlap import Overlap, overlap, summed
from winsome.analysis.sign_history import SignHistory
from winsome.signed_mask import SignedMask


def flips(history: SignHistory) -> dict[str, Tensor]:
    """How often each weight alive at the last level changed its sign from one moment to the next (arXiv:2402.19262, figure 5).

    Returns, by layer, an int64 vector over these weights, in the order of the flattened parameter; values from 0 to the
    number of levels, level + 1.
    """
    return {name: changed_KN.sum(0) for name, changed_KN in _changes(history).items()}


def settled_level(history: SignHistory) -> dict[str, Tensor]:
    """The last moment k at which the sign of each weight alive at the last level differed from moment k - 1; 0 if none did.

    The definition is inferred from a caption, "the pruning iteration at which the parameter signs do not change anymore"
    (arXiv:2402.19262, figure 5). Moment k is the end of level k - 1, so 1 means "in level 0, and never again".
    Vectors as those of `flips`.
    """
    settled = {}
    for name, changed_KN in _changes(history).items():
        moments_K1 = torch.arange(1, len(changed_KN) + 1, device=changed_KN.device)[:, None]
        settled[name] = (changed_KN * moments_K1).amax(0)
    return settled


def _changes(history: SignHistory) -> dict[str, Tensor]:
    """By layer: whether each weight alive at the last level changed its sign at moments 1 to K; bool, K x alive weights."""
    changes = {}
    for name in history.moments[-1]:
        alive = history.moments[-1].kept(name)
        signs_KN = torch.stack([moment[name][alive] for moment in history.moments])
        changes[name] = signs_KN[1:] != signs_KN[:-1]
    return changes


@dataclass(frozen=True)
class LevelSigns:
    """The signs of one layer, or of all, at the end of one level: counts over the weights alive in that level."""

    level: int
    layer: str
    total: int  # weights, kept or not
    kept: int
    positive: int
    flipped: int  # of another sign than at the end of the last level (before level 0: at initialisation)
    flipped_since_start: int  # of another sign than at initialisation

    @property
    def positive_share(self) -> float:
        """Fraction of the kept weights that are positive: 0.5 is balance; NaN where none is kept."""
        return _ratio(self.positive, self.kept)

    @property
    def flipped_share(self) -> float:
        """Fraction of the kept weights whose sign changed in this level."""
        return _ratio(self.flipped, self.kept)

    @property
    def flipped_since_start_share(self) -> float:
        """Fraction of the kept weights whose sign is not their initial one."""
        return _ratio(self.flipped_since_start, self.kept)


def level_signs(history: SignHistory) -> tuple[LevelSigns, ...]:
    """The counts of every layer at the end of every level, in this order: level 0's layers, level 1's, ..."""
    first = history.moments[0]
    found = []
    for level, (before, after) in enumerate(itertools.pairwise(history.moments)):
        for name in after:
            sign, kept = after[name], after.kept(name)
            found.append(
                LevelSigns(
                    level,
                    name,
                    sign.numel(),
                    int(kept.sum()),
                    int((sign > 0).sum()),
                    int((kept & (sign != before[name])).sum()),
                    int((kept & (sign != first[name])).sum()),
                )
            )
    return tuple(found)


@dataclass(frozen=True)
class SignDynamics:
    """What the signs of one search did, in counts: small, whatever the size of the network.

    Attributes:
        method: name of the search's method.
        seed: of the search.
        levels: the counts of every layer at every level.
        flips: by layer, entry n is how many weights alive at the last level flipped n times.
        settled: by layer, entry k is how many of them settled at moment k; 0 for those that never flipped.
        label: how the search's records write the method; empty where they say nothing.
    """

    method: str
    seed: int
    levels: tuple[LevelSigns, ...]
    flips: Mapping[str, tuple[int, ...]]
    settled: Mapping[str, tuple[int, ...]]
    label: str = ""

    @property
    def level(self) -> int:
        """The last level."""
        return self.levels[-1].level

    def at(self, level: int, layer: str | None = None) -> LevelSigns:
        """The counts of a layer, or of all layers together, at the end of a level."""
        parts = [part for part in self.levels if part.level == level and layer in (None, part.layer)]
        sums = [sum(getattr(part, count) for part in parts) for count in COUNTS]
        return LevelSigns(level, layer or "all", *sums)

    def flip_counts(self, layer: str | None = None) -> tuple[int, ...]:
        """Entry n: how many weights of a layer, or of all, flipped n times."""
        return _added([self.flips[layer]] if layer else list(self.flips.values()))

    def settled_counts(self, layer: str | None = None) -> tuple[int, ...]:
        """Entry k: how many weights of a layer, or of all, settled at moment k."""
        return _added([self.settled[layer]] if layer else list(self.settled.values()))

    def mean_flips(self, layer: str | None = None) -> float:
        """Flips per weight alive at the last level; NaN where there is none."""
        return _mean(self.flip_counts(layer))

    def mean_settled(self, layer: str | None = None) -> float:
        """The mean settled level of the weights alive at the last level; NaN where there is none."""
        return _mean(self.settled_counts(layer))

    def mean_settled_of_flipped(self, layer: str | None = None) -> float:
        """The mean settled level of those weights that flipped at all: not lowered by the many that never do."""
        return _mean((0, *self.settled_counts(layer)[1:]))

    def flipped_at_all(self, layer: str | None = None) -> float:
        """Fraction of the weights alive at the last level that flipped at least once."""
        counts = self.flip_counts(layer)
        return _ratio(sum(counts[1:]), sum(counts))


COUNTS = ("total", "kept", "positive", "flipped", "flipped_since_start")  # the summable fields of LevelSigns


def dynamics(history: SignHistory) -> SignDynamics:
    """Everything that is counted of one search's signs."""
    moments = len(history.moments)
    return SignDynamics(
        history.method,
        history.seed,
        level_signs(history),
        {name: _histogram(counts, moments) for name, counts in flips(history).items()},
        {name: _histogram(moment, moments) for name, moment in settled_level(history).items()},
        history.label,
    )


@dataclass(frozen=True)
class Agreement:
    """What the tickets of two searches share at one level, over all layers."""

    level: int
    methods: tuple[str, str]
    seeds: tuple[int, int]
    overlap: Overlap


def agreements(level: int, masks: Mapping[tuple[str, int], SignedMask]) -> list[Agreement]:
    """Agreement of masks and signs between searches: of two methods by the same seed, and of one method by two seeds.

    Args:
        level: whose end the masks are from.
        masks: by method and search seed.

    Of a method's seeds each is compared with the next one, the last with the first: every search counts alike, and the work
    grows with their number, not its square.

    Raises:
        WinsomeError: the masks are of different networks.
    """
    pairs = [(a, b) for a, b in itertools.combinations(masks, 2) if a[1] == b[1]]
    for method in dict.fromkeys(method for method, _ in masks):
        own = [key for key in masks if key[0] == method]
        ring = zip(own, [*own[1:], own[0]], strict=True) if len(own) > 2 else itertools.pairwise(own)
        pairs += ring
    return [Agreement(level, (a[0], b[0]), (a[1], b[1]), summed(overlap(masks[a], masks[b]).values())) for a, b in pairs]


def _histogram(values: Tensor, length: int) -> tuple[int, ...]:
    return tuple(int(count) for count in torch.bincount(values, minlength=length))


def _added(histograms: Sequence[Sequence[int]]) -> tuple[int, ...]:
    return tuple(sum(counts) for counts in zip(*histograms, strict=True))


def _mean(counts: Sequence[int]) -> float:
    return _ratio(sum(value * count for value, count in enumerate(counts)), sum(counts))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan

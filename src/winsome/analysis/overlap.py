"""How much two signed masks have in common, against what chance alone would give."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from winsome.errors import WinsomeError
from winsome.shapes import differences
from winsome.signed_mask import SignedMask


@dataclass(frozen=True)
class Overlap:
    """What two masks share in one layer, or summed over layers.

    Chance is "the same layer densities, places drawn independently": the shared count is then hypergeometric in each layer.
    For signs it is "the same numbers of positive signs in each layer, dealt out independently among the shared weights".
    """

    total: int  # weights
    kept_a: int
    kept_b: int
    both: int  # kept in both
    agreeing: int  # kept in both, with the same sign
    expected_both: float  # the mean of `both` by chance
    variance_both: float  # its variance by chance
    expected_agreeing: float  # the mean of `agreeing` by chance, given `both`

    @property
    def jaccard(self) -> float:
        """Weights kept in both as a fraction of those kept in either, in [0, 1]; NaN where none is kept."""
        return _ratio(self.both, self.kept_a + self.kept_b - self.both)

    @property
    def chance_jaccard(self) -> float:
        """The same fraction at the expected number of shared weights."""
        return _ratio(self.expected_both, self.kept_a + self.kept_b - self.expected_both)

    @property
    def shared(self) -> float:
        """Weights kept in both as a fraction of the smaller kept set, in [0, 1]: 1 if one mask is inside the other."""
        return _ratio(self.both, min(self.kept_a, self.kept_b))

    @property
    def standard_score(self) -> float:
        """How many standard deviations `both` lies above chance; NaN where chance leaves no choice."""
        return _ratio(self.both - self.expected_both, math.sqrt(self.variance_both))

    @property
    def sign_agreement(self) -> float:
        """Fraction of the shared weights that have the same sign in both, in [0, 1]; NaN where none is shared."""
        return _ratio(self.agreeing, self.both)

    @property
    def chance_sign_agreement(self) -> float:
        """The same fraction by chance: 1/2 where signs are balanced."""
        return _ratio(self.expected_agreeing, self.both)


def overlap(a: SignedMask, b: SignedMask) -> dict[str, Overlap]:
    """What two signed masks of the same network share, by layer.

    Raises:
        WinsomeError: the masks are not of the same layers and shapes.
    """
    _check_same_network(a, b)
    layers = {}
    for name in a:
        sign_a, sign_b = a[name], b[name]
        shared = (sign_a != 0) & (sign_b != 0)
        both = int(shared.sum())
        positive_a, positive_b = int((sign_a[shared] > 0).sum()), int((sign_b[shared] > 0).sum())
        agreeing = int((sign_a[shared] == sign_b[shared]).sum())
        kept_a, kept_b, total = int(torch.count_nonzero(sign_a)), int(torch.count_nonzero(sign_b)), sign_a.numel()
        mean = kept_a * kept_b / total if total else 0.0
        spread = (total - kept_a) * (total - kept_b) / (total * (total - 1)) if total > 1 else 0.0
        expected_agreeing = (positive_a * positive_b + (both - positive_a) * (both - positive_b)) / both if both else 0.0
        layers[name] = Overlap(total, kept_a, kept_b, both, agreeing, mean, mean * spread, expected_agreeing)
    return layers


def summed(layers: Iterable[Overlap]) -> Overlap:
    """The overlap over several layers: counts, expectations and variances add up, as layers are independent by chance."""
    parts = list(layers)
    return Overlap(
        sum(part.total for part in parts),
        sum(part.kept_a for part in parts),
        sum(part.kept_b for part in parts),
        sum(part.both for part in parts),
        sum(part.agreeing for part in parts),
        math.fsum(part.expected_both for part in parts),
        math.fsum(part.variance_both for part in parts),
        math.fsum(part.expected_agreeing for part in parts),
    )


def agreeing_signs(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> tuple[int, int]:
    """How many unpruned signs agree, and how many there are in common: parameters of the same name and shape."""
    common = [name for name in a if name in b and a[name].shape == b[name].shape]
    return sum(int((a[name] == b[name]).sum()) for name in common), sum(a[name].numel() for name in common)


def _check_same_network(a: SignedMask, b: SignedMask) -> None:
    if different := differences(a.shapes, b.shapes, "the first", "the second"):
        raise WinsomeError(f"the masks are of different networks: {different}; compare tickets of one network")


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan

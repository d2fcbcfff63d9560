"""Searches with the masks or the signs of another run: mask swap, permuted and random masks, borrowed signs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from winsome.about import described
from winsome.allocation import keep_in_layers
from winsome.errors import WinsomeError
from winsome.identity import name_of
from winsome.method import Method
from winsome.ranking import Kept
from winsome.rewinding import Restart, Rewind
from winsome.scores import Scores, random
from winsome.scoring import Rounds
from winsome.seeding import generator
from winsome.signed_mask import SignedMask
from winsome.state import State

Borrow = Callable[[Method, Sequence[SignedMask], int], Method]  # of a method, another run's masks, and a seed


@described("another run's masks", "Exactly the weights that another run kept.", citations=("gadhikar2024masks",))
@dataclass(frozen=True, eq=False, repr=False)
class MasksOf:
    """An allocation: at every density exactly the weights that another run kept there, whatever their scores.

    Signs of the masks play no part: which weights are kept is all that is taken over.
    """

    masks: tuple[SignedMask, ...]

    def __call__(self, scores: Scores, density: float, kept: Mapping[str, Tensor]) -> Kept:
        """The other run's mask of this density."""
        del kept
        mask = _mask_at(self.masks, scores, density)
        return {name: mask.kept(name) for name in scores}

    def __repr__(self) -> str:
        return f"MasksOf({_in_short(self.masks)})"


@described(
    "another run's layer counts", "As many weights of every layer as another run kept.", citations=("gadhikar2024masks",)
)
@dataclass(frozen=True, eq=False, repr=False)
class LayerCountsOf:
    """An allocation: every layer keeps as many weights as another run kept in it at this density, of highest score."""

    masks: tuple[SignedMask, ...]

    def __call__(self, scores: Scores, density: float, kept: Mapping[str, Tensor]) -> Kept:
        """The other run's counts, this run's scores."""
        counts = {name: count.kept for name, count in _mask_at(self.masks, scores, density).layers().items()}
        return keep_in_layers(scores, counts, kept)

    def __repr__(self) -> str:
        return f"LayerCountsOf({_in_short(self.masks)})"


@described("another run's signs", "Prunable weights restart with the signs of another run.", citations=("gadhikar2024masks",))
@dataclass(frozen=True, eq=False, repr=False)
class SignsOf:
    """A rewind: what another one gives, with the signs that another run had learned at this density (arXiv:2402.19262's code).

    `SignsOf(masks, RewindTo(0))` is IMP that starts every level with the other run's signs. A weight that the other run has not
    kept has the sign that the rewind gives it.

    Attributes:
        masks: signed masks of the other run, one for each level.
        rewind: where magnitudes and everything else come from.
    """

    masks: tuple[SignedMask, ...]
    rewind: Rewind

    @property
    def step(self) -> int:
        """The rewind's own."""
        return self.rewind.step

    @property
    def norms(self) -> Any:
        """Which parameters the rewind takes for normalisation (`winsome.psi.Which`); None where all norms are."""
        return getattr(self.rewind, "norms", None)

    @property
    def parts(self) -> tuple[Rewind, ...]:
        """What it is made of."""
        return (self.rewind,)

    def __call__(self, early: State, trained: State, restart: Restart) -> tuple[State, int]:
        """The rewind's state with the other run's signs on prunable weights."""
        state, step = self.rewind(early, trained, restart)
        kept = {name: keep.to(torch.float32) for name, keep in restart.kept.items()}
        total = sum(keep.numel() for keep in kept.values())
        mask = _mask_at(self.masks, kept, sum(float(keep.sum()) for keep in kept.values()) / total, signs=True)
        signed = {}
        for name in kept:
            sign = mask[name].to(state[name].dtype)
            signed[name] = torch.where(sign == 0, state[name], state[name].abs() * sign)
        return {**state, **signed}, step

    def __repr__(self) -> str:
        return f"SignsOf({_in_short(self.masks)}, {name_of(self.rewind)})"


def _alike(one: SignedMask, other: SignedMask, *, signs: bool) -> bool:
    return one == other if signs else all(torch.equal(one.kept(name), other.kept(name)) for name in one)


def _mask_at(masks: Sequence[SignedMask], scores: Scores, density: float, *, signs: bool = False) -> SignedMask:
    count = round(density * sum(score.numel() for score in scores.values()))
    shapes = {name: score.shape for name, score in scores.items()}
    found = [mask for mask in masks if mask.n_kept == count and mask.shapes == shapes]
    if any(not _alike(mask, found[0], signs=signs) for mask in found[1:]):
        raise WinsomeError(
            f"the other run has {len(found)} levels of density {density:.4g} that differ, of which none can be told: only a "
            "search whose densities fall at every level lends its masks"
        )
    if found:
        return found[0]
    levels = ", ".join(f"{mask.density:.4g}" for mask in masks)
    raise WinsomeError(
        f"the other run has no mask of density {density:.4g} for these weights; it has {levels or 'no level'}. "
        "Both searches need the same network and the same densities"
    )


def _in_short(masks: Sequence[SignedMask]) -> str:
    """What a run folder knows borrowed masks by."""
    digest = hashlib.sha256("".join(mask.digest() for mask in masks).encode()).hexdigest()
    return f"{len(masks)} levels, sha256 {digest[:16]}"


@described(
    "mask swap", "The search runs in another search's masks, level by level.", citations=("gadhikar2024masks",), short="same"
)
def same_masks(method: Method, masks: Sequence[SignedMask], _seed: int = 0) -> Method:
    """Mask swap: the method inside another run's masks, level by level (arXiv:2402.19262).

    "IMP in LRR's masks" is `same_masks(imp(15), masks_of_lrr)`: it rewinds its weights, only places are borrowed.

    Args:
        method: rewinds and trains as it always does.
        masks: of the other run, one for each level; the densities of both must agree.
    """
    return replace(method, allocate=MasksOf(tuple(masks)), scoring=_at_once(method))


@described(
    "permuted masks",
    "The search runs in another search's masks, in which the places of every layer are shuffled.",
    citations=("gadhikar2024masks",),
    short="permuted",
)
def permuted_masks(method: Method, masks: Sequence[SignedMask], seed: int) -> Method:
    """Mask randomisation by permutation: another run's masks with the places of every layer shuffled.

    One permutation for each layer serves all levels, so that masks stay nested and layer densities are the other run's exactly.
    """
    return same_masks(method, permuted(masks, seed))


@described(
    "random masks",
    "Random survivors, in each layer as many as in another search's masks.",
    citations=("gadhikar2024masks",),
    short="random",
)
def random_masks_of_the_same_counts(method: Method, masks: Sequence[SignedMask], _seed: int = 0) -> Method:
    """Mask randomisation by chance: at every level random survivors, in each layer as many as in another run's mask."""
    return replace(method, score=random, allocate=LayerCountsOf(tuple(masks)), scoring=_at_once(method))


def _at_once(method: Method) -> Rounds:
    """Masks that are borrowed have the densities of levels, not those of rounds between them."""
    return replace(method.scoring, rounds=1)


@described(
    "another run's signs",
    "Every level restarts with the signs that another search had learned at its density; masks are its own.",
    citations=("gadhikar2024masks",),
    short="signs",
)
def same_signs(method: Method, masks: Sequence[SignedMask], _seed: int = 0) -> Method:
    """The method, whose levels restart with another run's signs (arXiv:2402.19262's code).

    "IMP with LRR's signs" is `same_signs(imp(15), masks_of_lrr)`.
    """
    return replace(method, rewind=SignsOf(tuple(masks), method.rewind))


@described(
    "another run's masks and signs",
    "The search runs in another search's masks, and every level restarts with its signs.",
    citations=("gadhikar2024masks",),
    short="masks-and-signs",
)
def same_masks_and_signs(method: Method, masks: Sequence[SignedMask], _seed: int = 0) -> Method:
    """Mask swap with the other run's signs, too: magnitudes, normalisation and what is not pruned are the method's own."""
    return same_signs(same_masks(method, masks), masks)


def permuted(masks: Sequence[SignedMask], seed: int) -> tuple[SignedMask, ...]:
    """The masks with the entries of every layer in random places: the same places at every level."""
    orders = {
        name: torch.randperm(masks[0][name].numel(), device="cpu", generator=generator(seed, f"permutation of {name}"))
        for name in (masks[0] if masks else ())
    }
    return tuple(
        SignedMask({name: mask[name].view(-1)[order].view(mask[name].shape) for name, order in orders.items()})
        for mask in masks
    )


BORROWS: dict[str, Borrow] = {
    f.__name__: f for f in (same_masks, permuted_masks, random_masks_of_the_same_counts, same_signs, same_masks_and_signs)
}

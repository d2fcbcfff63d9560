"""Variations of a method that `winsome find` offers: borrowed masks, rewound norms, signs under attack."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

from winsome.errors import WinsomeError, unknown

if TYPE_CHECKING:
    from winsome.method import Method
    from winsome.signed_mask import SignedMask
    from winsome.while_training import WhileTraining

SHORT = {
    "same": "same_masks",
    "permuted": "permuted_masks",
    "random": "random_masks_of_the_same_counts",
    "signs": "same_signs",
    "masks-and-signs": "same_masks_and_signs",
}


@dataclass(frozen=True)
class Variations:
    """What else a search does; each combines with any method (arXiv:2402.19262).

    Attributes:
        masks_of: Folder of another search, inside whose masks this one runs, level by level.
        borrow: What is taken of these masks: same (the default), permuted (places shuffled by layer), random (layer counts
            only), signs (with which every level restarts, in masks of its own) or masks-and-signs.
        rewind_norms: Normalisation goes back to training step --rewind-step at every level.
        lr_warmup_epochs: Epochs of every level in which the learning rate grows from 0.
        flip_signs: Probability in [0, 1] with which every sign flips, at several times in a level; the paper's is 0.3.
        flip_every: Epochs between flips: before epochs N - 1, 2 N - 1, ... of a level.
        flip_levels: Levels at which signs flip; by default all.
        fixed_signs: No sign may change from the initialisation's.
        sign_in: Weights train as products of two factors, balanced anew every so many epochs (Sign-In).
        ham: Multiply weights after every step, with this alpha (HAM); the paper's for ImageNet is 200.
    """

    masks_of: Annotated[Path | None, arg(help_behavior_hint="")] = None
    borrow: Annotated[str | None, arg(metavar="{same,permuted,random,signs,masks-and-signs}", help_behavior_hint="")] = None
    rewind_norms: bool = False
    lr_warmup_epochs: int = 0
    flip_signs: float = 0.0
    flip_every: Annotated[int | None, arg(help_behavior_hint="(default: 30)")] = None
    flip_levels: Annotated[tuple[int, ...], arg(help_behavior_hint="")] = ()
    fixed_signs: bool = False
    sign_in: Annotated[int | None, arg(help_behavior_hint="")] = None
    ham: Annotated[float | None, arg(help_behavior_hint="")] = None

    def of(self, method: Method, *, seed: int, rewind_step: int, epochs: int, steps_per_epoch: int) -> Method:
        """The method, varied.

        Raises:
            WinsomeError: the other search lacks a level, a variation is out of its range, or nothing would look at one.
        """
        from winsome import methods
        from winsome.hyperbolic import HAM, SignIn
        from winsome.mask_swap import BORROWS
        from winsome.perturbation import SignFlips, fixed_signs, flip_steps
        from winsome.seeding import stream_seed
        from winsome.while_training import AllOf, OnLevels, plain

        if self.rewind_norms:
            method = methods.rewind_norms(method, step=rewind_step)
        self._refuse_ignored()
        if (borrow := self.borrow or "same") not in SHORT:
            raise unknown("way to borrow masks", borrow, SHORT)
        if self.masks_of is not None:
            borrowed = BORROWS[SHORT[borrow]]
            method = borrowed(method, _masks(self.masks_of, method), stream_seed(seed, "borrowed masks"))
        parts: list[WhileTraining] = []
        if self.flip_signs:
            every = 30 if self.flip_every is None else self.flip_every
            at = flip_steps(every=every, epochs=epochs, steps_per_epoch=steps_per_epoch)
            last = len(method.densities) - 1
            if beyond := [level for level in self.flip_levels if not 0 <= level <= last]:
                raise WinsomeError(f"--flip-levels {beyond[0]}: levels of this search go from 0 to {last}")
            flips = SignFlips(self.flip_signs, at)
            parts.append(OnLevels(self.flip_levels, flips) if self.flip_levels else flips)
        if self.fixed_signs:
            parts.append(fixed_signs)
        if self.sign_in is not None:
            parts.append(SignIn(self.sign_in * steps_per_epoch))
        if self.ham is not None:
            parts.append(HAM(self.ham))
        own = () if method.while_training is plain else (method.while_training,)
        return replace(method, while_training=AllOf((*own, *parts))) if parts else method

    def _refuse_ignored(self) -> None:
        if self.borrow is not None and self.masks_of is None:
            raise WinsomeError("--borrow says what is taken of another search's masks: add --masks-of with its folder")
        for option, given in (("--flip-every", self.flip_every is not None), ("--flip-levels", bool(self.flip_levels))):
            if given and not self.flip_signs:
                raise WinsomeError(f"{option} says when signs flip: add --flip-signs with the probability, such as 0.3")


AS_IT_IS = Variations()


def _masks(folder: Path, method: Method) -> tuple[SignedMask, ...]:
    """The masks of another search, as many levels as the method has."""
    from winsome.analysis.sign_history import search_runs

    runs = search_runs([folder])
    if len(runs) > 1:
        raise WinsomeError(f"{folder} holds {len(runs)} searches; name the folder of one, for example {runs[0].folder}")
    return tuple(runs[0].ticket(level).mask for level in range(min(len(method.densities), runs[0].finished)))

"""Many single hidden neurons f(x) = a relu(w.x) side by side: drawing balanced starts, pruning, rebalancing.

Suffixes of arrays: S starts, D inputs, N samples. The target's input is the first one, x_1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from winsome.errors import WinsomeError
from winsome.seeding import stream_seed

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Neurons:
    """The outer weights and the inner weights of S neurons; a gradient has the same shape."""

    a_S: Array
    w_SD: Array

    @property
    def count(self) -> int:
        """How many neurons there are."""
        return len(self.a_S)

    @property
    def norms_S(self) -> Array:
        """|w| of each neuron."""
        norms_S: Array = np.sqrt(np.square(self.w_SD).sum(axis=1))
        return norms_S

    @property
    def imbalance_S(self) -> Array:
        """a^2 - |w|^2, which gradient flow conserves on any data (relu is homogeneous)."""
        imbalance_S: Array = np.square(self.a_S) - np.square(self.w_SD).sum(axis=1)
        return imbalance_S

    def part(self, which: slice) -> Neurons:
        """Some of the neurons."""
        return Neurons(self.a_S[which], self.w_SD[which])


def balanced_starts(d: int, count: int, seed: int = 0) -> Neurons:
    """Random balanced starts, a^2 = |w|^2: w ~ N(0, I / d), a = +-|w| with a sign of its own (arXiv:2402.19262, section 2).

    The scale of w is our choice, the theorem holds for any. Start k is the same however many are drawn.

    Raises:
        WinsomeError: no starts, or no inputs.
    """
    if d < 1:
        raise WinsomeError(f"d is the number of inputs, 1 or more, got {d}")
    if count < 1:
        raise WinsomeError(f"starts must be 1 or more, got {count}")
    draws = np.random.default_rng(stream_seed(seed, "neuron starts", d)).standard_normal((count, d + 1))
    w_SD = draws[:, 1:] / np.sqrt(d)
    norms_S = np.sqrt(np.square(w_SD).sum(axis=1))
    return Neurons(np.where(draws[:, 0] < 0, -norms_S, norms_S), w_SD)


def joined(parts: Sequence[Neurons]) -> Neurons:
    """All neurons of `parts`, in order."""
    return Neurons(np.concatenate([part.a_S for part in parts]), np.concatenate([part.w_SD for part in parts]))


def largest_input(neurons: Neurons) -> NDArray[np.intp]:
    """Which input has the largest |w_i|, per neuron: the one that pruning keeps; the first of equals."""
    largest_S: NDArray[np.intp] = np.abs(neurons.w_SD).argmax(axis=1)
    return largest_S


def pruned(neurons: Neurons, kept_S: NDArray[np.intp]) -> Neurons:
    """The neurons with every inner weight zero but one each; a stays as it is, so that they are balanced no longer."""
    is_kept_SD = np.arange(neurons.w_SD.shape[1]) == kept_S[:, None]
    return Neurons(neurons.a_S, np.where(is_kept_SD, neurons.w_SD, 0.0))


def rebalanced(neurons: Neurons) -> Neurons:
    """The neurons with a := sign(a) |w|."""
    return Neurons(np.sign(neurons.a_S) * neurons.norms_S, neurons.w_SD)

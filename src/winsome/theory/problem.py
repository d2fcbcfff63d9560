"""What a neuron is to learn: relu(x_1) with or without label noise, from the population or from finite samples."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from winsome.errors import WinsomeError
from winsome.seeding import stream_seed
from winsome.theory.neurons import Array


@dataclass(frozen=True)
class Problem:
    """The task of arXiv:2402.19262, section 2: x ~ N(0, I) in d dimensions, labels relu(x_1) + noise, squared loss / 2.

    The noise is `noise` * (c x_1 + sqrt(1 - c^2) z), z ~ N(0, 1): Gaussian of standard deviation `noise` whose correlation
    with x_1 is c = `correlation`. The paper has noise correlated with x_1; that it has this form is our reading.

    Raises:
        WinsomeError: a value is out of its range.
    """

    d: int  # inputs, 1 or more
    samples: int | None = None  # in the data set of each start; None for the population
    noise: float = 0.0  # standard deviation of the labels' noise; relu(x_1) itself has .58
    correlation: float = 0.0  # of the noise with x_1, in [-1, 1]; 0 for purely additive noise

    def __post_init__(self) -> None:
        if self.d < 1:
            raise WinsomeError(f"d is the number of inputs, 1 or more, got {self.d}")
        if self.samples is not None and self.samples < 1:
            raise WinsomeError(f"samples must be 1 or more, got {self.samples}; None stands for the population")
        if not (math.isfinite(self.noise) and self.noise >= 0):
            raise WinsomeError(f"noise is a standard deviation, 0 or more, got {self.noise:g}")
        if not -1 <= self.correlation <= 1:
            raise WinsomeError(f"correlation of noise with x_1 must be in [-1, 1], got {self.correlation:g}")

    @property
    def tilt(self) -> float:
        """E[noise | x] / x_1: all that the population's gradient feels of the noise."""
        return self.noise * self.correlation


@dataclass(frozen=True)
class Samples:
    """A data set of its own for each of S starts, so that starts are independent trials."""

    x_SND: Array
    y_SN: Array


def draw_samples(problem: Problem, starts: range, seed: int = 0) -> Samples | None:
    """The data sets of these starts, or None for the population; start k's is the same whichever others are drawn."""
    if problem.samples is None:
        return None
    x_SND = np.empty((len(starts), problem.samples, problem.d))
    free_SN = np.empty((len(starts), problem.samples))
    for place, start in enumerate(starts):
        stream = np.random.default_rng(stream_seed(seed, f"neuron samples {problem.d} {problem.samples}", start))
        x_SND[place] = stream.standard_normal((problem.samples, problem.d))
        free_SN[place] = stream.standard_normal(problem.samples)
    x1_SN = x_SND[:, :, 0]
    noise_SN = problem.tilt * x1_SN + problem.noise * math.sqrt(1 - problem.correlation**2) * free_SN
    return Samples(x_SND, np.maximum(x1_SN, 0.0) + noise_SN)

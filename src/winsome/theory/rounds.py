"""Train in d dimensions, prune to one input, restart, train again: IMP against LRR on a single neuron (arXiv:2402.19262)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from winsome.errors import WinsomeError
from winsome.theory.flow import KINKED, SMOOTH, flow
from winsome.theory.gradients import loss_share, population_gradient, sample_gradient
from winsome.theory.line import line_along, line_flow
from winsome.theory.neurons import Array, Neurons, balanced_starts, joined, largest_input, pruned, rebalanced
from winsome.theory.problem import Problem, Samples, draw_samples

Restart = Callable[[Neurons, Neurons], Neurons]  # (start, trained) -> what is pruned and trained again

_GROUP = 500  # neurons in one system: they share their steps
_GROUP_NUMBERS = 4_000_000  # and at most so many numbers of data, 32 MB


def imp(start: Neurons, trained: Neurons) -> Neurons:  # noqa: ARG001 - every restart has both
    """Iterative magnitude pruning: what survives goes back to its initial values."""
    return start


def lrr(start: Neurons, trained: Neurons) -> Neurons:  # noqa: ARG001
    """Learning-rate rewinding: what survives keeps its trained values."""
    return trained


@dataclass(frozen=True)
class Trajectory:
    """A run of many neurons over time, as they are at `times` of the wide phase and then of the narrow one."""

    times: tuple[float, ...]
    wide: tuple[Neurons, ...]  # all d inputs
    narrow: tuple[Neurons, ...]  # the kept input only
    kept_S: NDArray[np.intp]  # that input, 0 for x_1


@dataclass(frozen=True)
class Trials:
    """What became of S independent starts under one method."""

    problem: Problem
    restart: Restart
    is_rebalanced: bool  # a := sign(a) |w| after pruning
    horizon: float  # of each of the two phases
    start: Neurons
    kept_S: NDArray[np.intp]  # the input that pruning kept, 0 for x_1
    end: Neurons
    share_S: Array  # population loss at the end against the clean target, as a share of that of f = 0
    success_S: NDArray[np.bool_]

    @property
    def method(self) -> str:
        """The restart's name as papers write it: IMP, LRR."""
        return self.restart.__name__.upper()

    @property
    def successes(self) -> int:
        """How many starts learned the target."""
        return int(self.success_S.sum())

    @property
    def predicted(self) -> int:
        """How many starts ended as their signs say they do without noise (`theorem_predicts`)."""
        return int((self.success_S == theorem_predicts(self.start, self.restart)).sum())

    @property
    def success(self) -> float:
        """The share of starts that learned the target."""
        return self.successes / self.start.count

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the probability of success."""
        from scipy.stats import binomtest  # here, for it takes a second to import

        bounds = binomtest(self.successes, self.start.count).proportion_ci(0.95, method="wilson")
        return float(bounds.low), float(bounds.high)


def theorem_success(d: int, restart: Restart) -> float:
    """The probability of success without noise (arXiv:2402.19262, theorems 2.1 and 2.3 in substance)."""
    return 0.5 if restart is lrr and d > 1 else 0.25


def theorem_predicts(start: Neurons, restart: Restart) -> NDArray[np.bool_]:
    """Which starts succeed without noise, read off their signs: a > 0, and w_1 > 0 except for LRR in d > 1."""
    is_positive_S = start.a_S > 0
    if restart is lrr and start.w_SD.shape[1] > 1:
        return is_positive_S
    return is_positive_S & (start.w_SD[:, 0] > 0)


def compare(
    problem: Problem,
    *,
    count: int = 2000,
    seed: int = 0,
    horizon: float = 200.0,
    success_below: float = 0.1,
) -> tuple[Trials, ...]:
    """Every method, rebalanced after pruning or not, on the same random starts and data sets.

    Args:
        problem: what is learned, and from what.
        count: independent starts; with samples, each has a data set of its own.
        seed: of the starts and the data.
        horizon: the time of each phase. A start at an angle pi - e to e_1 needs about 2 pi / e to turn.
        success_below: success is a final population loss below this share of the loss of f = 0.

    Returns:
        A `Trials` for each restart of `RESTARTS`, first as pruning leaves it, then rebalanced.

    Raises:
        WinsomeError: a value is out of its range.
    """
    check_comparison(count=count, horizon=horizon, success_below=success_below)
    starts = balanced_starts(problem.d, count, seed)
    choices = [(restart, is_on) for restart in RESTARTS for is_on in (False, True)]
    kept: list[NDArray[np.intp]] = []
    ends: list[list[Neurons]] = [[] for _ in choices]
    for group in _groups(problem, count):
        start, samples = starts.part(slice(group.start, group.stop)), draw_samples(problem, group, seed)
        (trained,) = train_wide(problem, start, samples, (horizon,))
        kept.append(largest_input(trained))
        for found, (restart, is_on) in zip(ends, choices, strict=True):
            again = _restarted(restart(start, trained), kept[-1], is_on)
            found += line_flow(line_along(problem, kept[-1], samples), again, kept[-1], (horizon,))
    kept_S = np.concatenate(kept)
    trials = []
    for (restart, is_on), found in zip(choices, ends, strict=True):
        end = joined(found)
        share_S = loss_share(end)
        trials.append(Trials(problem, restart, is_on, horizon, starts, kept_S, end, share_S, share_S < success_below))
    return tuple(trials)


def check_comparison(*, count: int, horizon: float, success_below: float) -> None:
    """Refuse what `compare` cannot do, for those who call it many times.

    Raises:
        WinsomeError: says which value is out of its range.
    """
    if count < 1:
        raise WinsomeError(f"starts must be 1 or more, got {count}")
    if not (np.isfinite(horizon) and horizon > 0):
        raise WinsomeError(f"horizon is a time above 0, got {horizon:g}")
    if not 0 < success_below < 1:
        raise WinsomeError(f"success_below is a share of the loss in (0, 1), got {success_below:g}")


def follow(
    problem: Problem,
    start: Neurons,
    restart: Restart,
    times: Sequence[float],
    *,
    samples: Samples | None = None,
    rebalance: bool = False,
) -> Trajectory:
    """Given starts through both phases, as they are at each of `times` of either phase; the last time ends a phase."""
    wide = train_wide(problem, start, samples, times)
    kept_S = largest_input(wide[-1])
    again = _restarted(restart(start, wide[-1]), kept_S, rebalance)
    return Trajectory(tuple(times), wide, line_flow(line_along(problem, kept_S, samples), again, kept_S, times), kept_S)


def train_wide(problem: Problem, start: Neurons, samples: Samples | None, times: Sequence[float]) -> tuple[Neurons, ...]:
    """Gradient flow with all d inputs: exact for d = 1, by a solver beyond."""
    if problem.d == 1:
        only_S = np.zeros(start.count, np.intp)
        return line_flow(line_along(problem, only_S, samples), start, only_S, times)
    if samples is None:
        return flow(partial(population_gradient, problem=problem), start, times, SMOOTH)
    return flow(partial(sample_gradient, samples=samples), start, times, KINKED)


def _restarted(neurons: Neurons, kept_S: NDArray[np.intp], rebalance: bool) -> Neurons:
    sparse = pruned(neurons, kept_S)
    return rebalanced(sparse) if rebalance else sparse


def _groups(problem: Problem, count: int) -> Iterator[range]:
    size = max(1, min(_GROUP, _GROUP_NUMBERS // (problem.d * (problem.samples or 1))))
    for first in range(0, count, size):
        yield range(first, min(first + size, count))


RESTARTS: tuple[Restart, ...] = (imp, lrr)

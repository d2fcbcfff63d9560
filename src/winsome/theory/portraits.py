"""What the figures of the single neuron show: runs of chosen starts, and the share of successes as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np

from winsome.theory.line import line_along, line_flow
from winsome.theory.neurons import Neurons
from winsome.theory.problem import Problem
from winsome.theory.rounds import Restart, Trajectory, Trials, follow, theorem_success

QUADRANTS = ((1, 1), (1, -1), (-1, -1), (-1, 1))  # signs of (a, w_1); the theorem's first one learns the target


@dataclass(frozen=True)
class Portrait:
    """Exact runs of several one-dimensional starts: `states[k]` at `times[k]`."""

    times: tuple[float, ...]
    states: tuple[Neurons, ...]


class Success(TypedDict):
    """A row of the table of successes, with Wilson's 95 % interval and the theorem's value without noise."""

    d: int
    samples: int | None  # None for the population
    noise: float
    correlation: float
    horizon: float
    method: str
    rebalanced: bool
    starts: int
    successes: int
    predicted: int  # starts that end as their signs say they do without noise
    success: float
    low: float
    high: float
    theorem: float


def spaced_times(horizon: float, count: int = 100) -> tuple[float, ...]:
    """0 and then `count` times up to the horizon, denser at first."""
    return (0.0, *np.geomspace(horizon * 1e-4, horizon, count).tolist())


def quadrant_portrait(horizon: float = 60.0, size: float = 0.6) -> Portrait:
    """One balanced start in each of `QUADRANTS`, without noise (arXiv:2402.19262, theorem 2.1 and figure 1a)."""
    signs = np.array(QUADRANTS, float)
    starts, kept_S = Neurons(size * signs[:, 0], size * signs[:, 1:]), np.zeros(len(signs), np.intp)
    times = spaced_times(horizon)
    return Portrait(times, line_flow(line_along(Problem(1), kept_S), starts, kept_S, times))


def quadrant_trajectories(restart: Restart, *, d: int = 5, horizon: float = 200.0, rebalance: bool = False) -> Trajectory:
    """A balanced start in each of `QUADRANTS` through training, pruning and restart (figures 1b and 1c)."""
    signs = np.array(QUADRANTS, float)
    w_SD = np.full((len(signs), d), 0.5 / np.sqrt(max(d - 1, 1)))
    w_SD[:, 0] = 0.5 * signs[:, 1]
    norms_S = np.sqrt(np.square(w_SD).sum(axis=1))
    return follow(Problem(d), Neurons(signs[:, 0] * norms_S, w_SD), restart, spaced_times(horizon), rebalance=rebalance)


def success_rows(trials: Sequence[Trials]) -> list[Success]:
    """The table of these trials, one row each."""
    rows: list[Success] = []
    for trial in trials:
        low, high = trial.interval
        problem = trial.problem
        rows.append(
            {
                "d": problem.d,
                "samples": problem.samples,
                "noise": problem.noise,
                "correlation": problem.correlation,
                "horizon": trial.horizon,
                "method": trial.method,
                "rebalanced": trial.is_rebalanced,
                "starts": trial.start.count,
                "successes": trial.successes,
                "predicted": trial.predicted,
                "success": trial.success,
                "low": low,
                "high": high,
                "theorem": theorem_success(problem.d, trial.restart),
            }
        )
    return rows

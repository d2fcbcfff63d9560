"""Gradient flow of many neurons as one system for scipy's solvers, with a taken from the conserved a^2 - |w|^2."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from winsome.errors import Diverged, WinsomeError
from winsome.theory.neurons import Array, Neurons

Gradient = Callable[[Neurons], Neurons]


@dataclass(frozen=True)
class Solver:
    """A method of `scipy.integrate.solve_ivp` and its tolerances.

    One adaptive step serves all neurons, and the solver bounds the root mean square of the errors over all of them: a single
    neuron among S may err by sqrt(S) times the tolerance, which the tests measure.
    """

    method: Literal["RK23", "RK45", "DOP853"]
    relative_tolerance: float
    absolute_tolerance: float


SMOOTH = Solver("DOP853", 1e-8, 1e-10)  # for the population
KINKED = Solver("RK23", 1e-3, 1e-4)  # for samples, whose gradient jumps where w.x_i changes sign


def flow(gradient: Gradient, start: Neurons, times: Sequence[float], solver: Solver = SMOOTH) -> tuple[Neurons, ...]:
    """The neurons at each of `times` (ascending, from 0 on) under gradient flow from `start`.

    Only w is integrated: a = sign(a) sqrt(|w|^2 + a(0)^2 - |w(0)|^2). So a keeps its sign for all time, as it does in the
    exact flow; integrated beside w, rounding lets a and w leave the saddle at (0, 0).

    Raises:
        WinsomeError: a start has a^2 < |w|^2 (its a may change sign), or times do not ascend from 0.
        Diverged: the solver gave up.
    """
    from scipy.integrate import solve_ivp  # here, for it takes a second to import

    check_times(times)
    imbalance_S, sign_S = conserved_imbalance(start), np.sign(start.a_S)

    def neurons(flat: Array) -> Neurons:
        w_SD = flat.reshape(start.w_SD.shape)
        return Neurons(sign_S * np.sqrt(np.square(w_SD).sum(axis=1) + imbalance_S), w_SD)

    def velocity(_: float, flat: Array) -> Array:
        return -gradient(neurons(flat)).w_SD.ravel()

    solution = solve_ivp(
        velocity,
        (0.0, times[-1]),
        start.w_SD.ravel(),
        method=solver.method,
        t_eval=times,
        rtol=solver.relative_tolerance,
        atol=solver.absolute_tolerance,
    )
    if not solution.success:
        raise Diverged(f"the solver {solver.method} gave up before time {times[-1]:g}: {solution.message}")
    return tuple(neurons(flat) for flat in solution.y.T)


def conserved_imbalance(start: Neurons) -> Array:
    """a^2 - |w|^2 of neurons whose a cannot change sign, with rounding below 0 removed.

    Raises:
        WinsomeError: a start has a^2 < |w|^2.
    """
    imbalance_S = start.imbalance_S
    if (imbalance_S < -1e-12 * np.square(start.a_S)).any():
        lowest = float(imbalance_S.min())
        raise WinsomeError(f"every start needs a^2 >= |w|^2, but one has a^2 - |w|^2 = {lowest:g}; raise |a| or rebalance")
    return np.maximum(imbalance_S, 0.0)


def check_times(times: Sequence[float]) -> None:
    """Refuse times that do not ascend from 0 on.

    Raises:
        WinsomeError: says which.
    """
    if not len(times) or times[0] < 0 or not np.isfinite(times[-1]) or times[-1] <= 0 or (np.diff(times) <= 0).any():
        raise WinsomeError(f"times must ascend from 0 on and end above 0, got {list(times)[:5]}")

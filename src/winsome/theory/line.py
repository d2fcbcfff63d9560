"""The neuron with one input left, solved exactly: no step size, no rounding of a sign, any horizon at no cost.

On either side of w = 0 the loss is (C u^2 / 2 - B u) in the product u = a w alone, with C = E[x^2; active] and
B = E[x label; active]. With the conserved c = a^2 - w^2 >= 0 the flow is u' = (B - C u) sqrt(c^2 + 4 u^2):

    c = 0   u(t) = u0 / (e^(-2 B t) + C u0 (1 - e^(-2 B t)) / B)         for u0 > 0; the mirror image for u0 < 0
    c > 0   y = e^asinh(2 u / c) obeys the Riccati equation y' = 2 B y - (C c / 2) (y^2 - 1), of constant coefficients

At c = 0 neither a nor w ever reaches 0. At c > 0 w crosses 0 if B on its side drives it there, once, at a time known in
closed form. (For B = C and B = 0 the first line is the solution in arXiv:2402.19262, theorem 2.1.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from winsome.theory.flow import check_times, conserved_imbalance
from winsome.theory.neurons import Array, Neurons
from winsome.theory.problem import Problem, Samples

_BALANCED = 1e-30  # an imbalance below this, against weights of order 1, is none


@dataclass(frozen=True)
class Side:
    """What one side of w = 0 feels of the data, per neuron: the samples with w x > 0."""

    curvature_S: Array  # C = E[x^2; active]
    pull_S: Array  # B = E[x label; active]


@dataclass(frozen=True)
class Line:
    """A problem seen along one input."""

    above: Side  # w > 0
    below: Side  # w < 0


def line_along(problem: Problem, kept_S: NDArray[np.intp], samples: Samples | None = None) -> Line:
    """The problem along input `kept_S` of each neuron: of the population, or of each start's own samples."""
    if samples is None:
        half_S = np.full(len(kept_S), 0.5)
        first = kept_S == 0
        # E[x_i relu(x_1); x_i > 0] = 1 / (2 pi) for i > 1: a wrong input still correlates with the target.
        pull_above_S = np.where(first, (1 + problem.tilt) / 2, 1 / (2 * np.pi))
        pull_below_S = np.where(first, problem.tilt / 2, -1 / (2 * np.pi))
        return Line(Side(half_S, pull_above_S), Side(half_S, pull_below_S))
    x_SN = np.take_along_axis(samples.x_SND, kept_S[:, None, None], axis=2)[:, :, 0]
    sides = []
    for active_SN in (x_SN > 0, x_SN < 0):
        seen_SN = np.where(active_SN, x_SN, 0.0)
        sides.append(Side(np.square(seen_SN).mean(axis=1), (seen_SN * samples.y_SN).mean(axis=1)))
    return Line(*sides)


def line_flow(line: Line, start: Neurons, kept_S: NDArray[np.intp], times: Sequence[float]) -> tuple[Neurons, ...]:
    """The exact gradient flow, at each of `times`, of neurons whose only inner weight is `kept_S`.

    A neuron at w = 0 goes where the data push it, and stays if they push from both sides.

    Raises:
        WinsomeError: a start has a^2 < w^2, or times do not ascend from 0.
    """
    check_times(times)
    rows = np.arange(start.count)
    imbalance_S = conserved_imbalance(start)
    sign_S = np.where(start.a_S < 0, -1.0, 1.0)
    product_S = np.abs(start.a_S) * start.w_SD[rows, kept_S]  # |a| w = sign(a) u, whose sign is w's
    states = []
    for time in times:
        moved_S = _moved(line, product_S, sign_S, imbalance_S, time)
        outer_S = np.sqrt((imbalance_S + np.hypot(imbalance_S, 2 * moved_S)) / 2)
        w_SD = np.zeros_like(start.w_SD)
        w_SD[rows, kept_S] = np.divide(moved_S, outer_S, out=np.zeros_like(moved_S), where=outer_S > 0)
        states.append(Neurons(sign_S * outer_S, w_SD))
    return tuple(states)


def _moved(line: Line, product_S: Array, sign_S: Array, imbalance_S: Array, time: float) -> Array:
    """|a| w after `time`: on the side where it starts, and across 0 if it gets there."""
    pull_above_S, pull_below_S = sign_S * line.above.pull_S, sign_S * line.below.pull_S
    # At exactly 0 each neuron starts on the side that it is pushed into.
    is_above_S = (product_S > 0) | ((product_S == 0) & (pull_above_S > 0))
    # The side below is the mirror image: what remains is a positive product, pushed outward by `pull`.
    pull_S = np.where(is_above_S, pull_above_S, -pull_below_S)
    curvature_S = np.where(is_above_S, line.above.curvature_S, line.below.curvature_S)
    far_pull_S = np.where(is_above_S, -pull_below_S, pull_above_S)
    far_curvature_S = np.where(is_above_S, line.below.curvature_S, line.above.curvature_S)
    size_S = np.abs(product_S)
    until_S = _time_to_zero(size_S, pull_S, curvature_S, imbalance_S)
    near_S = _outward(size_S, pull_S, curvature_S, imbalance_S, np.full_like(size_S, time))
    beyond_S = np.where(until_S < time, time - np.minimum(until_S, time), 0.0)
    far_S = _outward(np.zeros_like(size_S), np.maximum(far_pull_S, 0.0), far_curvature_S, imbalance_S, beyond_S)
    direction_S = np.where(is_above_S, 1.0, -1.0)
    return np.where(until_S < time, -direction_S * far_S, direction_S * near_S)


def _outward(size_S: Array, pull_S: Array, curvature_S: Array, imbalance_S: Array, time_S: Array) -> Array:
    """A product that starts at `size_S` >= 0 after `time_S` on its side, 0 where it has reached 0."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
        # Balanced: logistic growth. (1 - e^(-2 B t)) / B tends to 2 t where nothing pulls.
        gain_S = np.where(pull_S == 0, 2 * time_S, -np.expm1(-2 * pull_S * time_S) / pull_S)
        balanced_S = size_S / (np.exp(-2 * pull_S * time_S) + curvature_S * size_S * gain_S)
        rate_S, high_S, low_S = _roots(pull_S, curvature_S, imbalance_S)
        y_S = np.exp(np.arcsinh(2 * size_S / imbalance_S))
        decay_S = np.exp(-rate_S * time_S)
        y_S = low_S + (high_S - low_S) / ((high_S - low_S) / (y_S - low_S) * decay_S - np.expm1(-rate_S * time_S))
        unbalanced_S = imbalance_S * (y_S - 1 / y_S) / 4
    moved_S = np.maximum(np.where(imbalance_S <= _BALANCED, np.nan_to_num(balanced_S), unbalanced_S), 0.0)
    return np.where(curvature_S > 0, moved_S, size_S)  # a side without samples is flat


def _time_to_zero(size_S: Array, pull_S: Array, curvature_S: Array, imbalance_S: Array) -> Array:
    """When a product at `size_S` >= 0 reaches 0: infinite unless pulled inward and unbalanced."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
        rate_S, high_S, low_S = _roots(pull_S, curvature_S, imbalance_S)
        y_S = np.exp(np.arcsinh(2 * size_S / imbalance_S))
        time_S = np.log((y_S - high_S) / (y_S - low_S) * (1 - low_S) / (1 - high_S)) / rate_S
    return np.where((pull_S < 0) & (imbalance_S > _BALANCED), time_S, np.inf)


def _roots(pull_S: Array, curvature_S: Array, imbalance_S: Array) -> tuple[Array, Array, Array]:
    """The Riccati equation's rate, and its fixed points: the attracting one above 0, the repelling one below."""
    stiff_S = curvature_S * imbalance_S
    rate_S = np.hypot(2 * pull_S, stiff_S)
    # The form without cancellation for either sign of the pull; the roots' product is -1.
    high_S = np.where(pull_S >= 0, (rate_S + 2 * pull_S) / stiff_S, stiff_S / (rate_S - 2 * pull_S))
    return rate_S, high_S, -1 / high_S

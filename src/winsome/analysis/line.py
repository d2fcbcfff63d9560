"""The straight line between two points of parameter space, and how far error or loss rises above what its ends explain."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from winsome.errors import WinsomeError
from winsome.shapes import differences, shapes_of
from winsome.state import State

BaseLine = Callable[[float, float, float], float]  # (value at 0, value at 1, alpha) -> what no barrier would read at alpha
Measure = Callable[[State], tuple[float, float]]  # error in [0, 1] and mean loss of a network's state


def straight(first: float, last: float, alpha: float) -> float:
    """The straight line between the two ends: unequal ends alone are no barrier."""
    # From the nearer end, so that both ends and a level line are met exactly.
    return first + alpha * (last - first) if alpha < 0.5 else last - (1 - alpha) * (last - first)


def mean(first: float, last: float, alpha: float) -> float:
    """The mean of the two ends, as in the code of arXiv:2504.05357: ends that differ by d read as a barrier of d / 2."""
    del alpha
    return (first + last) / 2


@dataclass(frozen=True)
class Barrier:
    """How high a curve rises above its base line, and where. Never below 0: the ends are points of the curve."""

    height: float  # in the unit of the curve
    alpha: float


@dataclass(frozen=True)
class Profile:
    """What was measured along a line."""

    alphas: tuple[float, ...]  # from 0 (the first end) to 1
    errors: tuple[float, ...]  # 1 - accuracy, in [0, 1]
    losses: tuple[float, ...]


def points(count: int = 11) -> tuple[float, ...]:
    """Evenly spaced positions from 0 to 1, both ends included; 11 as in the code of arXiv:2504.05357.

    Raises:
        WinsomeError: fewer than 3, which leave nothing between the ends.
    """
    if count < 3:
        raise WinsomeError(f"a line needs 3 or more points, its two ends among them, got {count}; 11 is usual")
    return tuple(index / (count - 1) for index in range(count))


def interpolate(a: State, b: State, alpha: float) -> State:
    """The point (1 - alpha) a + alpha b: every floating-point tensor, parameters and buffers of all layers alike.

    Exact at both ends and between a point and itself. Integer tensors (BatchNorm's `num_batches_tracked`) have no point
    between: the first end's are taken. Tensors that are tied stay equal, for both ends hold them twice.

    Raises:
        WinsomeError: the two have not the same names and shapes.
    """
    refuse_other_tensors(a, b)
    return {
        name: torch.lerp(value, b[name].to(value.dtype), alpha) if value.is_floating_point() else value.clone()
        for name, value in a.items()
    }


def refuse_other_tensors(a: State, b: State) -> None:
    """Raise WinsomeError where two states are not of one architecture: the differences are named.

    Raises:
        WinsomeError: names or shapes differ.
    """
    if different := differences(shapes_of(a), shapes_of(b), "the first", "the second"):
        raise WinsomeError(f"no line between networks of different shapes: {different}; give two of one architecture")


def profile(a: State, b: State, measure: Measure, *, alphas: Sequence[float] = points()) -> Profile:
    """Error and loss along the line from `a` to `b`, point by point, by any function that judges a state."""
    measured = [measure(interpolate(a, b, alpha)) for alpha in alphas]
    return Profile(tuple(alphas), tuple(error for error, _ in measured), tuple(loss for _, loss in measured))


def barrier(values: Sequence[float], alphas: Sequence[float], base_line: BaseLine = straight) -> Barrier:
    """The greatest rise of a curve above its base line (arXiv:2504.05357; `straight` instead of its `mean` by default).

    The maximum over noisy points is biased upwards: compare it with that of lines known to have none.

    Args:
        values: errors or losses at `alphas`; the first and last are the ends.
        alphas: positions on the line, in [0, 1].
        base_line: `straight` or `mean`.

    Raises:
        WinsomeError: values and positions are not equally many, or no ends are among them.
    """
    if len(values) != len(alphas) or len(values) < 2:
        raise WinsomeError(f"a barrier needs a value for each of 2 or more positions, got {len(values)} for {len(alphas)}")
    rises = [value - base_line(values[0], values[-1], alpha) for value, alpha in zip(values, alphas, strict=True)]
    if any(math.isnan(rise) for rise in rises):
        return Barrier(math.nan, math.nan)
    highest = max(range(len(rises)), key=rises.__getitem__)
    return Barrier(rises[highest], alphas[highest])


BASE_LINES: dict[str, BaseLine] = {f.__name__: f for f in (straight, mean)}

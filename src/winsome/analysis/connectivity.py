"""Linear mode connectivity: error and loss of the networks on the straight line between two trained ones."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from winsome.analysis.line import Profile, interpolate, points, refuse_other_tensors
from winsome.data.images import ImageData
from winsome.errors import WinsomeError
from winsome.shapes import differences, shapes_of
from winsome.stacking import stack
from winsome.state import State
from winsome.training.evaluation import evaluate, re_estimate_statistics
from winsome.training.precision import FP32, Precision

# Test images judged at once: few enough that activations stay in a CPU core's cache, many where launches cost more.
_BATCH_ON_CPU, _BATCH = 50, 500


@dataclass(frozen=True)
class Statistics:
    """From which training images BatchNorm statistics are re-estimated, at every point of a line, its ends included.

    Raises:
        WinsomeError: batches of fewer than 2 images, or no images at all.
    """

    images: int | None = 1000  # None: the whole train split; rounded down to full batches
    batch_size: int = 250
    augment: bool = True

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.images is not None and self.images < 1:
            raise WinsomeError(f"BatchNorm statistics need 1 or more images, got {self.images}; none at all: --statistics none")
        if self.batch_size < 2:
            raise WinsomeError(f"BatchNorm statistics need batches of 2 or more images, got {self.batch_size}")

    def sentence(self, train_images: int) -> str:
        """For the log: how many of a train split of this size are taken."""
        wanted = train_images if self.images is None else min(self.images, train_images)
        batch_size = min(self.batch_size, wanted)
        taken = wanted // batch_size * batch_size
        how = "augmented" if self.augment else "not augmented"
        return f"re-estimated from {taken:,} training images, {how}, batches of {batch_size}"


def one_epoch(batch_size: int = 128) -> Statistics:
    """One epoch of augmented training images, as in the code of arXiv:2504.05357.

    That code takes what BatchNorm's moving average (momentum 0.1) holds at the end, which is mostly the last ten batches;
    here every batch weighs the same.
    """
    return Statistics(None, batch_size, augment=True)


def network_profile(
    a: State,
    b: State,
    network: nn.Module,
    data: ImageData,
    *,
    alphas: Sequence[float] = points(),
    statistics: Statistics | None = Statistics(),
    precision: Precision = FP32,
    stacked: bool = False,
    on_point: Callable[[int], None] = lambda _: None,
) -> Profile:
    """Test error and loss along the line from state `a` to state `b`.

    Everything is interpolated, see `interpolate`: running statistics too, which matters with `statistics` None only.

    Args:
        a: state_dict of the first end; masked as it should be judged.
        b: of the other end.
        network: any network of that architecture; it is not changed.
        data: on the device on which to compute.
        alphas: positions on the line.
        statistics: from which images BatchNorm statistics are re-estimated at every point; None takes the interpolated ones.
        precision: fp32 by default: bf16's rounding is noise of the size of a small barrier.
        stacked: judge all points at once as a stack of linear networks; see `winsome.stacking` for which networks can.
        on_point: told how many points are done.

    Raises:
        WinsomeError: the states are not of one architecture, not of the network's, or not finite.
    """
    judged = copy.deepcopy(network).to(data.train.labels.device)
    for which, state in (("first", a), ("second", b)):
        refuse_other_network(which, state, judged)
    refuse_other_tensors(a, b)
    line = [interpolate(a, b, alpha) for alpha in alphas]
    groups = [line] if stacked else [[state] for state in line]
    if precision.channels_last:
        judged = judged.to(memory_format=torch.channels_last)
    if stacked:
        judged = stack([judged] * len(line))
    errors: list[float] = []
    losses: list[float] = []
    for group in groups:
        judged.load_state_dict(_stacked_state(group) if stacked else group[0])
        error, loss = _judge(judged, data, statistics, precision, members=len(group) if stacked else None)
        errors += error.tolist()
        losses += loss.tolist()
        on_point(len(errors))
    return Profile(tuple(alphas), tuple(errors), tuple(losses))


def _judge(
    network: nn.Module, data: ImageData, statistics: Statistics | None, precision: Precision, *, members: int | None
) -> tuple[Tensor, Tensor]:
    """Error and loss of every member, after the statistics were re-estimated in place."""
    if statistics is not None:
        re_estimate_statistics(
            network,
            data,
            members=members,
            images=statistics.images,
            batch_size=statistics.batch_size,
            augment=statistics.augment,
            precision=precision,
        )
    small = members is None and data.test.labels.device.type == "cpu"
    batch_size = _BATCH_ON_CPU if small else _BATCH
    accuracy, loss = evaluate(network, data, members=members, batch_size=batch_size, precision=precision)
    return 1 - accuracy, loss


def _stacked_state(states: Sequence[State]) -> State:
    return {name: torch.stack([state[name] for state in states]) for name in states[0]}


def refuse_other_network(which: str, state: State, network: nn.Module) -> None:
    """Raise WinsomeError where a state is not of the network's architecture, or not finite; `which` is what it is called.

    Raises:
        WinsomeError: names or shapes differ, or a value is NaN or infinite.
    """
    if different := differences(shapes_of(state), shapes_of(network.state_dict()), f"the {which} state", "the network"):
        raise WinsomeError(f"the {which} state does not fit the network: {different}; name the network that it is of")
    for name, value in state.items():
        if not bool(torch.isfinite(value).all()):
            raise WinsomeError(f"{name} of the {which} state holds NaN or infinite values: its training diverged")

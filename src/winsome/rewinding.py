"""From where a level restarts: which values of the early and of the trained network it takes, and at which step."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from winsome.errors import WinsomeError

State = dict[str, Tensor]  # a plain state_dict on the CPU


class Rewind(Protocol):
    """What restarts a level: a frozen dataclass, called with two states, that gives a third."""

    @property
    def step(self) -> int:
        """The step of level 0 at which the early state is taken."""
        ...

    def __call__(self, early: State, trained: State, norm_names: Collection[str]) -> tuple[State, int]:
        """The state a level starts from, and the step of the schedule at which it starts.

        Args:
            early: level 0 as it was before its training step `step`.
            trained: the network at the end of the last level.
            norm_names: names of all parameters and buffers of normalisation layers.
        """
        ...


def _check_step(step: int) -> None:
    if step < 0:
        raise WinsomeError(f"a network is rewound to step 0 or later, got {step}")


@dataclass(frozen=True)
class RewindTo:
    """Everything goes back to its value before training step `step`; the schedule goes on from there.

    Step 0 is iterative magnitude pruning with rewinding to initialisation (arXiv:1803.03635), a later step is weight rewinding
    (arXiv:1912.05671; arXiv:2402.19262 takes the end of the warm-up).
    """

    step: int = 0

    def __post_init__(self) -> None:
        _check_step(self.step)

    def __call__(self, early: State, trained: State, norm_names: Collection[str]) -> tuple[State, int]:
        """Everything as in the early state."""
        del trained, norm_names
        return dict(early), self.step


@dataclass(frozen=True)
class KeepWeights:
    """Weights stay as trained, only the learning-rate schedule restarts (arXiv:2003.02389)."""

    step: int = 0

    def __call__(self, early: State, trained: State, norm_names: Collection[str]) -> tuple[State, int]:
        """Everything as trained."""
        del early, norm_names
        return dict(trained), 0


@dataclass(frozen=True)
class KeepWeightsRewindNorms:
    """Weights stay as trained; normalisation parameters and running statistics go back to `step` (arXiv:2402.19262)."""

    step: int = 0

    def __post_init__(self) -> None:
        _check_step(self.step)

    def __call__(self, early: State, trained: State, norm_names: Collection[str]) -> tuple[State, int]:
        """The trained state with the early normalisation."""
        return {name: early[name] if name in norm_names else value for name, value in trained.items()}, 0

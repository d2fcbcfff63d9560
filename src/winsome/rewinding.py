"""From where a level restarts: which values of the early and of the trained network it takes, and at which step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from winsome.about import described
from winsome.errors import WinsomeError
from winsome.psi import Which, hashable
from winsome.state import State


@dataclass(frozen=True, eq=False)
class Restart:
    """What a rewind may look at beside the two states.

    Attributes:
        norm_names: names of all parameters and buffers of normalisation layers.
        kept: which prunable weights the level keeps (bool), by name.
        random: a stream of this level's own.
    """

    norm_names: frozenset[str]
    kept: Mapping[str, Tensor]
    random: torch.Generator


class Rewind(Protocol):
    """What restarts a level: a frozen dataclass, called with two states, that gives a third."""

    @property
    def step(self) -> int:
        """The step of level 0 at which the early state is taken."""
        ...

    def __call__(self, early: State, trained: State, restart: Restart) -> tuple[State, int]:
        """The state a level starts from, and the step of the schedule at which it starts.

        Args:
            early: level 0 as it was before its training step `step`.
            trained: the network at the end of the last level.
            restart: what else there is to know.
        """
        ...


@dataclass(frozen=True)
class _BackToStep:
    """What the rewinds share that take something of the early network."""

    step: int = 0

    def __post_init__(self) -> None:
        if self.step < 0:
            raise WinsomeError(f"a network is rewound to step 0 or later, got {self.step}")


@dataclass(frozen=True, repr=False)
class _OfNorms(_BackToStep):
    """What the rewinds share that treat normalisation otherwise than weights."""

    norms: Which = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "norms", hashable(self.norms))

    def __repr__(self) -> str:  # a search's folder knows it by this
        choice = "" if self.norms is None else f", norms={self.norms!r}"
        return f"{type(self).__name__}(step={self.step}{choice})"


@described(
    "rewinding",
    "All weights go back to their values before an early training step; the learning-rate schedule goes on from there.",
    citations=("frankle2019lottery",),
    example={"step": 2},
)
@dataclass(frozen=True)
class RewindTo(_BackToStep):
    """Everything goes back to its value before training step `step`; the schedule goes on from there.

    Step 0 is iterative magnitude pruning with rewinding to initialisation (arXiv:1803.03635), a later step is weight rewinding
    (arXiv:1912.05671; arXiv:2402.19262 takes the end of the warm-up).

    Example:
        >>> from winsome import Method, RewindTo, geometric
        >>> Method(geometric(15), RewindTo(500)).rewind.step
        500
    """

    def __call__(self, early: State, trained: State, restart: Restart) -> tuple[State, int]:
        """Everything as in the early state."""
        del trained, restart
        return dict(early), self.step


@described(
    "rewinding, schedule anew",
    "All weights go back to their values before an early training step; the learning-rate schedule starts anew.",
    citations=("frankle2019lottery", "gadhikar2024masks"),
    example={"step": 2},
)
@dataclass(frozen=True)
class RewindAndRestart(_BackToStep):
    """Everything goes back to its value before training step `step`; every level has the whole schedule (arXiv:2402.19262).

    The IMP of that paper's code: it goes back to the end of a warm-up before level 0, and warms up again at every level.
    """

    def __call__(self, early: State, trained: State, restart: Restart) -> tuple[State, int]:
        """Everything as in the early state, from step 0 on."""
        del trained, restart
        return dict(early), 0


@described("LRR", "Weights stay as trained, the learning-rate schedule restarts.", citations=("renda2020comparing",))
@dataclass(frozen=True)
class KeepWeights:
    """Weights stay as trained, only the learning-rate schedule restarts (arXiv:2003.02389).

    Raises:
        WinsomeError: a step that is not 0: nothing would look at it.

    Example:
        >>> from winsome import KeepWeights, Method, geometric
        >>> Method(geometric(15), KeepWeights()).rewind
        KeepWeights(step=0)
    """

    step: int = 0

    def __post_init__(self) -> None:
        if self.step:
            raise WinsomeError(f"KeepWeights goes back to no step; leave the step {self.step!r} out, or name another rewind")

    def __call__(self, early: State, trained: State, restart: Restart) -> tuple[State, int]:
        """Everything as trained."""
        del early, restart
        return dict(trained), 0


@described(
    "LRR, norms rewound",
    "Weights stay as trained, normalisation goes back to an early step.",
    citations=("renda2020comparing", "gadhikar2024masks"),
    example={"step": 2},
    needs=("norms",),
)
@dataclass(frozen=True, repr=False)
class KeepWeightsRewindNorms(_OfNorms):
    """Weights stay as trained; normalisation parameters and running statistics go back to `step` (arXiv:2402.19262).

    Which these are, where it is not all norms that are found, `norms` says to the search: by name, glob or predicate.

    Example:
        >>> from winsome import KeepWeightsRewindNorms, Method, geometric
        >>> Method(geometric(15), KeepWeightsRewindNorms(500)).rewind.step
        500
    """

    def __call__(self, early: State, trained: State, restart: Restart) -> tuple[State, int]:
        """The trained state with the early normalisation."""
        return {name: early[name] if name in restart.norm_names else value for name, value in trained.items()}, 0


@described(
    "weights rewound, norms kept",
    "All weights go back to an early step, normalisation stays as trained; the schedule starts anew.",
    citations=("gadhikar2024masks",),
    example={"step": 2},
)
@dataclass(frozen=True, repr=False)
class RewindWeightsKeepNorms(_OfNorms):
    """Weights go back to `step`; normalisation parameters and running statistics stay as trained (arXiv:2402.19262's code).

    Which these are, where it is not all norms that are found, `norms` says to the search: by name, glob or predicate.
    """

    def __call__(self, early: State, trained: State, restart: Restart) -> tuple[State, int]:
        """The early state with the trained normalisation."""
        return {name: trained[name] if name in restart.norm_names else value for name, value in early.items()}, 0


@described(
    "trained signs",
    "Prunable weights keep their trained signs, magnitudes and everything else go back to an early step.",
    citations=("gadhikar2024masks", "zhou2019deconstructing"),
    example={"step": 2},
)
@dataclass(frozen=True)
class KeepSigns(_BackToStep):
    """Sign transplant (i): magnitudes and everything else go back to `step`, prunable weights keep their trained signs.

    Of arXiv:2402.19262's sign transplants; the schedule starts anew. A weight that is exactly 0 counts as positive.
    """

    def __call__(self, early: State, trained: State, restart: Restart) -> tuple[State, int]:
        """|early| * sign(trained) on prunable weights, early elsewhere."""
        return {name: _signed(value, trained[name]) if name in restart.kept else value for name, value in early.items()}, 0


@described(
    "early signs",
    "Prunable weights take their signs of an early step, magnitudes and everything else stay as trained.",
    citations=("gadhikar2024masks", "zhou2019deconstructing"),
    example={"step": 2},
)
@dataclass(frozen=True)
class RewindSigns(_BackToStep):
    """Sign transplant (ii): magnitudes and everything else stay as trained, prunable weights take their signs of `step`."""

    def __call__(self, early: State, trained: State, restart: Restart) -> tuple[State, int]:
        """|trained| * sign(early) on prunable weights, trained elsewhere."""
        return {name: _signed(value, early[name]) if name in restart.kept else value for name, value in trained.items()}, 0


@described(
    "shuffled magnitudes",
    "Magnitudes of a layer's kept weights change places at random, signs stay where they are.",
    citations=("gadhikar2024masks", "frankle2020early"),
)
@dataclass(frozen=True)
class ShuffleMagnitudes:
    """Sign transplant (iii): the magnitudes of a layer's kept weights change places at random, signs stay where they are."""

    step: int = 0

    def __call__(self, early: State, trained: State, restart: Restart) -> tuple[State, int]:
        """Everything as trained but for the places of magnitudes."""
        del early
        state = dict(trained)
        for name, kept in restart.kept.items():
            weight = trained[name].clone()
            alive = weight[kept]
            order = torch.randperm(len(alive), generator=restart.random, device=restart.random.device)
            weight[kept] = _signed(alive[order], alive)
            state[name] = weight
        return state, 0


@described(
    "trained signs, shuffled early magnitudes",
    "Early magnitudes change places within their layer, prunable weights keep their trained signs, everything else goes back.",
    citations=("gadhikar2024masks", "frankle2020early"),
    example={"step": 2},
)
@dataclass(frozen=True)
class ShuffleEarlyMagnitudes(_BackToStep):
    """Magnitudes of `step`, shuffled within each layer, under the trained signs (arXiv:2402.19262's code).

    All magnitudes of a layer are shuffled, those of pruned weights too, so that kept weights get a random choice of them.
    Everything else goes back to `step`; the schedule starts anew.
    """

    def __call__(self, early: State, trained: State, restart: Restart) -> tuple[State, int]:
        """shuffled |early| * sign(trained) on prunable weights, early elsewhere."""
        state = dict(early)
        for name in restart.kept:
            order = torch.randperm(early[name].numel(), generator=restart.random, device=restart.random.device)
            state[name] = _signed(early[name].flatten()[order].view(early[name].shape), trained[name])
        return state, 0


def _signed(magnitudes: Tensor, signs: Tensor) -> Tensor:
    magnitudes = magnitudes.abs()
    return torch.where(signs < 0, -magnitudes, magnitudes)


REWINDS: dict[str, type[Rewind]] = {
    kind.__name__: kind
    for kind in (
        RewindTo,
        RewindAndRestart,
        KeepWeights,
        KeepWeightsRewindNorms,
        RewindWeightsKeepNorms,
        KeepSigns,
        RewindSigns,
        ShuffleMagnitudes,
        ShuffleEarlyMagnitudes,
    )
}

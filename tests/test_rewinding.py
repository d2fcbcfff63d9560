"""Which values a level restarts with, name by name."""

from __future__ import annotations

import pytest
import torch

from winsome import KeepWeights, KeepWeightsRewindNorms, RewindTo, WinsomeError

EARLY = {"w": torch.tensor([1.0]), "bn.weight": torch.tensor([2.0]), "bn.running_mean": torch.tensor([3.0])}
TRAINED = {"w": torch.tensor([10.0]), "bn.weight": torch.tensor([20.0]), "bn.running_mean": torch.tensor([30.0])}
NORMS = {"bn.weight", "bn.running_mean"}


@pytest.mark.parametrize(
    ("rewind", "values", "first_step"),
    [
        (RewindTo(), [1, 2, 3], 0),
        (RewindTo(7), [1, 2, 3], 7),
        (KeepWeights(), [10, 20, 30], 0),
        (KeepWeightsRewindNorms(), [10, 2, 3], 0),
        (KeepWeightsRewindNorms(7), [10, 2, 3], 0),
    ],
)
def test_where_a_level_restarts(
    rewind: RewindTo | KeepWeights | KeepWeightsRewindNorms, values: list[float], first_step: int
) -> None:
    early, trained = dict(EARLY), dict(TRAINED)
    state, step = rewind(early, trained, NORMS)
    assert list(state) == list(EARLY)
    assert [float(value) for value in state.values()] == values
    assert step == first_step
    state.clear()
    assert (early, trained) == (EARLY, TRAINED), "its arguments stay as they are"


@pytest.mark.parametrize("rewind", [RewindTo, KeepWeightsRewindNorms])
def test_a_step_before_the_first_is_refused(rewind: type[RewindTo] | type[KeepWeightsRewindNorms]) -> None:
    with pytest.raises(WinsomeError, match="step 0 or later, got -1"):
        rewind(-1)

"""Which values a level restarts with, name by name."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from contract import check_rewind
from winsome import KeepWeights, KeepWeightsRewindNorms, RewindTo, WinsomeError
from winsome.rewinding import (
    REWINDS,
    KeepSigns,
    Restart,
    Rewind,
    RewindAndRestart,
    RewindSigns,
    RewindWeightsKeepNorms,
    ShuffleEarlyMagnitudes,
    ShuffleMagnitudes,
)

EARLY = {"w": torch.tensor([1.0]), "bn.weight": torch.tensor([2.0]), "bn.running_mean": torch.tensor([3.0])}
TRAINED = {"w": torch.tensor([10.0]), "bn.weight": torch.tensor([20.0]), "bn.running_mean": torch.tensor([30.0])}
NORMS = {"bn.weight", "bn.running_mean"}


@pytest.mark.parametrize(
    ("rewind", "values", "first_step"),
    [
        (RewindTo(), [1, 2, 3], 0),
        (RewindTo(7), [1, 2, 3], 7),
        (RewindAndRestart(7), [1, 2, 3], 0),
        (RewindWeightsKeepNorms(7), [1, 20, 30], 0),
        (KeepWeights(), [10, 20, 30], 0),
        (KeepWeightsRewindNorms(), [10, 2, 3], 0),
        (KeepWeightsRewindNorms(7), [10, 2, 3], 0),
    ],
)
def test_where_a_level_restarts(rewind: Rewind, values: list[float], first_step: int) -> None:
    early, trained = dict(EARLY), dict(TRAINED)
    state, step = rewind(early, trained, Restart(frozenset(NORMS), {}, torch.Generator()))
    assert list(state) == list(EARLY)
    assert [float(value) for value in state.values()] == values
    assert step == first_step
    state.clear()
    assert (early, trained) == (EARLY, TRAINED), "its arguments stay as they are"


@pytest.mark.parametrize(
    "rewind", [RewindTo, RewindAndRestart, KeepWeightsRewindNorms, RewindWeightsKeepNorms, ShuffleEarlyMagnitudes]
)
def test_a_step_before_the_first_is_refused(rewind: Callable[[int], Rewind]) -> None:
    with pytest.raises(WinsomeError, match="step 0 or later, got -1"):
        rewind(-1)


def test_sign_transplants_by_brute_force() -> None:
    """(i) to (iii) of arXiv:2402.19262, weight by weight; what is not prunable goes with the magnitudes."""
    draw = torch.Generator().manual_seed(0)
    early = {"w": torch.randn(6, 5, generator=draw), "bn.weight": torch.randn(5, generator=draw)}
    trained = {name: torch.randn(value.shape, generator=draw) for name, value in early.items()}
    kept = {"w": torch.rand(6, 5, generator=draw) < 0.6}
    early["w"][0, 0], trained["w"][0, 1] = 0.0, 0.0
    restart = Restart(frozenset({"bn.weight"}), kept, torch.Generator().manual_seed(1))
    for rewind, magnitudes, signs in ((KeepSigns(), early, trained), (RewindSigns(), trained, early)):
        state, step = rewind(early, trained, restart)
        assert step == 0
        assert torch.equal(state["bn.weight"], magnitudes["bn.weight"])
        for place in torch.cartesian_prod(torch.arange(6), torch.arange(5)).tolist():
            sign = -1 if signs["w"][tuple(place)] < 0 else 1
            assert float(state["w"][tuple(place)]) == sign * abs(float(magnitudes["w"][tuple(place)]))
    state, _ = ShuffleMagnitudes()(early, trained, restart)
    shuffled, before = state["w"], trained["w"]
    assert torch.equal(shuffled[~kept["w"]], before[~kept["w"]])
    assert torch.equal(shuffled < 0, before < 0), "signs stay in place"
    assert sorted(shuffled[kept["w"]].abs().tolist()) == sorted(before[kept["w"]].abs().tolist())
    assert not torch.equal(shuffled, before)
    assert torch.equal(trained["w"], before)


def test_shuffled_early_magnitudes_have_the_trained_signs() -> None:
    """Every magnitude of the early layer is there once, pruned places included; a weight that is exactly 0 is positive."""
    draw = torch.Generator().manual_seed(0)
    early = {"w": torch.randn(6, 5, generator=draw), "bias": torch.randn(5, generator=draw)}
    trained = {name: torch.randn(value.shape, generator=draw) for name, value in early.items()}
    kept = {"w": torch.rand(6, 5, generator=draw) < 0.6}
    trained["w"][~kept["w"]] = 0.0
    restart = Restart(frozenset(), kept, torch.Generator().manual_seed(1))
    state, step = ShuffleEarlyMagnitudes()(early, trained, restart)
    assert step == 0
    assert torch.equal(state["bias"], early["bias"])
    assert torch.equal(state["w"] < 0, trained["w"] < 0)
    assert sorted(state["w"].abs().flatten().tolist()) == sorted(early["w"].abs().flatten().tolist())
    assert not torch.equal(state["w"].abs(), early["w"].abs())


@pytest.mark.parametrize("name", REWINDS)
def test_every_rewind_keeps_the_contract(name: str) -> None:
    check_rewind(REWINDS[name])

"""Which parameters are normalisation, said once to a search: parts that ask for it are told; where none does, that is said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import winsome
from contract import network, train
from winsome import KeepWeights, KeepWeightsRewindNorms, Level, Method
from winsome.mask_swap import same_signs
from winsome.methods import rewind_norms
from winsome.norm_choice import asks_for_norms, norms_of, with_norms
from winsome.psi import Which
from winsome.rewinding import RewindWeightsKeepNorms
from winsome.while_training import AllOf, OnLevels, plain


@dataclass(frozen=True)
class Mine:
    """A rewind of one's own that asks for the choice: normalisation goes back, all else stays."""

    step: int = 0
    norms: Which = None

    def __call__(self, early: Any, trained: Any, restart: Any) -> Any:
        return {name: early[name] if name in restart.norm_names else value for name, value in trained.items()}, 0


def starts(method: Method, **options: Any) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """The network as given, at the end of level 0, and as level 1 starts."""
    begun: list[dict[str, Tensor]] = []

    def loop(model: nn.Module, level: Level) -> None:
        begun.append({name: value.clone() for name, value in model.state_dict().items()})
        train(model, level)

    ends = [level.state for level in winsome.find_tickets(network(), method, loop, **options)]
    return begun[0], ends[0], begun[1]


LRR = Method((1.0, 0.5), KeepWeights())
MASKS = [level.ticket.mask for level in winsome.find_tickets(network(), LRR, lambda *_: None)]


@pytest.mark.parametrize(
    ("method", "chosen_go_back"),
    [
        (Method((1.0, 0.5), KeepWeightsRewindNorms()), True),
        (Method((1.0, 0.5), RewindWeightsKeepNorms()), False),
        (Method((1.0, 0.5), Mine()), True),
        (rewind_norms(LRR), True),
        (same_signs(rewind_norms(LRR), MASKS), True),
    ],
)
@pytest.mark.parametrize("how", ["norms", "with_norms"])
def test_a_rewind_that_asks_is_told_which_norms(method: Method, chosen_go_back: bool, how: str) -> None:
    """Of two norms one is chosen: it alone goes the other way than the weights do, or back where they stay."""
    assert asks_for_norms(method)
    options = {"norms": ("1.*",)} if how == "norms" else {}
    early, trained, start = starts(method if options else with_norms(method, ("1.*",)), **options)
    for name in ("1.weight", "1.bias", "1.running_mean", "4.weight", "4.bias", "6.bias"):
        assert not torch.equal(early[name], trained[name]), "training moves it"
        goes_back = name.startswith("1.") == chosen_go_back
        assert torch.equal(start[name], (early if goes_back else trained)[name]), name


@pytest.mark.parametrize(
    ("asks", "method"),
    [
        (True, winsome.aws(1)),
        (True, Method((1.0, 0.5), while_training=AllOf((plain, OnLevels((1,), winsome.interpolated_norms))))),
        (False, winsome.imp(1)),
        (False, winsome.learning_rate_rewinding(1)),
        (False, same_signs(winsome.imp(1, 0.5), MASKS)),
        (False, winsome.aws(1, norms="*.bias")),
    ],
)
def test_where_no_part_asks_for_norms_a_choice_is_told_to_count_for_nothing(
    asks: bool, method: Method, caplog: pytest.LogCaptureFixture
) -> None:
    assert asks_for_norms(method) == asks
    list(winsome.find_tickets(network(), method, lambda *_: None, norms="*.weight"))
    assert any("`norms` does not count" in line for line in caplog.messages) != asks
    assert norms_of(with_norms(method, "1.weight")) == ("1.weight" if asks else norms_of(method))


@pytest.mark.parametrize("kind", [KeepWeightsRewindNorms, RewindWeightsKeepNorms])
def test_a_rewind_without_a_choice_is_known_as_ever(kind: type[KeepWeightsRewindNorms | RewindWeightsKeepNorms]) -> None:
    assert repr(kind(3)) == f"{kind.__name__}(step=3)"
    assert repr(kind(3, norms=["a", "b"])) == f"{kind.__name__}(step=3, norms=('a', 'b'))"
    assert hash(kind(3, norms=["a", "b"]))

"""The loop around an Accelerator in a search: accumulation, clipping, rewinding, going on after a kill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import winsome
from winsome.level import Level

accelerate = pytest.importorskip("accelerate", reason="needs winsome[accelerate]")

INPUTS = torch.randn(36, 6, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(36) % 3
AN_EPOCH = 5  # steps: 9 batches, two of them a step


class Loop:
    """What the loop is made of, with everything that it saw."""

    def __init__(self, dies_at: int = -1) -> None:
        self.seen: list[Tensor] = []
        self.rates: list[float] = []
        self.dies_at = dies_at

    def make_parts(self, model: nn.Module, _level: Level) -> tuple[Any, ...]:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, 1.0, total_iters=15)
        optimizer.register_step_pre_hook(lambda one, *_: self.rates.append(one.param_groups[0]["lr"]))
        return optimizer, DataLoader(TensorDataset(INPUTS, LABELS), batch_size=4, shuffle=True), scheduler

    def loss(self, model: nn.Module, batch: list[Tensor]) -> Tensor:
        self.seen.append(batch[0])
        if len(self.seen) == self.dies_at:
            raise RuntimeError("killed")
        return F.cross_entropy(model(batch[0]), batch[1])

    def search(self, method: winsome.Method, save_to: Path | None = None) -> list[Level]:
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(6, 12), nn.BatchNorm1d(12), nn.Dropout(0.2), nn.Linear(12, 8), nn.Linear(8, 3))
        train = winsome.with_accelerate(
            self.make_parts,
            self.loss,
            epochs=3,
            make_accelerator=lambda _level: accelerate.Accelerator(cpu=True, gradient_accumulation_steps=2),
            clip=0.5,
            evaluate=lambda model: {"loss": F.cross_entropy(model(INPUTS), LABELS)},
            save_every=3,
        )
        return list(winsome.find_tickets(net, method, train, save_to=save_to))


def test_rewinding_restarts_steps_schedule_and_data_at_step_k() -> None:
    loop = Loop()
    levels = loop.search(winsome.Method(winsome.geometric(1, 0.5), winsome.RewindTo(7)))
    assert loop.rates[15:] == loop.rates[7:15]
    assert loop.rates[7] == pytest.approx(0.1 * (0.1 + 0.9 * 7 / 15))
    assert len(loop.seen) == 27 + (27 - 9 - 4)  # the first epoch, and two steps of the second, are left out
    epochs = [torch.cat(loop.seen[start : start + 9]) for start in (0, 9, 18)]
    assert all(torch.equal(epoch.sort(0).values, INPUTS.sort(0).values) for epoch in epochs)
    assert not torch.equal(epochs[0], epochs[1])
    assert not torch.equal(epochs[2], torch.cat(loop.seen[-9:]))  # another level, another order
    assert set(levels[0].metrics) == {"loss"}


@pytest.mark.slow  # as under Lightning, which is run every time
def test_a_level_that_was_killed_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    whole = (first := Loop()).search(winsome.aws(1, rate=0.5), tmp_path / "whole")
    with pytest.raises(RuntimeError, match="killed"):
        Loop(45).search(winsome.aws(1, rate=0.5), tmp_path / "cut")
    levels = (again := Loop()).search(winsome.aws(1, rate=0.5), tmp_path / "cut")
    assert 54 - 45 < len(again.seen) <= 54 - 45 + 7
    assert all(torch.equal(one, other) for one, other in zip(first.seen[-len(again.seen) :], again.seen, strict=True))
    for one, other in zip(whole, levels, strict=True):
        assert one.ticket.mask == other.ticket.mask
        assert all(torch.equal(value, other.state[name]) for name, value in one.state.items())
        assert one.metrics == other.metrics

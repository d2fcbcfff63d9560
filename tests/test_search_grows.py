"""A finished search takes further levels: the same as if it had been asked for all of them at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import winsome
from winsome.files import read_json
from winsome.rewinding import RewindTo

METHODS: dict[str, Callable[[int], winsome.Method]] = {
    "imp": lambda levels: winsome.imp(levels, rate=0.4),
    "weight rewinding": lambda levels: winsome.weight_rewinding(levels, rate=0.4, step=3),
    "aws": lambda levels: winsome.aws(levels, rate=0.4),
    "random scores": lambda levels: replace(winsome.imp(levels, rate=0.4), score=winsome.random, rewind=RewindTo(2)),
}


def search(method: winsome.Method, folder: Path, trained: list[int] | None = None) -> list[winsome.Level]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 12), nn.ReLU(), nn.Linear(12, 3))

    def train(model: nn.Module, level: winsome.Level) -> None:
        if trained is not None:
            trained.append(level.number)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        for _ in level.steps(8):
            loss = F.cross_entropy(model(torch.randn(16, 6)), torch.randint(3, (16,)))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()

    return list(winsome.find_tickets(model, method, train, save_to=folder, seed=4))


@pytest.mark.parametrize("name", METHODS)
def test_further_levels_are_those_of_a_longer_search(name: str, tmp_path: Path) -> None:
    make, trained = METHODS[name], list[int]()
    search(make(1), tmp_path / "grown")
    grown = search(make(3), tmp_path / "grown", trained)
    assert trained == [2, 3]
    at_once = search(make(3), tmp_path / "at once")
    for one, other in zip(grown, at_once, strict=True):
        assert one.ticket.mask == other.ticket.mask
        assert one.state.keys() == other.state.keys()
        assert all(torch.equal(one.state[key], other.state[key]) for key in other.state)
    assert read_json(tmp_path / "grown" / "config.json") == read_json(tmp_path / "at once" / "config.json")


def test_fewer_levels_are_read_back_and_none_is_forgotten(tmp_path: Path) -> None:
    trained: list[int] = []
    for levels in (2, 1, 2):
        found = search(winsome.aws(levels, rate=0.4), tmp_path, trained)
        assert [level.number for level in found] == list(range(levels + 1))
    assert trained == [0, 1, 2]


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_a_search_of_other_densities_is_refused(levels: int, tmp_path: Path) -> None:
    search(winsome.aws(2, rate=0.4), tmp_path)
    before = read_json(tmp_path / "config.json")
    with pytest.raises(winsome.WinsomeError, match=r"method\.densities was \[1\.0, 0\.6, 0\.36\], is now \[1\.0, 0\.7"):
        search(winsome.aws(levels, rate=0.3), tmp_path)
    with pytest.raises(winsome.WinsomeError, match=r"method\.while_training"):
        search(winsome.learning_rate_rewinding(levels, rate=0.4), tmp_path)
    assert read_json(tmp_path / "config.json") == before

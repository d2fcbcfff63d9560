"""A level stopped between two steps goes on to the same bits: convolutions in the fast layout, and optimizers of the user's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook

import winsome
from winsome import models
from winsome.data import ImageData, load, subset
from winsome.errors import WinsomeError
from winsome.rewinding import State
from winsome.search import Search
from winsome.study.bench import Bench
from winsome.study.members import search_together
from winsome.training.precision import FP32, Precision
from winsome.training.settings import SGD, Adam, Constant, Training


class Stopped(Exception):
    pass


@contextmanager
def stopped_after(steps: int) -> Iterator[None]:
    """The block ends with `Stopped` after that many optimizer steps; 0 for never."""
    done: list[None] = []

    def count(*_args: Any) -> None:
        done.append(None)
        if len(done) == steps:
            raise Stopped

    handle = register_optimizer_step_post_hook(count)
    try:
        yield
    finally:
        handle.remove()


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return subset(load("digits"), train_images=192, test_images=50)


def found(folder: Path, digits: ImageData, optimizer: SGD | Adam, precision: Precision, *, stop_after: int = 0) -> State:
    """The last network of a search by the package's own loop: two levels of 18 steps, a checkpoint every 4."""
    network = models.build("small_conv", image_shape=(1, 8, 8), n_classes=10, seed=0)
    if precision.channels_last:
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    search = Search(network, winsome.aws(1, rate=0.4), save_to=folder, seed=3)
    levels: list[winsome.Level] = []
    with stopped_after(stop_after):
        search_together(
            [search],
            Bench(digits, precision, statistics_images=64),
            lambda _: Training(3, 32, optimizer, Constant()),
            last_level=1,
            on_fraction=lambda _: None,
            on_level=levels.append,
            save_every=4,
        )
    return levels[-1].state


@pytest.mark.parametrize("optimizer", [SGD(0.05), Adam(1e-3)], ids=["SGD", "Adam"])
@pytest.mark.parametrize("precision", [FP32, Precision(channels_last=True), Precision(bf16=True, channels_last=True)])
def test_convolutions_go_on_to_the_same_bits(
    tmp_path: Path, digits: ImageData, optimizer: SGD | Adam, precision: Precision
) -> None:
    whole = found(tmp_path / "whole", digits, optimizer, precision)
    for stop_after in (10, 30):  # in level 0 and in level 1, under a mask
        with pytest.raises(Stopped):
            found(tmp_path / f"{stop_after}", digits, optimizer, precision, stop_after=stop_after)
        resumed = found(tmp_path / f"{stop_after}", digits, optimizer, precision)
        assert_same_bits(whole, resumed)


OPTIMIZERS: dict[str, Callable[[Iterable[Tensor]], Optimizer]] = {
    "SGD": lambda parameters: torch.optim.SGD(parameters, lr=0.05, momentum=0.9),
    "AdamW, fused": lambda parameters: torch.optim.AdamW(parameters, lr=0.01, fused=True),
    "NAdam": lambda parameters: torch.optim.NAdam(parameters, lr=0.01),  # its products are float32 beside any parameter
    "Adafactor": lambda parameters: torch.optim.Adafactor(parameters, lr=0.01),
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_users_optimizer_goes_on_to_the_same_bits(tmp_path: Path, name: str, dtype: torch.dtype) -> None:
    def train(model: nn.Module, level: winsome.Level) -> None:
        optimizer = OPTIMIZERS[name](model.parameters())
        for _ in level.steps(9, optimizer=optimizer, save_every=2):
            optimizer.zero_grad()
            model(torch.randn(8, 6, dtype=dtype)).square().mean().backward()
            optimizer.step()

    def last(folder: str, *, stop_after: int = 0) -> State:
        torch.manual_seed(1)
        model = nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 3)).to(dtype)
        with stopped_after(stop_after):
            levels = list(winsome.find_tickets(model, winsome.aws(1), train, save_to=tmp_path / folder))
        return levels[-1].state

    whole = last("whole")
    with pytest.raises(Stopped):
        last("stopped", stop_after=14)
    assert (tmp_path / "stopped" / "checkpoint.safetensors").exists()
    assert_same_bits(whole, last("stopped"))


def test_an_optimizer_that_no_checkpoint_can_hold_is_named(tmp_path: Path) -> None:
    def train(model: nn.Module, level: winsome.Level) -> None:
        optimizer = torch.optim.LBFGS(model.parameters())

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss: Tensor = model(torch.ones(2, 4)).square().mean()
            loss.backward()  # type: ignore[no-untyped-call]
            return loss

        for _ in level.steps(4, optimizer=optimizer, save_every=2):
            optimizer.step(closure)  # type: ignore[arg-type]

    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    with pytest.raises(WinsomeError, match=r"the state of LBFGS cannot be kept in a checkpoint .*leave `optimizer` out"):
        list(winsome.find_tickets(model, winsome.imp(1), train, save_to=tmp_path))


def assert_same_bits(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert list(one) == list(other)
    assert [name for name, value in one.items() if not torch.equal(value, other[name])] == []

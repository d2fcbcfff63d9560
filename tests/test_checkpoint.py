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
from winsome.norms import interpolated_norms
from winsome.perturbation import fixed_signs
from winsome.search import Search
from winsome.state import State
from winsome.training.conditions import Conditions
from winsome.training.from_scratch import FreshStart, train_from_scratch
from winsome.training.precision import FP32, Precision
from winsome.training.searches import search_together
from winsome.training.settings import SGD, Adam, Constant, StepDecay, Training
from winsome.while_training import WhileTraining, plain


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
        network = network.to(memory_format=torch.channels_last)
    search = Search(network, winsome.aws(1, rate=0.4), save_to=folder, seed=3)
    levels: list[winsome.Level] = []
    with stopped_after(stop_after):
        search_together(
            [search],
            Conditions(digits, precision, statistics_images=64),
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


@pytest.mark.parametrize(
    ("precision", "while_training"),
    [(FP32, plain), (Precision(bf16=True, channels_last=True), plain), (FP32, interpolated_norms), (FP32, fixed_signs)],
)
def test_a_training_from_scratch_goes_on_with_its_curve(
    tmp_path: Path, digits: ImageData, precision: Precision, while_training: WhileTraining, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("winsome.training.from_scratch.SAVE_EVERY", 4)

    def trained(file: Path, *, stop_after: int = 0, seed: int = 0) -> tuple[State, Any]:
        network = models.build("small_conv", image_shape=(1, 8, 8), n_classes=10, seed=seed)
        if precision.channels_last:
            network = network.to(memory_format=torch.channels_last)
        weights = {name: network.get_parameter(name) for name in winsome.prunable(network)}
        mask = winsome.SignedMask.of(
            weights, {name: torch.arange(w.numel()).view(w.shape) % 3 > 0 for name, w in weights.items()}
        )
        with stopped_after(stop_after):
            (metrics,) = train_from_scratch(
                [FreshStart(network, mask, 5, "it", file)],
                Conditions(digits, precision, statistics_images=64),
                Training(4, 32, SGD(0.05), StepDecay()),
                while_training=while_training,
                curve_at=(1, 2, 3),
            )
        return network.state_dict(), metrics

    whole, metrics = trained(tmp_path / "whole")
    for stop_after in (10, 21):
        file = tmp_path / f"{stop_after}"
        with pytest.raises(Stopped):
            trained(file, stop_after=stop_after)
        resumed, of_resumed = trained(file, stop_after=24 - stop_after // 4 * 4 + 1)  # ends first: no step is done twice
        assert_same_bits(whole, resumed)
        assert of_resumed == metrics
        assert [epoch for epoch, _ in of_resumed["curve"]] == [1, 2, 3, 4]


def test_a_planting_that_was_killed_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from winsome.cli import main

    monkeypatch.setattr("winsome.training.from_scratch.SAVE_EVERY", 5)
    quick = ["--levels", "1", "--level-epochs", "1", "--warmup-epochs", "0", "--train-images", "256", "--test-images", "64"]
    main(["find", "digits", *quick, "--save-to", str(tmp_path / "found")])
    plant = ["plant", str(tmp_path / "found" / "level-01.ticket"), "--epochs", "6", "--save-to"]  # of 2 steps
    main([*plant, str(tmp_path / "whole")])
    with pytest.raises(Stopped), stopped_after(11):
        main([*plant, str(tmp_path / "killed")])
    assert (tmp_path / "killed" / "seed-0.checkpoint").exists()
    with stopped_after(3):  # two are left
        main([*plant, str(tmp_path / "killed")])
    files = [sorted(path.name for path in (tmp_path / name).iterdir()) for name in ("whole", "killed")]
    assert files[0] == files[1]
    assert "seed-0.checkpoint" not in files[0]
    for name in ("seed-0.json", "seed-0-trained.safetensors"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes()


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


def assert_same_bits(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert list(one) == list(other)
    assert [name for name, value in one.items() if not torch.equal(value, other[name])] == []

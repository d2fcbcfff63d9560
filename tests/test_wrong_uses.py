"""Slips in a user's own loop: each has a sentence that names it, before it costs a training."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import winsome
from winsome.divergence import LOOK_EVERY
from winsome.errors import Diverged, WinsomeError
from winsome.perturbation import SignFlips, fixed_signs
from winsome.rewinding import ShuffleMagnitudes
from winsome.scores import random as random_scores
from winsome.seeding import stream_seed
from winsome.ticket import Ticket
from winsome.transfer import absorb_norm_signs, norm_pairs, shuffled, signs_and_norms


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))


def train(model: nn.Module, level: winsome.Level) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in level.steps(3):
        optimizer.zero_grad()
        model(torch.randn(5, 4)).square().mean().backward()
        optimizer.step()


def never(*_: Any) -> None:
    pytest.fail("it trained")


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("aws", "the text 'aws' is none"),
        (winsome.aws, "'aws' is none"),
        (winsome.aws(1).densities, "'tuple' is none"),
    ],
)
def test_what_is_no_method(method: Any, said: str) -> None:
    with pytest.raises(WinsomeError, match=f"a search takes a method, for example winsome.aws.*{said}"):
        next(winsome.find_tickets(network(), method, never))


@pytest.mark.parametrize(("names", "said"), [([], "no name at all"), ("0.weight", "the text '0.weight'")])
def test_what_is_no_list_of_names(names: Any, said: str) -> None:
    with pytest.raises(WinsomeError, match=f"`prunable` is a list of parameter names.*got {said}"):
        next(winsome.find_tickets(network(), winsome.aws(1), never, prunable=names))


@pytest.mark.parametrize(("folder", "optimizer"), [(True, False), (False, True)])
def test_save_every_that_keeps_nothing(folder: bool, optimizer: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def careless(model: nn.Module, level: winsome.Level) -> None:
        stepper = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in level.steps(3, optimizer=stepper if optimizer else None, save_every=1):
            model(torch.ones(2, 4)).sum().backward()
            stepper.step()

    list(winsome.find_tickets(network(), winsome.imp(0), careless, save_to=tmp_path if folder else None))
    lacking = "save_to=" if optimizer else "optimizer="
    assert any("save_every=1 keeps nothing" in line and lacking in line for line in caplog.messages)


@pytest.mark.parametrize("forgotten", [True, False])
def test_a_loop_that_takes_no_step(forgotten: bool, caplog: pytest.LogCaptureFixture) -> None:
    def loop(model: nn.Module, level: winsome.Level) -> None:
        if not forgotten:
            train(model, level)

    list(winsome.find_tickets(network(), winsome.learning_rate_rewinding(1), loop))
    said = [line for line in caplog.messages if "changed no parameter" in line]
    assert said == [f"level {number}: the training loop changed no parameter" for number in range(2 * forgotten)]


def test_a_folder_of_another_initialisation_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = list(winsome.find_tickets(network(0), winsome.imp(0), train, save_to=tmp_path))
    list(winsome.find_tickets(network(0), winsome.imp(0), never, save_to=tmp_path))
    assert "own initial network" not in caplog.text
    for other in (network(1), network(0).to(torch.bfloat16)):
        caplog.clear()
        again = list(winsome.find_tickets(other, winsome.imp(0), never, save_to=tmp_path))
        assert "the folder's own initial network is taken: 0.weight of the model given differs" in caplog.text
        assert torch.equal(again[0].state["0.weight"], first[0].state["0.weight"])


# Networks that diverge.


@pytest.mark.parametrize("name", ["0.weight", "0.bias", "1.weight", "5.weight"])
def test_a_parameter_that_became_nan_ends_the_level_with_its_name_and_step(name: str) -> None:
    def diverging(model: nn.Module, level: winsome.Level) -> None:
        for step in level.steps(3 * LOOK_EVERY):
            if step == LOOK_EVERY + 5:
                with torch.no_grad():
                    model.get_parameter(name).view(-1)[-1] = float("nan")
            assert step < 2 * LOOK_EVERY, "it went on"

    with pytest.raises(Diverged, match=rf"level 0: '{name}' became NaN or infinite in training by step 200, after step 100"):
        next(winsome.find_tickets(network(), winsome.imp(1), diverging))


def test_a_loop_without_steps_that_diverged_is_named_too() -> None:
    def diverging(model: nn.Module, _level: winsome.Level) -> None:
        with torch.no_grad():
            model.get_buffer("1.running_var").fill_(float("inf"))

    with pytest.raises(Diverged, match=r"level 0: '1\.running_var' became NaN or infinite"):
        next(winsome.find_tickets(network(), winsome.imp(1), diverging))


def test_a_parameter_that_is_infinite_from_the_start_diverged_nowhere() -> None:
    model = network()
    model.register_parameter("mask", nn.Parameter(torch.full((2,), -torch.inf), requires_grad=False))
    list(winsome.find_tickets(model, winsome.imp(0), train))


# Seeds.


def test_seeds_of_levels_are_such_as_other_libraries_take() -> None:
    seen = []
    for level in winsome.find_tickets(network(), winsome.imp(3), train, seed=7):
        np.random.default_rng(level.seed)
        np.random.seed(level.seed)  # noqa: NPY002 - it takes no seed of 2**32 or more
        random.seed(level.seed)
        torch.manual_seed(level.seed)
        assert level.own_seed == stream_seed(7, "level", level.number)
        assert level.seed == level.own_seed % 2**32
        seen.append(level.seed)
    assert len(set(seen)) == 4


# Planting.


def test_swapped_arguments_are_said(tmp_path: Path) -> None:
    (level,) = winsome.find_tickets(network(), winsome.imp(0), train)
    wrong: Any = network()
    with pytest.raises(
        WinsomeError, match=r"a ticket and then a model, plant\(ticket, model\); got plant\(Sequential, Ticket\)"
    ):
        winsome.plant(wrong, level.ticket)  # type: ignore[arg-type]
    with pytest.raises(WinsomeError, match=r"write\(ticket, path\); got a PosixPath first"):
        winsome.write(tmp_path / "x.ticket", level.ticket)  # type: ignore[arg-type]
    with pytest.raises(WinsomeError, match=r"`keep` is a function .*mask_only.*; got 'mask_only'"):
        winsome.plant(level.ticket, network(), keep="mask_only")  # type: ignore[arg-type]


def found() -> Ticket:
    """A ticket whose kept weights, classifier and biases are all negative, with norms of 3."""
    model = network()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(-parameter.abs() - 0.01)
    (level,) = winsome.find_tickets(model, winsome.imp(0), lambda *_: None)
    return level.ticket.with_norms({"1.weight": torch.full((8,), 3.0), "1.bias": torch.full((8,), 3.0)})


def test_what_is_not_trained_keeps_its_values() -> None:
    ticket, model = found(), network(1)
    for index in (0, 1):
        model[index].requires_grad_(False)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    mask = winsome.plant(ticket, model, keep=signs_and_norms)
    for name, parameter in model.named_parameters():
        frozen = name.startswith(("0.", "1."))
        assert torch.equal(parameter, before[name] if frozen else -before[name].abs()), name
    assert torch.equal(mask["0.weight"], torch.where(before["0.weight"] < 0, -1, 1).to(torch.int8))
    half = Ticket(winsome.SignedMask({"0.weight": -torch.ones(8, 4).tril()}))
    winsome.plant(half, model)
    assert torch.equal(model.get_parameter("0.weight"), before["0.weight"].tril()), "pruned all the same"


def test_signs_planted_on_zeros_are_said(caplog: pytest.LogCaptureFixture) -> None:
    model = network(1)
    nn.init.zeros_(model.get_parameter("3.weight"))
    winsome.plant(found(), model)
    said = [line for line in caplog.messages if "start at 0" in line]
    assert said == ["64 weights of 3.weight start at 0: the negative signs planted on them are lost"]


# Statistics and normalisation.


@pytest.mark.parametrize("batch", [(torch.ones(3, 4), torch.ones(3)), [torch.ones(3, 4), torch.ones(3)]])
def test_batches_with_labels_are_refused_with_the_remedy(batch: Any) -> None:
    with pytest.raises(WinsomeError, match=r"of 2 things, .* hand over inputs alone, \(images for images, _ in loader\)"):
        winsome.re_estimate_batch_norm(network(), [batch])
    winsome.re_estimate_batch_norm(model := network(), [batch], lambda both: model(both[0]))


class BatchNormAct2d(nn.BatchNorm2d):
    """As in timm: a normalisation with its activation, of a module that torch.fx would trace into."""

    __module__ = "elsewhere"

    def forward(self, input: Tensor) -> Tensor:
        return torch.relu(super().forward(input))


def test_norms_of_other_packages_are_layers_and_what_is_left_is_said(caplog: pytest.LogCaptureFixture) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), BatchNormAct2d(4), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.BatchNorm2d(4)).eval()
    for index in (1, 4):
        nn.init.constant_(model[index].get_parameter("weight"), -0.5)
    inputs = torch.randn(2, 1, 8, 8)
    before = model(inputs)
    assert norm_pairs(model) == {"0": "1"}
    assert absorb_norm_signs(model) == 4
    assert torch.allclose(model(inputs), before, atol=1e-6)
    assert bool((model[1].get_parameter("weight") > 0).all())
    assert caplog.messages == ["4 negative gammas are left, of normalisation that no layer feeds alone: 4.weight"]


# The default device.


@pytest.fixture
def meta_by_default() -> Iterator[None]:
    """`meta` stands for a GPU: a tensor made on it by mistake has no values to compute with."""
    torch.set_default_device("meta")
    yield
    torch.set_default_device(None)


SCORES = {
    "magnitude": winsome.aws(2),
    "random": replace(winsome.weight_rewinding(2, step=1), score=random_scores),
    "shuffled": replace(winsome.imp(2), rewind=ShuffleMagnitudes()),
    "flips": replace(winsome.imp(2), while_training=SignFlips(0.3, at=(1,))),
    "fixed signs": replace(winsome.learning_rate_rewinding(2), while_training=fixed_signs),
}


@pytest.mark.parametrize("name", SCORES)
def test_a_default_device_of_the_users_is_not_ours(name: str, request: pytest.FixtureRequest) -> None:
    def on_cpu(model: nn.Module, level: winsome.Level) -> None:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        for step in level.steps(3, optimizer=optimizer):
            draw = torch.Generator(device="cpu").manual_seed(level.seed + step)
            optimizer.zero_grad()
            model(torch.randn(5, 4, generator=draw, device="cpu")).square().mean().backward()
            optimizer.step()
        winsome.re_estimate_batch_norm(model, [torch.eye(4, device="cpu")])

    def states(model: nn.Module) -> list[dict[str, Tensor]]:
        levels = list(winsome.find_tickets(model, SCORES[name], on_cpu, seed=3))
        shuffled(levels[-1].ticket.mask, torch.Generator(device="cpu"))
        return [level.state for level in levels]

    models = [network(), network()]
    expected = states(models[0])
    request.getfixturevalue("meta_by_default")
    for one, other in zip(expected, states(models[1]), strict=True):
        assert all(torch.equal(value, other[key]) for key, value in one.items())

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
from contract import regressing
from winsome.divergence import LOOK_EVERY
from winsome.errors import Diverged, WinsomeError
from winsome.perturbation import SignFlips, fixed_signs
from winsome.rewinding import ShuffleMagnitudes
from winsome.scores import random as random_scores
from winsome.scoring import FirstBy
from winsome.seeding import stream_seed
from winsome.ticket import Ticket
from winsome.transfer import absorb_norm_signs, norm_pairs, shuffled, signs_and_norms
from winsome.while_training import AllOf, OnLevels


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))


train = regressing(5, 4, steps=3)


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


class SimpleRewind:
    """A rewind with any step."""

    def __init__(self, step: Any) -> None:
        self.step = step

    def __call__(self, early: Any, trained: Any, restart: Any) -> Any: ...


class Half:
    """A rewind: named by its class, by mistake."""

    step = 0

    def __call__(self, early: Any, trained: Any, restart: Any) -> Any: ...


def back(early: Any, _trained: Any, _restart: Any) -> Any:
    return early, 0


def two(_a: Any, _b: Any) -> None: ...


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"score": "magnitude"}, r"`score` is a function .* called with \(weights, model, probe, random\); got 'magnitude'"),
        ({"score": two}, r"'two' \(score\) takes others: it is called with \(weights, model, probe, random\)"),
        (
            {"score": FirstBy},
            r"'FirstBy' \(score\) is a class: name an object made with it, FirstBy\(\.\.\.\), which is",
        ),
        ({"allocate": two}, r"'two' \(allocate\) takes others: it is called with \(scores, density, kept\)"),
        ({"while_training": winsome.imp}, r"'imp' \(while_training\) takes others: it is called with \(model, seed, mask\)"),
        ({"rewind": Half}, r"'Half' \(rewind\) is a class: name an object made with it, Half\(\.\.\.\), which"),
        ({"rewind": back}, r"'back' \(rewind\) has no `step`; a rewind is a frozen"),
        ({"rewind": SimpleRewind("3")}, r"\(rewind\) has the step '3'; .* a whole number from 0 up"),
        ({"rewind": SimpleRewind(-1)}, r"\(rewind\) has the step -1;"),
        ({"scoring": "2"}, r"`scoring` is winsome\.Rounds\(\.\.\.\), .*; got '2'"),
    ],
)
def test_parts_of_another_kind(part: dict[str, Any], said: str) -> None:
    with pytest.raises(WinsomeError, match=said):
        winsome.Method((1.0, 0.5), **part)


def test_a_part_on_levels_that_do_not_come_is_told(caplog: pytest.LogCaptureFixture) -> None:
    there, beyond = OnLevels((0, 7), fixed_signs), OnLevels((2, 3), SignFlips(0.3, at=(1,)))
    with pytest.raises(pytest.fail.Exception):
        next(winsome.find_tickets(network(), winsome.Method((1.0, 0.5), while_training=AllOf((there, beyond))), never))
    (said,) = caplog.messages
    assert said.endswith("is to hold on levels 2, 3, but the last level is 1: it never does")
    assert "SignFlips" in said


@pytest.mark.parametrize(
    ("made", "arguments", "said"),
    [
        (FirstBy, ("random", random_scores), "`score` is a function"),
        (AllOf, (fixed_signs,), r"AllOf takes a tuple of parts, AllOf\(\(a, b\)\)"),
        (AllOf, ((fixed_signs, SignFlips),), r"'SignFlips' \(while_training\)"),
        (OnLevels, (1, fixed_signs), "levels are a tuple of numbers"),
        (OnLevels, ((1,), two), r"'two' \(while_training\) takes others"),
    ],
)
def test_parts_of_parts_of_another_kind(made: Any, arguments: tuple[Any, ...], said: str) -> None:
    with pytest.raises(WinsomeError, match=said):
        made(*arguments)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"train": "train"}, "`train` is a function that trains, .*; got a str"),
        ({"train": None}, "`train` is a function"),
        ({"model": nn.Linear}, "takes a model, an nn.Module, first; got the class Linear"),
        ({"model": network().state_dict()}, "takes a model, .*; got a OrderedDict"),
        ({"probe": [(torch.ones(1, 4), torch.ones(1))]}, "`probe` is a winsome.Probe.*; got a list"),
        ({"seed": "a"}, "`seed` is a whole number; got 'a'"),
        ({"seed": 1.5}, "`seed` is a whole number; got 1.5"),
        ({"save_to": __file__}, r"test_wrong_uses\.py is a file; name a folder"),
        ({"save_to": "folder", "config": {"a": object()}}, "is to be JSON values, but Object of type object"),
    ],
)
def test_arguments_of_another_kind(
    arguments: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given: dict[str, Any] = {"model": network(), "method": winsome.aws(1), "train": never} | arguments
    with pytest.raises(WinsomeError, match=said):
        next(winsome.find_tickets(**given))
    assert not list(tmp_path.glob("*/level*"))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: winsome.aws("15"), "levels is a whole number, got '15'"),  # type: ignore[arg-type]
        (lambda: winsome.aws(1.5), "levels is a whole number, got 1.5"),  # type: ignore[arg-type]
        (lambda: winsome.aws(2, "0.2"), r"rate is the fraction removed per level, in \(0, 1\), got '0.2'"),  # type: ignore[arg-type]
        (lambda: winsome.snip("0.1"), r"density must be a number in \(0, 1\], got '0.1'"),  # type: ignore[arg-type]
        (lambda: winsome.re_estimate_batch_norm(network(), torch.ones(4, 4)), "this is one tensor: hand over a list"),
        (lambda: winsome.re_estimate_batch_norm(network(), [{"x": torch.ones(4, 4)}]), "a batch is a dict of 1 things"),  # type: ignore[list-item]
    ],
)
def test_numbers_and_batches_of_another_kind(call: Any, said: str) -> None:
    with pytest.raises(WinsomeError, match=said):
        call()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (lambda _: {"total": 3.0}, "total is a whole number, got 3.0"),
        (lambda _: {"save_every": 0.5}, "save_every is a whole number, got 0.5"),
        (lambda _: {"save_every": -1}, "save_every must be 0 or more, got -1"),
        (lambda _: {"optimizer": torch.optim.SGD}, "got the class SGD"),
        (lambda one: {"optimizer": {one}}, "or a list of several; got a set"),
        (lambda _: {"optimizer": network()}, "or a list of several; got a Sequential"),
        (lambda one: {"also": [one]}, "`also` names what is kept, .*; got a list"),
    ],
)
def test_steps_of_another_kind(options: Any, said: str) -> None:
    def loop(model: nn.Module, level: winsome.Level) -> None:
        stepper = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in level.steps(**{"total": 3, "optimizer": stepper} | options(stepper)):
            never()

    with pytest.raises(WinsomeError, match=said):
        next(winsome.find_tickets(network(), winsome.imp(0), loop))


def test_an_optimizer_of_another_network_is_said(caplog: pytest.LogCaptureFixture) -> None:
    def loop(model: nn.Module, level: winsome.Level) -> None:
        own, other = (torch.optim.SGD(one.parameters(), lr=0.1) for one in (model, network()))
        for optimizer in ([other, own], other):
            list(level.steps(1, optimizer=optimizer))

    list(winsome.find_tickets(network(), winsome.imp(0), loop))
    said = [line for line in caplog.messages if "holds no parameter" in line]
    assert said == ["level 0: SGD holds no parameter of the model: hand over what steps it"]


@pytest.mark.parametrize("name", ["0.weight", "0.bias", "1.weight", "1.bias", "1.running_var", "5.weight", "5.bias"])
def test_what_is_not_finite_before_any_training_is_said(name: str) -> None:
    model = network()
    with torch.no_grad():
        model.state_dict()[name].view(-1)[0] = float("nan")
    with pytest.raises(WinsomeError, match=rf"'{name}' of the model holds NaN or infinite values before any training"):
        next(winsome.find_tickets(model, winsome.aws(1), never))


def test_layers_of_complex_numbers_are_the_reason() -> None:
    model = nn.Sequential(nn.Linear(4, 8, dtype=torch.complex64), nn.Linear(8, 2, dtype=torch.complex64))
    with pytest.raises(WinsomeError, match=r"the weights of 0\.weight, 1\.weight are complex numbers, which have no sign"):
        next(winsome.find_tickets(model, winsome.aws(1), never))


@pytest.mark.parametrize(
    ("names", "said"), [([], "no name at all"), ("0.weight", "the text '0.weight'"), ([b"0.weight"], "a bytes in it")]
)
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
    for other, formats in ((network(1), ""), (network(0).to(torch.bfloat16), " (bfloat16 here, float32 there)")):
        caplog.clear()
        again = list(winsome.find_tickets(other, winsome.imp(0), never, save_to=tmp_path))
        differs = f"the folder's own initial network is taken: 0.weight of the model given differs from it{formats}"
        assert differs in caplog.messages
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

"""A part that re-parametrises while training: what is kept has the model's own names, and the model is its own again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

import winsome
from contract import (
    INPUTS,
    LABELS,
    STEPS,
    Killed,
    check_levels,
    check_while_training,
    half_mask,
    network,
    prunable,
    same,
    search,
)
from winsome import Level, Method, SignedMask, WinsomeError
from winsome.about import described
from winsome.files import read_state
from winsome.own_names import holding
from winsome.stacking import one_thread
from winsome.while_training import AllOf, OnLevels, Progress


class Product(nn.Module):
    """theta = m * w with m^2 - w^2 = 1 at first (arXiv:2504.12801), inside the mask."""

    kept: Tensor

    def __init__(self, kept: Tensor) -> None:
        super().__init__()
        self.register_buffer("kept", kept)

    def forward(self, m: Tensor, w: Tensor) -> Tensor:
        return m * w * self.kept

    def right_inverse(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        m = ((1 + (1 + 4 * theta.square()).sqrt()) / 2).sqrt()
        return m, theta / m


@described("Sign-In", "Every weight trains as a product of two factors.", citations=("@misc{signin, title = {Sign-In}}",))
@contextmanager
def sign_in(model: nn.Module, _seed: Any, mask: SignedMask) -> Iterator[Progress]:
    """Every weight trains as a product of two factors (arXiv:2504.12801)."""
    owners = [model.get_submodule(name.rpartition(".")[0]) for name in mask]
    for owner, name in zip(owners, mask, strict=True):
        parametrize.register_parametrization(owner, "weight", Product(mask.kept(name).to(owner.weight.device)))  # type: ignore[arg-type]
    try:
        yield {}
    finally:
        for owner in owners:
            parametrize.remove_parametrizations(owner, "weight")


class Scale(nn.Module):
    """One tensor behind one tensor: the parameter stays the same object."""

    def forward(self, weight: Tensor) -> Tensor:
        return 2 * weight

    def right_inverse(self, theta: Tensor) -> Tensor:
        return theta / 2


@contextmanager
def halved(model: nn.Module, _seed: Any, mask: SignedMask) -> Iterator[Progress]:
    """Every weight trains as twice another."""
    owners = [model.get_submodule(name.rpartition(".")[0]) for name in mask]
    for owner in owners:
        parametrize.register_parametrization(owner, "weight", Scale())
    yield {}
    for owner in owners:
        parametrize.remove_parametrizations(owner, "weight")


def test_sign_in_keeps_the_contract_of_parts(tmp_path: Path) -> None:
    check_while_training(sign_in, tmp_path)


@pytest.mark.parametrize("part", [sign_in, halved, AllOf((sign_in, winsome.interpolated_norms)), OnLevels((0,), sign_in)])
@pytest.mark.parametrize(
    "method", [winsome.imp(2, 0.5), winsome.learning_rate_rewinding(2, 0.5), winsome.weight_rewinding(2, 0.5, step=1)]
)
def test_searches_under_a_reparametrisation_resume_inside_a_level(method: Method, part: Any, tmp_path: Path) -> None:
    method = Method(method.densities, method.rewind, while_training=part)
    whole = search(method, tmp_path / "whole")
    check_levels(method, whole)
    assert not torch.equal(whole[0].state["0.weight"], search(Method((1.0,)))[0].state["0.weight"]), "it does something"
    for kill_at in ((0, STEPS - 1), (2, STEPS - 1)):
        folder = tmp_path / f"killed-{kill_at[0]}"
        with pytest.raises(Killed):
            search(method, folder, kill_at=kill_at)
        checkpoint, _ = read_state(folder / "checkpoint.safetensors")
        hidden = part is not halved and (kill_at[0] == 0 or not isinstance(part, OnLevels))
        assert ("model/0.parametrizations.weight.original0" in checkpoint) == hidden
        resumed = search(method, folder)
        assert all(same(one.state, two.state) for one, two in zip(whole, resumed, strict=True))


def test_the_early_network_has_the_values_of_its_step(tmp_path: Path) -> None:
    """Against the same level stopped at that step, whose factors are multiplied by hand."""
    method = Method((1.0, 0.5), winsome.RewindTo(1), while_training=sign_in)
    search(method, tmp_path / "run")
    early, _ = read_state(tmp_path / "run" / "early.safetensors")
    stopped: dict[str, Tensor] = {}

    def loop(model: nn.Module, level: Level) -> None:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        for step in level.steps(STEPS, optimizer=optimizer):
            if (level.number, step) == (0, 1):
                stopped.update({name: value.clone() for name, value in model.state_dict().items()})
            batch = torch.randint(24, (12,))
            loss = nn.functional.cross_entropy(model(INPUTS[batch]), LABELS[batch])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()

    with one_thread(on=True):
        list(winsome.find_tickets(network(), method, loop))
    assert set(early) == set(network().state_dict())
    m, w = (stopped[f"3.parametrizations.weight.original{number}"] for number in (0, 1))
    assert torch.equal(early["3.weight"], m * w)
    assert torch.equal(early["6.bias"], stopped["6.bias"])
    assert not torch.equal(early["3.weight"], network().state_dict()["3.weight"])


def test_the_model_is_its_own_again_every_parameter_in_its_place() -> None:
    model = network()
    parameters = dict(model.named_parameters())
    mask = half_mask(model)
    with mask.enforced_on(model), holding(sign_in, model, 0, mask) as (own, _):
        assert "0.weight" not in model.state_dict()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        model(INPUTS).square().mean().backward()
        optimizer.step()
        before = own.state()
        effective = model.get_submodule("0").weight.detach().clone()  # type: ignore[operator]
    assert torch.equal(before["0.weight"], effective)
    assert torch.equal(parameters["0.weight"], effective)
    assert list(model.named_parameters()) == list(parameters.items())
    assert not bool(effective[~mask.kept("0.weight")].any())


def adding(*, take_out: bool) -> Any:
    @contextmanager
    def mine(model: nn.Module, _seed: Any, _mask: Any) -> Iterator[Progress]:
        model.register_parameter("gate", nn.Parameter(torch.ones(())))
        model.register_buffer("count", torch.zeros(()))
        yield {}
        if take_out:
            del model.gate, model.count

    return mine


@pytest.mark.parametrize("method", [winsome.imp(1), winsome.weight_rewinding(1, step=1)])
def test_additions_are_in_no_snapshot_and_those_left_behind_are_refused_by_name(method: Method) -> None:
    fine = Method(method.densities, method.rewind, while_training=adding(take_out=True))
    check_levels(fine, search(fine))
    left = Method(method.densities, method.rewind, while_training=adding(take_out=False))
    with pytest.raises(
        WinsomeError, match=r"'mine' \(while_training\) changes the model for good: its state leaves gate, count behind"
    ):
        search(left)


def test_what_cannot_be_kept_is_refused_by_name() -> None:
    @contextmanager
    def unmasked(model: nn.Module, _seed: Any, mask: SignedMask) -> Iterator[Progress]:
        for name in mask:
            owner = model.get_submodule(name.rpartition(".")[0])
            parametrize.register_parametrization(owner, "weight", Product(torch.ones_like(mask[name])))
        yield {}
        for name in mask:
            parametrize.remove_parametrizations(model.get_submodule(name.rpartition(".")[0]), "weight")

    with pytest.raises(WinsomeError, match=r"'unmasked' \(while_training\) lets pruned weights of '0\.weight' live: multiply"):
        search(Method((0.5,), while_training=unmasked))

    @contextmanager
    def stale(model: nn.Module, _seed: Any, _mask: Any) -> Iterator[Progress]:
        layer = model.get_submodule("0")
        weight = layer._parameters.pop("weight")
        layer.register_parameter("v", weight)
        layer.__dict__["weight"] = weight
        yield {}
        del layer.__dict__["weight"], layer._parameters["v"]
        layer.register_parameter("weight", weight)

    with pytest.raises(WinsomeError, match=r"'stale' \(while_training\) takes the weight '0\.weight' away"):
        search(Method((1.0, 0.5), winsome.RewindTo(1), while_training=stale))

    @contextmanager
    def lost(model: nn.Module, _seed: Any, _mask: Any) -> Iterator[Progress]:
        yield {}
        del model.get_submodule("0")._parameters["bias"]

    with pytest.raises(WinsomeError, match=r"'lost' \(while_training\) changes the model for good: its state lacks 0\.bias"):
        search(Method((1.0,), while_training=lost))


def test_an_error_in_the_loop_is_not_hidden_by_what_the_part_leaves() -> None:
    def loop(_model: nn.Module, _level: Level) -> None:
        raise Killed

    with pytest.raises(Killed):
        next(winsome.find_tickets(network(), Method((1.0,), while_training=adding(take_out=False)), loop))


def half_of_output(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
    return output / 2


@pytest.mark.parametrize(
    ("put_in", "said"),
    [
        (
            lambda m: [one.register_forward_hook(half_of_output) for one in m if isinstance(one, nn.Linear)],
            "a hook on '0', a hook on '3'",
        ),
        (lambda m: m[0].weight.register_hook(lambda g: g / 2), r"a hook on '0\.weight'"),
        (lambda m: m[0].weight.register_post_accumulate_grad_hook(lambda w: None), r"a hook on '0\.weight'"),  # noqa: ARG005
        (lambda m: m[0].weight.requires_grad_(False), r"'0\.weight' frozen \(requires_grad\)"),
        (lambda m: setattr(m, "2", nn.GELU()), r"another layer \(GELU\) as '2'"),
    ],
)
def test_what_a_part_forgets_to_take_out_is_named(put_in: Any, said: str) -> None:
    @contextmanager
    def forgets(model: nn.Module, _seed: Any, _mask: Any) -> Iterator[Progress]:
        put_in(model)
        yield {}

    model = network()
    with (
        pytest.raises(WinsomeError, match=rf"'forgets' \(while_training\) leaves behind {said}.*take out after"),
        holding(forgets, model, 0, half_mask(model)),
    ):
        pass


@pytest.mark.parametrize("inside", [lambda part: part, lambda part: AllOf((part,)), lambda part: OnLevels((0,), part)])
def test_a_part_hides_no_error_of_the_loop(inside: Any) -> None:
    @contextmanager
    def hiding(_model: nn.Module, _seed: Any, _mask: Any) -> Iterator[Progress]:
        with suppress(BaseException):
            yield {}

    def loop(_model: nn.Module, _level: Level) -> None:
        raise Killed

    with pytest.raises(Killed):
        next(winsome.find_tickets(network(), Method((1.0,), while_training=inside(hiding)), loop))


def test_plain_parts_leave_parameters_untouched() -> None:
    model = network()
    before = [(id(p), p.detach().clone()) for p in model.parameters()]
    with holding(winsome.frozen_norms, model, 0, SignedMask({})) as (own, _):
        assert same(own.state(), model.state_dict())
    assert [id(p) for p in model.parameters()] == [number for number, _ in before]
    assert prunable(model).keys() == {"0.weight", "3.weight"}

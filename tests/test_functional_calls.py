"""Loops that call the model with other tensors in its parameters' places (torch.func), or move it where no values are."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp, vmap
from torch.nn import functional as F

import winsome
from winsome import SignedMask
from winsome.alphas import uniform
from winsome.errors import WinsomeError
from winsome.norms import frozen_norms, interpolated_norms
from winsome.while_training import WhileTraining, plain

pytestmark = pytest.mark.filterwarnings("ignore")
SEED = 5
INPUTS, LABELS = torch.randn(12, 6, generator=torch.Generator().manual_seed(1)), torch.arange(12) % 3
Parameters = dict[str, Tensor]


def network() -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    nn.init.uniform_(model.get_parameter("1.weight"), 0.5, 2.0)
    return model


def mask_of(model: nn.Module) -> SignedMask:
    weights = {name: model.get_parameter(name) for name in ("0.weight", "3.weight")}
    return SignedMask.of(
        weights, {name: weight.detach().abs() > weight.detach().abs().median() for name, weight in weights.items()}
    )


def loss(model: nn.Module, parameters: Parameters, inputs: Tensor = INPUTS, labels: Tensor = LABELS) -> Tensor:
    return F.cross_entropy(functional_call(model, parameters, (inputs,)), labels)


def by_backward(model: nn.Module, parameters: Parameters) -> Parameters:
    model.load_state_dict(parameters)
    F.cross_entropy(model(INPUTS), LABELS).backward()  # type: ignore[no-untyped-call]
    return {name: p.grad if p.grad is not None else torch.zeros_like(p) for name, p in model.named_parameters()}


def by_grad(model: nn.Module, parameters: Parameters) -> Parameters:
    found: Parameters = grad(lambda given: loss(model, given))(parameters)
    return found


def by_autograd(model: nn.Module, parameters: Parameters) -> Parameters:
    """Of tensors that are parts of a graph, as those of an inner loop."""
    moved = {name: (p.detach().requires_grad_() * 1.0) for name, p in parameters.items()}
    kept = dict(moved)
    found = torch.autograd.grad(loss(model, moved), list(kept.values()), allow_unused=True)
    assert all(moved[name] is kept[name] for name in kept), "the loop's own tensors are given back as they were"
    return {name: torch.zeros_like(kept[name]) if one is None else one for name, one in zip(kept, found, strict=True)}


def by_samples(model: nn.Module, parameters: Parameters) -> Parameters:
    one = grad(lambda given, x, y: loss(model, given, x[None], y[None]))
    return {name: each.mean(0) for name, each in vmap(one, in_dims=(None, 0, 0))(parameters, INPUTS, LABELS).items()}


@pytest.mark.parametrize("part", [interpolated_norms, frozen_norms, plain])
@pytest.mark.parametrize("way", [by_grad, by_autograd, by_samples])
def test_gradients_are_those_of_backward_under_mask_and_part(way: Callable[..., Parameters], part: WhileTraining) -> None:
    model, twin = network(), network()
    mask = mask_of(model)
    parameters = {name: torch.randn_like(p) for name, p in model.named_parameters()}  # dense: nobody has masked them
    given = {name: p.clone() for name, p in parameters.items()}
    own = {name: p.detach().clone() for name, p in model.named_parameters()}
    identity = {"1.weight": torch.ones(8), "1.bias": torch.zeros(8)} if part is frozen_norms else {}
    with mask.enforced_on(twin), part(twin, SEED, mask):
        expected = by_backward(twin, {**parameters, **identity})
    with mask.enforced_on(model), part(model, SEED, mask) as progress:
        found = way(model, parameters)
        if part is interpolated_norms:
            assert int(progress["forward_passes"]) == 1
        assert all(isinstance(p, nn.Parameter) for p in model.parameters())
        assert all(not found[name][~mask.kept(name)].any() for name in mask)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-6, msg=name)
    assert all(torch.equal(parameters[name], given[name]) for name in given)
    for name, p in model.named_parameters():
        kept = mask.kept(name) if name in mask else torch.ones_like(p, dtype=torch.bool)
        assert torch.equal(p, identity.get(name, own[name] * kept))


def test_a_derivative_along_a_direction_is_of_the_interpolated_network() -> None:
    model = network()
    parameters = dict(model.named_parameters())
    alpha = float(uniform(torch.tensor(SEED), torch.tensor(0)))
    gamma, step = model.get_parameter("1.weight").detach().clone(), torch.ones(8)

    def outputs(given: Tensor) -> Tensor:
        result: Tensor = functional_call(model, {**parameters, "1.weight": given}, (INPUTS,))
        return result

    expected: Any = jvp(lambda given: outputs(alpha * given + 1 - alpha), (gamma,), (step,))
    with interpolated_norms(model, SEED):
        found: Any = jvp(outputs, (gamma,), (step,))
    torch.testing.assert_close(found, expected)


def test_the_gradient_of_inputs_may_be_asked_for_in_a_loop() -> None:
    model, twin = network(), network()
    with interpolated_norms(model, SEED), interpolated_norms(twin, SEED):
        found = grad(lambda inputs: F.cross_entropy(model(inputs), LABELS))(INPUTS)
        inputs = INPUTS.clone().requires_grad_()
        (expected,) = torch.autograd.grad(F.cross_entropy(twin(inputs), LABELS), inputs)
    torch.testing.assert_close(found, expected)


def descends(model: nn.Module, level: winsome.Level) -> None:
    """A loop without an optimizer, on tensors of its own that are put into the model in the end."""
    parameters = {name: p.detach().clone() for name, p in model.named_parameters()}
    for _ in level.steps(4):
        gradients = by_grad(model, parameters)
        parameters = {name: p - 0.1 * gradients[name] for name, p in parameters.items()}
    model.load_state_dict(parameters)


def test_a_search_by_functions_is_that_by_an_optimizer() -> None:
    def steps(model: nn.Module, level: winsome.Level) -> None:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in level.steps(4):
            optimizer.zero_grad()
            F.cross_entropy(model(INPUTS), LABELS).backward()  # type: ignore[no-untyped-call]
            optimizer.step()

    one, other = (list(winsome.find_tickets(network(), winsome.aws(2, 0.4), train)) for train in (descends, steps))
    for level, expected in zip(one, other, strict=True):
        assert level.ticket.mask == expected.ticket.mask
        for name, value in expected.state.items():
            torch.testing.assert_close(level.state[name], value)


def test_a_stand_in_of_another_shape_is_refused_by_name() -> None:
    model = network()
    with mask_of(model).enforced_on(model), pytest.raises(WinsomeError, match=r"\(4, 6\) in place of '0\.weight'"):
        functional_call(model, {"0.weight": torch.ones(4, 6)}, (INPUTS,))


@pytest.mark.parametrize("method", [winsome.imp, winsome.aws, winsome.lrr_with_frozen_norms])
@pytest.mark.parametrize("when", ["before a step", "at the end"])
def test_a_model_that_lost_its_values_is_named(when: str, method: Callable[..., winsome.Method]) -> None:
    def train(model: nn.Module, level: winsome.Level) -> None:
        for step in level.steps(3):
            if when == "before a step" and step == 1:
                model.to("meta")
            model(INPUTS.to(next(model.parameters()).device)).sum().backward()
        model.to("meta")

    with pytest.raises(WinsomeError, match=r"'0\.weight' has no values any more: .* device meta"):
        list(winsome.find_tickets(network(), method(1), train))


def test_a_model_that_was_away_and_has_its_values_again_goes_on() -> None:
    def train(model: nn.Module, level: winsome.Level) -> None:
        kept = copy.deepcopy(model.state_dict())
        model.to("meta").to_empty(device="cpu").load_state_dict(kept)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in level.steps(2):
            model(INPUTS).sum().backward()
            optimizer.step()

    *_, last = winsome.find_tickets(network(), winsome.aws(1, 0.5), train)
    assert all(not last.state[name][~last.ticket.mask.kept(name)].any() for name in last.ticket.mask)

"""Sign-In against autograd of the explicit product and closed forms, HAM against its formula; what both leave of a network."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

import winsome
from contract import INPUTS, LABELS, half_mask, network, same, search
from winsome import HAM, KeepWeights, Method, SignedMask, SignIn, WinsomeError
from winsome.norms import interpolated_norms
from winsome.own_names import holding
from winsome.perturbation import SignFlips, fixed_signs
from winsome.signed_mask import stack_masks
from winsome.stacking import one_thread, stack
from winsome.state import full_state
from winsome.while_training import AllOf

MADE: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.01),
    "adam": lambda parameters: torch.optim.AdamW(parameters, lr=0.01, weight_decay=0.1),
}


def step(model: nn.Module, optimizer: torch.optim.Optimizer, number: int) -> None:
    rows = torch.randint(24, (12,), generator=torch.Generator().manual_seed(number))
    optimizer.zero_grad()
    F.cross_entropy(model(INPUTS[rows].to(next(model.parameters()).dtype)), LABELS[rows]).backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def balanced_pair(theta: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    m = ((beta + (beta**2 + 4 * theta**2).sqrt()) / 2).sqrt()
    return m, theta / m


@given(theta=st.floats(-50, 50), beta=st.floats(0.01, 10))
def test_the_balanced_pair_is_the_closed_form(theta: float, beta: float) -> None:
    model = nn.Linear(1, 1, bias=False).double()
    model.weight.data.fill_(theta)
    mask = SignedMask({"weight": torch.ones(1, 1, dtype=torch.int8)})
    with SignIn(0, beta)(model, 0, mask):
        m, w = (float(model.get_parameter(name).detach()) for name in ("weight_m", "weight_w"))
    assert m > 0
    assert m * w == pytest.approx(theta, rel=1e-12)
    assert m**2 - w**2 == pytest.approx(beta, rel=1e-9, abs=1e-9 * (1 + theta**2))


def test_one_small_step_moves_a_weight_by_the_closed_form_of_the_flow() -> None:
    """d theta = -sqrt(4 theta^2 + beta^2) dL/dtheta along the gradient flow."""
    model = nn.Linear(8, 1, bias=False).double()
    model.weight.data.copy_(torch.linspace(-2, 2, 8, dtype=torch.float64))
    mask = SignedMask({"weight": torch.ones(1, 8, dtype=torch.int8)})
    before, gradient, rate = model.weight.detach().clone(), torch.linspace(1, -3, 8, dtype=torch.float64)[None], 1e-7
    with SignIn(0, 0.7)(model, 0, mask):
        optimizer = torch.optim.SGD(model.parameters(), lr=rate)
        (model.weight * gradient).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    wanted = -rate * (4 * before**2 + 0.49).sqrt() * gradient
    assert torch.allclose(model.weight.detach() - before, wanted, rtol=1e-5)


@pytest.mark.parametrize("name", MADE)
def test_sign_in_is_the_training_of_the_explicit_product(name: str) -> None:
    """Twelve steps, balanced after every fifth, against factors that are parameters of their own and autograd."""
    model = network().double()
    mask, names = half_mask(model), list(half_mask(model))
    other = copy.deepcopy(model)
    pairs = {n: balanced_pair(other.get_parameter(n).detach() * mask.kept(n), 1.0) for n in names}
    factors = {n: (nn.Parameter(m), nn.Parameter(w)) for n, (m, w) in pairs.items()}
    rest = [p for n, p in other.named_parameters() if n not in names]
    reference = MADE[name]([*rest, *(factor for pair in factors.values() for factor in pair)])
    with mask.enforced_on(model), SignIn(5)(model, 0, mask) as progress:
        optimizer = MADE[name](model.parameters())
        for number in range(12):
            step(model, optimizer, number)
        assert int(progress["optimizer_steps"]) == 12
    for number in range(12):
        rows = torch.randint(24, (12,), generator=torch.Generator().manual_seed(number))
        products = {n: m * w * mask.kept(n) for n, (m, w) in factors.items()}
        reference.zero_grad()
        outputs = torch.func.functional_call(other, products, INPUTS[rows].double())
        F.cross_entropy(outputs, LABELS[rows]).backward()  # type: ignore[no-untyped-call]
        reference.step()
        if (number + 1) % 5 == 0:
            for n, (m, w) in factors.items():
                for factor, value in zip((m, w), balanced_pair((m * w).detach() * mask.kept(n), 1.0), strict=True):
                    factor.data.copy_(value)
    for n, (m, w) in factors.items():
        assert torch.allclose(model.get_parameter(n), m * w * mask.kept(n), rtol=1e-9, atol=1e-12)
    for n, p in other.named_parameters():
        if n != "0.bias":  # before BatchNorm its gradient is rounding alone, of which Adam makes whole steps
            assert n in names or torch.allclose(model.get_parameter(n), p, rtol=1e-9, atol=1e-12)


def test_the_network_keeps_its_names_and_its_copies_are_plain() -> None:
    model = network()
    mask, names = half_mask(model), list(network().state_dict())
    with mask.enforced_on(model), holding(SignIn(2), model, 0, mask) as (own, _):
        optimizer = MADE["sgd"](model.parameters())
        step(model, optimizer, 0)
        added = {n for n, _ in model.named_parameters()} - set(names)
        assert added == {"0.weight_m", "0.weight_w", "3.weight_m", "3.weight_w"}
        assert list(own.state()) == names
        with torch.no_grad():
            product = model.get_parameter("0.weight_m") * model.get_parameter("0.weight_w") * mask.kept("0.weight")
        assert torch.equal(model.get_parameter("0.weight"), product), "what is judged in the midst is up to date"
        assert set(model._ddp_params_and_buffers_to_ignore) == added  # type: ignore[arg-type]
        copied = copy.deepcopy(model)
        assert torch.equal(copied.eval()(INPUTS), model.eval()(INPUTS))
    assert list(model.state_dict()) == names
    assert not hasattr(model, "_ddp_params_and_buffers_to_ignore")


def test_an_optimizer_that_sign_in_cannot_work_with_is_refused() -> None:
    model = network()
    mask = half_mask(model)
    early = MADE["sgd"](model.parameters())
    with SignIn(2)(model, 0, mask):
        with pytest.raises(WinsomeError, match=r"factors of '0\.weight', which the optimizer does not hold: make it inside"):
            step(model, early, 0)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

        def closure() -> float:
            optimizer.zero_grad()
            loss = model(INPUTS).square().mean()
            loss.backward()
            return float(loss.detach())

        model.zero_grad()
        with pytest.raises(WinsomeError, match="call it without a closure"):
            optimizer.step(closure)
    model.register_buffer("x", torch.ones(1))
    model[0].register_buffer("weight_m", torch.ones(1))
    with (
        pytest.raises(WinsomeError, match=r"needs the name 'weight_m' beside the weight '0\.weight'"),
        SignIn(2)(model, 0, mask),
    ):
        pass
    twice = AllOf((SignIn(2), SignIn(4)))
    with pytest.raises(WinsomeError, match=r"Sign-In holds twice over '0\.weight': the method has it already"):
        twice(plain_model := network(), 0, half_mask(plain_model)).__enter__()
    for options, said in (({"every": -1}, "0 or more; got -1"), ({"every": 1, "beta": 0.0}, "beta must be above 0, got 0")):
        with pytest.raises(WinsomeError, match=said):
            SignIn(**options)
    with pytest.raises(WinsomeError, match="must be 0 or more, got -1 and 0"):
        HAM(-1, 0)


@pytest.mark.parametrize("part", [SignFlips(1.0, at=(1,)), fixed_signs], ids=["flips", "fixed"])
def test_the_factors_follow_signs_that_others_change(part: Any) -> None:
    model = network()
    mask = half_mask(model)
    start = {name: model.get_parameter(name).detach().clone() for name in mask}
    with mask.enforced_on(model), AllOf((SignIn(3), part))(model, 0, mask):
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-4 if part is not fixed_signs else 0.5)
        for number in range(4):
            step(model, optimizer, number)
            if part is fixed_signs:
                assert all(bool((model.get_parameter(name) * mask[name] >= 0).all()) for name in mask)
    if part is not fixed_signs:
        for name, value in start.items():
            kept = mask.kept(name) & (value.abs() > 0.01)
            assert bool((model.get_parameter(name).detach()[kept].sign() == -value[kept].sign()).all()), "for good"


@pytest.mark.parametrize("name", MADE)
def test_ham_is_its_formula_after_every_step(name: str) -> None:
    model = network().double()
    other, mask = copy.deepcopy(model), half_mask(model)
    with mask.enforced_on(model), HAM(20.0, 0.05)(model, 0, mask):
        optimizer = MADE[name](model.parameters())
        for number in range(6):
            step(model, optimizer, number)
    reference = MADE[name](other.parameters())
    for number in range(6):
        for layer in mask:
            other.get_parameter(layer).data.mul_(mask.kept(layer))
        rows = torch.randint(24, (12,), generator=torch.Generator().manual_seed(number))
        reference.zero_grad()
        F.cross_entropy(other(INPUTS[rows].double()), LABELS[rows]).backward()  # type: ignore[no-untyped-call]
        for layer in mask:
            other.get_parameter(layer).grad.mul_(mask.kept(layer))  # type: ignore[union-attr]
        reference.step()
        rate = float(reference.param_groups[0]["lr"])
        for parameter in other.parameters():
            if parameter.ndim < 2:
                continue
            for place in range(parameter.numel()):  # one by one, in plain Python
                w, g = float(parameter.data.view(-1)[place]), float(parameter.grad.view(-1)[place])  # type: ignore[union-attr]
                exponent = max(-5.0, min(5.0, rate * (-20.0 * math.copysign(1.0, w) * g - 0.05))) if w else 0.0
                parameter.data.view(-1)[place] = w * math.exp(exponent)
    for layer in mask:
        other.get_parameter(layer).data.mul_(mask.kept(layer))
    for layer, value in other.named_parameters():
        assert layer == "0.bias" or torch.allclose(model.get_parameter(layer), value, rtol=1e-9, atol=1e-12)


def test_ham_says_what_it_cannot_do(caplog: pytest.LogCaptureFixture) -> None:
    model = network()
    mask = half_mask(model)
    with HAM()(model, 0, mask):
        pass
    assert "HAM multiplied nothing" in caplog.text
    with (
        pytest.raises(WinsomeError, match="HAM and Sign-In reshape the same steps: train under one of them"),
        AllOf((SignIn(2), HAM()))(model, 0, mask),
    ):
        step(model, MADE["sgd"](model.parameters()), 0)


@pytest.mark.parametrize("part", [SignIn(2), HAM(20.0)], ids=["sign-in", "ham"])
def test_a_member_of_a_stack_trains_as_it_would_alone(part: Any) -> None:
    def made(seed: int) -> nn.Sequential:
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))

    def trained(models: list[nn.Sequential]) -> list[dict[str, Tensor]]:
        weights = [{"0.weight": model.get_parameter("0.weight")} for model in models]
        kept = torch.rand(8, 6, generator=torch.Generator().manual_seed(1)) < 0.5
        mask = stack_masks([SignedMask.of(weight, {"0.weight": kept}) for weight in weights])
        together = stack(models)
        with one_thread(on=True), mask.enforced_on(together), part(together, [0] * len(models), mask):
            optimizer = torch.optim.SGD(together.parameters(), lr=0.1, momentum=0.9, foreach=True)
            for number in range(5):
                rows = torch.randint(24, (12,), generator=torch.Generator().manual_seed(number))
                optimizer.zero_grad()
                logits = together(INPUTS[rows].expand(len(models), -1, -1))
                loss = F.cross_entropy(logits.mT, LABELS[rows].expand(len(models), -1), reduction="none").mean(1).sum()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
        state = together.state_dict()
        return [{name: value[member].clone() for name, value in state.items()} for member in range(len(models))]

    both = trained([made(0), made(1)])
    assert same(both[0], trained([made(0)])[0])
    assert same(both[1], trained([made(1)])[0])
    assert not torch.equal(both[0]["2.bias"], full_state(made(0))["2.bias"])


def test_both_combine_with_any_method_and_with_masks_that_are_fixed() -> None:
    """AWS, and a random mask before training; the accuracy is not asked for, that signs and counts are right is."""
    for part in (SignIn(2), HAM(20.0)):
        for method in (
            Method((1.0, 0.5, 0.25), KeepWeights(), while_training=AllOf((interpolated_norms, part))),
            Method((0.3,), score=winsome.random, allocate=winsome.balanced, while_training=part),
        ):
            levels = search(method)
            state, mask = levels[-1].state, levels[-1].ticket.mask
            assert list(state) == list(network().state_dict())
            assert all(bool((state[name] != 0).equal(mask.kept(name))) for name in mask)

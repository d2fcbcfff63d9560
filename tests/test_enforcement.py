"""Pruned weights are exactly zero in loops as people have them: two models, wrapped optimizers, overflow, threads."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

import winsome
from winsome import SignedMask
from winsome.perturbation import SignFlips, fixed_signs


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4))


def mask_of(model: nn.Module, names: tuple[str, ...] = ("0.weight", "2.weight")) -> SignedMask:
    draw = torch.Generator().manual_seed(1)
    weights = {name: model.get_parameter(name) for name in names}
    return SignedMask.of(weights, {name: torch.rand(w.shape, generator=draw) < 0.4 for name, w in weights.items()})


def assert_zero(model: nn.Module, mask: SignedMask) -> None:
    for name in mask:
        weight = model.get_parameter(name).detach()
        assert bool((weight[~mask.kept(name)] == 0).all()), name
        assert bool(weight[mask.kept(name)].any()), name


def batch(number: int, width: int = 8) -> Tensor:
    return torch.randn(5, width, generator=torch.Generator().manual_seed(number))


def backward(loss: Tensor) -> None:
    loss.backward()  # type: ignore[no-untyped-call]


# Two models.


def gan(masked: str) -> dict[str, Tensor]:
    """Three steps of a GAN in which the generator's graph is alive while the discriminator steps; plain torch for "none"."""
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 6))
    critic = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1))
    models = {"generator": generator, "critic": critic}
    model = models.get(masked, generator)
    everything = SignedMask({"2.weight": torch.ones(8, 8)})  # density 1: a masked run must be the plain one, to the bit
    half = mask_of(model, ("2.weight",)) if masked in models else everything
    bce, one, zero = F.binary_cross_entropy_with_logits, torch.ones(5, 1), torch.zeros(5, 1)
    with half.enforced_on(model):
        steppers = {name: torch.optim.Adam(m.parameters(), 1e-2) for name, m in models.items()}
        for step in range(3):
            critic.zero_grad()
            backward(bce(critic(batch(step, 6)), one))
            fake = generator(batch(step, 4))
            backward(bce(critic(fake.detach()), zero))
            steppers["critic"].step()
            generator.zero_grad()
            backward(bce(critic(fake), one))
            steppers["generator"].step()
            if masked in models:
                assert_zero(model, half)
    return {f"{name}.{key}": value for name, m in models.items() for key, value in m.state_dict().items()}


@pytest.mark.parametrize("masked", ["generator", "critic"])
def test_a_graph_of_one_model_outlives_the_steps_of_another(masked: str) -> None:
    assert len(gan(masked)) == len(gan("none"))


def test_a_step_of_another_model_is_not_looked_at() -> None:
    model, other = network(), network(1)
    mask = mask_of(model)
    with mask.enforced_on(model):
        optimizer = torch.optim.SGD(other.parameters(), lr=0.1)
        with torch.no_grad():
            model.get_parameter("0.weight").fill_(1.0)
        backward(other(batch(0)).sum())
        optimizer.step()
        assert bool((model.get_parameter("0.weight") == 1).all()), "left alone until a step or a forward of its own"
    assert_zero(model, mask)


def test_two_searches_in_two_threads_find_what_each_finds_alone() -> None:
    def found(seed: int) -> list[dict[str, Tensor]]:
        draw = torch.Generator().manual_seed(seed)

        def train(model: nn.Module, level: winsome.Level) -> None:
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
            for _ in level.steps(total=30):
                optimizer.zero_grad()
                backward(model(torch.randn(5, 8, generator=draw)).square().mean())
                optimizer.step()

        # Global random streams belong to the process: what a level draws from them in threads is not its own.
        return [level.state for level in winsome.find_tickets(networks[seed], winsome.learning_rate_rewinding(2), train)]

    networks = [network(0), network(1)]
    alone = [found(0), found(1)]
    networks = [network(0), network(1)]
    together: dict[int, list[dict[str, Tensor]]] = {}
    threads = [threading.Thread(target=lambda s=s: together.update({s: found(s)})) for s in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed in range(2):
        for one, other in zip(alone[seed], together[seed], strict=True):
            assert all(torch.equal(value, other[name]) for name, value in one.items())


# Optimizers.


def test_optimizers_that_step_inside_the_backward_keep_zeros() -> None:
    """PyTorch's recipe: an optimizer for each parameter, stepped as soon as its gradient is there."""
    model, plain = network(), network()
    mask = mask_of(model)
    with mask.enforced_on(model):
        steppers = {p: torch.optim.SGD([p], lr=0.1, momentum=0.9) for p in model.parameters()}

        def step(parameter: Tensor) -> None:
            steppers[parameter].step()  # type: ignore[index]
            steppers[parameter].zero_grad()  # type: ignore[index]

        handles = [p.register_post_accumulate_grad_hook(step) for p in model.parameters()]  # type: ignore[no-untyped-call]
        for number in range(4):
            backward(model(batch(number)).square().mean())
            assert_zero(model, mask)
        for handle in handles:
            handle.remove()
    with mask.enforced_on(plain):
        optimizer = torch.optim.SGD(plain.parameters(), lr=0.1, momentum=0.9)
        for number in range(4):
            optimizer.zero_grad()
            backward(plain(batch(number)).square().mean())
            optimizer.step()
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in plain.state_dict().items())


class Lookahead(Optimizer):
    """Slow weights, as wrappers have them: it shares the groups and moves `.data`, beside any hook."""

    def __init__(self, inner: Optimizer, slow: list[Tensor]) -> None:
        self.inner, self.slow = inner, slow
        super().__init__(inner.param_groups, {})

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        self.inner.step(closure)
        for parameter, slow in zip((p for g in self.param_groups for p in g["params"]), self.slow, strict=True):
            slow.lerp_(parameter.data, 0.5)
            parameter.data.copy_(slow)


def test_a_wrapper_that_holds_the_weights_revives_none() -> None:
    model = network()
    slow = [parameter.detach().clone() for parameter in model.parameters()]  # from before the mask
    mask = mask_of(model)
    with mask.enforced_on(model):
        optimizer = Lookahead(torch.optim.SGD(model.parameters(), lr=0.1), slow)
        for number in range(3):
            optimizer.zero_grad()
            backward(model(batch(number)).square().mean())
            optimizer.step()
            assert_zero(model, mask)


def by_data(model: nn.Module, state: dict[str, Tensor]) -> None:
    for name, parameter in model.named_parameters():
        parameter.data.copy_(state[name])


def by_swap(model: nn.Module, state: dict[str, Tensor]) -> None:
    for name, parameter in model.named_parameters():
        parameter.data = state[name].clone()


def by_load(model: nn.Module, state: dict[str, Tensor]) -> None:
    model.load_state_dict(state)


def by_hand(model: nn.Module, state: dict[str, Tensor]) -> None:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.add_(state[name])


@pytest.mark.parametrize("move", [by_data, by_swap, by_load, by_hand])
def test_what_moves_weights_by_other_means_is_undone_before_the_next_training_forward(
    move: Callable[[nn.Module, dict[str, Tensor]], None],
) -> None:
    model = network()
    dense = copy.deepcopy(model.state_dict())
    mask = mask_of(model)
    with mask.enforced_on(model):
        move(model, dense)
        assert bool(model.get_parameter("0.weight")[~mask.kept("0.weight")].any())
        model(batch(0))
        assert_zero(model, mask)


def test_two_forwards_before_a_backward_leave_both_graphs_whole() -> None:
    model = network()
    mask = mask_of(model)
    with mask.enforced_on(model):
        backward((model(batch(0)) * model(batch(1))).sum())
    factors = {name: model.get_parameter(name).detach() * mask.kept(name) for name in mask}
    twin = network()
    used = {name: value.clone().requires_grad_() for name, value in factors.items()}

    def forward(inputs: Tensor) -> Tensor:
        result: Tensor = torch.func.functional_call(twin, used, (inputs,))
        return result

    backward((forward(batch(0)) * forward(batch(1))).sum())
    for name, value in used.items():
        assert value.grad is not None
        assert torch.equal(model.get_parameter(name).grad, value.grad * mask.kept(name))  # type: ignore[arg-type]


# Exactly zero.


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize(
    "make",
    [
        lambda p, rate: torch.optim.SGD(p, lr=rate, momentum=0.9),
        lambda p, rate: torch.optim.SGD(p, lr=rate, momentum=0.9, foreach=False),
        lambda p, rate: torch.optim.AdamW(p, lr=rate / 10),
    ],
    ids=["SGD", "SGD one by one", "AdamW"],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64, torch.float16])
def test_pruned_weights_are_zero_also_when_a_step_overflowed(
    make: Callable[[Iterable[Tensor], float], Optimizer], clip: bool, dtype: torch.dtype
) -> None:
    model = network().to(dtype)
    mask = mask_of(model)
    with mask.enforced_on(model):
        optimizer = make(model.parameters(), 6e4 if dtype is torch.float16 else 1e38)
        for number in range(4):
            optimizer.zero_grad()
            backward(model(1e3 * batch(number).to(dtype)).square().mean())
            if clip:
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            for name in mask:
                pruned = model.get_parameter(name).detach()[~mask.kept(name)]
                assert torch.count_nonzero(pruned) == 0  # NaN counts
    if dtype is torch.float32:
        assert not bool(torch.isfinite(model.get_parameter("0.weight")).all()), "or nothing is shown"


@pytest.mark.parametrize("bad", [float("inf"), float("-inf"), float("nan")])
def test_gradients_and_momentum_of_pruned_weights_may_be_anything(bad: float) -> None:
    model, twin = network(), network()
    mask = mask_of(model)
    for trained, value in ((model, bad), (twin, 0.0)):
        optimizer = torch.optim.SGD(trained.parameters(), lr=0.1, momentum=0.9)
        for number in range(3):
            optimizer.zero_grad()
            backward(trained(batch(number)).square().mean())
            optimizer.step()
        for name in mask:
            optimizer.state[trained.get_parameter(name)]["momentum_buffer"][~mask.kept(name)] = value
        with mask.enforced_on(trained):
            for number in range(3):
                optimizer.zero_grad()
                loss = trained(batch(number)).square().mean() + sum(
                    (trained.get_parameter(name) * torch.where(mask.kept(name), 0, value)).sum() for name in mask
                )
                backward(torch.as_tensor(loss))
                assert all(
                    torch.count_nonzero(trained.get_parameter(name).grad[~mask.kept(name)]) == 0  # type: ignore[index]
                    for name in mask
                )
                optimizer.step()
                assert_zero(trained, mask)
    assert all(torch.equal(value, twin.state_dict()[name]) for name, value in model.state_dict().items())


def test_finite_numbers_become_what_a_product_with_the_mask_makes_of_them() -> None:
    values = torch.tensor([1.5, -1.5, 0.0, -0.0, 1e-45, -1e-45, 3e38, -3e38])
    kept = torch.tensor([True, True, False, False] * 2)
    for weights in (values, values.double(), values.half(), values.bfloat16(), values.view(2, 4).T):
        layer = nn.Module()
        layer.weight = nn.Parameter(weights.clone())
        keep = kept.view(2, 4).T if weights.ndim > 1 else kept
        finite = torch.isfinite(weights)
        with SignedMask({"weight": keep.to(torch.int8)}).enforced_on(layer):
            pass
        product = weights * keep
        assert torch.equal(layer.weight[finite], product[finite])
        assert torch.equal(torch.signbit(layer.weight)[finite], torch.signbit(product)[finite])


def test_a_model_may_move_inside_the_block_and_gradients_be_sparse_or_part_of_a_graph() -> None:
    model: Any = nn.Sequential(nn.Embedding(6, 4, sparse=True), nn.Linear(4, 4), nn.Linear(4, 2))
    mask = mask_of(model, ("0.weight", "1.weight"))
    with mask.enforced_on(model):
        backward(model(torch.tensor([0, 2, 2])).square().sum())
        gradient = model.get_parameter("0.weight").grad
        assert gradient is not None
        assert gradient.is_sparse
        assert torch.count_nonzero(gradient.to_dense()[~mask.kept("0.weight")]) == 0
        model.double()
        model.zero_grad()
        loss = model[1](batch(0, 4).double()).square().sum()
        torch.autograd.backward(loss, create_graph=True)
        gradient = model.get_parameter("1.weight").grad
        assert gradient is not None
        assert gradient.requires_grad
        assert torch.count_nonzero(gradient[~mask.kept("1.weight")]) == 0
        model.get_parameter("1.weight").grad = None
    assert_zero(model, mask)


# Other contexts.


def test_fixed_signs_hold_after_steps_of_their_own_model_only() -> None:
    model, other = network(), network(1)
    mask = mask_of(model)
    with mask.enforced_on(model), fixed_signs(model, 0, mask):
        with torch.no_grad():
            model.get_parameter("0.weight").neg_()
        before = model.get_parameter("0.weight").detach().clone()
        backward(other(batch(0)).sum())
        torch.optim.SGD(other.parameters(), lr=0.1).step()
        assert torch.equal(model.get_parameter("0.weight"), before)
        backward(model(batch(0)).sum())
        torch.optim.SGD(model.parameters(), lr=1e-3).step()
        assert torch.equal(torch.sign(model.get_parameter("0.weight")).to(torch.int8), mask["0.weight"])


def test_a_copy_flips_no_signs_and_layers_that_run_again_are_no_step() -> None:
    from torch.utils.checkpoint import checkpoint

    model = network()
    mask = SignedMask.of({"0.weight": model.get_parameter("0.weight")}, {"0.weight": torch.ones(16, 8, dtype=torch.bool)})
    with SignFlips(1.0, at=(1,))(model, 0, mask) as progress:
        before = model.get_parameter("0.weight").detach().clone()
        backward(checkpoint(model, batch(0).requires_grad_(), use_reentrant=False).sum())
        copied = copy.deepcopy(model)
        copied(batch(0))
        assert int(progress["forward_passes"]) == 1
        assert torch.equal(model.get_parameter("0.weight"), before)
        model(batch(0))
        assert torch.equal(model.get_parameter("0.weight"), -before)
        assert torch.equal(copied.get_parameter("0.weight"), before)

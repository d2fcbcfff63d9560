"""Stacked networks: each member is computed as if it were alone, whatever stands beside it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from winsome import models, stacking
from winsome.data import ImageData, load
from winsome.errors import WinsomeError
from winsome.stacking import can_stack, pays, stack, unstack
from winsome.training.loop import Networks, train
from winsome.training.settings import SGD, Training

DIGITS = (1, 8, 8)


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return load("digits")


def network(seed: int, name: str = "residual_mlp", **options: object) -> nn.Module:
    return models.build(name, image_shape=DIGITS, n_classes=10, seed=seed, **options)


def images(*shape: int) -> Tensor:
    return torch.randn(*shape, *DIGITS, generator=torch.Generator().manual_seed(0))


def trained_together(seeds: list[int], data: ImageData, steps: int) -> list[dict[str, Tensor]]:
    members = [network(seed) for seed in seeds]
    together = stack(members)
    training = Training(5, 128, SGD(0.1, 0.9, 1e-3))
    # Not fused: a fused optimizer rounds a tensor's last elements otherwise, and a stack of another size ends elsewhere.
    optimizer = torch.optim.SGD(together.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3, foreach=True)
    train(Networks(together, seeds, stacked=True), data, training, optimizer, range(steps))
    unstack(together, members)
    return [member.state_dict() for member in members]


@pytest.fixture
def one_thread() -> Iterator[None]:
    with stacking.one_thread(on=True):
        yield


NETWORKS = [("small_conv", "batch"), *((name, norm) for name in ("residual_mlp", "mlp") for norm in ("batch", "none", "scale"))]


@pytest.mark.parametrize(("name", "norm"), NETWORKS)
@pytest.mark.parametrize("mode", [True, False])
def test_the_forward_is_each_members_own(name: str, mode: bool, norm: str) -> None:
    options = {} if norm == "batch" else {"norm": norm}
    members = [network(seed, name, **options).train(mode) for seed in range(3)]
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for scale in (one for member in members for key, one in member.named_parameters() if key.endswith(".scale")):
            scale.uniform_(0.5, 2.0, generator=draw)
    together = stack(members).train(mode)
    inputs = images(3, 16)
    outputs = together(inputs)
    assert outputs.shape == (3, 16, 10)
    for index, member in enumerate(members):
        torch.testing.assert_close(outputs[index], member(inputs[index]), rtol=1e-5, atol=1e-5)
    for key, value in together.state_dict().items():
        if "running" in key or "batches" in key:
            for index, member in enumerate(members):
                torch.testing.assert_close(value[index], member.state_dict()[key], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["residual_mlp", "mlp", "small_conv"])
def test_fifty_steps_in_a_stack_are_fifty_steps_alone(name: str) -> None:
    # In float64, for training amplifies float32's last bit to another trajectory within a few dozen steps.
    members = [network(seed, name).double() for seed in range(3)]
    together = stack(members)
    optimizers = [SGD(0.1, 0.9, 1e-3)(net.parameters()) for net in (*members, together)]
    draws = torch.Generator().manual_seed(0)
    for _ in range(50):
        inputs = torch.randn(3, 16, *DIGITS, generator=draws, dtype=torch.float64)
        labels = torch.randint(10, (3, 16), generator=draws)
        alone = [F.cross_entropy(member(x), y) for member, x, y in zip(members, inputs, labels, strict=True)]
        losses = F.cross_entropy(together(inputs).mT, labels, reduction="none").mean(1)
        torch.testing.assert_close(losses, torch.stack(alone), rtol=1e-9, atol=1e-9)
        for optimizer in optimizers:
            optimizer.zero_grad()
        torch.autograd.backward([*alone, losses.sum()])
        for optimizer in optimizers:
            optimizer.step()
    for index, member in enumerate(members):
        for key, value in member.state_dict().items():
            torch.testing.assert_close(together.state_dict()[key][index], value, rtol=1e-8, atol=1e-8)
    inputs = torch.randn(3, 16, *DIGITS, generator=draws, dtype=torch.float64)
    judged = together.eval()(inputs)
    for index, member in enumerate(members):
        torch.testing.assert_close(judged[index], member.eval()(inputs[index]), rtol=1e-8, atol=1e-8)


@pytest.mark.usefixtures("one_thread")
def test_a_member_does_not_depend_on_its_place_or_its_neighbours(digits: ImageData) -> None:
    pair = trained_together([1, 2], digits, 50)
    for seeds in ([1], [2, 1], [7, 2, 1], [3, 4, 5, 1, 6, 2, 8]):
        several = trained_together(seeds, digits, 50)
        for member, seed in enumerate([1, 2]):
            if seed in seeds:
                for key, value in pair[member].items():
                    assert torch.equal(several[seeds.index(seed)][key], value), (seeds, key)


@pytest.mark.parametrize(("kind", "shape"), [(nn.BatchNorm1d, (5,)), (nn.BatchNorm2d, (5, 4, 3))])
@pytest.mark.parametrize(
    ("momentum", "affine", "tracked"), [(0.3, True, True), (None, True, True), (0.1, False, True), (0.1, True, False)]
)
def test_batchnorm_is_torchs_own(
    kind: type[nn.BatchNorm1d] | type[nn.BatchNorm2d],
    shape: tuple[int, ...],
    momentum: float | None,
    affine: bool,
    tracked: bool,
) -> None:
    layers = [kind(5, 1e-3, momentum, affine, tracked, dtype=torch.float64) for _ in range(3)]
    for member, layer in enumerate(layers):  # members that have seen different numbers of batches
        for _ in range(member):
            layer(torch.randn(4, *shape, dtype=torch.float64))
    together = stack([nn.Sequential(layer) for layer in layers])
    for mode in (True, True, False):
        inputs = torch.randn(3, 7, *shape, dtype=torch.float64) * 3 + 1
        outputs = together.train(mode)(inputs)
        for member, layer in enumerate(layers):
            torch.testing.assert_close(outputs[member], layer.train(mode)(inputs[member]))
    for key, value in together.state_dict().items():
        for member, layer in enumerate(layers):
            torch.testing.assert_close(value[member], layer.state_dict()[key.removeprefix("0.")])


def test_batchnorm_of_a_constant_is_finite_and_stays_so() -> None:
    together = stack([nn.Sequential(nn.BatchNorm1d(2))] * 1)
    inputs = torch.full((1, 8, 2), 3.0, requires_grad=True)
    together(inputs).sum().backward()
    torch.testing.assert_close(together(inputs), torch.zeros(1, 8, 2), rtol=0, atol=1e-4)
    assert inputs.grad is not None
    assert inputs.grad.isfinite().all()
    assert (together.state_dict()["0.running_var"] >= 0).all()


def test_batchnorm_reads_a_shadowed_parameter() -> None:
    layer = stack([nn.Sequential(nn.BatchNorm1d(2))] * 3).get_submodule("0")
    layer.__dict__["weight"] = torch.tensor([[2.0, 2.0], [0.0, 0.0], [1.0, 1.0]])
    outputs = layer(torch.randn(3, 50, 2))
    torch.testing.assert_close(outputs.std(1, correction=0).mean(1), torch.tensor([2.0, 0.0, 1.0]), rtol=1e-3, atol=1e-3)


def test_bf16_products_are_normalised_in_the_parameters_type() -> None:
    members = [network(seed) for seed in range(2)]
    inputs = images(2, 64)
    expected = torch.stack([member(x) for member, x in zip(members, inputs, strict=True)])
    with torch.autocast("cpu", torch.bfloat16):
        outputs = stack(members)(inputs)
    torch.testing.assert_close(outputs.float(), expected, rtol=0.1, atol=0.1)


def test_unstacking_gives_back_what_was_stacked() -> None:
    members = [network(seed) for seed in range(3)]
    before = [{key: value.clone() for key, value in member.state_dict().items()} for member in members]
    others = [network(9) for _ in range(3)]
    together = stack(members)
    assert list(together.state_dict()) == list(members[0].state_dict()), "names stay"
    unstack(together, others)
    for expected, other in zip(before, others, strict=True):
        assert all(torch.equal(value, other.state_dict()[key]) for key, value in expected.items())


def test_convolutions_and_pools_of_every_kind_are_each_members_own() -> None:
    def odd() -> nn.Module:
        wide = nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2)
        pools = (nn.MaxPool2d(2, 1), nn.AvgPool2d(2, 1, 1), nn.AdaptiveAvgPool2d((2, 1)))
        return nn.Sequential(nn.Conv2d(3, 4, 3, padding="same"), nn.GELU(), wide, *pools, nn.Flatten(), nn.Linear(12, 5))

    members = [odd().double() for _ in range(3)]
    inputs = torch.randn(3, 2, 3, 9, 8, dtype=torch.float64)
    for layout in (torch.contiguous_format, torch.channels_last):
        laid_out = [part.contiguous(memory_format=layout) for part in inputs]
        together = stack(members)(torch.stack(laid_out))
        for member, part, output in zip(members, laid_out, together, strict=True):
            torch.testing.assert_close(output, member(part), rtol=1e-12, atol=1e-12)


def test_stacks_of_convolutions_pay_on_a_gpu_only() -> None:
    gpu, cpu = torch.device("cuda"), torch.device("cpu")
    assert pays(network(0, "small_conv"), gpu)
    assert not pays(network(0, "small_conv"), cpu)
    assert pays(network(0, "mlp"), cpu)
    assert not pays(nn.Sequential(nn.LSTM(2, 2)), gpu)


def test_a_layer_without_a_stacked_form_is_named() -> None:
    recurrent = nn.Sequential(nn.LSTM(4, 4))
    assert not can_stack(recurrent)
    with pytest.raises(WinsomeError, match=r"'0' \(LSTM\) has no stacked form"):
        stack([recurrent, recurrent])
    with pytest.raises(WinsomeError, match=r"'0' pads by 'circular'"):
        stack([nn.Sequential(nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular"))])


def test_a_container_with_parameters_of_its_own_is_named() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))
            self.linear = nn.Linear(4, 4)

    with pytest.raises(WinsomeError, match=r"'scaled' \(Scaled\)"):
        stack([nn.ModuleDict({"scaled": Scaled()})] * 2)


def test_shared_parameters_are_named() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    with pytest.raises(WinsomeError, match=r"'0\.weight' and '1\.weight' are one tensor"):
        stack([model, model])


def test_networks_of_other_shapes_are_refused() -> None:
    with pytest.raises(WinsomeError, match=r"0\.weight is \(3, 2\) in the first, \(4, 2\) in number 2"):
        stack([nn.Sequential(nn.Linear(2, 3)), nn.Sequential(nn.Linear(2, 4))])
    with pytest.raises(WinsomeError, match="no networks to stack"):
        stack([])


def test_unstacking_into_too_few_is_refused() -> None:
    members = [network(seed) for seed in range(3)]
    with pytest.raises(WinsomeError, match="holds 3 networks"):
        unstack(stack(members), members[:2])


def test_a_forward_that_flattens_by_itself_is_told_what_it_may_do() -> None:
    class Flattens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(64, 2)

        def forward(self, inputs: Tensor) -> Tensor:
            out: Tensor = self.linear(inputs.flatten(1))
            return out

    with pytest.raises(WinsomeError, match="layers and elementwise functions only"):
        stack([Flattens(), Flattens()])(images(2, 5))


def test_one_thread_is_for_the_block_only() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with stacking.one_thread(on=True):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        with stacking.one_thread(on=False):
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)

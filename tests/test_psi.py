"""Norms found by what they are, the identity of each against its formula, and AWS for any choice of parameters."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import winsome
from contract import regressing
from winsome.alphas import uniform
from winsome.errors import WinsomeError
from winsome.norms import Frozen, Interpolated, frozen_norms, interpolated_norms, reset_norm_parameters
from winsome.psi import biases, chosen, identities, norm_layers, norm_parameters, norm_state_names
from winsome.signed_mask import SignedMask
from winsome.transfer import absorb_norm_signs

SEED = 5
NOTHING = SignedMask({})


class OwnRMSNorm(nn.Module):
    """weight * x / rms(x), as Llama's."""

    def __init__(self, width: int, start: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((width,), start))

    def scale(self) -> Tensor:
        return self.weight

    def forward(self, inputs: Tensor) -> Tensor:
        return self.scale() * inputs * torch.rsqrt(inputs.square().mean(-1, keepdim=True) + 1e-6)


class OnePlusNorm(OwnRMSNorm):
    """(1 + weight) * x / rms(x), as Gemma's."""

    def scale(self) -> Tensor:
        return 1 + self.weight


class BoundedNorm(OwnRMSNorm):
    """A scale whose identity cannot be known."""

    def scale(self) -> Tensor:
        return torch.tanh(self.weight)


class OfHeadsNorm(OwnRMSNorm):
    """weight * x / rms(x) with a weight for each channel of each head, as Cohere's."""

    def __init__(self, heads: int, width: int) -> None:
        super().__init__(width)
        self.weight = nn.Parameter(torch.rand(heads, width))


class MatrixNorm(OwnRMSNorm):
    """Called a norm, but multiplies by a matrix."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.weight = nn.Parameter(torch.rand(width, width))

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs @ self.weight


class ActivatedNorm(nn.GroupNorm):
    """A norm with its activation in it, as transformers' BitGroupNormActivation."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input).relu()


class ShiftedNorm(nn.Module):
    """gain * normalised + shift over channels that come second, called with hooks on it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain, self.shift = nn.Parameter(torch.rand(1, width, 1, 1)), nn.Parameter(torch.rand(1, width, 1, 1))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.gain * F.group_norm(inputs, 1) + self.shift


class StandardisedConv2d(nn.Conv2d):
    """Weight standardisation with a gain, as timm's ScaledStdConv2d."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1)
        self.gain = nn.Parameter(torch.ones(outputs, 1, 1, 1))

    def forward(self, input: Tensor) -> Tensor:
        flat = self.weight.flatten(1)
        weight = ((flat - flat.mean(1, keepdim=True)) / flat.std(1, keepdim=True)).view_as(self.weight)
        return F.conv2d(input, self.gain * weight, self.bias, padding=1)


class LayerScale(nn.Module):
    """A scale that is no norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((width,), 0.1))

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs * self.gamma


def network(norm: Callable[[int], nn.Module] = OwnRMSNorm) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), norm(8), nn.ReLU(), nn.Linear(8, 8), LayerScale(8), nn.Linear(8, 3))


def alpha_of_the_first_pass() -> Tensor:
    return uniform(torch.tensor(SEED), torch.tensor(0)).float()


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (OwnRMSNorm(5, 0.3), {"weight": 1.0}),
        (OnePlusNorm(5, 0.3), {"weight": 0.0}),
        (ShiftedNorm(5), {"gain": 1.0, "shift": 0.0}),
        (StandardisedConv2d(3, 5), {"gain": 1.0}),
        (nn.LayerNorm((3, 4)), {"weight": 1.0, "bias": 0.0}),
    ],
    ids=["scale", "one plus", "scale and shift", "standardised", "LayerNorm"],
)
def test_the_identity_of_a_norm_is_where_it_scales_by_one_and_adds_nothing(
    layer: nn.Module, expected: dict[str, float]
) -> None:
    with torch.no_grad():
        for parameter in layer.parameters():  # trained values say nothing
            parameter.normal_()
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    random = torch.get_rng_state()
    layer.register_forward_hook(lambda *_: pytest.fail("the user's hooks are not called"))
    assert identities(chosen(layer)) == expected
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())


def test_an_identity_that_cannot_be_known_is_refused_before_anything_trains() -> None:
    model = network(BoundedNorm)
    with pytest.raises(
        WinsomeError, match=r"1\.weight \(BoundedNorm\) does nothing .*psi_init = \{'weight': 1\.0\}.*toward=.start"
    ):
        next(winsome.find_tickets(model, winsome.aws(1), lambda *_: pytest.fail("it trains")))
    with pytest.raises(WinsomeError, match="cannot be known"):
        reset_norm_parameters(model)
    list(winsome.find_tickets(model, winsome.aws(1, toward="start"), train))


def test_norms_are_those_that_are_called_so_and_hold_values_for_channels() -> None:
    class NormalisedAttention(nn.Module):  # called so, but it holds matrices
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(4, 4))

    class NormBlock(nn.Module):  # called so, but it holds layers
        def __init__(self) -> None:
            super().__init__()
            self.gain, self.linear = nn.Parameter(torch.ones(1)), nn.Linear(4, 4)

    model = nn.ModuleDict(
        {
            "own": OwnRMSNorm(4),
            "norm": LayerScale(4),  # called so by its name in the network
            "attention": NormalisedAttention(),
            "block": NormBlock(),
            "scale": LayerScale(4),
            "batch": nn.BatchNorm1d(4, affine=False),
            "standardised": StandardisedConv2d(2, 2),
        }
    )
    assert list(norm_layers(model)) == ["own", "norm", "batch"]
    assert list(norm_parameters(model)) == ["own.weight", "norm.gamma", "standardised.gain"]
    assert {line.name for line in winsome.plan(model) if line.psi} == set(norm_parameters(model))
    statistics = {"batch.running_mean", "batch.running_var", "batch.num_batches_tracked"}
    assert norm_state_names(model) == statistics | set(norm_parameters(model))
    assert norm_state_names(model, "own") == {"own.weight"}


def test_a_choice_is_by_name_glob_or_predicate() -> None:
    model = network()
    assert list(chosen(model, "4.gamma")) == ["4.gamma"]
    assert list(chosen(model, ["*.gamma", "1"])) == ["1.weight", "4.gamma"]
    assert list(chosen(model, biases)) == ["0.bias", "3.bias", "5.bias"]
    assert list(chosen(model, lambda _name, owner: isinstance(owner, LayerScale))) == ["4.gamma"]
    with pytest.raises(WinsomeError, match=r"'\*\.beta' matches no parameter and no module"):
        chosen(model, "*.beta")
    assert list(chosen(nn.LSTM(3, 4), biases)) == ["bias_ih_l0", "bias_hh_l0"]


@pytest.mark.parametrize("make", [nn.LSTM, nn.GRU, nn.LSTMCell])
def test_a_recurrent_layer_reads_what_is_interpolated(make: Callable[[int, int], nn.Module]) -> None:
    torch.manual_seed(0)
    model, inputs = nn.Sequential(make(3, 4)), torch.randn(5, 3)
    twin = copy.deepcopy(model)
    plain = model(inputs)[0]
    with Interpolated(biases)(model, seed=7):
        interpolated = model(inputs)[0]
        interpolated.sum().backward()
    alpha = uniform(torch.tensor(7), torch.tensor(0)).float()
    with torch.no_grad():
        for parameter in chosen(twin, biases).values():
            parameter.parameter.mul_(alpha)
    expected = twin(inputs)[0]
    expected.sum().backward()
    torch.testing.assert_close(interpolated, expected)
    for name in chosen(twin, biases):
        gradient = twin.get_parameter(name).grad
        assert gradient is not None
        torch.testing.assert_close(model.get_parameter(name).grad, alpha * gradient)
    assert torch.equal(model(inputs)[0], plain)
    with Frozen(biases)(model):
        for parameter in chosen(twin, biases).values():
            parameter.parameter.data.zero_()
        torch.testing.assert_close(model(inputs)[0], twin(inputs)[0])


@pytest.mark.parametrize(
    ("part", "values"),
    [
        (Interpolated(), {"1.weight": 1.0}),
        (Interpolated("*.gamma"), {"4.gamma": 1.0}),
        (Interpolated(biases), {"0.bias": 0.0, "3.bias": 0.0, "5.bias": 0.0}),
        (Interpolated("5.weight", 0.25), {"5.weight": 0.25}),
    ],
    ids=["norms", "LayerScale", "biases", "classifier"],
)
def test_any_choice_is_interpolated_toward_its_identity_or_a_number(part: Interpolated, values: dict[str, float]) -> None:
    model, twin = network(), network()
    alpha = alpha_of_the_first_pass()
    inputs = torch.randn(4, 6)
    with torch.no_grad():
        for name, value in values.items():
            twin.get_parameter(name).mul_(alpha).add_((1 - alpha) * value)
    with part(model, SEED):
        torch.testing.assert_close(model(inputs), twin(inputs))
    frozen = Frozen(part.norms, part.toward)
    with frozen(model):
        assert all(torch.equal(p, torch.full_like(p, values[n])) for n, p in model.named_parameters() if n in values)
        assert [n for n, p in model.named_parameters() if not p.requires_grad] == list(values)
    assert all(p.requires_grad for p in model.parameters())


def test_a_norm_with_a_scale_for_each_channel_of_each_head() -> None:
    layer, plain = OfHeadsNorm(2, 4), torch.randn(3, 2, 4)
    assert norm_layers(nn.ModuleList([layer, MatrixNorm(4)])) == {"0": layer}
    assert identities(chosen(layer)) == {"weight": 1.0}
    reset_norm_parameters(layer)
    torch.testing.assert_close(layer(plain), F.rms_norm(plain, (4,), eps=1e-6))


@pytest.mark.parametrize("groups", [2, 8])  # 8 groups of a single channel: on vectors nothing is left of the inputs
@pytest.mark.parametrize("gamma", [0.0, 1.0])
def test_the_shift_before_an_activation_is_no_scale(groups: int, gamma: float) -> None:
    layer = ActivatedNorm(groups, 8)
    nn.init.constant_(layer.weight, gamma)
    assert identities(chosen(layer)) == {"weight": 1.0, "bias": 0.0}


train = regressing(4, 6)


def test_toward_the_start_is_toward_the_network_that_the_search_began_with() -> None:
    model = network(lambda width: OwnRMSNorm(width, 0.0))  # zero-initialised, as the last gamma of a residual block
    with torch.no_grad():
        model.get_parameter("1.weight").copy_(torch.arange(8.0) / 8)
    begun = model.get_parameter("1.weight").detach().clone()
    seen = []

    def freezes(network: nn.Module, level: winsome.Level) -> None:
        seen.append(network.get_parameter("1.weight").detach().clone())
        with torch.no_grad():
            network.get_parameter("1.weight").add_(1)  # whatever training does
        train(network, level)

    method = winsome.lrr_with_frozen_norms(2, toward="start")
    list(winsome.find_tickets(model, method, freezes))
    assert all(torch.equal(value, begun) for value in seen)
    assert len(seen) == 3


def test_the_gammas_of_a_zero_initialised_residual_go_toward_one_by_default() -> None:
    layer = nn.BatchNorm2d(3)
    nn.init.zeros_(layer.weight)
    assert identities(chosen(nn.Sequential(layer))) == {"0.weight": 1.0, "0.bias": 0.0}


def test_a_batch_norm_that_is_held_in_evaluation_mode_is_interpolated() -> None:
    model = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4))
    nn.init.constant_(model.get_parameter("1.weight"), 3.0)
    model.train()
    model[1].eval()
    inputs = torch.randn(5, 6)
    with interpolated_norms(model, SEED):
        scale = 3 * alpha_of_the_first_pass() + 1 - alpha_of_the_first_pass()
        torch.testing.assert_close(model(inputs), model[0](inputs) * scale / (1 + 1e-5) ** 0.5)


def test_an_attention_reads_the_bias_of_its_projection_itself() -> None:
    class Attends(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

        def forward(self, inputs: Tensor) -> Tensor:
            out: Tensor = self.attention(inputs, inputs, inputs)[0]
            return out

    model, twin = Attends(), Attends()
    nn.init.ones_(model.attention.out_proj.bias)
    twin.load_state_dict(model.state_dict())
    nn.init.constant_(twin.attention.out_proj.bias, float(alpha_of_the_first_pass()))
    inputs = torch.randn(2, 3, 4)
    with Interpolated(biases)(model, SEED):
        torch.testing.assert_close(model(inputs), twin(inputs))


METHODS: dict[str, winsome.Method] = {
    "interpolates": winsome.aws(1),
    "freezes": winsome.lrr_with_frozen_norms(1),
    "rewinds": winsome.lrr_with_norm_rewinding(1),
}


@pytest.mark.parametrize("name", METHODS)
def test_a_method_that_finds_no_norms_says_so_once(name: str, caplog: pytest.LogCaptureFixture) -> None:
    method = METHODS[name]
    plain = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    with caplog.at_level(logging.WARNING, "winsome"):
        list(winsome.find_tickets(plain, method, train))
        assert caplog.text.count("has no normalisation parameters that are found") == 1
        assert f"{method.label}: Sequential has no" in caplog.text
        caplog.clear()
        list(winsome.find_tickets(network(), method, train))
        list(winsome.find_tickets(plain, winsome.imp(1), train))
    assert "normalisation" not in caplog.text


def test_norms_of_a_search_are_those_of_all_its_parts() -> None:
    levels = list(winsome.find_tickets(network(), winsome.lrr_with_frozen_norms(1), train, norms="*.gamma"))
    assert all(torch.equal(level.state["4.gamma"], torch.ones(8)) for level in levels)
    assert not torch.equal(levels[0].state["1.weight"], torch.ones(8)), "the norm trains"
    rewound = list(winsome.find_tickets(network(), winsome.lrr_with_norm_rewinding(1), train, norms="*.gamma"))
    assert rewound[0].ticket.provenance["method"]["rewind"] == "KeepWeightsRewindNorms(step=0, norms='*.gamma')"
    assert winsome.lrr_with_norm_rewinding(1).record()["rewind"] == "KeepWeightsRewindNorms(step=0)"
    assert winsome.aws(1).while_training is interpolated_norms
    assert winsome.lrr_with_frozen_norms(1).while_training is frozen_norms


def test_negative_scales_of_a_norm_of_ones_own_are_absorbed() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), OwnRMSNorm(8), nn.Linear(8, 3))
    nn.init.normal_(model.get_parameter("1.weight"))
    inputs = torch.randn(4, 6)
    before, negative = model(inputs), int((model.get_parameter("1.weight") < 0).sum())
    assert absorb_norm_signs(model) == negative > 0
    assert not (model.get_parameter("1.weight") < 0).any()
    torch.testing.assert_close(model(inputs), before)

"""Norms behind a parametrisation, scales outside of norms, in lists, of one number: interpolated rightly or said by name."""

from __future__ import annotations

import copy
import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, parametrize, prune, weight_norm

import winsome
from contract import regressing
from winsome.alphas import uniform
from winsome.bare_scales import bare_scales, globs_of
from winsome.errors import WinsomeError
from winsome.norms import Frozen, Interpolated, interpolated_norms, reset_norm_parameters
from winsome.psi import chosen, identities, norm_layers, norm_parameters, norm_state_names
from winsome.transfer import absorb_norm_signs, norm_pairs

pytestmark = pytest.mark.filterwarnings("ignore")
SEED = 5
ALPHA = uniform(torch.tensor(SEED), torch.tensor(0)).float()


class RootNorm(nn.Module):
    """g * x / rms(x), with one g for all channels or one for each."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.g = nn.Parameter(torch.rand(shape) + 1)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.g * F.rms_norm(inputs, inputs.shape[-1:])


class ScaleNorm(RootNorm):
    """g * x / |x|, whose g begins at the root of the number of channels."""

    def forward(self, inputs: Tensor) -> Tensor:
        return self.g * F.normalize(inputs, dim=-1)


class Positive(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return F.softplus(values)

    def right_inverse(self, values: Tensor) -> Tensor:
        return values.expm1().log()


def behind(layer: nn.Module, put_on: Callable[[nn.Module], object]) -> nn.Module:
    put_on(layer)
    return layer


def positive(kind: str) -> Callable[[nn.Module], object]:
    return lambda layer: parametrize.register_parametrization(layer, kind, Positive())


def pruned(layer: nn.Module) -> object:
    return prune.l1_unstructured(layer, "weight", 0.5)  # type: ignore[no-untyped-call]


COMPUTED: dict[str, tuple[Callable[[], nn.Module], str, list[str]]] = {
    "weight_norm": (
        lambda: behind(nn.LayerNorm(8), parametrizations.weight_norm),
        "weight",
        ["parametrizations.weight.original0", "parametrizations.weight.original1"],
    ),
    "spectral_norm": (
        lambda: behind(nn.LayerNorm((2, 4)), parametrizations.spectral_norm),
        "weight",
        ["parametrizations.weight.original"],
    ),
    "a user's": (
        lambda: behind(nn.BatchNorm1d(8), positive("weight")),
        "weight",
        ["parametrizations.weight.original"],
    ),
    "a user's norm": (lambda: behind(RootNorm(8), positive("g")), "g", ["parametrizations.g.original"]),
    "older weight_norm": (lambda: behind(nn.LayerNorm(8), weight_norm), "weight", ["weight_g", "weight_v"]),
    "prune": (lambda: behind(nn.LayerNorm(8), pruned), "weight", ["weight_orig"]),
}


def network(norm: nn.Module) -> nn.Sequential:
    """The norm is called 1.norm."""
    torch.manual_seed(0)
    shape = nn.Unflatten(1, (2, 4)) if getattr(norm, "normalized_shape", ()) == (2, 4) else nn.Identity()
    body = nn.Sequential(OrderedDict([("shape", shape), ("norm", norm), ("flat", nn.Flatten())]))
    return nn.Sequential(nn.Linear(6, 8), body, nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))


train = regressing(4, 6)


@pytest.mark.parametrize("case", COMPUTED)
def test_a_norm_whose_tensor_is_computed_is_psi_and_refused_by_name_where_it_would_be_set(case: str) -> None:
    make, tensor, kinds = COMPUTED[case]
    names = [f"1.norm.{kind}" for kind in kinds]
    said = rf"the {tensor} of '1\.norm' is computed from {names[0]} .* take that off first"
    lines = {line.name: line for line in winsome.plan(network(make()))}
    assert all(lines[name].psi and not lines[name].prunable for name in names)
    assert all("psi (normalisation) is computed from it" in lines[name].reason for name in names)
    for method in (
        winsome.aws(1),
        winsome.lrr_with_frozen_norms(1),
        winsome.aws(1, norms="1.norm"),
        winsome.aws(1, toward=1.0),
    ):
        with pytest.raises(WinsomeError, match=said):
            next(winsome.find_tickets(network(make()), method, lambda *_: pytest.fail("it trains")))
    model = network(make())
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(WinsomeError, match=said):
        reset_norm_parameters(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    list(winsome.find_tickets(model, winsome.imp(1), train))  # it acts on no norm


@pytest.mark.parametrize("case", COMPUTED)
def test_toward_the_start_a_norm_sees_what_its_interpolated_parameters_make(case: str) -> None:
    make, _, kinds = COMPUTED[case]
    model = network(make())
    begun = {name: p.detach().clone() for name, p in norm_parameters(model).items()}
    assert {f"1.norm.{kind}" for kind in kinds} <= set(begun)
    with torch.no_grad():
        for p in norm_parameters(model).values():
            p.add_(torch.rand_like(p))
    twin = network(make())
    twin.load_state_dict(model.state_dict())
    with torch.no_grad():
        for name, p in norm_parameters(twin).items():
            p.copy_(ALPHA * p + (1 - ALPHA) * begun[name])
    inputs = torch.randn(5, 6)
    with Interpolated(toward="start", start=begun)(model, SEED):
        torch.testing.assert_close(model(inputs), twin(inputs))
    plain = network(make())
    plain.load_state_dict({**model.state_dict(), **begun})
    model.eval(), plain.eval()
    with Frozen(toward="start", start=begun)(model):
        torch.testing.assert_close(model(inputs), plain(inputs))


@pytest.mark.parametrize("case", COMPUTED)
def test_what_a_norm_is_computed_from_is_rewound_with_it(case: str) -> None:
    model = network(COMPUTED[case][0]())
    wanted = {name for name in model.state_dict() if name.startswith("1.norm.")}
    assert norm_state_names(model) == wanted
    assert norm_state_names(model, "*.bias") & {f"1.norm.{kind}" for kind in COMPUTED[case][2]} == set()


def test_signs_are_not_turned_in_what_is_computed_and_negative_scales_of_it_are_said(caplog: pytest.LogCaptureFixture) -> None:
    made = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Linear(8, 8), nn.RMSNorm(8))
    parametrizations.weight_norm(made[0])
    nn.init.constant_(made[3].get_parameter("weight"), -2.0)
    nn.init.constant_(made[5].get_parameter("weight"), -2.0)
    parametrizations.weight_norm(made[3])
    assert norm_pairs(made) == {"4": "5"}
    with pytest.raises(WinsomeError, match=r"3 has no weight that a sign can be turned in"):
        absorb_norm_signs(made, {"2": "3"})
    inputs = torch.randn(5, 4)
    before = made.eval()(inputs)
    with caplog.at_level(logging.WARNING, "winsome"):
        assert absorb_norm_signs(made) == 8
    assert "8 negative gammas are left" in caplog.text
    assert caplog.text.rstrip().endswith("3.weight")
    torch.testing.assert_close(made(inputs), before)


@pytest.mark.parametrize("shape", [(), (1,), (8,)], ids=str)
def test_the_identity_of_a_scale_is_1_only_where_what_it_scales_is_of_unit_size(shape: tuple[int, ...]) -> None:
    model = network(RootNorm(*shape))
    assert identities(chosen(model)) == {"1.norm.g": 1.0}
    twin = copy.deepcopy(model)
    twin.get_parameter("1.norm.g").data.mul_(ALPHA).add_(1 - ALPHA)
    inputs = torch.randn(5, 6)
    with interpolated_norms(model, SEED):
        torch.testing.assert_close(model(inputs), twin(inputs))
    of_lengths = network(ScaleNorm(*shape))
    assert list(norm_parameters(of_lengths)) == ["1.norm.g"]
    with pytest.raises(WinsomeError, match=r"the value at which 1\.norm\.g \(ScaleNorm\) does nothing cannot be known"):
        next(winsome.find_tickets(of_lengths, winsome.aws(1), train))
    of_lengths.get_submodule("1.norm").psi_init = {"g": 8**0.5}  # type: ignore[assignment]
    reset_norm_parameters(of_lengths)
    inputs = torch.randn(5, 8)
    torch.testing.assert_close(of_lengths.get_submodule("1.norm")(inputs), F.rms_norm(inputs, (8,)))


def test_a_scale_beside_another_that_is_trained_has_its_identity_and_one_in_an_activation_too() -> None:
    class TwoScalesNorm(RootNorm):
        def __init__(self) -> None:
            super().__init__(8)
            self.all = nn.Parameter(torch.tensor(7.0))

        def forward(self, inputs: Tensor) -> Tensor:
            return super().forward(inputs).relu() * self.all

    assert identities(chosen(TwoScalesNorm())) == {"g": 1.0, "all": 1.0}


class Block(nn.Module):
    """Scales and shifts of its own, beside a norm that is one."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.norm, self.act = nn.Linear(8, 8), nn.LayerNorm(8), nn.PReLU(8)
        self.w, self.b, self.by_hand = (nn.Parameter(torch.rand(8)) for _ in range(3))
        self.gamma = nn.Parameter(torch.rand(8))
        self.cls_token, self.temperature = nn.Parameter(torch.zeros(1, 1, 8)), nn.Parameter(torch.ones(8))
        self.norms = nn.ParameterDict({"scale": torch.rand(8), "shift": torch.rand(8)})
        self.rms_norms = nn.ParameterList([torch.rand(8)])

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = F.layer_norm(self.norm(inputs), (8,), self.w, bias=self.b) * self.temperature + self.cls_token[0]
        hidden = hidden * torch.rsqrt(hidden.square().mean(-1, keepdim=True)) * self.by_hand.view(1, -1)
        hidden = F.layer_norm(hidden, (8,), self.norms["scale"], self.norms["shift"])
        hidden = F.rms_norm(hidden, (8,)) * self.rms_norms[0]
        result: Tensor = self.act(inputs + self.gamma * self.linear(hidden))
        return result


BARE = ["w", "b", "by_hand", "gamma", "norms.scale", "norms.shift", "rms_norms.0"]


def of_block() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), Block(), nn.Linear(8, 8), nn.Linear(8, 3))


def test_scales_outside_of_norms_are_said_once_with_names_that_take_them(caplog: pytest.LogCaptureFixture) -> None:
    model = of_block()
    assert list(bare_scales(model)) == [f"1.{name}" for name in BARE]
    assert list(norm_layers(model)) == ["1.norm"], "lists and dicts of parameters are no norms"
    reasons = {line.name: line.reason for line in winsome.plan(model)}
    assert {name for name, reason in reasons.items() if "outside of norms" in reason} == {f"1.{name}" for name in BARE}
    with caplog.at_level(logging.WARNING, "winsome"):
        list(winsome.find_tickets(model, winsome.lrr_with_norm_rewinding(1), train))
        list(winsome.find_tickets(of_block(), winsome.aws(1), train))
    said = [record.getMessage() for record in caplog.records if "outside of norms" in record.getMessage()]
    assert len(said) == 2
    assert said[1].startswith("AWS: Sequential has scales or shifts outside of norms (1.w, 1.b, 1.by_hand and 4 more)")
    globs = globs_of(model, bare_scales(model))
    assert said[1].endswith(f"norms={('found', *globs)!r}")
    assert set(chosen(model, ("found", *globs))) == {*bare_scales(model), *chosen(model)}
    caplog.clear()
    with caplog.at_level(logging.WARNING, "winsome"):
        list(winsome.find_tickets(of_block(), winsome.aws(1, norms=("found", *globs), toward=1.0), train))
        list(winsome.find_tickets(of_block(), winsome.imp(1), train))
        list(winsome.find_tickets(network(nn.BatchNorm1d(8)), winsome.aws(1), train))
    assert "outside of norms" not in caplog.text


def test_patterns_choose_no_more_than_they_are_to() -> None:
    model = nn.ModuleDict({name: Block() for name in ("a", "b")})
    assert globs_of(model, ["a.gamma", "b.gamma"]) == ("*.gamma",)
    assert globs_of(model, ["a.gamma"]) == ("a.gamma",), "b's stays out"
    assert globs_of(model, ["a.rms_norms.0", "b.rms_norms.0"]) == ("*.rms_norms.0",)


@pytest.mark.parametrize("name", BARE)
def test_a_named_scale_is_interpolated_wherever_it_is_held(name: str) -> None:
    model = of_block()
    twin = copy.deepcopy(model)
    twin.get_parameter(f"1.{name}").data.mul_(ALPHA).add_((1 - ALPHA) * 0.25)
    inputs = torch.randn(5, 6)
    plain = model(inputs)
    with Interpolated(f"*.{name}", 0.25)(model, SEED):
        interpolated = model(inputs)
        interpolated.sum().backward()
    torch.testing.assert_close(interpolated, twin(inputs))
    twin(inputs).sum().backward()
    expected = twin.get_parameter(f"1.{name}").grad
    assert expected is not None
    torch.testing.assert_close(model.get_parameter(f"1.{name}").grad, ALPHA * expected)
    assert torch.equal(model(inputs), plain)


def test_the_identity_in_a_list_or_dict_is_tried_in_what_reads_it() -> None:
    class Reads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norms = nn.ParameterDict({"scale": torch.rand(8), "shift": torch.rand(8)})

        def forward(self, inputs: Tensor) -> Tensor:
            return F.layer_norm(inputs, (8,), self.norms["scale"], self.norms["shift"])

    model = nn.Sequential(nn.Linear(6, 8), Reads())
    assert identities(chosen(model, "1.norms")) == {"1.norms.scale": 1.0, "1.norms.shift": 0.0}
    with pytest.raises(WinsomeError, match=r"1\.gamma \(Block\) does nothing cannot be known"):
        identities(chosen(of_block(), "1.gamma"))  # an activation is behind it


def test_a_scale_of_a_residual_branch_does_nothing_at_1_wherever_it_is_held() -> None:
    class Branch(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.gamma = nn.Linear(8, 8), nn.Parameter(torch.full((8,), 1e-6))

        def forward(self, inputs: Tensor) -> Tensor:
            result: Tensor = inputs + self.gamma * self.linear(inputs).relu()
            return result

    model = nn.Sequential(Branch())
    assert identities(chosen(model, globs_of(model, bare_scales(model)))) == {"0.gamma": 1.0}


@pytest.mark.parametrize("called", [True, False])
def test_a_norm_that_is_read_past_its_forward_is_said_to_be_not_interpolated(
    called: bool, caplog: pytest.LogCaptureFixture
) -> None:
    class Past(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other, self.unused = nn.LayerNorm(8), nn.LayerNorm(8), nn.LayerNorm(8)

        def forward(self, inputs: Tensor) -> Tensor:
            hidden: Any = self.one(inputs) if called else F.layer_norm(inputs, (8,), self.one.weight, self.one.bias)
            result: Tensor = self.other(hidden)
            return result

    with caplog.at_level(logging.WARNING, "winsome"):
        list(winsome.find_tickets(network(Past()), winsome.aws(0), train))
    assert ("1.norm.one.weight, 1.norm.one.bias trained, but was not interpolated" in caplog.text) == (not called)
    assert "unused" not in caplog.text
    assert "other" not in caplog.text

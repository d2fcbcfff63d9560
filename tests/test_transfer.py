"""Planting by hand-written formulas, refused mismatches, and the exact reparametrisation that makes gamma non-negative."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from winsome import SignedMask, Ticket, WinsomeError, absorb_norm_signs, mask_only, plant, prunable, signs_and_norms
from winsome.psi import norm_parameters
from winsome.ticket import ticket_of
from winsome.transfer import norm_pairs, shuffled, signs


def network(seed: int) -> nn.Sequential:
    """A hidden layer as wide as the class count, biases, two linear layers that may stay unpruned."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3), nn.ReLU(), nn.Linear(3, 3)
    )


def trained(seed: int = 1) -> nn.Sequential:
    """Every parameter random and of mixed signs."""
    model = network(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape))
    return model


def ticket(model: nn.Module, *, names: tuple[str, ...] = ("0.weight", "4.weight")) -> Ticket:
    draw = torch.Generator().manual_seed(3)
    kept = {name: torch.rand(model.get_parameter(name).shape, generator=draw) < 0.4 for name in names}
    return ticket_of(model, names, kept).with_norms(norm_parameters(model))


def values(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def sign(value: Tensor) -> Tensor:
    """By hand: an exact zero counts as positive."""
    return torch.tensor([-1.0 if v < 0 else 1.0 for v in value.flatten().tolist()]).view(value.shape)


@pytest.mark.parametrize("keep", [signs, mask_only, signs_and_norms])
def test_planting_is_the_formula(keep: object) -> None:
    source = trained()
    found = ticket(source)
    fresh = network(2)
    with torch.no_grad():
        fresh[1].running_mean.fill_(0.5)  # type: ignore[operator]
    start, buffers = values(fresh), {name: value.clone() for name, value in fresh.named_buffers()}
    planted = plant(found, fresh, keep=keep)  # type: ignore[arg-type]
    old = values(source)
    for name, value in values(fresh).items():
        kept = found.mask.kept(name).float() if name in found.mask else torch.ones_like(value)
        if name.startswith("1."):
            expected = old[name] if keep is signs_and_norms else start[name]
        elif keep is mask_only:
            expected = start[name] * kept
        else:
            expected = start[name].abs() * sign(old[name]) * kept
        assert torch.equal(value, expected), name
        if name in found.mask:
            assert torch.equal(planted[name], (sign(expected) * kept).to(torch.int8))
    assert all(torch.equal(value, buffers[name]) for name, value in fresh.named_buffers())


def test_classifier_and_bias_signs_travel_and_each_unpruned_layer_gets_its_own() -> None:
    source = trained()
    found = ticket(source, names=("0.weight",))  # the hidden linear layer stays unpruned, beside the classifier
    assert set(found.signs) == {"0.bias", "4.weight", "4.bias", "6.weight", "6.bias"}
    fresh = network(2)
    plant(found, fresh)
    for name in found.signs:
        assert torch.equal(torch.sign(fresh.get_parameter(name)), sign(source.get_parameter(name))), name


def test_a_hidden_layer_as_wide_as_the_class_count_is_pruned() -> None:
    assert prunable(network(1)) == ("0.weight", "4.weight")


def test_zeros_count_as_positive() -> None:
    source = trained()
    with torch.no_grad():
        for name in ("0.weight", "6.bias"):
            source.get_parameter(name).zero_()
    everything = {name: torch.ones(source.get_parameter(name).shape, dtype=torch.bool) for name in ("0.weight", "4.weight")}
    found = ticket_of(source, tuple(everything), everything)
    assert found.density == 1, "a kept weight that is exactly 0 stays in the mask"
    fresh = network(2)
    start = values(fresh)
    plant(found, fresh)
    for name in ("0.weight", "6.bias"):
        assert torch.equal(fresh.get_parameter(name), start[name].abs())


def test_a_ticket_for_another_architecture_is_refused_and_the_model_untouched() -> None:
    found = ticket(trained())
    other = nn.Sequential(
        nn.Conv2d(1, 4, 5), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3), nn.ReLU(), nn.Identity()
    )
    start = values(other)
    with pytest.raises(WinsomeError) as error:
        plant(found, other)
    for part in (
        "lacks 6.weight, 6.bias",
        "0.weight is (4, 1, 5, 5) in the model, (4, 1, 3, 3) in the ticket",
        "4.weight is (3, 64) in the model, (3, 144) in the ticket",
    ):
        assert part in str(error.value)
    assert all(torch.equal(value, other.get_parameter(name)) for name, value in start.items())
    larger = nn.Sequential(*network(1), nn.Linear(3, 3))
    with pytest.raises(WinsomeError, match=r"does not know: 7\.weight, 7\.bias"):
        plant(found, larger)


def test_signs_and_norms_needs_norms() -> None:
    source = trained()
    with pytest.raises(WinsomeError, match="with_norms"):
        plant(Ticket(ticket(source).mask), network(2), keep=signs_and_norms)


def test_shuffled_keeps_every_layers_entries_in_other_places() -> None:
    mask = ticket(trained()).mask
    other = shuffled(mask, torch.Generator().manual_seed(0))
    assert list(other) == list(mask)
    for name in mask:
        assert sorted(other[name].flatten().tolist()) == sorted(mask[name].flatten().tolist())
        assert not torch.equal(other[name], mask[name])
    assert other.layers() == mask.layers()
    assert other == shuffled(mask, torch.Generator().manual_seed(0))
    assert other != shuffled(mask, torch.Generator().manual_seed(1))


class EveryNorm(nn.Module):
    """Layers that can be turned, and layers that cannot: output used twice, LayerNorm, GroupNorm, no gamma."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 4, 3, bias=False)
        self.batch_norm = nn.BatchNorm2d(4)
        self.twice = nn.Conv2d(4, 4, 3)
        self.after_twice = nn.BatchNorm2d(4)
        self.grouped = nn.Conv2d(4, 4, 3, groups=2)
        self.group_norm = nn.GroupNorm(2, 4)
        self.up = nn.ConvTranspose2d(4, 6, 2, groups=2)
        self.after_up = nn.BatchNorm2d(6)
        self.linear = nn.Linear(54, 8)
        self.after_linear = nn.BatchNorm1d(8)
        self.second = nn.Linear(8, 8)
        self.rms_norm = nn.RMSNorm(8)
        self.third = nn.Linear(8, 8)
        self.layer_norm = nn.LayerNorm(8)
        self.fourth = nn.Linear(8, 8, bias=False)
        self.fifth = nn.Linear(8, 8, bias=False)
        self.shared_norm = nn.BatchNorm1d(8)
        self.sixth = nn.Linear(8, 8)
        self.after_sixth = nn.BatchNorm1d(8)
        self.again_after_sixth = nn.BatchNorm1d(8)
        self.tied = nn.Linear(8, 8)
        self.after_tied = nn.BatchNorm1d(8)
        self.partner = nn.Linear(8, 8)
        self.partner.weight = self.tied.weight
        self.read = nn.Linear(8, 8)
        self.after_read = nn.BatchNorm1d(8)

    def forward(self, images: Tensor) -> Tensor:
        hidden = F.relu(self.batch_norm(self.convolution(images)))
        twice = self.twice(hidden)
        hidden = F.relu(self.after_twice(twice) + 0.1 * twice)
        hidden = F.relu(self.group_norm(self.grouped(hidden)))
        hidden = F.relu(self.after_up(self.up(hidden))).flatten(1)
        hidden = F.relu(self.after_linear(self.linear(hidden)))
        hidden = F.relu(self.rms_norm(self.second(hidden)))
        hidden = F.relu(self.layer_norm(self.third(hidden)))
        hidden = F.relu(self.shared_norm(self.fourth(hidden)))
        hidden = F.relu(self.shared_norm(self.fifth(hidden)))
        hidden = F.relu(self.after_sixth(self.sixth(hidden)))
        hidden = F.relu(self.again_after_sixth(self.sixth(hidden)))
        hidden = F.relu(self.partner(self.after_tied(self.tied(hidden))))
        result: Tensor = self.after_read(self.read(hidden)) + hidden @ self.read.weight
        return result


def trained_every_norm() -> EveryNorm:
    torch.manual_seed(4)
    model = EveryNorm().double()
    with torch.no_grad():
        for value in model.parameters():
            value.copy_(torch.randn(value.shape))
        for name, buffer in model.named_buffers():
            if name.endswith("mean"):
                buffer.copy_(torch.randn(buffer.shape))
            if name.endswith("var"):
                buffer.copy_(torch.rand(buffer.shape) + 0.5)
    return model


SMALL = torch.randn(7, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("training", [False, True])
def test_absorbing_gammas_signs_leaves_the_function_as_it_is(training: bool) -> None:
    model, turned = trained_every_norm().train(training), trained_every_norm().train(training)
    images = SMALL
    pairs = norm_pairs(turned)
    assert pairs == {
        "convolution": "batch_norm",
        "up": "after_up",
        "linear": "after_linear",
        "second": "rms_norm",
    }
    count = absorb_norm_signs(turned)
    assert torch.allclose(model(images), turned(images), rtol=1e-9, atol=1e-9)
    model.eval(), turned.eval()  # running statistics were turned along, and updated alike in training mode
    assert torch.allclose(model(images), turned(images), rtol=1e-9, atol=1e-9)
    gammas = {norm: model.get_submodule(norm).get_parameter("weight") for norm in pairs.values()}
    assert count == sum(int((gamma < 0).sum()) for gamma in gammas.values()) > 0
    for norm, gamma in gammas.items():
        assert torch.equal(turned.get_submodule(norm).get_parameter("weight"), gamma.abs())
    touched = {f"{name}.{kind}" for pair in pairs.items() for name in pair for kind in ("weight", "bias", "running_mean")}
    after = turned.state_dict()
    assert all(torch.equal(v, after[key]) for key, v in model.state_dict().items() if key not in touched)
    assert absorb_norm_signs(turned) == 0, "there is nothing left to turn"


class Branching(nn.Module):
    """A forward that depends on values cannot be traced."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.norm = nn.Linear(3, 4), nn.BatchNorm1d(4)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden: Tensor = self.norm(self.linear(inputs))
        return hidden if hidden.sum() > 0 else 2 * hidden


def test_a_model_that_cannot_be_traced_takes_pairs_by_name() -> None:
    model = Branching().eval()
    with torch.no_grad():
        model.norm.weight.copy_(torch.tensor([-1.0, 2.0, -3.0, 0.0]))
        model.norm.running_mean.copy_(torch.randn(4))  # type: ignore[union-attr]
    inputs = torch.randn(5, 3)
    before = model(inputs)
    with pytest.raises(WinsomeError, match=r"cannot be traced.*by name"):
        absorb_norm_signs(model)
    assert absorb_norm_signs(model, {"linear": "norm"}) == 2
    assert torch.allclose(model(inputs), before, atol=1e-6)
    assert model.norm.weight.tolist() == [1, 2, 3, 0]
    with pytest.raises(WinsomeError, match="nrom"):
        absorb_norm_signs(model, {"linear": "nrom"})


def test_masks_of_signs_alone_are_plain_masks() -> None:
    found = Ticket(SignedMask({"w": torch.tensor([1, 0, -1])}), {"b": torch.tensor([-1], dtype=torch.int8)})
    only = mask_only(found)
    assert only.mask["w"].tolist() == [1, 0, 1]
    assert not only.signs
    assert not only.norms
    assert found.mask["w"].tolist() == [1, 0, -1]

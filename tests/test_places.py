"""Layers and parameters that a loop swaps or moves: masks and interpolation follow the names, or the level ends by name."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import winsome
from winsome import SignedMask
from winsome.errors import WinsomeError
from winsome.hyperbolic import HAM, SignIn
from winsome.norms import Frozen, Interpolated, frozen_norms, interpolated_norms
from winsome.perturbation import SignFlips, fixed_signs
from winsome.places import Places
from winsome.psi import biases, norm_layers

INPUTS = torch.randn(16, 1, 6, 6, generator=torch.Generator().manual_seed(0))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    convolutions = [nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8)]
    return nn.Sequential(nn.Sequential(*convolutions), nn.Flatten(), nn.Linear(32, 4))


def convolution(**options: Any) -> nn.Conv2d:
    return nn.Conv2d(8, 8, 3, **options)


def replace_convolution(model: Any) -> None:
    model[0][3] = convolution()


def replace_block(model: Any) -> None:
    model[0] = copy.deepcopy(model[0])


def overwrite_parameter(model: Any) -> None:
    model[0][3].weight = nn.Parameter(torch.ones(8, 8, 3, 3))


def convert_norms(model: Any) -> None:
    """As `convert_sync_batchnorm` does: other modules with the same parameters."""
    for place in (1, 4):
        new = nn.BatchNorm2d(8)
        new.weight, new.bias = model[0][place].weight, model[0][place].bias
        model[0][place] = new


def put_into_another_layer(model: Any) -> None:
    """As LoRA does: the layer stands below a new one, the parameter is the same, under another name."""
    model[0][3] = nn.Sequential(model[0][3])


def to_double(model: Any) -> None:
    model.double()


def to_double_in_new_parameters(model: Any) -> None:
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        model.double()
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(False)


SWAPS = [replace_convolution, replace_block, overwrite_parameter, convert_norms, to_double, to_double_in_new_parameters]
METHODS = [winsome.imp(1), winsome.learning_rate_rewinding(1), winsome.aws(1), winsome.lrr_with_frozen_norms(1)]


def steps_after(swap: Callable[[Any], None], *, compiled: bool = False) -> Callable[[nn.Module, winsome.Level], None]:
    """A loop that swaps before its first step, at every level, and looks whether pruned weights live after each."""

    def train(model: nn.Module, level: winsome.Level) -> None:
        swap(model)
        forward: Any = torch.compile(model, backend="eager") if compiled else model
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        for _ in level.steps(3):
            optimizer.zero_grad()
            forward(INPUTS.to(next(model.parameters()).dtype)).square().mean().backward()
            optimizer.step()
            for name, weight in model.named_parameters():
                if name in level.mask:
                    assert not bool(weight.detach()[~level.mask.kept(name)].any()), name

    return train


@pytest.mark.parametrize("method", METHODS, ids=lambda method: str(method.label))
@pytest.mark.parametrize("swap", SWAPS)
def test_masks_follow_the_names(swap: Callable[[Any], None], method: winsome.Method) -> None:
    *_, level = winsome.find_tickets(network(), method, steps_after(swap))
    assert level.ticket.mask.n_kept == round(0.8 * (72 + 576))
    for name in level.ticket.mask:
        assert not bool(level.state[name][~level.ticket.mask.kept(name)].any())


@pytest.mark.parametrize("method", METHODS)
def test_weights_that_a_loop_puts_in_at_its_very_end_are_masked(method: winsome.Method) -> None:
    dense = network().state_dict()

    def train(model: nn.Module, level: winsome.Level) -> None:
        for _ in level.steps(1):
            model(INPUTS)
        model.load_state_dict({name: value.clone() for name, value in dense.items()}, assign=True)

    *_, last = winsome.find_tickets(network(), method, train)
    for name in last.ticket.mask:
        assert torch.equal(last.state[name], dense[name] * last.ticket.mask.kept(name)), name


def test_a_compiled_forward_follows_what_was_swapped_before_it() -> None:
    *_, level = winsome.find_tickets(network(), winsome.aws(1), steps_after(replace_block, compiled=True))
    assert not bool(level.state["0.3.weight"][~level.ticket.mask.kept("0.3.weight")].any())


def test_a_parameter_under_another_name_stays_at_zero() -> None:
    model = network()
    mask = mask_of(model)
    with mask.enforced_on(model):
        put_into_another_layer(model)
        step(model)
        assert not bool(model.get_parameter("0.3.0.weight").detach()[~mask.kept("0.3.weight")].any())


@pytest.mark.parametrize(
    ("swap", "said"),
    [
        (
            lambda model: model[0].__setitem__(3, convolution(groups=2)),
            r"'0\.3\.weight' was swapped .* of shape \(8, 4, 3, 3\), which the mask of \(8, 8, 3, 3\) does not fit",
        ),
        (lambda model: model[0].__setitem__(3, nn.MaxPool2d(3, 1)), r"'0\.3\.weight' was taken out of the model"),
        (lambda model: model[0].__setitem__(4, nn.Identity()), r"normalisation '0\.4' was swapped .* nothing interpolates"),
        (
            lambda model: model.__setitem__(2, nn.Sequential(model[2])),
            r"the training loop changes the model for good: its state lacks 2\.weight, 2\.bias and has 2\.0\.weight",
        ),
    ],
)
def test_what_cannot_be_followed_ends_the_level_by_name(swap: Callable[[Any], None], said: str) -> None:
    with pytest.raises(WinsomeError, match=said):
        list(
            winsome.find_tickets(
                network(), winsome.aws(2), lambda m, level: steps_after(swap if level.number else lambda _: None)(m, level)
            )
        )


def test_norms_swapped_under_a_compiled_forward_end_the_level() -> None:
    model = network()
    compiled = torch.compile(model, backend="eager")
    with interpolated_norms(model, 0):
        convert_norms(model)  # nothing looks before the compiled forward
        with pytest.raises(WinsomeError, match=r"normalisation of the model was swapped .* compiled: nothing interpolates it"):
            step(model, compiled)


def step(model: nn.Module, forward: Any = None) -> None:
    parameter = next(model.parameters())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    (forward or model)(INPUTS.to(parameter.device, parameter.dtype)).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()


def mask_of(model: nn.Module) -> SignedMask:
    weights = {name: model.get_parameter(name) for name in ("0.0.weight", "0.3.weight")}
    draw = torch.Generator().manual_seed(1)
    return SignedMask.of(weights, {name: torch.rand(w.shape, generator=draw) < 0.5 for name, w in weights.items()})


def test_interpolation_follows_converted_layers_to_the_bit() -> None:
    """The first pass before the conversion, the second after it: as if nothing had been converted."""

    def outputs(convert: Callable[[Any], None]) -> list[Tensor]:
        model = network()
        with interpolated_norms(model, 3) as progress:
            first = model(INPUTS)
            convert(model)
            second = model(INPUTS)
            assert int(progress["forward_passes"]) == 2
            shadowed = [name for name, layer in norm_layers(model).items() if "weight" in layer.__dict__]
        assert not shadowed
        model.eval()
        return [first, second]

    for one, other in zip(outputs(lambda _: None), outputs(convert_norms), strict=True):
        assert torch.equal(one, other)


def convert_everything(model: Any) -> None:
    """Another block, with other convolutions and norms in it, of the same parameters."""
    convert_norms(model)
    new = convolution()
    new.weight, new.bias = model[0][3].weight, model[0][3].bias
    model[0] = nn.Sequential(*model[0][:3], new, *model[0][4:])


@pytest.mark.parametrize(
    "part", [Interpolated(), Interpolated(biases), Interpolated("0.*", "start"), Interpolated(["0.3", "0.4.bias"], toward=2.0)]
)
def test_parameters_of_any_choice_are_followed_to_the_bit(part: Interpolated) -> None:
    def output(convert: Callable[[Any], None]) -> Tensor:
        model = network()
        with part(model, 3):
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.add_(0.5)  # away from the start
            convert(model)
            outputs: Tensor = model(INPUTS)
            assert not torch.equal(outputs, model.eval()(INPUTS))
        assert not any({"weight", "bias"} & set(vars(module)) for module in model.modules())
        return outputs

    assert torch.equal(output(lambda _: None), output(convert_everything))


def test_toward_the_start_is_toward_what_was_there_first_whatever_is_swapped() -> None:
    model = network()
    first = model.get_parameter("0.3.weight").detach().clone()
    with Frozen("0.3.weight", "start")(model):
        overwrite_parameter(model)
        step(model)
        assert torch.equal(model.get_parameter("0.3.weight"), first)
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("swap", [replace_block, to_double_in_new_parameters])
def test_what_took_the_place_of_frozen_parameters_trains_after_the_block(swap: Callable[[Any], None]) -> None:
    model = network()
    with frozen_norms(model):
        swap(model)
        step(model)
        assert not model.get_parameter("0.4.weight").requires_grad
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize(
    ("part", "swap", "said"),
    [
        (
            Interpolated(biases),
            lambda m: m.__setitem__(2, nn.Identity()),
            r"interpolates '2\.bias' was swapped .* nothing interp",
        ),
        (Frozen("0.4"), lambda m: m[0].__setitem__(4, nn.Identity()), r"freezes '0\.4\.weight', '0\.4\.bias' was swapped"),
        (frozen_norms, lambda m: m[0].__setitem__(4, nn.Identity()), r"normalisation '0\.4' was swapped .* nothing freezes"),
        (
            Interpolated("0.3.weight", "start"),
            lambda m: m[0].__setitem__(3, convolution(groups=2)),
            r"'0\.3\.weight' was swapped .* of shape \(8, 4, 3, 3\), but it goes toward its start, of \(8, 8, 3, 3\)",
        ),
        (SignIn(2), overwrite_parameter, r"'0\.3\.weight' was swapped inside the training loop, and Sign-In trains it no more"),
        (SignIn(2), replace_convolution, r"'0\.3\.weight', '0\.3\.weight_m', '0\.3\.weight_w' was swapped"),
        (HAM(), overwrite_parameter, r"'0\.3\.weight' was swapped inside the training loop, and HAM trains it no more"),
    ],
)
def test_a_part_that_cannot_follow_says_what_was_swapped(part: Any, swap: Callable[[Any], None], said: str) -> None:
    def train(model: nn.Module) -> None:
        with part(model, 0, mask_of(model)):
            swap(model)
            step(model)

    with pytest.raises(WinsomeError, match=said):
        train(network())


def test_frozen_norms_are_frozen_in_new_layers_too() -> None:
    model = network()
    with frozen_norms(model):
        block: Any = model.get_submodule("0")
        block[4] = nn.BatchNorm2d(8)
        step(model)
        assert torch.equal(model.get_parameter("0.4.weight"), torch.ones(8))
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("part", [interpolated_norms, fixed_signs, frozen_norms, SignFlips(0.5, (1,))])
@pytest.mark.parametrize(
    "move", [lambda m: m.to("meta"), lambda m: m.double(), lambda m: m.bfloat16()], ids=["meta", "64", "16"]
)
def test_what_holds_moves_with_the_model(part: Any, move: Callable[[nn.Module], nn.Module]) -> None:
    """A trainer puts the model on its device after the search entered the level; "meta" stands for a GPU."""
    model = network()
    mask = mask_of(model)
    with mask.enforced_on(model), part(model, 0, mask):
        step(model)
        move(model)
        step(model)
        step(model)
        for name, sign in mask.items():
            weight = model.get_parameter(name).detach()
            if weight.device.type != "meta":
                assert not bool(weight[~mask.kept(name)].any())
                assert part is not fixed_signs or torch.equal(weight.sign().to(torch.int8), sign)


def test_fixed_signs_follow_the_names() -> None:
    model = network()
    mask = mask_of(model)
    with mask.enforced_on(model), fixed_signs(model, 0, mask):
        overwrite_parameter(model)
        step(model)
        assert torch.equal(model.get_parameter("0.3.weight").sign().to(torch.int8), mask["0.3.weight"])


def test_nothing_has_moved_until_something_is_swapped() -> None:
    model = network()
    places = Places(model, ["0.3.weight", "0.1", "2.bias"])
    model.double()  # parameters stay the objects that they are
    assert not places.moved()
    model[1] = nn.Flatten()  # on the way to none of them
    assert not places.moved()
    for swap in (replace_convolution, overwrite_parameter, convert_norms, replace_block):
        swap(model)
        assert places.moved()
        places.look(["0.3.weight", "0.1", "2.bias"])
        assert not places.moved()

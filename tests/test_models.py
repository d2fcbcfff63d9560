"""Networks by name: exact counts, reproducible bits, and one contract over all of them."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

import winsome
from winsome import models
from winsome.errors import WinsomeError
from winsome.models import NETWORKS, NetworkSpec
from winsome.psi import norm_parameters

DIGITS, COLOUR = (1, 8, 8), (3, 32, 32)


def prunable_weights(network: nn.Module) -> int:
    return sum(network.get_parameter(name).numel() for name in winsome.prunable(network))


@pytest.mark.parametrize(("name", "weights"), [("residual_mlp", 24_576), ("small_conv", 19_144)])
def test_prunable_counts_on_digits(name: str, weights: int) -> None:
    assert prunable_weights(models.build(name, image_shape=DIGITS, n_classes=10, seed=0)) == weights


@pytest.mark.parametrize(("name", "blocks"), [("resnet8", 1), ("resnet20", 3)])
def test_prunable_counts_of_the_cifar_resnets(name: str, blocks: int) -> None:
    stem = 3 * 16 * 9
    stages = sum(9 * (inputs * width + (2 * blocks - 1) * width * width) for inputs, width in ((16, 16), (16, 32), (32, 64)))
    shortcuts = 16 * 32 + 32 * 64
    network = models.build(name, image_shape=COLOUR, n_classes=10, seed=0)
    assert prunable_weights(network) == stem + stages + shortcuts


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("shape", [DIGITS, COLOUR])
def test_every_network(name: str, shape: tuple[int, int, int]) -> None:
    if shape == DIGITS and name == "resnet50":
        pytest.skip("one large network is enough")
    first, again, other = (models.build(name, image_shape=shape, n_classes=7, seed=seed) for seed in (1, 1, 2))
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in first.state_dict().items())
    weights = winsome.prunable(first)
    assert weights
    assert not any(torch.equal(first.get_parameter(key), other.get_parameter(key)) for key in weights)
    with torch.no_grad():
        assert first(torch.zeros(2, *shape)).shape == (2, 7)
    spec = NetworkSpec(name, (), shape, 7)
    rebuilt = NetworkSpec.from_record(json.loads(json.dumps(spec.record()))).build(1)
    assert all(torch.equal(value, rebuilt.state_dict()[key]) for key, value in again.state_dict().items())


def test_building_does_not_shift_the_global_stream() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    models.build("mlp", image_shape=DIGITS, n_classes=10, seed=0)
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_the_stem_follows_the_image_size(name: str) -> None:
    small = models.build(name, image_shape=(3, 64, 64), n_classes=10, seed=0)
    large = models.build(name, image_shape=(1, 65, 65), n_classes=10, seed=0)
    convolution, large_convolution = small.get_submodule("conv1"), large.get_submodule("conv1")
    assert isinstance(convolution, nn.Conv2d)
    assert isinstance(large_convolution, nn.Conv2d)
    assert (convolution.kernel_size, convolution.stride) == ((3, 3), (1, 1))
    assert isinstance(small.get_submodule("maxpool"), nn.Identity)
    assert (large_convolution.in_channels, large_convolution.kernel_size, large_convolution.stride) == (1, (7, 7), (2, 2))
    assert isinstance(large.get_submodule("maxpool"), nn.MaxPool2d)


def test_any_torchvision_name() -> None:
    network = models.build("mobilenet_v3_small", image_shape=COLOUR, n_classes=10, seed=0)
    assert network(torch.zeros(2, *COLOUR)).shape == (2, 10)


@pytest.mark.parametrize(
    ("name", "shape", "options", "sentence"),
    [
        ("resnet21", COLOUR, {}, "unknown network 'resnet21'; did you mean .*resnet"),
        ("residual_mlp", DIGITS, {"widht": 3}, "'residual_mlp' has no option 'widht'; it has width, blocks"),
        ("resnet18", COLOUR, {"width": 3}, "'resnet18' has no option 'width'; it has initialisation"),
        ("residual_mlp", DIGITS, {"width": "wide"}, "'residual_mlp' does not take these options"),
        ("residual_mlp", DIGITS, {"width": -1}, "'residual_mlp' does not take these options"),
        ("squeezenet1_0", COLOUR, {"depth": 3}, "squeezenet1_0 does not take these options"),
        ("mobilenet_v3_small", DIGITS, {}, "takes 3 colour channels, the images have 1"),
    ],
)
def test_refusals(name: str, shape: tuple[int, int, int], options: dict[str, object], sentence: str) -> None:
    with pytest.raises(WinsomeError, match=sentence):
        models.build(name, image_shape=shape, n_classes=10, seed=0, **options)


@pytest.mark.parametrize("name", ["residual_mlp", "mlp"])
def test_linear_networks_without_normalisation_have_biases_and_perhaps_scales(name: str) -> None:
    none, scaled = (models.build(name, image_shape=DIGITS, n_classes=10, seed=0, norm=norm) for norm in ("none", "scale"))
    usual = models.build(name, image_shape=DIGITS, n_classes=10, seed=0)
    assert not norm_parameters(none)
    assert not norm_parameters(scaled)
    scales = {key for key in scaled.state_dict() if key.endswith(".scale")}
    assert set(scaled.state_dict()) - scales == set(none.state_dict())
    assert len(scales) == len(winsome.prunable(usual))
    assert prunable_weights(none) == prunable_weights(scaled) == prunable_weights(usual)
    images = torch.rand(3, *DIGITS, generator=torch.Generator().manual_seed(0))
    assert torch.equal(scaled(images), none(images)), "a scale begins at 1"
    with torch.no_grad():
        for key in scales:
            scaled.get_parameter(key).fill_(2.0)
        assert not torch.allclose(scaled(images), none(images))
    with pytest.raises(WinsomeError, match="unknown norm 'layer'; known: batch, none, scale"):
        models.build(name, image_shape=DIGITS, n_classes=10, seed=0, norm="layer")

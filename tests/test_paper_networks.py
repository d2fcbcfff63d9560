"""The networks of arXiv:2504.05357 beside the ResNets: exact counts, what is pruned, and a step under mask and AWS."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

import winsome
from winsome import models
from winsome.alphas import uniform
from winsome.errors import WinsomeError
from winsome.norms import interpolated_norms
from winsome.prunable import plan
from winsome.psi import norm_parameters
from winsome.signed_mask import SignedMask

NAMES = ("shufflenet", "mobilenet_v2", "efficientnet_b0", "mlp_mixer")
SMALL, LARGE = (3, 32, 32), (3, 224, 224)
QUIET: dict[str, dict[str, Any]] = {  # without randomness of their own, and small
    "shufflenet": {},
    "mobilenet_v2": {},
    "efficientnet_b0": {"dropout": 0.0, "stochastic_depth_prob": 0.0},
    "mlp_mixer": {"dim": 16, "depth": 2},
}


def built(name: str, shape: tuple[int, int, int] = SMALL, classes: int = 10, **options: Any) -> nn.Module:
    return models.build(name, image_shape=shape, n_classes=classes, seed=0, **options)


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def multiplications(network: nn.Module, shape: tuple[int, int, int]) -> int:
    """Of all convolutions for one image, from the shapes of their outputs."""
    total = 0

    def count(layer: nn.Module, _inputs: Any, output: Tensor) -> None:
        nonlocal total
        assert isinstance(layer, nn.Conv2d)
        total += output[0].numel() * layer.weight[0].numel()

    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(count)
    with torch.no_grad():
        network.eval()(torch.zeros(1, *shape))
    return total


def shufflenet_parameters(groups: int, classes: int) -> int:
    """By the formula of each unit: grouped 1x1, depthwise 3x3, grouped 1x1, and two numbers a channel of each norm."""
    total = 3 * 24 * 9 + 2 * 24
    inputs = 24
    for units, width in ((4, 240), (8, 480), (4, 960)):
        for unit in range(units):
            middle, grown = width // 4, width - inputs if unit == 0 else width
            first = 1 if inputs == 24 else groups
            total += inputs * middle // first + 9 * middle + middle * grown // groups + 2 * (2 * middle + grown)
            inputs = width
    return total + inputs * classes + classes


def test_shufflenet_has_the_counts_of_its_paper() -> None:
    network = built("shufflenet", LARGE, 1000)
    assert parameters(network) == shufflenet_parameters(3, 1000)
    # Table 2 of arXiv:1707.01083: 137 million multiplications at three groups.
    assert round(multiplications(network, LARGE) / 1e6) == 137


@pytest.mark.parametrize("name", ["mobilenet_v2", "efficientnet_b0"])
def test_torchvision_networks_are_torchvisions_on_large_images(name: str) -> None:
    ours, theirs = built(name, LARGE, 1000), torchvision.models.get_model(name)
    published = torchvision.models.get_model_weights(name).IMAGENET1K_V1.meta["num_params"]
    assert parameters(ours) == parameters(theirs) == published
    theirs.load_state_dict(ours.state_dict())
    images = torch.randn(2, *LARGE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(images), theirs.eval()(images), rtol=0, atol=0)


def test_mixer_has_the_counts_of_its_paper() -> None:
    small = built("mlp_mixer", LARGE, 1000, depth=8, token_width=256, channel_width=2048)
    assert parameters(small) == 18_528_264  # Mixer-S/16, table 1 of arXiv:2105.01601: 18 M
    tokens, dim, token_width, channel_width = 14 * 14, 512, 784, 256
    block = 2 * tokens * token_width + tokens + token_width + 2 * dim * channel_width + dim + channel_width + 4 * dim
    rest = 16 * 16 * 3 * dim + dim + 2 * dim + dim * 1000 + 1000
    network = built("mlp_mixer", LARGE, 1000)
    assert parameters(network) == 12 * block + rest == 7_786_968  # as in the code of arXiv:2504.05357
    assert sum(network.get_parameter(name).numel() for name in winsome.prunable(network)) == 7_226_880


@pytest.mark.parametrize(
    ("name", "count", "side", "names"),
    [
        ("mobilenet_v2", 2_412_212, 4, ("conv1.weight", "layers.1.shortcut.0.weight", "layers.16.bn3.bias", "linear.bias")),
        ("efficientnet_b0", 3_628_576, 2, ("bn1.weight", "layers.0.conv1.weight", "layers.15.se.se2.bias", "linear.weight")),
        (
            "shufflenet",
            1_012_108,
            4,
            ("conv1.conv.bias", "stage2.0.bottlneck.0.pointwise.0.weight", "stage4.3.depthwise.depthwise.1.bias", "fc.weight"),
        ),
    ],
)
def test_the_variant_of_paper_a_has_its_codes_shapes_and_names(
    name: str, count: int, side: int, names: tuple[str, ...]
) -> None:
    """Counts of that code's networks on CIFAR-100; names that its checkpoints have."""
    network = built(name, SMALL, 100, variant="aws")
    assert parameters(network) == count
    assert set(names) <= set(network.state_dict())
    sides: list[int] = []
    last = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)][-1]
    last.register_forward_hook(lambda _layer, _inputs, output: sides.append(output.shape[-1]))
    assert network(torch.zeros(2, *SMALL)).shape == (2, 100)
    assert sides == [side]
    layers = {n: m for n, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    (classifier,) = (n for n, m in layers.items() if isinstance(m, nn.Linear))
    assert set(winsome.prunable(network)) == {f"{n}.weight" for n in layers if n != classifier}
    biases = [m.bias for m in layers.values() if m.bias is not None]
    assert all(bool((bias != 0).all()) for bias in biases), "as torch draws them"


def test_the_variant_of_paper_a_drops_out_before_the_classifier_only() -> None:
    """Its code names a stochastic depth that no block gets, and a dropout of .2, which is an option here."""
    images = torch.randn(4, *SMALL, generator=torch.Generator().manual_seed(0))
    certain = built("efficientnet_b0", variant="aws", dropout=0.0)
    assert torch.equal(certain(images), certain(images))
    dropping = built("efficientnet_b0", variant="aws")
    features: list[Tensor] = []
    dropping.get_submodule("linear").register_forward_hook(lambda _layer, inputs, _output: features.append(inputs[0]))
    dropping(images)
    assert float((features[0] == 0).float().mean()) == pytest.approx(0.2, abs=0.05)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("mobilenet_v2", {"variant": "paper"}, "variant is one of own, aws, got 'paper'"),
        ("mobilenet_v2", {"variant": "aws", "dropout": 0.2}, "has no dropout"),
        ("efficientnet_b0", {"variant": "aws", "stochastic_depth_prob": 0.2}, "has no stochastic depth"),
        ("shufflenet", {"variant": "aws", "groups": 1}, "has 3 groups, got 1"),
        ("resnet18", {"initialisation": "fan"}, "unknown initialisation 'fan'; did you mean fan_in"),
        ("resnet18", {"variant": "aws"}, "has no option 'variant'; it has initialisation"),
    ],
)
def test_options_that_a_network_does_not_take(name: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(WinsomeError, match=said):
        built(name, **options)


def test_initialisation_is_an_option() -> None:
    """ResNets: fan-in as paper B has them; torchvision's fan-out, torch's stem and classifier, as paper A has them."""

    def spread(name: str, **options: Any) -> float:
        return float(built("resnet18", **options).get_parameter(name).detach().std())

    down, stem, classifier = "layer4.0.downsample.0.weight", "conv1.weight", "fc.weight"  # 512 x 256, 64 x 3 x 3 x 3, 10 x 512
    for options, fan in (({}, 256), ({"initialisation": "fan_in"}, 256), ({"initialisation": "own"}, 512)):
        assert spread(down, **options) == pytest.approx((2 / fan) ** 0.5, rel=0.02)
    assert spread(classifier, initialisation="fan_out") == pytest.approx((2 / 10) ** 0.5, rel=0.05)
    own = built("resnet18", initialisation="own")
    assert float(own.get_parameter(stem).detach().abs().max()) <= 27**-0.5
    assert float(own.get_parameter(classifier).detach().abs().max()) <= 512**-0.5


@pytest.mark.parametrize("name", ["shufflenet", "mobilenet_v2", "efficientnet_b0"])
@pytest.mark.parametrize("side", [64, 65])
def test_the_stem_follows_the_image_size(name: str, side: int) -> None:
    factor = {"shufflenet": (8, 32), "mobilenet_v2": (8, 32), "efficientnet_b0": (16, 32)}[name][side > 64]
    network = built(name, (3, side, side)).eval()
    sides: list[int] = []
    last = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)][-1]
    last.register_forward_hook(lambda _layer, _inputs, output: sides.append(output.shape[-1]))
    with torch.no_grad():
        network(torch.zeros(1, 3, side, side))
    assert sides == [-(-side // factor)]


@pytest.mark.parametrize(
    ("patch", "side", "tokens"), [(None, 8, 64), (None, 32, 64), (None, 64, 64), (None, 224, 196), (8, 32, 16)]
)
def test_patches_of_the_mixer(patch: int | None, side: int, tokens: int) -> None:
    network = built("mlp_mixer", (1, side, side), **QUIET["mlp_mixer"], patch=patch)
    assert network.get_parameter("blocks.0.conv1.weight").shape == (4 * tokens, tokens, 1)
    assert network(torch.zeros(2, 1, side, side)).shape == (2, 10)


def test_patches_that_do_not_tile_are_refused() -> None:
    with pytest.raises(WinsomeError, match="patches of 3 pixels do not tile images of 28x28; choose patch"):
        built("mlp_mixer", (1, 28, 28))


@pytest.mark.parametrize("name", NAMES)
def test_every_convolution_and_linear_layer_but_the_classifier_is_pruned(name: str) -> None:
    network = built(name, **QUIET[name])
    layers = {n: m for n, m in network.named_modules() if isinstance(m, nn.Conv1d | nn.Conv2d | nn.Linear)}
    (classifier,) = (n for n, m in layers.items() if isinstance(m, nn.Linear) and m.out_features == 10)
    expected = {f"{n}.weight" for n in layers if n != classifier}
    assert set(winsome.prunable(network)) == expected
    assert {line.name for line in plan(network) if line.reason == "classifier"} == {f"{classifier}.weight"}


def test_the_special_layers_are_pruned() -> None:
    def kinds(name: str) -> list[nn.Module]:
        network = built(name, **QUIET[name])
        return [network.get_submodule(n.removesuffix(".weight")) for n in winsome.prunable(network)]

    assert sum(isinstance(m, nn.Conv1d) for m in kinds("mlp_mixer")) == 4  # token mixing
    for name, depthwise in (("shufflenet", 16), ("mobilenet_v2", 17), ("efficientnet_b0", 16)):
        assert sum(isinstance(m, nn.Conv2d) and m.groups == m.in_channels > 3 for m in kinds(name)) == depthwise
    network = built("efficientnet_b0")
    squeeze = [n for n in winsome.prunable(network) if n.endswith(("fc1.weight", "fc2.weight"))]
    assert len(squeeze) == 2 * 16


@pytest.mark.parametrize("name", NAMES)
def test_a_step_under_a_mask_and_interpolated_norms(name: str) -> None:
    network = built(name, **QUIET[name]).train()
    random = torch.Generator().manual_seed(1)
    signs = {n: torch.randint(-1, 2, network.get_parameter(n).shape, generator=random) for n in winsome.prunable(network)}
    mask = SignedMask({n: s.to(torch.int8) for n, s in signs.items()})
    images, labels = torch.randn(8, *SMALL, generator=random), torch.arange(8)
    with torch.no_grad():  # psi away from psi_init, so that alpha matters
        for psi in norm_parameters(network).values():
            psi.add_(torch.randn(psi.shape, generator=random), alpha=0.3)
    by_hand = copy.deepcopy(network)
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9, weight_decay=1e-3)
    with mask.enforced_on(network), interpolated_norms(network, 3):
        with torch.no_grad():
            by_hand.load_state_dict(network.state_dict())
            alpha = float(uniform(torch.tensor(3), torch.tensor(0)))
            for key, psi in norm_parameters(by_hand).items():
                psi.copy_(alpha * psi + (1 - alpha) * float(key.endswith("weight")))
        logits = network(images)
        torch.testing.assert_close(logits, by_hand(images), rtol=1e-3, atol=1e-3)
        F.cross_entropy(logits, labels).backward()  # type: ignore[no-untyped-call]
        before = {n: network.get_parameter(n).detach().clone() for n in signs}
        optimizer.step()
    for key, sign in signs.items():
        weight = network.get_parameter(key)
        assert bool((weight[sign == 0] == 0).all())
        assert not torch.equal(weight, before[key])


@pytest.mark.parametrize("name", NAMES)
def test_initialisation_is_the_layers_own(name: str) -> None:
    """Against layers made anew by torch (ShuffleNet, Mixer) and against torchvision's law (fan-out, classifier biases 0)."""
    network = built(name, classes=1000)
    for module in network.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear) and module.weight.numel() > 50_000:
            fan_in = module.weight[0].numel()
            if name in ("shufflenet", "mlp_mixer"):
                assert module.weight.abs().max() <= fan_in**-0.5
                expected = (3 * fan_in) ** -0.5
            elif isinstance(module, nn.Linear):
                expected = 0.01 if name == "mobilenet_v2" else (3 * 1000) ** -0.5
            else:
                expected = (2 / (module.weight.shape[0] * module.weight[0, 0].numel())) ** 0.5
            # The standard error of a standard deviation over 50,000 values is 0.3 %; a wrong fan is off by far more.
            assert float(module.weight.detach().std()) == pytest.approx(expected, rel=0.03)

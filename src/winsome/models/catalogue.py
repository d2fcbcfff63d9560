"""Networks by name: ours for small images, torchvision's with a stem for the image size, any torchvision classifier."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal

from torch import nn

from winsome import distributed
from winsome.errors import WinsomeError, unknown
from winsome.models import aws_variants
from winsome.models.aws_variants import is_aws
from winsome.models.mlp_mixer import mlp_mixer
from winsome.models.named import named_network
from winsome.models.residual import SMALL_IMAGE, ImageShape, mlp, residual_mlp, resnet8, resnet20, small_conv
from winsome.models.shufflenet import shufflenet
from winsome.seeding import seeded


def resnet18(image_shape: ImageShape, n_classes: int) -> nn.Module:
    """torchvision's ResNet-18; images of up to 64 pixels get a 3x3 stride-1 stem without max-pooling."""
    return _small_stem(_torchvision_models().resnet18(num_classes=n_classes), image_shape)


def resnet50(image_shape: ImageShape, n_classes: int) -> nn.Module:
    """torchvision's ResNet-50; images of up to 64 pixels get a 3x3 stride-1 stem without max-pooling."""
    return _small_stem(_torchvision_models().resnet50(num_classes=n_classes), image_shape)


def mobilenet_v2(image_shape: ImageShape, n_classes: int, *, dropout: float = 0.0, variant: str = "own") -> nn.Module:
    """torchvision's MobileNetV2, without dropout (arXiv:2504.05357).

    For images of up to 64 pixels the first convolution and the 24 channels wide stage have stride 1, so that the features are
    1/8 of the image: the strides of that paper's code, which differs otherwise in ReLU for ReLU6, in an expansion of the first
    block and in shortcut convolutions where only the width changes: `variant="aws"` has these, too.

    Raises:
        ValueError: dropout for the variant "aws".
    """
    if is_aws(variant):
        if dropout:
            raise ValueError("the variant 'aws' has no dropout")
        return aws_variants.MobileNetV2(image_shape[0], n_classes)
    network: nn.Module = _torchvision_models().mobilenet_v2(num_classes=n_classes, dropout=dropout)
    if max(image_shape[1:]) <= SMALL_IMAGE:
        _stride_1(network, "features.0.0", "features.2.conv.1.0")
    return _channels(network, "features.0.0", image_shape[0])


def efficientnet_b0(
    image_shape: ImageShape,
    n_classes: int,
    *,
    dropout: float = 0.2,
    stochastic_depth_prob: float | None = None,
    variant: str = "own",
) -> nn.Module:
    """torchvision's EfficientNet-B0, its dropout and its stochastic depth, both .2.

    For images of up to 64 pixels the first convolution has stride 1, so that the features are 1/16 of the image: the strides
    of arXiv:2504.05357's code. That code lacks the last 1x1 convolution, 320 to 1280, has biases that do not start at 0, and
    no stochastic depth: it names a rate of .2, of which every block gets the share 0. `variant="aws"` is the same.

    Raises:
        ValueError: stochastic depth for the variant "aws", or several ranks.
    """
    if is_aws(variant):
        if stochastic_depth_prob:
            raise ValueError("the variant 'aws' has no stochastic depth")
        if distributed.world_size() > 1:
            raise ValueError("the variant 'aws' has a convolution that is never used, which ranks cannot share; take one")
        return aws_variants.EfficientNetB0(image_shape[0], n_classes, dropout)
    stochastic_depth_prob = 0.2 if stochastic_depth_prob is None else stochastic_depth_prob
    network: nn.Module = _torchvision_models().efficientnet_b0(
        num_classes=n_classes, dropout=dropout, stochastic_depth_prob=stochastic_depth_prob
    )
    if max(image_shape[1:]) <= SMALL_IMAGE:
        _stride_1(network, "features.0.0")
    return _channels(network, "features.0.0", image_shape[0])


def _torchvision_models() -> Any:
    """torchvision.models, imported where it is needed: it takes seconds."""
    import torchvision

    return torchvision.models


def _small_stem(network: nn.Module, image_shape: ImageShape) -> nn.Module:
    if max(image_shape[1:]) <= SMALL_IMAGE:
        network.conv1 = nn.Conv2d(image_shape[0], 64, 3, 1, 1, bias=False)
        network.maxpool = nn.Identity()
    elif image_shape[0] != 3:
        network.conv1 = nn.Conv2d(image_shape[0], 64, 7, 2, 3, bias=False)
    return network


def _stride_1(network: nn.Module, *convolutions: str) -> None:
    for name in convolutions:
        convolution = network.get_submodule(name)
        assert isinstance(convolution, nn.Conv2d)
        convolution.stride = (1, 1)


def _channels(network: nn.Module, stem: str, channels: int) -> nn.Module:
    """The network with a first convolution of that many input channels, initialised as torchvision does."""
    first = network.get_submodule(stem)
    assert isinstance(first, nn.Conv2d)
    if channels != first.in_channels:
        other = nn.Conv2d(channels, first.out_channels, 3, first.stride[0], 1, bias=False)
        nn.init.kaiming_normal_(other.weight, mode="fan_out")
        network.set_submodule(stem, other)
    return network


# Initialised Kaiming-normal (fan-in; arXiv:2402.19262) and, of arXiv:2504.05357, whose code gives no initialisation, as their
# libraries do: MobileNetV2 and EfficientNet as torchvision, the other two as torch's layers. `initialisation` says otherwise.
_KAIMING_NORMAL = (residual_mlp, mlp, small_conv, resnet8, resnet20, resnet18, resnet50)
_OWN_INITIALISATION = (shufflenet, mobilenet_v2, efficientnet_b0, mlp_mixer)

INITIALISATIONS = ("own", "fan_in", "fan_out")

NETWORKS: dict[str, Callable[..., nn.Module]] = {f.__name__: f for f in (*_KAIMING_NORMAL, *_OWN_INITIALISATION)}


def build(name: str, *, image_shape: ImageShape, n_classes: int, seed: int, **options: Any) -> nn.Module:
    """A freshly initialised network: same name, options and seed, same bits.

    The residual networks, ours and torchvision's two, and `mlp` are initialised Kaiming-normal (fan-in; arXiv:2402.19262),
    biases as torch draws them, for a bias of 0 would have no sign to plant. The others keep their own initialisation, in
    torchvision's networks with biases of 0: ShuffleNet and MLP-Mixer that of torch's layers, for the code of arXiv:2504.05357
    gives none. The option `initialisation` says otherwise: "own" (that of the network's library: for torchvision's ResNets
    Kaiming-normal fan-out, and torch's for a stem of small images and the classifier, as in the code of arXiv:2504.05357),
    "fan_in" or "fan_out" (Kaiming-normal for all convolutions and linear layers).

    Args:
        name: in `NETWORKS`, of a torchvision classifier, "timm:NAME", or a function of one's own, "FILE.py:NAME".
        image_shape: channels, height, width.
        n_classes: outputs.
        seed: set before the network is made.
        options: keyword arguments of the network's function, and `initialisation`, which every network has.

    Raises:
        WinsomeError: an unknown name or option, or an image shape that the network cannot take.
    """
    make = NETWORKS.get(name)
    initialisation = options.pop("initialisation", "fan_in" if make in _KAIMING_NORMAL else "own")
    if initialisation not in INITIALISATIONS:
        raise unknown("initialisation", str(initialisation), INITIALISATIONS)
    with seeded(seed, "initialisation"):
        if ":" in name:
            network = named_network(name, image_shape, n_classes, options)
        elif make is None:
            network = _torchvision(name, image_shape, n_classes, options)
        else:
            known = [*list(inspect.signature(make).parameters)[2:], "initialisation"]
            for option in options:
                if option not in known:
                    raise WinsomeError(f"the network {name!r} has no option {option!r}; it has {', '.join(known)}")
            try:
                network = make(image_shape, n_classes, **options)
            except (TypeError, ValueError, RuntimeError, IndexError) as error:
                raise WinsomeError(f"the network {name!r} does not take these options: {error}") from error
        if initialisation != "own":
            _kaiming_normal(network, initialisation)
        return network


def _torchvision(name: str, image_shape: ImageShape, n_classes: int, options: Mapping[str, Any]) -> nn.Module:
    library = _torchvision_models()
    names = library.list_models(module=library)
    if name not in names:
        raise unknown("network", name, [*NETWORKS, *names])
    if image_shape[0] != 3:
        raise WinsomeError(
            f"torchvision's {name} takes 3 colour channels, the images have {image_shape[0]}; "
            f"choose one of {', '.join(NETWORKS)}, or colour images"
        )
    try:
        network: nn.Module = library.get_model(name, weights=None, num_classes=n_classes, **options)
    except (TypeError, ValueError, RuntimeError) as error:
        raise WinsomeError(f"torchvision's {name} does not take these options: {error}") from error
    return network


def _kaiming_normal(network: nn.Module, mode: Literal["fan_in", "fan_out"]) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, mode=mode, nonlinearity="relu")

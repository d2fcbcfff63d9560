"""Networks by name: ours for small images, torchvision's with a stem for the image size, any torchvision classifier."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from winsome.errors import WinsomeError, unknown
from winsome.models.residual import ImageShape, mlp, residual_mlp, resnet8, resnet20, small_conv
from winsome.seeding import seeded

SMALL_IMAGE = 64  # pixels: up to this side a ResNet takes the small-image stem


def resnet18(image_shape: ImageShape, n_classes: int) -> nn.Module:
    """torchvision's ResNet-18; images of up to 64 pixels get a 3x3 stride-1 stem without max-pooling."""
    return _small_stem(_torchvision_models().resnet18(num_classes=n_classes), image_shape)


def resnet50(image_shape: ImageShape, n_classes: int) -> nn.Module:
    """torchvision's ResNet-50; images of up to 64 pixels get a 3x3 stride-1 stem without max-pooling."""
    return _small_stem(_torchvision_models().resnet50(num_classes=n_classes), image_shape)


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


NETWORKS: dict[str, Callable[..., nn.Module]] = {
    f.__name__: f for f in (residual_mlp, mlp, small_conv, resnet8, resnet20, resnet18, resnet50)
}


def build(name: str, *, image_shape: ImageShape, n_classes: int, seed: int, **options: Any) -> nn.Module:
    """A freshly initialised network: same name, options and seed, same bits.

    Our networks and the two ResNets are initialised Kaiming-normal (fan-in; arXiv:2402.19262), biases as torch draws them, for
    a bias of 0 would have no sign to plant. Other torchvision networks keep their own initialisation.

    Args:
        name: in `NETWORKS`, or of a torchvision classifier.
        image_shape: channels, height, width.
        n_classes: outputs.
        seed: set before the network is made.
        options: keyword arguments of the network's function.

    Raises:
        WinsomeError: an unknown name or option, or an image shape that the network cannot take.
    """
    with seeded(seed, "initialisation"):
        if name in NETWORKS:
            make = NETWORKS[name]
            known = list(inspect.signature(make).parameters)[2:]
            for option in options:
                if option not in known:
                    has = f"it has {', '.join(known)}" if known else "it has none"
                    raise WinsomeError(f"the network {name!r} has no option {option!r}; {has}")
            try:
                network = make(image_shape, n_classes, **options)
            except (TypeError, ValueError, RuntimeError, IndexError) as error:
                raise WinsomeError(f"the network {name!r} does not take these options: {error}") from error
            _kaiming_normal(network)
            return network
        return _torchvision(name, image_shape, n_classes, options)


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


def _kaiming_normal(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")


def network_record(name: str, image_shape: ImageShape, n_classes: int, options: Mapping[str, Any]) -> dict[str, Any]:
    """What a network is rebuilt from, as JSON values."""
    return {"name": name, "image_shape": list(image_shape), "n_classes": n_classes, "options": dict(options)}


def from_record(record: Mapping[str, Any], seed: int) -> nn.Module:
    """The network of a record, freshly initialised."""
    channels, height, width = record["image_shape"]
    shape = (channels, height, width)
    return build(record["name"], image_shape=shape, n_classes=record["n_classes"], seed=seed, **record["options"])

"""Networks that are not in a list: of timm by "timm:NAME", of one's own by "FILE.py:NAME" or "PACKAGE.MODULE:NAME"."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from winsome.errors import WinsomeError, unknown
from winsome.identity import code_text, identity
from winsome.models.residual import ImageShape
from winsome.user_code import by_name, running

_TIMM = "timm:"


def is_own(name: str) -> bool:
    """Whether a network's name is that of a function of the user's."""
    return ":" in name and not name.startswith(_TIMM)


def code_of(name: str) -> str:
    """What a run knows the code by that makes a network of the user's, as JSON text; "" for any other network.

    Raises:
        WinsomeError: nothing has this name.
    """
    return code_text(identity(_function(name))) if is_own(name) else ""


def named_network(name: str, image_shape: ImageShape, n_classes: int, options: Mapping[str, Any]) -> nn.Module:
    """The network of timm or of the user's that a name stands for, made with the random numbers that it draws.

    Args:
        name: "timm:NAME", "FILE.py:NAME" or "PACKAGE.MODULE:NAME": a function `(image_shape, n_classes, **options)`.
        image_shape: channels, height, width.
        n_classes: outputs.
        options: keyword arguments of the function, of timm those of `timm.create_model`.

    Raises:
        WinsomeError: nothing has this name, timm is not installed, or no network comes of these options.
    """
    if name.startswith(_TIMM):
        return _of_timm(name.removeprefix(_TIMM), image_shape, n_classes, options)
    make = _function(name)
    with running("network", name):
        network = make(image_shape, n_classes, **options)
    if not isinstance(network, nn.Module):
        raise WinsomeError(f"{name} made a {type(network).__name__}, no torch.nn.Module")
    return network


def _function(name: str) -> Callable[..., Any]:
    found = by_name(name, {}, "network").value
    if not callable(found) or isinstance(found, nn.Module):
        raise WinsomeError(f"{name} is no function that makes a network: def make(image_shape, n_classes, **options)")
    made: Callable[..., Any] = found
    return made


def _of_timm(name: str, image_shape: ImageShape, n_classes: int, options: Mapping[str, Any]) -> nn.Module:
    try:
        timm = importlib.import_module("timm")
    except ModuleNotFoundError as error:
        raise WinsomeError(f"timm:{name} needs timm: pip install timm") from error
    if not timm.is_model(name):
        raise WinsomeError(f"timm has no such network; {unknown('network', name, timm.list_models())}")
    sizes = {"in_chans": image_shape[0], "num_classes": n_classes}
    # Vision transformers are built for a size of images, convolutional networks take any and no such argument.
    for sized in ({"img_size": image_shape[1:]}, {}):
        try:
            network: nn.Module = timm.create_model(name, pretrained=False, **{**sizes, **sized, **options})
        except (TypeError, ValueError, RuntimeError, AssertionError) as error:
            if sized and "img_size" in str(error) and "img_size" not in options:
                continue
            raise WinsomeError(f"timm's {name} does not take these options or images: {error}") from error
        return network
    raise AssertionError(name)  # the second try returns or raises

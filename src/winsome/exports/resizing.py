"""Give a network's layers other sizes: it stays what it was, with its names and its forward pass, and takes another state."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from winsome.errors import WinsomeError


@torch.no_grad()
def resize(network: nn.Module, state: Mapping[str, Tensor], groups: Mapping[str, int] | None = None) -> None:
    """Put a state into a network whose layers have other sizes, in place; a layer without a bias takes one if the state has it.

    Args:
        network: the network to change.
        state: all its parameters and buffers, in the sizes that they are to have.
        groups: of convolutions by layer, where they are to have others than before.

    Raises:
        WinsomeError: the state lacks what the network has, or has what the network cannot have.
    """
    layers = dict(network.named_modules())
    placed: dict[int, nn.Parameter] = {}  # a shared parameter stays one
    own = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    for name, value in state.items():
        layer, _, kind = name.rpartition(".")
        owner = layers.get(layer)
        if owner is None or not (kind in owner._parameters or kind in owner._buffers):
            raise WinsomeError(f"the network has no {name!r}; it is not the one that this file was made from")
        value = value.detach().clone()
        if kind in owner._buffers:
            owner._buffers[kind] = value
        else:
            before = owner._parameters[kind]
            trained = (before is None or before.requires_grad) and value.is_floating_point()
            known = None if before is None else placed.get(id(before))
            same = known is not None and known.shape == value.shape and torch.equal(known, value)
            owner._parameters[kind] = known if same else nn.Parameter(value, requires_grad=trained)
            if before is not None and not same:
                placed[id(before)] = owner._parameters[kind]
    if lacking := [name for name in network.state_dict() if name in own and name not in state]:
        raise WinsomeError(f"the file lacks {', '.join(lacking[:5])}; it was made from another network")
    for name, module in layers.items():
        _say_sizes(module, (groups or {}).get(name))


def _say_sizes(module: nn.Module, groups: int | None) -> None:
    """Let a layer say the sizes that its tensors have."""
    if isinstance(module, _ConvNd):
        module.groups = groups or module.groups
        module.out_channels = module.weight.shape[0]
        module.in_channels = module.weight.shape[1] * module.groups
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, _BatchNorm):
        sized = module.weight if module.weight is not None else module.running_mean
        module.num_features = module.num_features if sized is None else len(sized)

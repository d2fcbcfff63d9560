"""A network as a score looks at it: in a stated mode, without dropout, differentiable, and afterwards as it was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase


@contextmanager
def as_shown(model: nn.Module, weights: Sequence[nn.Parameter], *, training: bool) -> Iterator[None]:
    """Inside the block normalisation is in the mode asked for, everything else as in evaluation: no dropout, no dropped path.

    Modes, what is trained, and all buffers (running statistics that a pass in training mode moves) are given back.

    Args:
        model: the network.
        weights: those of its parameters to which there are gradients inside the block, frozen ones too.
        training: whether normalisation layers are in training mode.
    """
    modes = [(module, module.training) for module in model.modules()]
    frozen = [weight for weight in weights if not weight.requires_grad]
    buffers = [
        (module, name, buffer, buffer.detach().clone())
        for module in model.modules()
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
    try:
        model.eval()
        for module, _ in modes:
            if training and (isinstance(module, _NormBase) or "norm" in type(module).__name__.lower()):
                module.training = True
        for weight in frozen:
            weight.requires_grad_(True)
        with torch.enable_grad():
            yield
    finally:
        for weight in frozen:
            weight.requires_grad_(False)
        for module, mode in modes:
            module.training = mode
        with torch.no_grad():
            for module, name, buffer, value in buffers:
                module._buffers[name] = buffer
                buffer.copy_(value)


@contextmanager
def in_mode(model: nn.Module, training: bool | None) -> Iterator[None]:
    """Inside the block a network is in training mode or not (None: as it is) and without gradients; both are given back.

    So is which parameters train. Weights and buffers need not be: where a score has changed them, the state that a level starts
    from is loaded next.
    """
    modes = [(module, module.training) for module in model.modules()]
    gradients = [(parameter, parameter.grad, parameter.requires_grad) for parameter in model.parameters()]
    if training is not None:
        model.train(training)
    for parameter, *_ in gradients:
        parameter.grad = None
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for parameter, gradient, trained in gradients:
            parameter.requires_grad_(trained)
            parameter.grad = gradient

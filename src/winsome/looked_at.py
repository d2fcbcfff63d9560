"""A network as a score looks at it: in a stated mode, without dropout, differentiable, and afterwards as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from winsome.errors import WinsomeError
from winsome.left_behind import Marks, left_behind


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
    from is loaded next, and before another round of scoring they are put back (`values_of`).
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


def values_of(model: nn.Module) -> Callable[[], None]:
    """Remember all weights and buffers of a model; returns what puts them back where they have changed."""
    held: list[tuple[dict[str, Any], str]] = []
    for module in model.modules():
        held += [(module._parameters, name) for name in module._parameters]
        held += [(module._buffers, name) for name in module._buffers]
    kept = [(of, name, value, value.detach().clone()) for of, name in held if (value := of[name]) is not None]

    @torch.no_grad()
    def put_back() -> None:
        for of, name, value, before in kept:
            of[name] = value
            if not torch.equal(value, before):
                value.copy_(before)

    return put_back


@contextmanager
def leaving_nothing(model: nn.Module, who: str) -> Iterator[None]:
    """Inside the block a part looks at a model; what it puts in has to be out again after it. Values are not looked at.

    What a model makes itself in its first forward (buffers, layers without parameters) is no part's.

    Args:
        model: the network.
        who: the part, for errors: "the score 'mine'".

    Raises:
        WinsomeError: hooks, other layers, other parameters or other forwards are there after it; names the part.
    """
    before, layers, parameters = Marks.of(model), dict(model.named_modules()), dict(model.named_parameters())
    yield
    after, now = Marks.of(model), dict(model.named_modules())
    left = [f"another layer as {path!r}" for path, layer in layers.items() if now.get(path) is not layer]
    there = dict(model.named_parameters())
    changed = [name for name in {**parameters, **there} if there.get(name) is not parameters.get(name)]
    left += [f"another parameter {name!r}" if name in there else f"no parameter {name!r}" for name in changed]
    left += [said for said in left_behind(before, after, after) if not said.startswith("another layer")]
    if left:
        raise WinsomeError(
            f"{who} leaves behind {', '.join(left[:3])}{', ...' if left[3:] else ''}: take out what it puts in, or let it act "
            "on a copy (copy.deepcopy(model))"
        )

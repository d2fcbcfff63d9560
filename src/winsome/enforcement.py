"""Pruned weights stay exactly zero while a model trains: zeros are written, never multiplied, for 0 * inf is NaN."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from winsome.hooks import after_steps_on, around_forward

_WORDS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}  # integers as wide as a number, by bytes


@contextmanager
def kept_zero(model: nn.Module, weights: Sequence[nn.Parameter], kept: Sequence[Tensor]) -> Iterator[None]:
    """Hold weights of a model at zero where they are not kept, inside the block.

    Gradients are zeroed as they are accumulated, and weights after every step of an optimizer that holds them: only those
    that it holds, so that no graph of another model is broken, nor one whose backward steps optimizers as it goes. What moves
    weights by other means (an average that is swapped in, slow weights, a state that is loaded) is undone before the model's
    next training forward, in compiled models after their next step. Writing zeros over zeros leaves every graph valid.

    Args:
        model: the network whose forward is watched.
        weights: parameters of it.
        kept: bool tensors of their shapes.
    """
    zeroed = {id(weight): _Zeroed(keep) for weight, keep in zip(weights, kept, strict=True)}

    def zero(held: Sequence[Tensor]) -> None:
        for weight in held:
            zeroed[id(weight)].write(weight)

    def before_forward(network: nn.Module) -> None:
        if network.training and not torch.compiler.is_compiling():
            zero(weights)

    with ExitStack() as stack:
        stack.enter_context(around_forward(model, before_forward))
        stack.enter_context(after_steps_on(weights, zero))
        for weight in weights:
            stack.enter_context(_hooked(weight, zeroed[id(weight)]))
        zero(weights)
        stack.callback(zero, weights)
        yield


@contextmanager
def _hooked(weight: nn.Parameter, zeroed: _Zeroed) -> Iterator[None]:
    """Zero every gradient of a weight, from when it is unfrozen on if it is frozen now."""
    trained = weight.requires_grad
    weight.requires_grad_(True)  # torch refuses hooks on others
    handle = weight.register_post_accumulate_grad_hook(zeroed.write_gradient)  # type: ignore[no-untyped-call]
    weight.requires_grad_(trained)
    try:
        yield
    finally:
        handle.remove()


class _Zeroed:
    """Where one weight is pruned, as words of bits that a tensor of its shape is cut down to.

    All bits stay where the weight is kept. Where it is pruned only the sign does, infinity and NaN become zero: finite numbers
    become just what a product with zero makes of them.
    """

    def __init__(self, kept: Tensor) -> None:
        self.kept = kept
        self._words: dict[tuple[torch.device, int], Tensor] = {}

    def write(self, tensor: Tensor) -> None:
        """Write the zeros in place, unseen by autograd."""
        values = tensor.data
        words = self._words.get((values.device, values.itemsize))
        if words is None:
            words = self._made_for(values)
        values.view(words.dtype).bitwise_and_(words)

    def write_gradient(self, weight: Tensor) -> None:
        """Zero the gradient of a weight; one that is sparse or part of a graph itself is replaced."""
        gradient = weight.grad
        if gradient is None:
            return
        if gradient.layout is torch.strided and not gradient.requires_grad:
            self.write(gradient)
        elif gradient.layout is torch.strided:
            weight.grad = gradient.masked_fill(~self.kept.to(gradient.device), 0)
        else:
            weight.grad = gradient * self.kept.to(gradient.device, gradient.dtype)

    def _made_for(self, values: Tensor) -> Tensor:
        """The words in the memory layout of the values: products and sums of alike tensors are fastest. A model may move."""
        kind = _WORDS[values.itemsize]
        words = torch.where(self.kept, -1, torch.iinfo(kind).min).to(kind)
        made = torch.empty_like(values, dtype=kind).copy_(words)
        self._words = {(values.device, values.itemsize): made}
        return made

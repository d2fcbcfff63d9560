"""Pruned weights stay exactly zero while a model trains: zeros are written, never multiplied, for 0 * inf is NaN."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from winsome.errors import WinsomeError
from winsome.hooks import OnStep, after_steps_on, around_forward, outside_transforms
from winsome.places import Places, following, read_instead, stands_in

_WORDS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}  # integers as wide as a number, by bytes


@contextmanager
def kept_zero(model: nn.Module, kept: Mapping[str, Tensor]) -> Iterator[None]:
    """Hold weights of a model at zero where they are not kept, inside the block.

    Gradients are zeroed as they are accumulated, and weights after every step of an optimizer that holds them: only those
    that it holds, so that no graph of another model is broken, nor one whose backward steps optimizers as it goes. What moves
    weights by other means (an average that is swapped in, slow weights, a state that is loaded) is undone before the model's
    next forward, in compiled models after their next step. Writing zeros over zeros leaves every graph valid.

    A parameter that takes the place of another (a layer that is replaced, a model that is moved) is held from the model's next
    forward on, of a compiled model from its next step on. A tensor that takes it for one call of the model
    (`torch.func.functional_call`) is not written: that call reads a product of it with the mask, and so has its gradient.

    Args:
        model: the network whose forward is watched.
        kept: bool tensors by the names of parameters, of their shapes.

    Raises:
        WinsomeError: a parameter was taken out of the model inside the block, or swapped for one of another shape; names it.
    """
    held = _Held(model, kept)

    def before_forward(_network: nn.Module) -> None:
        if not torch.compiler.is_compiling():
            held.follow()
            with outside_transforms():
                held.zero(held.weights.values())
            held.mask_stand_ins()

    def after_step(stepped: Sequence[Tensor]) -> None:
        held.zero(stepped)
        held.follow()

    with ExitStack() as stack:
        stack.callback(held.release)
        stack.enter_context(around_forward(model, before_forward))
        held.watch_for = stack.enter_context(after_steps_on(list(held.weights.values()), after_step, always=bool(kept)))
        stack.enter_context(following(model, held.follow))
        yield
        held.follow()


class _Held:
    """The weights that are held at zero by name, and the hooks on their gradients."""

    def __init__(self, model: nn.Module, kept: Mapping[str, Tensor]) -> None:
        self.model = model
        self.kept = kept
        self.watch_for: OnStep | None = None
        self.weights: dict[str, nn.Parameter] = {}
        self._zeroed: dict[int, _Zeroed] = {}
        self._handles: dict[str, Any] = {}
        for name, weight in model.named_parameters(remove_duplicate=False):
            if name in kept:
                self._hold(name, weight)
        self._places = Places(model, kept)
        self.zero(self.weights.values())

    def zero(self, weights: Iterable[Tensor]) -> None:
        """Write the zeros of some of the weights."""
        for weight in weights:
            self._zeroed[id(weight)].write(weight)

    def follow(self) -> None:
        """Hold what has taken the place of a weight."""
        if not self._places.moved():
            return
        now = dict(self.model.named_parameters(remove_duplicate=False))
        name_of = {id(parameter): name for name, parameter in now.items()}
        places = []
        for name, weight in list(self.weights.items()):
            new = now.get(name)
            if new is not None and new is not weight and not stands_in(new):
                if new.shape != self.kept[name].shape:
                    shapes = f"{tuple(new.shape)}, which the mask of {tuple(self.kept[name].shape)} does not fit"
                    raise WinsomeError(f"{name!r} was swapped inside the training loop for a parameter of shape {shapes}")
                self._hold(name, new)
                self.zero([new])
            elif new is None and id(weight) not in name_of and not _is_computed(self.model, name):
                raise WinsomeError(
                    f"{name!r} was taken out of the model inside the training loop: nothing holds its pruned weights at zero; "
                    "change layers before the search, or keep their names"
                )
            places.append(name if new is not None else name_of.get(id(weight), name))  # it may stand elsewhere (LoRA, a part)
        self._places.look(places)
        if self.watch_for is not None:
            self.watch_for(list(self.weights.values()))

    def mask_stand_ins(self) -> None:
        """Let a call of the model with other tensors in the weights' places read them masked, and put them back after it."""
        if not self._places.stand_ins():
            return
        now = dict(self.model.named_parameters(remove_duplicate=False))
        masked: dict[int, Tensor] = {}
        for name, kept in self.kept.items():
            there = now.get(name)
            if there is not None and stands_in(there):
                if there.shape != kept.shape:
                    raise WinsomeError(
                        f"the model is called with a tensor of shape {tuple(there.shape)} in place of {name!r}, which the mask "
                        f"of {tuple(kept.shape)} does not fit"
                    )
                masked[id(there)] = there.masked_fill(~kept.to(there.device), 0)
        read_instead(self.model, masked)

    def release(self) -> None:
        """Zeros once more, and no hooks."""
        self.zero(self.weights.values())
        for handle in self._handles.values():
            handle.remove()

    def _hold(self, name: str, weight: nn.Parameter) -> None:
        """Zero every gradient of a weight, from when it is unfrozen on if it is frozen now."""
        if name in self._handles:
            self._handles.pop(name).remove()
        zeroed = _Zeroed(self.kept[name])
        self.weights[name], self._zeroed[id(weight)] = weight, zeroed
        trained = weight.requires_grad
        weight.requires_grad_(True)  # torch refuses hooks on others
        self._handles[name] = weight.register_post_accumulate_grad_hook(zeroed.write_gradient)  # type: ignore[no-untyped-call]
        weight.requires_grad_(trained)


def _is_computed(model: nn.Module, name: str) -> bool:
    """Whether there is a tensor of this name that is no parameter: one behind a parametrisation."""
    path, _, leaf = name.rpartition(".")
    try:
        return isinstance(getattr(model.get_submodule(path), leaf), Tensor)
    except AttributeError:
        return False


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

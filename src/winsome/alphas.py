"""The random shares of AWS: one alpha a training forward pass of a model, its own for as long as the pass's graph lives."""

from __future__ import annotations

import sys
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from winsome.errors import WinsomeError
from winsome.hooks import in_backward, outside_transforms

REMEMBERED = 4096  # passes whose layers may run again in a backward: far more than graphs are alive at once


class Alphas:
    """One alpha ~ U(0, 1) for every training forward pass of a model: `current` while such a pass runs, None otherwise.

    The count of passes is all that changes from pass to pass; it lies at a fixed address and is added to in place, as CUDA
    graphs ask for. Every alpha is a tensor of its own, so that a graph may keep it while further passes are made.

    A forward inside a backward pass is one that runs again (`torch.utils.checkpoint`, of layers or of the whole model): it has
    the alpha of its pass, and is not counted. Which pass that is, is read off the node of the graph that asks for it: autograd
    numbers nodes as they are made, and a pass begins at a number; a function that runs layers without a graph in its forward
    (reentrant checkpointing, reversible layers) is the very object whose backward runs them again.
    """

    def __init__(self, model: nn.Module, seed: int | Sequence[int]) -> None:
        device = next((p.device for p in model.parameters()), torch.device("cpu"))
        self.seeds = torch.tensor(seed, dtype=torch.int64, device=device)
        self.passes = torch.zeros((), dtype=torch.int64, device=device)
        self.current: Tensor | None = None
        self._last: Tensor | None = None
        self._model = model
        self._begun: deque[tuple[int, Tensor]] = deque(maxlen=REMEMBERED)  # (number of the pass's first node, alpha)
        self._of_function: weakref.WeakKeyDictionary[FunctionCtx, Tensor] = weakref.WeakKeyDictionary()
        self._again = (-1, -1)  # the backward pass, and its node, for which the model ran again last

    def begin(self, model: nn.Module) -> None:
        """Before the model's forward: draw the pass's alpha, or find it again."""
        if not model.training:
            return
        if torch.compiler.is_compiling():
            self.current = self._next()
        elif in_backward():
            self._refuse_second_call()
            self.current = self._of_backward()
        else:
            with outside_transforms():  # the count is the search's, not of the function that is transformed
                self.follow()
                self.current = self._next()
            self._note(self.current)

    def follow(self) -> None:
        """Go to the device where the model is; the count stays the tensor that it is, for a checkpoint restores it in place."""
        device = next((p.device for p in self._model.parameters()), self.passes.device)
        if device != self.passes.device and device.type != "meta":  # where nothing can be counted
            self.seeds, self.passes.data = self.seeds.to(device), self.passes.to(device)

    def end(self, _model: nn.Module) -> None:
        """After the model's forward."""
        self.current = None

    def of_layer(self) -> Tensor | None:
        """The alpha for a layer's forward; None outside of the model's training passes.

        Raises:
            WinsomeError: one checkpoint holds two calls of the model, whose alphas cannot be told apart.
        """
        if torch.compiler.is_compiling():  # layers that run again outside of a compiled model have the alpha of the last pass
            return self._last if self.current is None and self._model.training else self.current
        alpha = self.current
        if alpha is None:
            alpha = self._of_backward() if in_backward() else None
        elif (not self._begun or self._begun[-1][1] is not alpha) and not in_backward():
            self._note(alpha)  # only a part of the model is compiled
        if alpha is not None and not torch.is_grad_enabled():
            for function in _running_functions("forward"):
                if self._of_function.setdefault(function, alpha) is not alpha:
                    raise WinsomeError(_ONE_CALL)
        return alpha

    def _next(self) -> Tensor:
        draw = _alpha if torch.compiler.is_compiling() else _drawn
        alpha: Tensor = draw(self.seeds, self.passes)
        self.passes.add_(1)
        self._last = alpha
        return alpha

    def _note(self, alpha: Tensor) -> None:
        self._begun.append((torch._C._autograd._get_sequence_nr(), alpha))

    def _of_backward(self) -> Tensor | None:
        for function in _running_functions("backward"):
            if (alpha := self._of_function.get(function)) is not None:
                return alpha
        node: Any = torch._C._current_autograd_node()
        number = -1 if node is None else node._sequence_nr()
        for begun, alpha in reversed(self._begun):
            if begun <= number:
                return alpha
        if len(self._begun) == REMEMBERED:
            raise WinsomeError(f"layers run again that belong to a forward pass more than {REMEMBERED} passes ago")
        return None

    def _refuse_second_call(self) -> None:
        node: Any = torch._C._current_autograd_node()
        again = torch._C._current_graph_task_id(), -1 if node is None else node._sequence_nr()
        if again == self._again:
            raise WinsomeError(_ONE_CALL)
        self._again = again


def _drawn(seeds: Tensor, passes: Tensor) -> Tensor:
    return uniform(seeds, passes).float()


# An operation of its own, for a compiled graph must keep its result for the backward: plain arithmetic it would do again there,
# from a count that has gone on.
_alpha = torch.library.custom_op("winsome::alpha", _drawn, mutates_args=())


@_alpha.register_fake
def _(seeds: Tensor, _passes: Tensor) -> Tensor:
    return torch.empty_like(seeds, dtype=torch.float32)


_ONE_CALL = (
    "one torch.utils.checkpoint.checkpoint(...) holds two calls of the model, whose alphas cannot be told apart in its "
    "backward pass: checkpoint each call on its own"
)


def _running_functions(method: str) -> Iterator[FunctionCtx]:
    """The contexts of those `torch.autograd.Function`s whose forward or backward is running, the innermost first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == method and frame.f_code.co_argcount:
            first = frame.f_locals.get(frame.f_code.co_varnames[0])
            if isinstance(first, FunctionCtx):
                yield first
        frame = frame.f_back


def uniform(seed: Tensor, index: Tensor) -> Tensor:
    """The `index`-th number in (0, 1) of the stream `seed`: SplitMix64 (Steele et al. 2014) on int64 tensors.

    A counter-based generator: no state but the index, the same on every device, and part of a compiled graph like any
    arithmetic. Shapes broadcast; the result is float64 with 53 random bits.
    """
    z = seed + (index + 1) * _signed(0x9E3779B97F4A7C15)
    z = (z ^ _shifted(z, 30)) * _signed(0xBF58476D1CE4E5B9)
    z = (z ^ _shifted(z, 27)) * _signed(0x94D049BB133111EB)
    z = z ^ _shifted(z, 31)
    return (_shifted(z, 11).double() + 0.5) * 2.0**-53


def _signed(constant: int) -> int:
    return constant - (1 << 64) if constant >> 63 else constant


def _shifted(z: Tensor, bits: int) -> Tensor:
    """The logical right shift that int64 lacks: the sign bit's copies are masked away."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)

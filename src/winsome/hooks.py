"""Hooks around a user's model and after its optimizers' steps: on that model alone, on no copy of it and on no other model.

A copy of a hooked model, by `copy.deepcopy` or pickle (an average of weights, the best network so far), is a plain model: it
has none of the hooks, and what they close over need not be picklable.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook, register_optimizer_step_pre_hook

OnForward = Callable[[nn.Module], None]  # called with the module
OnStep = Callable[[Sequence[Tensor]], None]  # called with those of the watched weights that an optimizer holds
OnOptimizer = Callable[[Optimizer], None]  # called with an optimizer that holds some of the watched weights

_KINDS = ("_forward_pre_hooks", "_forward_hooks", "_forward_hooks_always_called")


@contextmanager
def around_forward(
    module: nn.Module, before: OnForward, after: OnForward | None = None, *, first: bool = False
) -> Iterator[None]:
    """Call functions before and after every forward of a module inside the block; after it also where it raised.

    Copies made in other ways than by deepcopy and pickle may keep the hooks, but they do nothing there.

    Args:
        module: whose forward it is.
        before: called with the module.
        after: called with the module.
        first: call `before` before the hooks that are there: a user's own, those of torch's older weight_norm.
    """

    def entering(running: nn.Module, _args: Any) -> None:
        if running is module:
            before(module)

    def leaving(running: nn.Module, _args: Any, _output: Any) -> None:
        if running is module and after is not None:
            after(module)

    handles = [module.register_forward_pre_hook(entering, prepend=first)]
    if after is not None:
        handles.append(module.register_forward_hook(leaving, always_call=True))
    numbers = {handle.id for handle in handles}
    # deepcopy and pickle look for `__reduce_ex__` on the object itself.
    taken_apart: _WithoutHooks = module.__dict__.setdefault("__reduce_ex__", _WithoutHooks(module))
    taken_apart.numbers |= numbers
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        taken_apart.numbers -= numbers
        if not taken_apart.numbers:
            module.__dict__.pop("__reduce_ex__", None)


class _WithoutHooks:
    """Takes a module apart for a copy as its class says, but for some of its hooks and itself."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.numbers: set[int] = set()  # of the hooks that are left out

    def __call__(self, protocol: int) -> Any:
        parts: Any = type(self.module).__reduce_ex__(self.module, protocol)
        if not (isinstance(parts, tuple) and len(parts) > 2 and isinstance(parts[2], dict)):
            return parts  # the class keeps a state of its own
        state = {key: value for key, value in parts[2].items() if value is not self}
        for kind in _KINDS:
            if kind in state:
                hooks = state[kind].items()
                state[kind] = type(state[kind])((number, hook) for number, hook in hooks if number not in self.numbers)
        return (*parts[:2], state, *parts[3:])


def in_backward() -> bool:
    """Whether autograd is in the midst of a backward pass: a forward in there is one that runs again (checkpointing)."""
    return torch._C._current_graph_task_id() != -1


def outside_transforms() -> AbstractContextManager[object]:
    """Inside the block tensors from outside of a transform of torch.func may be written, which it refuses."""
    if torch._C._functorch.peek_interpreter_stack() is None:
        return nullcontext()
    from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack

    return temporarily_clear_interpreter_stack()


class _Watch:
    """Who is called about the steps of which optimizers; the weights may be others from some time on."""

    def __init__(
        self,
        weights: Sequence[Tensor],
        *,
        before: OnOptimizer | None = None,
        after: Callable[[Optimizer, list[Tensor]], object] | None = None,
        always: bool = False,
    ) -> None:
        self.before, self.after, self.always = before, after, always
        self.look_at(weights)

    def look_at(self, weights: Sequence[Tensor]) -> None:
        """Watch for these weights."""
        self._weights = {id(weight): weight for weight in weights}

    def held_by(self, optimizer: Optimizer) -> list[Tensor]:
        """Those of the weights that an optimizer steps."""
        return [p for group in optimizer.param_groups for p in group["params"] if id(p) in self._weights]


# torch walks through its own dict of hooks during every step, so that none may come or go while another thread trains: one hook
# of ours is in it for good, and looks here.
_watched: tuple[_Watch, ...] = ()
_registered = False
_lock = threading.Lock()


@contextmanager
def after_steps_on(weights: Sequence[Tensor], on_step: OnStep, *, always: bool = False) -> Iterator[OnStep]:
    """Inside the block, call a function after every step of an optimizer whose groups hold some of the weights, with these.

    Steps of others, such as those of a second model in one loop or of a search in another thread, are not looked at; or the
    function is called with none, where it is to be called always.

    Yields:
        What to call with other weights, to watch for these from then on.
    """
    watch = _Watch(weights, after=lambda _optimizer, held: on_step(held), always=always)
    with _watching(watch):
        yield watch.look_at


@contextmanager
def around_steps_of(
    weights: Sequence[Tensor], before: OnOptimizer | None = None, after: OnOptimizer | None = None
) -> Iterator[None]:
    """Inside the block, call functions before and after every step of an optimizer whose groups hold some of the weights.

    What runs after a step does so before the functions of `after_steps_on`: those may write zeros over what it leaves.
    """
    called = None if after is None else lambda optimizer, _held: after(optimizer)
    with _watching(_Watch(weights, before=before, after=called), first=True):
        yield


@contextmanager
def _watching(watch: _Watch, *, first: bool = False) -> Iterator[None]:
    global _watched, _registered  # noqa: PLW0603
    with _lock:
        if not _registered:
            register_optimizer_step_pre_hook(_about_to_step)
            register_optimizer_step_post_hook(_stepped)
            _registered = True
        _watched = (watch, *_watched) if first else (*_watched, watch)
    try:
        yield
    finally:
        with _lock:
            _watched = tuple(one for one in _watched if one is not watch)


def _about_to_step(optimizer: Optimizer, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> None:
    for watch in _watched:
        if watch.before is not None and watch.held_by(optimizer):
            watch.before(optimizer)


def _stepped(optimizer: Optimizer, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> None:
    for watch in _watched:
        if watch.after is not None and ((held := watch.held_by(optimizer)) or watch.always):
            watch.after(optimizer, held)

"""Where named parameters and layers of a model stand, to see in passing that a loop swapped one for another.

Loops convert layers (`convert_sync_batchnorm`), replace them, move a model to another device: what acts on parameters and
layers by name follows the names.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

Follow = Callable[[], None]  # looks whether something was swapped, and goes on with what is in its place


class Places:
    """The way from a model to each of some parameters and layers, by name."""

    def __init__(self, model: nn.Module, names: Iterable[str]) -> None:
        self.model = model
        self.look(names)

    def look(self, names: Iterable[str]) -> None:
        """Take what stands there now under the names; what does not is passed over."""
        links: dict[tuple[int, str], tuple[dict[str, Any], str, object]] = {}
        for name in names:
            module: nn.Module | None = self.model
            for part in name.split(".") if name else ():
                if module is None:
                    break
                held: dict[str, Any] = module._parameters if part in module._parameters else module._modules
                links[id(held), part] = held, part, held.get(part)
                module = held.get(part) if held is module._modules else None
        self._links = tuple(links.values())

    def moved(self) -> bool:
        """Whether something else stands in one of the places, for good; some 50 ns for each of them."""
        return any(held.get(part) is not one and not stands_in(held.get(part)) for held, part, one in self._links)

    def stand_ins(self) -> bool:
        """Whether something is in one of the places for one call of the model only."""
        return any(held.get(part) is not one and stands_in(held.get(part)) for held, part, one in self._links)


def stands_in(value: object) -> bool:
    """Whether a tensor is in a parameter's place for one call only: `torch.func.functional_call` puts in what is none."""
    return isinstance(value, Tensor) and not isinstance(value, nn.Parameter)


def read_instead(model: nn.Module, tensors: Mapping[int, Tensor]) -> None:
    """Let the call of the model that is about to begin read tensors in the places of others, known by their ids.

    After it the others stand there again, whoever put them in and takes them out.
    """
    places = [
        (module._parameters, kind, one)
        for module in model.modules()
        for kind, one in module._parameters.items()
        if id(one) in tensors
    ]
    for held, kind, one in places:
        held[kind] = tensors[id(one)]  # type: ignore[assignment]

    def put_back(*_: object) -> None:
        handle.remove()
        for held, kind, one in places:
            held[kind] = one

    handle = model.register_forward_hook(put_back, always_call=True)


_followers: weakref.WeakKeyDictionary[nn.Module, tuple[Follow, ...]] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


@contextmanager
def following(model: nn.Module, follow: Follow) -> Iterator[None]:
    """Inside the block, `follow_now` calls a function of a model."""
    with _lock:
        _followers[model] = (*_followers.get(model, ()), follow)
    try:
        yield
    finally:
        with _lock:
            _followers[model] = tuple(one for one in _followers[model] if one is not follow)


def follow_now(model: nn.Module) -> None:
    """Whatever acts on parameters and layers of the model looks whether some were swapped: before a forward is compiled."""
    for follow in _followers.get(model, ()):
        follow()

"""Where named parameters and layers of a model stand, to see in passing that a loop swapped one for another.

Loops convert layers (`convert_sync_batchnorm`), replace them, move a model to another device: what acts on parameters and
layers by name follows the names.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

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
        """Whether something else stands in one of the places; some 50 ns for each of them."""
        return any(held.get(part) is not one for held, part, one in self._links)


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

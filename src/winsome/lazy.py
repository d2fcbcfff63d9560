"""A package whose names are imported when they are asked for: `import winsome` takes no time, and needs no torch."""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
from types import ModuleType
from typing import Any

_PLACES = "_lazy_places"


class LazyPackage(ModuleType):
    """A package that imports what its `if TYPE_CHECKING:` block lists, name by name, and its modules by name."""

    def __getattr__(self, name: str) -> Any:
        places: dict[str, tuple[str, str]] = self.__dict__[_PLACES]
        if name in places:
            module, original = places[name]
            value = getattr(importlib.import_module(module), original)
            self.__dict__[name] = value
            return value
        if not name.startswith("_"):
            try:
                return importlib.import_module(f"{self.__name__}.{name}")
            except ModuleNotFoundError as error:
                if error.name != f"{self.__name__}.{name}":
                    raise
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __setattr__(self, name: str, value: object) -> None:
        # Importing a module binds it in its package, but winsome.prunable is the function, not the module that it is in.
        if not (isinstance(value, ModuleType) and name in self.__dict__[_PLACES]):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        # What the block lists and the modules imported so far; what the `__init__` itself needed is no name of the package.
        modules = (name for name, value in self.__dict__.items() if isinstance(value, ModuleType) or name.startswith("__"))
        return sorted({*modules, *self.__dict__[_PLACES]})


def import_on_use(package: str) -> None:
    """Make a package lazy: called in its `__init__`, whose `if TYPE_CHECKING:` block is the one list of its names."""
    module = sys.modules[package]
    module.__dict__[_PLACES] = places(inspect.getsource(module))
    module.__class__ = LazyPackage


def places(source: str) -> dict[str, tuple[str, str]]:
    """The module and the name in it, of every name that the source imports under `if TYPE_CHECKING:`."""
    blocks = [node for node in ast.parse(source).body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    return {
        alias.asname or alias.name: (str(node.module), alias.name)
        for block in blocks
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

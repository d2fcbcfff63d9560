"""What a part is known by: its name, and for code that is not Winsome's own what the code says and the values it uses.

A run folder compares it. So an edited function is another one, under the same name too; comments, docstrings, annotations and
layout do not count. Nothing in it depends on the process: no address, no hash.
"""

from __future__ import annotations

import dataclasses
import dis
import functools
import hashlib
import inspect
import json
import re
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from types import FunctionType, MethodType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from winsome.syntax import code_digest, codes_in, definition_of, filled_by

Identity = str | dict[str, Any]
_OWN = __name__.partition(".")[0]
_KNOWN_BY_NAME = frozenset({_OWN, "builtins", "numpy", "scipy", "sklearn", "torch", "torchvision"})
_INSTALLED = tuple({Path(sysconfig.get_path(kind)) for kind in ("stdlib", "platstdlib", "purelib", "platlib")})
_LITERALS = (bool, int, float, complex, str, bytes, type(None))
_NO_JSON = (float("inf"), float("-inf"))
_LONGEST = 60  # characters of a value that is written out; a longer one is a digest


def name_of(part: Callable[..., object]) -> str:
    """What a part is called: a function's name, a dataclass with its values."""
    if isinstance(part, functools.partial):
        values = [*map(repr, part.args), *(f"{key}={value!r}" for key, value in part.keywords.items())]
        return _without_addresses(f"partial({', '.join([name_of(part.func), *values])})")
    if hasattr(part, "__name__"):
        return str(part.__qualname__ if isinstance(part, MethodType) else part.__name__)
    text = repr(part)
    return f"{type(part).__qualname__}()" if text == object.__repr__(part) else _without_addresses(text)


def identity(part: Callable[..., object]) -> Identity:
    """What a run folder knows a part by, as JSON values.

    The name alone, where all its code is Winsome's or a library's. Else also `code`, a digest of every function of the user's
    that it consists of or refers to, by name, and `values`: what these have in defaults, closures and module constants. Lists
    and other values that a function changes itself are no constants, and what is imported inside of a function is not
    followed.
    """
    found = _Found()
    found.text(part)
    if not found.code and not found.values:
        return name_of(part)
    return {"name": name_of(part), "code": found.code} | ({"values": found.values} if found.values else {})


def code_text(known: Mapping[str, Any] | str) -> str:
    """Digests of functions and the values that they use, of an identity or of a record that holds one; "" where it has none.

    As JSON text: whoever is known by it has a hash.
    """
    parts = {key: known[key] for key in ("code", "values") if key in known} if isinstance(known, Mapping) else {}
    return json.dumps(parts, sort_keys=True) if parts else ""


@dataclass
class _Found:
    """What is reached from a part: digests of functions and values, by name."""

    code: dict[str, str] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    _names: dict[int, str] = field(default_factory=dict)  # of what was visited, by id
    _visited: list[object] = field(default_factory=list)  # kept, so that no id is given twice
    _taken: set[str] = field(default_factory=set)  # names of the user's code

    def text(self, value: Any) -> str:
        """A value as text that is alike in every process; the code that it refers to is visited."""
        if isinstance(value, (*_LITERALS, torch.dtype, torch.device, PurePath, slice, range)):
            return repr(value)
        if isinstance(value, ModuleType):
            return f"module {value.__name__}"
        if (text := self._contents(value)) is not None:
            return text
        if isinstance(value, functools.partial):
            name = self.text(value.func)
            for key, item in (*enumerate(value.args), *value.keywords.items()):
                if not isinstance(item, _LITERALS):  # those are in the name
                    self._keep(f"{name}({key})", item)
            return f"partial({name}, {self.text(value.args)}, {self.text(value.keywords)})"
        if isinstance(value, MethodType):
            return f"{self.text(value.__func__)} of {self.text(value.__self__)}"
        if isinstance(value, FunctionType):
            return self._function(value)
        if isinstance(value, type):
            return self._class(value)
        if callable(inner := getattr(value, "__wrapped__", None)):  # a cache around a function, for example
            return self.text(inner)
        return f"{value.__module__}.{value.__name__}" if inspect.isbuiltin(value) else self._instance(value)

    def _contents(self, value: Any) -> str | None:
        if isinstance(value, Tensor):
            data = value.detach().to("cpu").contiguous().flatten().view(torch.uint8).numpy().tobytes() if value.numel() else b""
            return f"tensor {value.dtype} {tuple(value.shape)} {_digest(data)}"
        if type(value).__module__.partition(".")[0] == _OWN and callable(digest := getattr(value, "digest", None)):
            return f"{type(value).__qualname__} {digest()}"  # a signed mask
        if type(value).__module__ == "numpy" and hasattr(value, "tobytes"):
            return f"array {value.dtype} {value.shape} {_digest(value.tobytes())}"
        if isinstance(value, Mapping):
            return f"{{{', '.join(f'{self.text(key)}: {self.text(item)}' for key, item in value.items())}}}"
        if isinstance(value, set | frozenset):
            return f"{{{', '.join(sorted(self.text(item) for item in value))}}}"
        return f"({', '.join(self.text(item) for item in value)})" if isinstance(value, tuple | list) else None

    def _function(self, function: FunctionType) -> str:
        if (known := self._names.get(id(function))) is not None:
            return known
        users = _is_users(function)
        name = self._enter(function, function.__qualname__.rpartition("<locals>.")[2], unique=users)
        definition = definition_of(function) if users else None
        changed = filled_by(definition)
        for variable, value in _closed_over(function):
            if not users:  # a library's wrapper
                self.text(value)
            elif variable not in changed:
                self._keep(f"{name}.{variable}", value, variable)
        if not users:
            return name
        self.code[name] = code_digest(function)
        for parameter, value in _defaults(function):
            self._keep(f"{name}({parameter})", value)
        for variable, value in _globals_of(function):
            if isinstance(value, ModuleType) and _is_users(value):
                self._attributes(value, function)
            elif variable not in changed:
                self._keep(variable, value, variable)
        return name

    def _class(self, kind: type) -> str:
        if (known := self._names.get(id(kind))) is not None:
            return known
        users = _is_users(kind)
        name = self._enter(kind, kind.__qualname__.rpartition("<locals>.")[2], unique=users)
        if not users:
            return name
        self.code[name] = _digest(", ".join(self._class(base) for base in kind.__bases__).encode())
        for attribute, value in vars(kind).items():
            function = _function_in(value)
            if function is not None and function.__code__.co_filename != "<string>":  # what dataclass wrote
                self._function(function)
            elif not attribute.startswith("__") and isinstance(value, (*_LITERALS, tuple, frozenset, Tensor)):
                self._keep(f"{name}.{attribute}", value)
        return name

    def _instance(self, value: Any) -> str:
        if (known := self._names.get(id(value))) is not None:
            return known
        kind, users = self._class(type(value)), _is_users(type(value))
        name = self._enter(value, f"{kind}()", unique=users)
        if dataclasses.is_dataclass(value):
            attributes = {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
        elif isinstance(value, nn.Module):
            attributes = value.state_dict()
        else:
            attributes = vars(value) if users and hasattr(value, "__dict__") else {}
        for key, item in attributes.items():
            if users:
                self._keep(f"{name.removesuffix('()')}.{key}", item)
        return name if users else f"{kind}({', '.join(f'{key}={self.text(item)}' for key, item in attributes.items())})"

    def _attributes(self, module: ModuleType, function: FunctionType) -> None:
        """What a function takes from a module of the user's: whatever there has a name that the function loads."""
        for name in dict.fromkeys(name for code in codes_in(function.__code__) for name in code.co_names):
            if name in vars(module) and not isinstance(vars(module)[name], ModuleType):
                self._keep(name, vars(module)[name], name)

    def _keep(self, name: str, value: Any, variable: str = "") -> None:
        """Visit a value, and write down one that is not code under its own name."""
        text = self.text(value)
        if _is_code(value) and variable in ("", getattr(value, "__name__", "").rpartition(".")[2]):
            return
        plain = (
            text != "nan" and isinstance(value, _LITERALS) and not isinstance(value, bytes | complex) and value not in _NO_JSON
        )
        self.values[name] = f"digest {_digest(text.encode())}" if len(text) > _LONGEST else value if plain else text

    def _enter(self, part: object, name: str, *, unique: bool) -> str:
        entered, number = name, 1
        while unique and entered in self._taken:
            number += 1
            entered = f"{name} {number}"
        self._taken |= {entered} if unique else set()
        self._names[id(part)] = entered
        self._visited.append(part)
        return entered


def _is_users(part: FunctionType | type | ModuleType) -> bool:
    """Whether code is neither Winsome's, Python's nor one of the libraries that are known by their names."""
    name, file = _home(part)
    if name.partition(".")[0] in _KNOWN_BY_NAME or not file:
        return False
    third_party = "site-packages" in file or "dist-packages" in file
    return third_party or not any(Path(file).is_relative_to(place) for place in _INSTALLED)


def _home(part: FunctionType | type | ModuleType) -> tuple[str, str]:
    """The module that code is from and the file, "" for one that is built in."""
    if isinstance(part, FunctionType):  # by its globals: a wrapper has the module of what it wraps
        return str(part.__globals__.get("__name__", "")), part.__code__.co_filename
    module = part.__name__ if isinstance(part, ModuleType) else part.__module__
    if module in sys.builtin_module_names:
        return module, ""
    return module, getattr(sys.modules.get(module), "__file__", None) or "<typed in>"


def _closed_over(function: FunctionType) -> Iterator[tuple[str, Any]]:
    for variable, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield variable, cell.cell_contents
        except ValueError:  # not assigned yet
            continue


def _defaults(function: FunctionType) -> Iterator[tuple[str, Any]]:
    values = function.__defaults__ or ()
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    yield from zip(names[len(names) - len(values) :], values, strict=True)
    yield from (function.__kwdefaults__ or {}).items()


def _globals_of(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """The module-level names that a function loads, and what they stand for: what other installed packages have is left out."""
    home = _home(function)[0].partition(".")[0]
    loads = (one for code in codes_in(function.__code__) for one in dis.get_instructions(code))
    names = dict.fromkeys(one.argval for one in loads if one.opname in ("LOAD_GLOBAL", "LOAD_NAME"))
    for name in names:
        if name not in function.__globals__:
            continue
        value = function.__globals__[name]
        if isinstance(value, FunctionType | type | ModuleType):
            module, file = _home(value)
            if "-packages" in file and module.partition(".")[0] != home:
                continue
        yield name, value


def _function_in(value: Any) -> FunctionType | None:
    """The function inside a class's attribute, however it is decorated."""
    if isinstance(value, staticmethod | classmethod):
        value = value.__func__
    if isinstance(value, property):
        value = value.fget
    value = inspect.unwrap(value) if callable(value) and not isinstance(value, type) else value
    return value if isinstance(value, FunctionType) else None


def _is_code(value: Any) -> bool:
    return isinstance(value, FunctionType | type | MethodType | ModuleType) or (callable(value) and hasattr(value, "__name__"))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _without_addresses(text: str) -> str:
    return re.sub(r" at 0x[0-9a-f]+", "", text)

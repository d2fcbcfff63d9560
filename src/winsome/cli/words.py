"""The words of a command line before they are parsed: which option is unknown, and where a positional argument hides."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import typing
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from winsome.errors import WinsomeError, unknown

# Options that people look for, and what says the same.
INSTEAD = {
    "density": "a search prunes the fraction --rate at each of --levels: --levels 10 --rate 0.2 ends at density 0.107",
    "sparsity": "90 % sparsity is density 0.1, and --levels 10 --rate 0.2 ends near it",
    "lr": "write --learning-rate",
}


def ordered(words: Sequence[str], command: Callable[..., None]) -> list[str]:
    """The words with every positional argument that follows `--`, or an option's numbers, in front.

    `study --at-levels 1 2 FOLDER` would read FOLDER as a level, and `ticket show --x FILE` would read FILE as x.

    Raises:
        WinsomeError: an option is unknown, or is to be a number and is none, and a parser's own words would not say so.
    """
    kinds = dict(options_of(command))
    front: list[str] = []
    rest: list[str] = []
    left = list(words)
    while left:
        word = left.pop(0)
        if word == "--":
            front += left
            break
        rest.append(word)
        name = _name(word)
        if name is None:
            continue
        if name not in kinds:
            _refuse(word, kinds, command)
            continue
        _refuse_no_number(word, left, kinds[name])
        if _takes_numbers(kinds[name]):
            while left and _is_number(left[0]):
                rest.append(left.pop(0))
            while left and (rest[-1] != word or "=" in word) and _name(left[0]) is None and left[0] != "--":
                front.append(left.pop(0))
    return [*front, *rest]


def options_of(command: Callable[..., Any]) -> Iterator[tuple[str, Any]]:
    """Every option of a command and its type, those of groups (dataclasses) among them."""
    yield "help", bool
    hints = get_type_hints(command, include_extras=True)
    for name, parameter in inspect.signature(command).parameters.items():
        if parameter.kind is not parameter.POSITIONAL_ONLY:
            yield from _options(name, hints[name])


def _options(name: str, hint: Any) -> Iterator[tuple[str, Any]]:
    while get_origin(hint) is Annotated:
        hint, *settings = get_args(hint)
        for alias in (alias for setting in settings for alias in getattr(setting, "aliases", None) or ()):
            yield alias.lstrip("-"), hint
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        hints = get_type_hints(hint, include_extras=True)
        for field in dataclasses.fields(hint):
            yield from _options(field.name, hints[field.name])
        return
    yield name.replace("_", "-"), hint
    if hint is bool:
        yield f"no-{name.replace('_', '-')}", hint


def _name(word: str) -> str | None:
    """The option that a word names: `--save-to=x` names save-to; None where it is a value."""
    if word == "-h":
        return "help"
    if not word.startswith("--") or word == "--":
        return None
    return word[2:].partition("=")[0].replace("_", "-")


def _takes_numbers(hint: Any) -> bool:
    """Whether an option takes any number of integers or fractions."""
    if get_origin(hint) is Annotated:
        return _takes_numbers(get_args(hint)[0])
    if get_origin(hint) is tuple:
        return get_args(hint) in ((int, ...), (float, ...))
    return any(_takes_numbers(part) for part in get_args(hint)) if get_origin(hint) is not typing.Literal else False


def _refuse_no_number(word: str, left: Sequence[str], hint: Any) -> None:
    """Refuse a word for an option that takes one number."""
    _, equals, value = word.partition("=")
    if not equals and (not left or _name(left[0]) is not None):
        return
    value = value if equals else left[0]
    for kind, what in ((int, "a whole number"), (float, "a number")):
        if _takes_one(kind, hint):
            try:
                kind(value)
            except ValueError:
                name = word.partition("=")[0]
                raise WinsomeError(f"{name} takes {what}, got {value!r}") from None


def _takes_one(kind: type, hint: Any) -> bool:
    """Whether an option takes one value of a kind, or is left out."""
    if get_origin(hint) is Annotated:
        return _takes_one(kind, get_args(hint)[0])
    return hint is kind or (type(None) in get_args(hint) and any(one is kind for one in get_args(hint)))


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _refuse(word: str, kinds: dict[str, Any], command: Callable[..., Any]) -> None:
    """Refuse an unknown option, where the parser would take the file behind it for its value, or has no better word for it."""
    name = _name(word) or word
    if name in INSTEAD:
        raise WinsomeError(f"there is no option --{name}; {INSTEAD[name]}")
    parameters = inspect.signature(command).parameters.values()
    needs_a_file = any(p.kind is p.POSITIONAL_ONLY and p.default is p.empty for p in parameters)
    if needs_a_file or not difflib.get_close_matches(name, kinds):
        raise unknown("option", f"--{name}", [f"--{known}" for known in kinds])

"""The help of a command: sentences that fill the terminal, names where a word is wanted, no default where there is none."""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
import shutil
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import tyro
from tyro.conf import DisallowNone, arg

from winsome.cli.words import ordered
from winsome.errors import WinsomeError

OUTPUT_FOLDERS = {"save_to", "out"}  # options that name a folder to write to
FILE_COMMANDS = ("export",)  # commands of which they name a file


def run(command: Callable[..., None], words: Sequence[str], *, prog: str, loud: bool = True) -> None:
    """Call the command with what the words say; prints its help, or what is wrong with them, and exits where that is due."""
    tyro._experimental_options["ansi_codes"] = not os.environ.get("NO_COLOR")  # no-color.org; tyro itself does not heed it
    if loud and not {"-h", "--help"}.isdisjoint(words):
        about = (inspect.getdoc(command) or "").partition("\nArgs:")[0].strip()
        print(filled(about, shutil.get_terminal_size().columns), end="\n\n")
    tyro.cli(
        readable(command),
        prog=prog,
        description="",  # printed above: tyro would make one line of each paragraph
        args=ordered(words, command),
        config=(DisallowNone,),  # `INT`, not `{None}|INT`: an option that may be left out is left out
        console_outputs=loud,
    )


def filled(text: str, width: int) -> str:
    """The text with every paragraph filled to the width; an indented line stays a line of its own, its own lines indented."""
    lines: list[str] = []
    for line in text.splitlines():
        if lines and lines[-1].strip() and line.strip() and not line.startswith(" "):
            lines[-1] += f" {line}"
        else:
            lines.append(line)
    return "\n".join(_line(line, max(40, width)) for line in lines)


def _line(line: str, width: int) -> str:
    column = re.match(r"\s+(\S+\s\s+)?", line)  # where the sentence beside an indented word begins
    margin = " " * (column.end() if column else 0)
    return textwrap.fill(line, width, subsequent_indent=margin, break_long_words=False, break_on_hyphens=False)


def _expanded(value: Any) -> Any:
    """The value with the user's home in place of ~, which no shell puts into `--save-to=~/x`, in all paths of it."""
    if isinstance(value, tuple):
        return tuple(map(_expanded, value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.init}
        return dataclasses.replace(value, **{name: _expanded(part) for name, part in fields.items()})
    if not isinstance(value, Path | str) or not str(value).startswith("~"):
        return value
    try:
        return type(value)(Path(value).expanduser())
    except RuntimeError as error:  # no home
        raise WinsomeError(f"{value}: there is no home directory; name the whole path") from error


def _refuse_file(name: str, folder: Path | None) -> None:
    if folder is not None and _expanded(folder).is_file():
        raise WinsomeError(f"{folder} is a file; name a folder with --{name.replace('_', '-')}")


def readable(command: Callable[..., None]) -> Callable[..., None]:
    """The command under annotations that say nothing of a default that is nothing, and name what takes no option's name."""

    def readable(*args: Any, **options: Any) -> None:
        for name in OUTPUT_FOLDERS & options.keys() if command.__name__ not in FILE_COMMANDS else ():
            _refuse_file(name, options[name])
        command(*map(_expanded, args), **{name: _expanded(value) for name, value in options.items()})

    hints = get_type_hints(command, include_extras=True)
    for name, parameter in inspect.signature(command).parameters.items():
        shown: dict[str, Any] = {}
        if parameter.default in (None, (), parameter.empty):
            shown["help_behavior_hint"] = ""
        if parameter.kind is parameter.POSITIONAL_ONLY:
            shown["metavar"] = name.upper() if parameter.default is parameter.empty else f"[{name.upper()}]"
        if shown:
            hints[name] = Annotated[hints[name], arg(**shown)]
    # No functools.wraps: its __wrapped__ would lead tyro back to the command's own annotations.
    readable.__name__, readable.__annotations__ = command.__name__, hints
    readable.__doc__ = re.sub(r"\n {8,}", " ", inspect.getdoc(command) or "")  # a sentence over two lines of source is one
    readable.__signature__ = inspect.signature(command)  # type: ignore[attr-defined]
    return readable

"""`winsome --print-completion SHELL`: what a shell needs to complete commands and options, made by tyro from the commands."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Union

import tyro
from tyro.conf import OmitSubcommandPrefixes, subcommand

from winsome.cli import COMMANDS, GROUPS, command_of
from winsome.cli.help import readable
from winsome.errors import unknown

SHELLS = ("bash", "zsh", "fish")


def completion(shell: str) -> str:
    """The script of a shell's completion.

    Raises:
        WinsomeError: there is none for this shell.
    """
    if shell not in SHELLS:
        raise unknown("shell", shell, SHELLS)
    choices = [_group(name, GROUPS[name]) if name in GROUPS else readable(command_of(name)) for name in COMMANDS]
    kinds = [Annotated[choice, subcommand(name)] for name, choice in zip(COMMANDS, choices, strict=True)]
    call: Any = tyro.cli  # its types know no union that is made at run time
    printed = io.StringIO()
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(printed):
        options = ["--tyro-print-completion", shell]
        call(Union[tuple(kinds)], prog="winsome", args=options, config=(OmitSubcommandPrefixes,))  # noqa: UP007
    return printed.getvalue()


def _group(name: str, commands: Iterable[str]) -> Callable[..., None]:
    """A command that takes one of its own commands, as tyro has it."""

    def group(command: Any) -> None: ...

    kinds = tuple(Annotated[readable(command_of(f"{name} {own}")), subcommand(own)] for own in commands)
    group.__annotations__["command"] = Union[kinds]  # noqa: UP007
    return group

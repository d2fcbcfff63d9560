"""The one console: a pipe gets whole lines, users' text is never markup, and what an encoding lacks is spelt or replaced."""

from __future__ import annotations

import codecs
import logging
import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # `winsome --version` needs no rich
    from rich.console import Console
    from rich.text import Text

PIPE_WIDTH = 1000  # columns: what reads a pipe wants whole lines
_SPELT = {"±": "+-", "✓": "yes:", "✗": "no:", "·": "-", "α": "alpha", "∞": "inf", "…": "...", "–": "-", "—": "-"}
_REPLACED = "winsome.replaced"


def open_console(*, stderr: bool = False) -> Console:
    """The console of results, or of errors. Strings are printed as they are; style comes from `styled` alone."""
    from rich.console import Console

    replace_what_cannot_be_encoded()
    # A pipe has no width, unless somebody states one. A terminal's may change while a command runs.
    pipe = not (sys.stderr if stderr else sys.stdout).isatty() and not os.environ.get("COLUMNS")
    width = PIPE_WIDTH if pipe else None
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=pipe, width=width)


def draws_over(console: Console) -> bool:
    """Whether what is shown can be drawn anew in its place: on a terminal that moves its cursor, unlike one of TERM=dumb."""
    return console.is_terminal and not console.is_dumb_terminal


def say(console: Console, *parts: str | tuple[str, str]) -> None:
    """Print a sentence, of the parts that `styled` takes: lines end between words, and a long path stays whole.

    A pipe has no width unless $COLUMNS gives it one: what reads it wants whole lines.
    """
    text = styled(*parts)
    if not console.soft_wrap and (console.is_terminal or "COLUMNS" in os.environ):
        text.plain = "\n".join(broken(line, console.width) for line in text.plain.split("\n"))
    console.print(text, soft_wrap=True)


def broken(line: str, width: int) -> str:
    """The line with an end of line in place of a blank wherever the next word goes beyond the width."""
    words = line.split(" ")
    whole, column = words[0], len(words[0])
    for word in words[1:]:
        fits = column + 1 + len(word) <= width
        whole += f"{' ' if fits else chr(10)}{word}"
        column = column + 1 + len(word) if fits else len(word)
    return whole


def styled(*parts: str | tuple[str, str]) -> Text:
    """Text of plain parts and of (text, style) pairs."""
    from rich.text import Text

    return Text.assemble(*parts)


def replace_what_cannot_be_encoded() -> None:
    """Let output in cp1252, Latin-1 or ASCII spell or replace what it cannot hold; a result must not die of its signs."""
    codecs.register_error(_REPLACED, _replaced)
    for stream in (sys.stdout, sys.stderr):
        if getattr(stream, "errors", "") in ("strict", "surrogateescape"):
            reconfigure: Any = getattr(stream, "reconfigure", None)  # what stands in for a stream may lack it
            if reconfigure is not None:
                reconfigure(errors=_REPLACED)


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_SPELT.get(sign, "?") for sign in error.object[error.start : error.end]), error.end


def log_to_stderr(rank: int) -> None:
    """Show what Winsome logs, of rank 0; of other ranks errors alone."""
    handler = _ToStderr()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("winsome").setLevel(logging.ERROR if rank else logging.INFO)


class _ToStderr(logging.Handler):
    """Prints to what stderr is at the time: while a bar is shown, rich puts what is printed above it."""

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if sys.stderr.isatty():
            width = shutil.get_terminal_size().columns
            text = "\n".join(broken(line, width) for line in text.splitlines())
        print(text, file=sys.stderr)

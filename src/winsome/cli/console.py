"""The one console: a pipe gets whole lines, users' text is never markup, and what an encoding lacks is replaced."""

from __future__ import annotations

import codecs
import os
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
    there = (sys.stderr if stderr else sys.stdout).isatty() or os.environ.get("COLUMNS")
    # The width is stated only for a pipe: a terminal's own may change while a command runs.
    width = None if there else PIPE_WIDTH
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True, width=width)


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

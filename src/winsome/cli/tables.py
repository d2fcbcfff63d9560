"""Tables in the terminal: drawn for eyes, plain lines of whole width for a pipe."""

from __future__ import annotations

import sys

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table


def open_console() -> Console:
    """The console that results are printed to."""
    # A pipe has no width: what reads it wants whole lines.
    return Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 1000)


def open_table(first: str, *others: str, title: str | None = None) -> Table:
    """A table with these columns, the first aligned left."""
    table = Table(
        box=SIMPLE_HEAD if sys.stdout.isatty() else None, pad_edge=False, title=title, title_justify="left", title_style="bold"
    )
    table.add_column(first)
    for other in others:
        table.add_column(other, justify="left" if other in ("shape", "value", "a", "b") else "right")
    return table


def add_row(table: Table, *cells: str) -> None:
    """A row whose cells are text, brackets and all."""
    table.add_row(*map(escape, cells))

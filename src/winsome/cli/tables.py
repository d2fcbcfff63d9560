"""Tables in the terminal: drawn for eyes, plain lines of whole width for a pipe, cut by columns where they do not fit."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import sys
import textwrap
from collections.abc import Collection

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from winsome.cli.console import PIPE_WIDTH

HEADER_WIDTH = 12  # columns, where a table would be too wide: of headers, broken between words
TEXT_COLUMNS = ("shape", "value", "a", "b", "method", "95 % interval")  # columns of text, not of numbers


def open_table(first: str, *others: str, title: str | None = None, text_columns: Collection[str] = TEXT_COLUMNS) -> Table:
    """A table with these columns; the first and those of text are aligned left."""
    box = SIMPLE_HEAD if sys.stdout.isatty() else None
    table = Table(box=box, pad_edge=False, title=title and Text(title), title_justify="left", title_style="bold")
    table.add_column(Text(first), overflow="fold")
    for other in others:
        left = other in text_columns
        table.add_column(Text(other), justify="left" if left else "right", no_wrap=not left, overflow="fold")
    return table


def add_row(table: Table, *cells: str, end_section: bool = False) -> None:
    """A row whose cells are text, brackets and all."""
    table.add_row(*map(Text, cells), end_section=end_section)


def show(console: Console, table: Table) -> None:
    """Print a table, in parts where it is wider than the console."""
    for part in fitting(table, console):
        console.print(part, soft_wrap=False)


def fitting(table: Table, console: Console) -> list[Table]:
    """The table, or where it is wider than the console, several that are not: each with its first column and some others."""
    count = len(table.columns)
    if _width(table, console) <= console.width:
        return [table]
    table, ends = _with_short_headers(table), [1]
    while ends[-1] < count:
        start = ends[-1]
        more = (end for end in range(count, start + 1, -1) if _width(_part(table, start, end), console) <= console.width)
        ends.append(next(more, start + 1))
    if len(ends) <= 2:
        return [table]
    parts = []
    for start, end in itertools.pairwise(ends):
        part = _part(table, start, end)
        which = f"columns {start} to {end - 1}" if end - start > 1 else f"column {start}"
        part.title = Text(f"{table.title or 'table'}, {which} of {count - 1}")
        parts.append(part)
    return parts


def _with_short_headers(table: Table) -> Table:
    """The table with headers over several lines."""
    short = copy.copy(table)
    short.columns = [
        dataclasses.replace(column, header=Text(textwrap.fill(str(column.header), HEADER_WIDTH))) for column in table.columns
    ]
    return short


def _part(table: Table, start: int, end: int) -> Table:
    """The table with its first column and those from `start` to `end` - 1."""
    part = copy.copy(table)
    chosen = [table.columns[0], *table.columns[start:end]]
    part.columns = [dataclasses.replace(column, _index=place) for place, column in enumerate(chosen)]
    return part


def _width(table: Table, console: Console) -> int:
    return Measurement.get(console, console.options.update(width=PIPE_WIDTH), table).maximum

"""A small table as HTML, for what a notebook shows of a ticket, a plan or results; imports nothing, so that all may use it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

MOST_ROWS = 30  # shown: a network of a thousand layers must not fill a notebook


def html_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], notes: Iterable[str] = ()) -> str:
    """A title, a table whose first column is text and whose others are numbers, and lines below it.

    Args:
        title: plain text, as all else: it is escaped.
        columns: their names.
        rows: their cells; of many the first ones are shown, and how many more there are.
        notes: lines below the table.
    """
    cells = [[str(cell) for cell in row] for row in rows]
    shown = cells[:MOST_ROWS]
    under = [*([f"… and {len(cells) - len(shown):,} more rows"] if len(cells) > len(shown) else []), *notes]
    return "".join(
        (
            f'<div class="winsome"><p><b>{escape(title)}</b></p>',
            f"<table><thead>{_row('th', columns)}</thead><tbody>",
            *(_row("td", row) for row in shown),
            "</tbody></table>",
            *(f"<p>{escape(line)}</p>" for line in under),
            "</div>",
        )
    )


def _row(kind: str, cells: Sequence[str]) -> str:
    sides = ("left", *["right"] * (len(cells) - 1))
    inside = (f'<{kind} style="text-align:{side}">{escape(cell)}</{kind}>' for side, cell in zip(sides, cells, strict=True))
    return f"<tr>{''.join(inside)}</tr>"

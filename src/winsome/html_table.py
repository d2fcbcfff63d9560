"""A small table as HTML, for what a notebook shows of a ticket, a plan or results; imports nothing, so that all may use it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

MOST_ROWS = 30  # shown: a network of a thousand layers must not fill a notebook


def html_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], notes: Iterable[str] = ()) -> str:
    """A title, a table, and lines below it.

    Args:
        title: plain text, as all else: it is escaped.
        columns: their names.
        rows: their cells; of many the first ones are shown, and how many more there are.
        notes: lines below the table.
    """
    cells = [[str(cell) for cell in row] for row in rows]
    shown = cells[:MOST_ROWS]
    sides = [_side([row[place] for row in shown]) for place in range(len(columns))]
    under = [*([f"… and {len(cells) - len(shown):,} more rows"] if len(cells) > len(shown) else []), *notes]
    return "".join(
        (
            f'<div class="winsome"><p><b>{escape(title)}</b></p>',
            f"<table><thead>{_row('th', columns, sides)}</thead><tbody>",
            *(_row("td", row, sides) for row in shown),
            "</tbody></table>",
            *(f"<p>{escape(line)}</p>" for line in under),
            "</div>",
        )
    )


def _side(cells: Sequence[str]) -> str:
    """Numbers stand to the right, words to the left."""
    return "right" if all(not cell or cell[0].isdigit() or cell[0] in "+-−" for cell in cells) else "left"


def _row(kind: str, cells: Sequence[str], sides: Sequence[str]) -> str:
    style = "padding:2px 10px;text-align:"
    inside = (f'<{kind} style="{style}{side}">{escape(cell)}</{kind}>' for side, cell in zip(sides, cells, strict=True))
    return f"<tr>{''.join(inside)}</tr>"

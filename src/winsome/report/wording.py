"""Numbers and labels as a reader of a page expects them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any

from markupsafe import Markup

from winsome.figures.labels import SUBSCRIPT


def typeset(label: str) -> Markup:
    """A label for HTML, escaped, its subscripts set low: `s_AWS` becomes `s<sub>AWS</sub>`."""
    return Markup(SUBSCRIPT.sub(r"\1<sub>\2</sub>", escape(label)))


def breakable(name: str) -> Markup:
    """A name for HTML, escaped, that may go on in a new line after each underscore."""
    return Markup(escape(name).replace("_", "_<wbr>"))


def duration(seconds: float) -> str:
    """A time as people say it: `9.4 s`, `1 min 40 s`, `2 h 5 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        minutes, rest = divmod(whole, 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(round(whole / 60), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def day(stamp: str) -> str:
    """The day of an ISO time stamp: `21 November 2026`; a stamp of another form is left as it is."""
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError:
        return stamp
    return f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}"


def counted(number: int, one: str, many: str | None = None) -> str:
    """`1 search seed`, `1,297 images`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def ranges(numbers: Sequence[int]) -> str:
    """Whole numbers with runs of three or more drawn together: `0–15`, `0, 1`, `2, 5–9`."""
    parts: list[str] = []
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    for run in runs:
        parts += [f"{run[0]}–{run[-1]}"] if len(run) > 2 else [str(number) for number in run]
    return ", ".join(parts)


def listed(items: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def settings(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A record of settings as pairs to print, in its own order; what is not set or empty is left out."""
    return [(key.replace("_", " "), value(content)) for key, content in record.items() if content not in (None, {}, [])]


def value(content: Any) -> str:
    """One setting in plain words."""
    if isinstance(content, bool):
        return "yes" if content else "no"
    if isinstance(content, int):
        return f"{content:,}"
    if isinstance(content, float):
        return f"{content:g}"
    if isinstance(content, Mapping):
        return ", ".join(part if key in ("kind", "name") else f"{key} {part}" for key, part in settings(content))
    if isinstance(content, Sequence) and not isinstance(content, str):
        return ", ".join(value(part) for part in content)
    return str(content)


_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip

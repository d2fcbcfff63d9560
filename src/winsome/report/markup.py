"""Labels, settings and links as a page shows them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any

from markupsafe import Markup

from winsome.figures.labels import SUBSCRIPT


def typeset(label: str) -> Markup:
    """A label for HTML, escaped, its subscripts set low: `s_AWS` becomes `s<sub>AWS</sub>`."""
    return Markup(SUBSCRIPT.sub(r"\1<sub>\2</sub>", escape(label)))


def linked(text: str) -> Markup:
    """A label or sentence for HTML, escaped and with subscripts, in which the papers that it names are links."""
    return Markup(_ARXIV.sub(r'<a href="https://arxiv.org/abs/\1">arXiv:\1</a>', str(typeset(text))))


def breakable(name: str) -> Markup:
    """A name for HTML, escaped, that may go on in a new line after each underscore."""
    return Markup(escape(name).replace("_", "_<wbr>"))


def day(stamp: str) -> str:
    """The day of an ISO time stamp: `21 November 2026`; a stamp of another form is left as it is."""
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError:
        return stamp
    return f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}"


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


_ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})\b")
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip

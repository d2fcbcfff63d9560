"""Figures as files for a paper (SVG, PDF) and as SVG inside a page that follows its light or dark colours."""

from __future__ import annotations

import io
import re
from html import escape
from pathlib import Path

from matplotlib.figure import Figure

from winsome.figures.labels import SUBSCRIPT
from winsome.figures.theme import INK, MUTED, PALETTE, PAPER, RULE, look

# Every colour of a figure and the page's own name for it; anything else would not turn with the page.
PAGE_COLOURS = {
    INK: "currentColor",
    MUTED: "var(--muted)",
    RULE: "var(--rule)",
    PAPER: "var(--paper)",
    **{light: f"var(--{name})" for name, (light, _) in PALETTE.items()},
}
_NO_DATE = {"Date": None, "Creator": None}
_COLOUR = re.compile("|".join(PAGE_COLOURS), re.IGNORECASE)
_ID = re.compile(r'(\bid="|href="#|url\(#)')
_TEXT = re.compile(r"(<text\b[^>]*>)([^<]*)(</text>)")
_FONT = re.compile(r"font: (?:(\d+) )?([\d.]+)px [^;\"]*")  # how some versions of matplotlib write size and family as one
# What a page has no use for: metadata, matplotlib's own style sheet, comments, names of groups, idle rotations, the font.
_IDLE = re.compile(
    r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->|(?<=<g) id=\"[^\"]*\"| transform=\"rotate\(-0 [^\"]*\""
    r"|font-family: [^;\"]*;? ?",
    re.DOTALL,
)


def save(figure: Figure, stem: Path) -> tuple[Path, Path]:
    """Write `stem`.svg and `stem`.pdf, trimmed to what is drawn; the same figure gives the same bytes."""
    svg, pdf = (stem.with_name(f"{stem.name}.{kind}") for kind in ("svg", "pdf"))  # a name may hold a dot
    title = stem.name.replace("_", " ")
    with look():
        figure.savefig(svg, format="svg", bbox_inches="tight", pad_inches=0.03, metadata={**_NO_DATE, "Title": title})
        without_date = {"CreationDate": None, "ModDate": None, "Creator": None, "Producer": None}
        figure.savefig(pdf, format="pdf", bbox_inches="tight", pad_inches=0.03, metadata=without_date)
    return svg, pdf


def inline_svg(figure: Figure, prefix: str, description: str, *, title: str = "") -> str:
    """The figure as an `<svg>` element for a page: text stays text, colours are the page's, ids begin with `prefix`.

    `description` is what a screen reader says, `title` the name of the figure.
    """
    buffer = io.StringIO()
    with look(on_page=True):
        figure.savefig(buffer, format="svg", metadata=_NO_DATE)
    svg = buffer.getvalue()
    svg = _IDLE.sub("", svg[svg.index("<svg") :])
    svg = re.sub(r"\s*\n\s*", " ", svg)
    svg = svg.replace("xlink:href", "href")
    svg = _ID.sub(lambda match: match[1] + prefix + "-", svg)
    svg = _COLOUR.sub(lambda match: PAGE_COLOURS[match[0].lower()], svg)
    svg = _FONT.sub(lambda match: f"font-size: {match[2]}px" + (f"; font-weight: {match[1]}" if match[1] else ""), svg)
    svg = _TEXT.sub(lambda match: match[1] + _with_subscripts(match[2]) + match[3], svg)
    width, height = (figure.get_figwidth() * 72, figure.get_figheight() * 72)
    opening = f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(description)}">'
    named = f"<title>{escape(title)}</title>" if title else ""
    return opening + named + svg[svg.index(">") + 1 :].strip()


def _with_subscripts(text: str) -> str:
    lowered = r'\1<tspan dy="0.3em" font-size="72%">\2</tspan><tspan dy="-0.216em">&#8203;</tspan>'
    return SUBSCRIPT.sub(lowered, text)

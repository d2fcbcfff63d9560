"""How every figure looks: sizes, fonts, and colours legible on white and on dark paper, colour-blind readers included."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any, Literal, Protocol

import matplotlib
from matplotlib import font_manager
from matplotlib.figure import Figure

from winsome.evidence.finished import FinishedStudy, results_of
from winsome.evidence.results import Results

# Widths in inches: a page's text block and one column of a two-column paper (which also reads well on a phone).
WIDE = 6.8
NARROW = 3.4

INK = "#1b1f24"
MUTED = "#6a7079"
RULE = "#dfe2e6"
PAPER = "#ffffff"
ON_DARK = {INK: "#e6e8eb", MUTED: "#9aa2ab", RULE: "#30363d", PAPER: "#14171a"}

# Near Okabe and Ito's hues; lightness was searched so that all seven stay apart (0.1 in Oklab) with normal vision, without
# red cones and without green cones, at a contrast of 3 on their paper. The second of each is its twin on dark paper.
PALETTE: dict[str, tuple[str, str]] = {
    "blue": ("#0362b1", "#4ea1fc"),
    "vermillion": ("#ec6116", "#ed822e"),
    "green": ("#1da28b", "#7cdeb4"),
    "plum": ("#852954", "#e274a9"),
    "ochre": ("#70580a", "#fcb861"),
    "sky": ("#4f95d2", "#94d3fe"),
    "olive": ("#443e03", "#dff7a5"),
}
COLOURS = tuple(light for light, _ in PALETTE.values())
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

# A list, for the first one installed is used; the last is part of matplotlib and has every glyph we need.
FONTS = ("Helvetica Neue", "Helvetica", "Arial", "Liberation Sans", "DejaVu Sans")


class Drawing(Protocol):
    """A figure of a study: `width` in inches; `on_page` where text must stay text."""

    def __call__(self, results: Results | FinishedStudy, *, width: float = WIDE, on_page: bool = False) -> Figure:
        """The figure."""
        ...


Dash = Literal["-"] | tuple[float, tuple[float, ...]]  # solid, or (offset, lengths of strokes and gaps)


@dataclass(frozen=True)
class Style:
    """How one arm or method is drawn."""

    colour: str
    marker: str = "o"
    dash: Dash = "-"
    hollow: bool = False

    @property
    def face(self) -> str:
        """The inside of a marker: paper where it is hollow."""
        return PAPER if self.hollow else self.colour


def is_narrow(width: float) -> bool:
    """Whether a figure of this width (inches) has no room for labels beside its panels."""
    return width < 4.5


@contextmanager
def look(*, on_page: bool = False) -> Iterator[None]:
    """The settings of every figure, for drawing and for writing (`figures.save`, `figures.inline_svg`) alike.

    For files, letters are outlines in SVG and TrueType in PDF. On a page text stays text, in the page's font: its layout
    is computed with DejaVu Sans, wider than what browsers choose, so that no label outgrows its place.
    """
    with matplotlib.rc_context(_settings(["DejaVu Sans"], "none") if on_page else _settings(_installed_fonts(), "path")):
        yield


def themed(draw: Callable[[Results, float], Figure]) -> Drawing:
    """A drawing function that always works in this look."""

    @wraps(draw)
    def drawing(results: Results | FinishedStudy, *, width: float = WIDE, on_page: bool = False) -> Figure:
        with look(on_page=on_page):
            return draw(results_of(results), width)

    return drawing


def _installed_fonts() -> list[str]:
    installed = set(font_manager.get_font_names())
    # Only one face and the fallback: a list of all would make the look depend on which glyph exists where.
    return [*[name for name in FONTS[:-1] if name in installed][:1], FONTS[-1]]


def _settings(fonts: list[str], svg_text: str) -> Any:  # matplotlib types its keys one by one
    return {
        "font.family": fonts,
        "font.size": 8,
        "mathtext.fontset": "custom",
        **{f"mathtext.{face}": fonts[0] for face in ("rm", "it", "bf", "bfit", "cal", "sf", "tt")},
        "mathtext.fallback": "stixsans",
        "axes.titlesize": 8.5,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.labelsize": 8,
        "axes.labelcolor": MUTED,
        "axes.edgecolor": MUTED,
        "axes.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.unicode_minus": True,
        "grid.color": RULE,
        "grid.linewidth": 0.6,
        "grid.linestyle": "-",
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelsize": 7.5,
        "ytick.labelsize": 7.5,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "xtick.major.size": 3,
        "ytick.major.size": 0,
        "xtick.minor.size": 0,
        "lines.linewidth": 1.5,
        "lines.markersize": 4.5,
        "legend.frameon": False,
        "legend.fontsize": 7.5,
        "text.color": INK,
        "text.usetex": False,
        "savefig.facecolor": "none",
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "svg.fonttype": svg_text,
        "svg.hashsalt": "winsome",
        "pdf.fonttype": 42,
        "path.simplify": False,
    }

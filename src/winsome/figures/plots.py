"""A figure with its caption: drawn at any width, for files and for a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from matplotlib.figure import Figure

from winsome.figures.files import inline_svg
from winsome.figures.theme import NARROW, WIDE


class Draw(Protocol):
    """Draws a figure: `width` in inches; `on_page` where text must stay text."""

    def __call__(self, *, width: float = WIDE, on_page: bool = False) -> Figure:
        """The figure."""
        ...


@dataclass(frozen=True)
class Plot:
    """A figure: the name of its files, its caption, and how it is drawn."""

    name: str
    caption: str
    draw: Draw

    @property
    def title(self) -> str:
        """For readers who do not see it."""
        return self.name.replace("_", " ").replace("-", " ")


@dataclass(frozen=True)
class DrawnPlot:
    """A figure for a page: a wide and a narrow drawing of the same as `<svg>`, and its caption."""

    name: str
    caption: str
    wide: str
    narrow: str


def drawn(plot: Plot, prefix: str) -> DrawnPlot:
    """The figure as a page shows it; ids begin with `prefix`."""
    wide, narrow = (
        inline_svg(plot.draw(width=width, on_page=True), f"{prefix}{plot.name}-{kind}", plot.caption, title=plot.title)
        for kind, width in (("wide", WIDE), ("narrow", NARROW))
    )
    return DrawnPlot(plot.name, plot.caption, wide, narrow)

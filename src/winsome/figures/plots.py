"""A figure with its caption: drawn at any width, for files and for a page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from matplotlib.figure import Figure

from winsome.errors import WinsomeError
from winsome.figures.files import inline_svg
from winsome.figures.theme import NARROW, WIDE
from winsome.files import write_whole

KINDS = ("wide", "narrow")


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

    def write(self, folder: Path) -> None:
        """Keep the drawings, for a page that is written later."""
        for kind in KINDS:
            write_whole(_place(folder, self.name, kind), getattr(self, kind).encode())

    @classmethod
    def read(cls, folder: Path, name: str, caption: str) -> DrawnPlot:
        """The drawings that were kept.

        Raises:
            WinsomeError: they are gone.
        """
        places = [_place(folder, name, kind) for kind in KINDS]
        try:
            return cls(name, caption, *(place.read_text(encoding="utf-8") for place in places))
        except (OSError, UnicodeDecodeError) as error:
            raise WinsomeError(
                f"{folder} lacks a drawing for the page ({error}); run `winsome reproduce` for it again"
            ) from error


def _place(folder: Path, name: str, kind: str) -> Path:
    return folder / "page" / f"{name}.{kind}.svg"


def drawn(plot: Plot, prefix: str) -> DrawnPlot:
    """The figure as a page shows it; ids begin with `prefix`."""
    wide, narrow = (
        inline_svg(plot.draw(width=width, on_page=True), f"{prefix}{plot.name}-{kind}", plot.caption, title=plot.title)
        for kind, width in (("wide", WIDE), ("narrow", NARROW))
    )
    return DrawnPlot(plot.name, plot.caption, wide, narrow)

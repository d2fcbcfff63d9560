"""matplotlib, whatever $MPLBACKEND says: figures are drawn into files, and Jupyter's backend is not in every environment."""

from __future__ import annotations

import io
import os
import sys
from typing import Any

__all__ = ["as_svg", "matplotlib"]

_asked_for = os.environ.pop("MPLBACKEND", None)  # read once, when matplotlib is imported; an unknown one ends the import
try:
    import matplotlib
finally:
    if _asked_for is not None:
        os.environ["MPLBACKEND"] = _asked_for  # for the programs that this one starts


def as_svg(figure: Any) -> str:
    """A figure as a notebook shows it."""
    from winsome.figures.theme import look

    content = io.StringIO()
    with look():
        # Trimmed to what is drawn, as files are: words can be a little wider in an SVG than where they were measured.
        figure.savefig(content, format="svg", bbox_inches="tight", pad_inches=0.03)
    return content.getvalue()


# A notebook shows figures of pyplot by itself, and ours are none: what a cell ends with is shown all the same.
_shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
if _shell is not None:
    _shell.display_formatter.formatters["image/svg+xml"].for_type_by_name("matplotlib.figure", "Figure", as_svg)

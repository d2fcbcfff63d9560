"""matplotlib, whatever $MPLBACKEND says: figures are drawn into files, and Jupyter's backend is not in every environment."""

from __future__ import annotations

import os

__all__ = ["matplotlib"]

_asked_for = os.environ.pop("MPLBACKEND", None)  # read once, when matplotlib is imported; an unknown one ends the import
try:
    import matplotlib
finally:
    if _asked_for is not None:
        os.environ["MPLBACKEND"] = _asked_for  # for the programs that this one starts

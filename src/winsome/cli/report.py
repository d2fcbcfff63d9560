"""`winsome report`: write report.html anew from what a folder holds."""

from __future__ import annotations

from pathlib import Path

from tyro.conf import Positional


def report(folder: Positional[Path] = Path("runs"), /) -> None:
    """Write report.html for a study's folder, or one page for all studies below a folder.

    Args:
        folder: The folder of a study, or one that holds several.
    """
    from winsome import report as reports  # here, for matplotlib takes seconds to import

    print(f"report: {reports.write(folder)}")

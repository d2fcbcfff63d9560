"""The version of the installed package, and what a ticket was made with."""

import platform
from importlib.metadata import version

__version__ = version("winsome")


def versions() -> dict[str, str]:
    """What results may follow from beside this package: torch and Python, by name."""
    import torch  # here, for `winsome --version` needs none

    return {"winsome": __version__, "torch": torch.__version__, "python": platform.python_version()}

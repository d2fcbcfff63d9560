"""A user's Python file that says which studies a sweep has."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from winsome.errors import WinsomeError
from winsome.study.design import Study
from winsome.sweep.grid import studies_of
from winsome.user_code import UserFile, read_file, run_file


def read_grid(path: Path) -> tuple[UserFile, tuple[Study, ...]]:
    """Run a grid file and return the studies that it names: `studies`, or what its function `sweep()` returns.

    Raises:
        WinsomeError: there is no such file, it raises (the line is named), or it names no studies.
    """
    file = read_file(path, wanted="Python file that defines `studies` or a function `sweep()`")
    return file, run_file(file, path, lambda module: studies_of(_studies_in(module)))


def _studies_in(module: ModuleType) -> Iterable[Study]:
    names = [name for name in ("sweep", "studies") if hasattr(module, name)]
    if len(names) != 1:
        problem = "defines both `studies` and `sweep`" if names else "defines neither `studies` nor `sweep`"
        raise WinsomeError(f"it {problem}; define `studies = [...]` or a function `sweep()` that returns studies")
    value = getattr(module, names[0])
    if names[0] == "sweep" and not callable(value):
        raise WinsomeError("its `sweep` is no function; a list of studies is called `studies`")
    made = value() if names[0] == "sweep" else value
    if isinstance(made, Study) or not isinstance(made, Iterable):
        raise WinsomeError(f"its `{names[0]}` gives a {type(made).__name__}; studies are wanted, in a list: [study]")
    return made

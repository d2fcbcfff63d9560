"""A user's Python file that says which studies a sweep has."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from winsome.errors import WinsomeError
from winsome.study.design import Study
from winsome.sweep.grid import studies_of

_MODULE = "winsome_grid_file"  # what functions of the file are pickled under


@dataclass(frozen=True)
class GridFile:
    """The file as it was when the sweep began: what workers run does not change when it is edited meanwhile."""

    path: str
    source: str

    def load(self) -> ModuleType:
        """The file as a module, once in each process; its folder is importable, as for any script."""
        known = sys.modules.get(_MODULE)
        if known is not None and getattr(known, "__grid_file__", None) == self:
            return known
        module = ModuleType(_MODULE)
        module.__file__ = self.path
        setattr(module, "__grid_file__", self)  # noqa: B010
        folder = str(Path(self.path).parent)
        if folder not in sys.path:
            sys.path.insert(0, folder)
        sys.modules[_MODULE] = module
        try:
            exec(compile(self.source, self.path, "exec"), module.__dict__)
        except BaseException:
            del sys.modules[_MODULE]
            raise
        return module


def read_grid(path: Path) -> tuple[GridFile, tuple[Study, ...]]:
    """Run a grid file and return the studies that it names: `studies`, or what its function `sweep()` returns.

    Raises:
        WinsomeError: there is no such file, it raises (the line is named), or it names no studies.
    """
    if not path.is_file():
        raise WinsomeError(f"no file {path}; give a Python file that defines `studies` or a function `sweep()`")
    try:
        grid_file = GridFile(str(path.resolve()), path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise WinsomeError(f"{path} cannot be read: {error}") from error
    try:
        module = grid_file.load()
        return grid_file, studies_of(_studies_in(module))
    except WinsomeError as error:
        raise WinsomeError(f"{_place(grid_file, error, path)}: {error}") from error
    except SyntaxError as error:
        raise WinsomeError(f"{path}, line {error.lineno}: {error.msg}") from error
    except Exception as error:
        raise WinsomeError(f"{_place(grid_file, error, path)}: {type(error).__name__}: {error}") from error


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


def _place(grid_file: GridFile, error: Exception, path: Path) -> str:
    """The file, and the last of its lines that the error passed through."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == grid_file.path]
    return f"{path}, line {lines[-1]}" if lines else str(path)

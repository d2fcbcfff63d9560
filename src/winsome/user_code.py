"""Code of the user's own by name: one of a list, "PACKAGE.MODULE:NAME" or "FILE.py:NAME"."""

from __future__ import annotations

import hashlib
import importlib
import linecache
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from winsome.errors import WinsomeError, unknown
from winsome.raised import lines, naming, note, own_frames, place

T = TypeVar("T")
_named_files: set[str] = set()  # that code came from which was asked for by name, in this process


@dataclass(frozen=True)
class UserFile:
    """A Python file as it was when it was read: what workers run does not change when it is edited meanwhile."""

    path: str
    source: str

    @property
    def module_name(self) -> str:
        """What functions of the file are pickled under: one name for one path and text, in every process."""
        digest = hashlib.sha256(f"{self.path}\n{self.source}".encode()).hexdigest()
        return f"winsome_file_{digest[:16]}"

    def load(self) -> ModuleType:
        """The file as a module, once in each process; its folder is importable, as for any script."""
        if (known := sys.modules.get(self.module_name)) is not None:
            return known
        module = ModuleType(self.module_name)
        module.__file__ = self.path
        folder = str(Path(self.path).parent)
        if folder not in sys.path:
            sys.path.insert(0, folder)
        # Whoever asks for the source of its functions shall get what runs, not what the file has become (no time: no check).
        _named_files.add(self.path)
        linecache.cache[self.path] = (len(self.source), None, self.source.splitlines(keepends=True), self.path)
        sys.modules[self.module_name] = module
        try:
            exec(compile(self.source, self.path, "exec"), module.__dict__)
        except BaseException:
            del sys.modules[self.module_name]
            raise
        return module


def load_files(files: Sequence[UserFile]) -> None:
    """Load them: what a worker does before it is sent objects that are defined in them."""
    for file in files:
        file.load()


@dataclass(frozen=True)
class Named:
    """An object that was found by its name, and the file of the user's that it is from, which workers have to load first."""

    value: Any
    file: UserFile | None = None


def read_file(path: Path, *, wanted: str = "Python file") -> UserFile:
    """A file of the user's, not run yet.

    Raises:
        WinsomeError: there is no such file, or it cannot be read; `wanted` says what to give.
    """
    if not path.is_file():
        raise WinsomeError(f"no file {path}; give a {wanted}")
    try:
        return UserFile(str(path.resolve()), path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise WinsomeError(f"{path} is no text; give a {wanted}") from error
    except OSError as error:
        raise WinsomeError(f"{path} cannot be read: {error}") from error


def run_file(file: UserFile, path: Path, use: Callable[[ModuleType], T]) -> T:
    """What `use` makes of a file once it is loaded.

    Raises:
        WinsomeError: the file raises, or `use` does; names the last line of the file that the error passed through.
    """
    try:
        return use(file.load())
    except WinsomeError as error:
        raise WinsomeError(f"{_place(file, error, path)}: {error}") from error
    except SyntaxError as error:
        where = path if error.filename in (None, file.path) else error.filename  # it may be of a file that this one imports
        raise WinsomeError(f"{where}, line {error.lineno}: {error.msg}") from error
    except Exception as error:
        raise WinsomeError(f"{_place(file, error, path)}: {type(error).__name__}: {error}{_way(error)}") from error


def running(kind: str, name: str) -> AbstractContextManager[None]:
    """Inside the block what has a name runs: code of the user's, an error of which names it and its lines, or Winsome's."""
    return naming(f"the {kind} {name!r}") if ":" in name else nullcontext()


def note_named(error: BaseException) -> None:
    """Note on an error that comes from code which was asked for by name that it does, with the lines, unless it is noted."""
    if any(frame.filename in _named_files for frame in own_frames(error)):
        note(error, "code of yours")


def by_name(text: str, known: Mapping[str, Any], kind: str) -> Named:
    """What a name stands for: an entry of `known`, or an object of the user's by "PACKAGE.MODULE:NAME" or "FILE.py:NAME".

    Args:
        text: the name; code of the user's runs when it is loaded.
        known: the objects that have a name of their own.
        kind: what is named, for errors: "method".

    Raises:
        WinsomeError: nothing has this name; a file or module is missing, or raises when it is loaded.
    """
    place, colon, name = text.rpartition(":")
    if not colon:
        if text not in known:
            own = " (one of your own: FILE.py:NAME or PACKAGE.MODULE:NAME; see docs/extending.md)"
            raise WinsomeError(f"{unknown(kind, text, known)}{own}")
        return Named(known[text])
    if place.endswith(".py"):
        path = Path(place).expanduser()
        file = read_file(path, wanted=f"Python file that defines the {kind} {name!r}")
        return Named(run_file(file, path, lambda module: _of(module, name, place, kind)), file)
    return Named(_of(_module(place, text, kind), name, place, kind))


def _of(module: ModuleType, name: str, place: str, kind: str) -> Any:
    public = {key for key, value in vars(module).items() if not key.startswith("_") and not isinstance(value, ModuleType)}
    if name not in vars(module):
        raise WinsomeError(f"{place} has no {name!r}; {unknown(kind, name, public)}")
    return vars(module)[name]


def _module(place: str, text: str, kind: str) -> ModuleType:
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # as `python -m` has it: a module beside the user is found
    try:
        module = importlib.import_module(place)
        _named_files.add(str(getattr(module, "__file__", "")))
        return module
    except ModuleNotFoundError as error:
        if error.name is None or not f"{place}.".startswith(f"{error.name}."):
            raise WinsomeError(f"{text}: the module {place} imports {error.name!r}, which is not installed") from error
        raise WinsomeError(
            f"no module {place!r} for the {kind} {text!r}; give FILE.py:NAME, or the name of a module that Python can import"
        ) from error
    except Exception as error:
        raise WinsomeError(f"{text}: {_last_line(error)}{type(error).__name__}: {error}{_way(error)}") from error


def _last_line(error: Exception) -> str:
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f"{error.filename}, line {error.lineno}: "
    frames = own_frames(error)
    return f"{place(frames[-1])}: " if frames else ""


def _way(error: Exception) -> str:
    """The lines of the user's that an error passed through, where they are several."""
    frames = own_frames(error)
    return lines(frames) if len(frames) > 1 else ""


def _place(file: UserFile, error: Exception, path: Path) -> str:
    """The file, and the last of its lines that the error passed through."""
    numbers = [frame.lineno for frame in own_frames(error) if frame.filename == file.path]
    return f"{path}, line {numbers[-1]}" if numbers else str(path)

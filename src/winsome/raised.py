"""Errors that code of the user's raises: told by the name of what raised, with its own lines."""

from __future__ import annotations

import errno
import functools
import sysconfig
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from traceback import FrameSummary

from winsome.errors import DiskFull, Diverged, RankLost, WinsomeError

RAISED = "raised by "  # what a note begins with
_SHOWN = 8  # lines of a call that goes deep


@contextmanager
def naming(what: str) -> Iterator[None]:
    """Inside the block code of the user's runs that was asked for by name, before anything is trained.

    Its errors become sentences that say what raised, and where; the error itself is their cause. What Winsome refuses in a
    call of the user's is said with the line of that call.

    Args:
        what: is run: "the study 'mine.py:small'".

    Raises:
        WinsomeError: the code raises.
    """
    try:
        yield
    except DiskFull:
        raise
    except WinsomeError as error:
        if not (frames := own_frames(error)):
            raise
        raise WinsomeError(f"{what}: {place(frames[-1])}: {error}") from error
    except Exception as error:
        if _of_the_machine(error):
            raise
        raise WinsomeError(f"{what} raises {type(error).__name__}: {error}{lines(own_frames(error))}") from error


@contextmanager
def noting(what: str) -> Iterator[None]:
    """Inside the block a part of the user's runs in the midst of the work: an error stays what it is, and notes what raised it.

    Args:
        what: is run: "the score 'mine'".
    """
    try:
        yield
    except (WinsomeError, Diverged, RankLost):
        raise
    except Exception as error:
        note(error, what)
        raise


def note(error: BaseException, what: str) -> None:
    """Note on an error what raised it, and the user's lines; the innermost part alone is named, code of Winsome's own never."""
    frames = own_frames(error)
    if frames and not raised_by(error) and not _of_the_machine(error):
        error.add_note(f"{RAISED}{what}{lines(frames)}")


def raised_by(error: BaseException) -> str | None:
    """What an error was noted to be raised by, with the lines; None where nothing was noted."""
    return next((one for one in getattr(error, "__notes__", ()) if one.startswith(RAISED)), None)


def own_frames(error: BaseException) -> list[FrameSummary]:
    """The lines of the user's that an error passed through, the outermost first: none of Winsome's or of a library's."""
    return [one for one in traceback.extract_tb(error.__traceback__) if _is_own(one.filename)]


def place(frame: FrameSummary) -> str:
    """Where a line is."""
    return f"{frame.filename}, line {frame.lineno}"


def lines(frames: Sequence[FrameSummary]) -> str:
    """A line of text for each, indented; of many the first and the last."""
    said = [f"\n  {place(one)}, in {one.name}" + (f": {one.line}" if one.line else "") for one in frames]
    if len(said) > _SHOWN:
        said = [*said[: _SHOWN // 2], "\n  ...", *said[-_SHOWN // 2 :]]
    return "".join(said)


@functools.cache
def _is_own(file: str) -> bool:
    if file.startswith(("<frozen", "<string>", "<__array_function__", "<eval_with_key>")):
        return False
    return not any(Path(file).is_relative_to(folder) for folder in _others())


@functools.cache
def _others() -> tuple[Path, ...]:
    installed = (Path(sysconfig.get_path(kind)) for kind in ("stdlib", "platstdlib", "purelib", "platlib"))
    return (Path(__file__).parent, *installed)


def _of_the_machine(error: BaseException) -> bool:
    """A disk that is full is nobody's mistake."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)

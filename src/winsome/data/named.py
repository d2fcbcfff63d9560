"""Data sets of one's own by name: "FILE.py:NAME" or "PACKAGE.MODULE:NAME"."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from winsome.data.data_set import DataSet
from winsome.data.encoded import DecodedSet, EncodedSet
from winsome.errors import WinsomeError
from winsome.identity import code_text, identity
from winsome.user_code import by_name, running

_WANTED = "def images(): return DecodedSet(train, test, classes), or a DataSet (docs/extending.md)"


def is_own(name: str) -> bool:
    """Whether a data set's name is that of code of the user's: a folder may have a colon in its path, too."""
    return ":" in name and not Path(name).expanduser().is_dir()


def short_name(name: str) -> str:
    """What data are called in a title or a path: the name without the file, module or folder that it is in."""
    return name.rpartition(":")[2] if is_own(name) else Path(name).expanduser().absolute().name


def code_of(name: str) -> str:
    """What a run knows the code by that gives images of the user's, as JSON text; "" for any other data set.

    Raises:
        WinsomeError: nothing has this name.
    """
    return code_text(identity(own_set(name).read)) if is_own(name) else ""


def own_set(name: str) -> DataSet:
    """The data set of the user's that a name stands for; a function's images may be mirrored, as those of a folder.

    Raises:
        WinsomeError: nothing has this name, or it is neither a function nor a `DataSet`.
    """
    found = by_name(name, {}, "data set").value
    if isinstance(found, DataSet):
        return replace(found, read=partial(read_own, name, found.read))
    if not callable(found):
        raise WinsomeError(f"{name} is a {type(found).__name__} and gives no images; a data set of one's own is {_WANTED}")
    return DataSet(f"images of {name}", name, partial(read_own, name, found))


def read_own(name: str, read: Callable[[], Any]) -> EncodedSet | DecodedSet:
    """The images of a data set of the user's.

    Raises:
        WinsomeError: its code raises, or gives something else; names the data set.
    """
    with running("data set", name):
        images = read()
    if not isinstance(images, EncodedSet | DecodedSet):
        raise WinsomeError(f"{name} gave a {type(images).__name__}; a data set of one's own is {_WANTED}")
    return images

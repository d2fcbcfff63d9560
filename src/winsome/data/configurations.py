"""Data sets beside each other in one folder: the configurations of a Hub repository, the folds of a cross-validation.

One of them is read, never all: what one trains on, another tests on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePath
from typing import Any

from winsome.errors import WinsomeError

README = "README.md"
FOLD = re.compile(r"(?<![a-z])(fold|cv)[-_ ]?(\d+)(?!\d)", re.IGNORECASE)  # of a cross-validation, in the name of a file
SPLIT = re.compile(r"(?<![a-z])(train|test|val)", re.IGNORECASE)  # what the name of a split's file or folder says


@dataclass(frozen=True)
class SplitFile:
    """A file of a data set."""

    file: Path
    split: str  # what says which split it is of: its name, that of its folder, or what README.md calls it


def split_files(folder: Path, ending: str, config: str | None) -> list[SplitFile]:
    """The files with an ending in a folder or up to two folders below, of one configuration; sorted, none that is hidden.

    README.md says what is which where it lists configurations, as the Hub reads it. Without it, files in the folder itself come
    first, then those of `data/` and of folders named after splits, then one configuration for each folder with a part to train
    on.

    Raises:
        WinsomeError: there are several configurations, and none is the default or chosen.
    """
    files = _visible(folder, ending)
    if not files:
        return []
    if listed := _listed(folder, files):
        return listed[chosen(listed, config, folder, default=_default(folder, listed))]
    placed: dict[str, list[SplitFile]] = {}
    at_top = [file for file in files if file.parent == folder]
    for file in at_top or files:
        name, split = _place(file.relative_to(folder))
        placed.setdefault(name, []).append(SplitFile(file, split))
    names = [name for name, group in placed.items() if name and any("train" in one.split.lower() for one in group)]
    if config is None and "" in placed:
        return placed[""]
    if config is None and not names:
        return [one for group in placed.values() for one in group]
    return placed[chosen(names, config, folder, default=None)]


def chosen(names: Iterable[str], config: str | None, folder: Path, *, default: str | None) -> str:
    """The one configuration that is read: the one asked for, the default, the one called default, or the only one.

    Raises:
        WinsomeError: there is no such one, or nothing says which.
    """
    names = sorted(names)
    if config is not None:
        if config in names:
            return config
        there = f"has the configurations {', '.join(names)}" if names else "has no configurations"
        raise WinsomeError(f"no configuration {config!r}: {folder} {there}; choose another, or leave --config out")
    if default is not None or len(names) == 1:
        return default or names[0]
    if "default" in names:
        return "default"
    raise WinsomeError(
        f"{folder} holds several data sets beside each other ({', '.join(names[:8])}{', ...' if len(names) > 8 else ''}), and "
        f"nothing says which is meant; choose one: --config {names[0]}, or config= in Python"
    )


def configured_folder(folder: Path, config: str | None, is_one: Callable[[Path], bool]) -> Path:
    """The folder of one configuration, where data sets lie side by side in folders; the folder itself where they do not.

    Args:
        folder: the folder that was named.
        config: the configuration that was asked for.
        is_one: whether a folder holds a data set of its own, with a part to train on.

    Raises:
        WinsomeError: see `chosen`.
    """
    if is_one(folder) and config is None:
        return folder
    inner = {
        entry.name: entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".") and is_one(entry)
    }
    if not inner and config is None:
        return folder
    documented = {name: entry.get("data_dir", name) for name, entry in _documented(folder).items()}
    names = {name: inner[place] for name, place in documented.items() if place in inner} or inner
    return names[chosen(names, config, folder, default=_default(folder, names))]


def _visible(folder: Path, ending: str) -> list[Path]:
    """What begins with a dot is left out, ._NAME too, which a Mac leaves beside each file."""
    found = (file for depth in ("", "*/", "*/*/") for file in folder.glob(f"{depth}*{ending}"))
    return sorted(file for file in found if not any(part.startswith(".") for part in file.relative_to(folder).parts))


def _place(path: PurePath) -> tuple[str, str]:
    """The configuration and the split that a file's place says: CONFIG/SPLIT/0000, data/train-0, SPLIT/0000, CONFIG/train-0."""
    *folders, _ = path.parts
    split = path.name
    if folders and SPLIT.search(folders[-1]) and not SPLIT.search(split):
        split = folders.pop()
    if folders and folders[0] == "data":
        del folders[0]
    if fold := FOLD.search(path.stem):
        folders.append(fold[0])
    return "/".join(folders), split


def _documented(folder: Path) -> dict[str, Mapping[str, Any]]:
    """The entries of `configs` in the head of README.md, by name; none where it has no such head."""
    from huggingface_hub import DatasetCard

    path = folder / README
    if not path.is_file():
        return {}
    try:
        card = DatasetCard.load(path, ignore_metadata_errors=True)
        found: Any = card.data.to_dict().get("configs")
    except Exception:  # a page of one's own that begins like such a head
        return {}
    entries = found if isinstance(found, list) else []
    return {str(entry.get("config_name", "default")): entry for entry in entries if isinstance(entry, Mapping)}


def _listed(folder: Path, files: Sequence[Path]) -> dict[str, list[SplitFile]]:
    """The files of each configuration that README.md lists and that is there, by split."""
    found: dict[str, list[SplitFile]] = {}
    for name, entry in _documented(folder).items():
        below = folder / str(entry.get("data_dir") or "")
        there = [file for file in files if file.is_relative_to(below)]
        stated = entry.get("data_files")
        if stated is None:
            listed = [SplitFile(file, _place(file.relative_to(below))[1]) for file in there]
        else:
            listed = [
                SplitFile(file, split or _place(file.relative_to(below))[1])
                for split, patterns in _patterns(stated)
                for file in there
                if any(_matches(file.relative_to(below), pattern) for pattern in patterns)
            ]
        if listed:
            found[name] = listed
    return found


def _matches(path: PurePath, pattern: str) -> bool:
    """Whether a path is meant by a pattern of README.md; ** stands for any folders."""
    return fnmatchcase(path.as_posix(), pattern.removeprefix("./").replace("**", "*"))


def _patterns(stated: Any) -> list[tuple[str, list[str]]]:
    """`data_files` in each of its forms, as (split, patterns): one or several patterns, or a list of entries."""
    if isinstance(stated, list) and all(isinstance(entry, Mapping) for entry in stated):
        return [(str(entry.get("split", "")), _texts(entry.get("path"))) for entry in stated]
    return [("", _texts(stated))]


def _texts(value: Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


def _default(folder: Path, names: Iterable[str]) -> str | None:
    return next((name for name, entry in _documented(folder).items() if entry.get("default") and name in set(names)), None)

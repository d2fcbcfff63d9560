"""A folder belongs to one configuration: written down at first, compared ever after."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from winsome import distributed
from winsome.errors import WinsomeError
from winsome.files import read_json, write_json
from winsome.runs.file_names import CONFIG, DATA_FOLDER


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration that a folder was made with, on the rank that calls; empty where there is none."""
    path = folder / CONFIG
    found = read_json(path) if path.is_file() else {}
    return found if isinstance(found, dict) else {}


def take_folder(
    folder: Path,
    config: Mapping[str, Any],
    *,
    may_grow: Collection[str] = (),
    may_lengthen: tuple[str, str] | None = None,
    write: bool = True,
) -> None:
    """Take a folder for one configuration: write it down there, or compare with what is written. Every rank calls it.

    The number of ranks belongs to the configuration: another one gives other bits. Lists and dicts under the keys in
    `may_grow` may hold more than what is written, which is then written anew: what is there stays valid. The list under the
    two keys `may_lengthen` may be the beginning of what is written, or go on from it: the longer one is kept. Without
    `write` nothing is written: only refused.

    Raises:
        WinsomeError: the folder was made with another configuration; every difference is listed. Or it is a file.
    """
    if folder.is_file():
        raise WinsomeError(f"{folder} is a file; name a folder, or one that is to be made")
    try:
        plain = json.loads(json.dumps({**config, **distributed.record()}))
    except TypeError as error:
        raise WinsomeError(f"the configuration of {folder} is to be JSON values, but {error}") from error
    distributed.from_main(lambda: _take(folder, plain, may_grow, may_lengthen, write))


def _take(
    folder: Path, config: dict[str, Any], may_grow: Collection[str], may_lengthen: tuple[str, str] | None, write: bool
) -> None:
    path = folder / CONFIG
    if not path.exists():
        if write:
            write_json(path, config)
        return
    there = read_json(path)
    config = _with_data_as_called(config, there)
    grown = {key: config[key] for key in may_grow if key in there and _holds(config.get(key), there[key])}
    wanted = _lengthened(config, there, may_lengthen)
    found = list(differences("", {**_lengthened(there, config, may_lengthen), **grown}, wanted))
    if write and not found and there != wanted:
        write_json(path, wanted)
    if found:
        raise WinsomeError(
            f"{folder} was made with another configuration: {'; '.join(found)}; "
            "choose another folder (--save-to), or the same settings to continue"
        )


def _with_data_as_called(config: dict[str, Any], there: dict[str, Any]) -> dict[str, Any]:
    """The configuration with what its images are called, and where they lie, as it is written: their digest says what they are.

    A study is called after its images, too.
    """
    digests = [(one.get("data_digest"), one.get("data", {}).get("digest")) for one in (config, there)]
    if digests[0] != digests[1] or digests[0] == (None, None):
        return config
    called = ("data", DATA_FOLDER, *(("name",) if digests[0][0] is not None else ()))
    kept = {key: value for key, value in config.items() if key not in called}
    return {**kept, **{key: there[key] for key in called if key in there}}


def _lengthened(config: dict[str, Any], by: dict[str, Any], keys: tuple[str, str] | None) -> dict[str, Any]:
    """The configuration with the other one's list under these keys, where that goes on from its own."""
    if keys is None:
        return config
    outer, inner = keys
    own, longer = (one.get(outer, {}).get(inner, []) for one in (config, by))
    return {**config, outer: {**config[outer], inner: longer}} if own and longer[: len(own)] == own else config


def _holds(whole: Any, part: Any) -> bool:
    """Whether a list has all items of another, a dict all entries of another."""
    if isinstance(whole, dict) and isinstance(part, dict):
        return all(key in whole and whole[key] == value for key, value in part.items())
    return isinstance(whole, list) and isinstance(part, list) and all(item in whole for item in part)


def differences(place: str, there: Any, here: Any) -> list[str]:
    """What differs between two configurations, or two entries of them at a place: a line for each."""
    if isinstance(there, dict) and isinstance(here, dict):
        if {"name", "code"} <= there.keys() & here.keys() and there["name"] == here["name"]:
            return _code_differences(place, there, here)
        keys = [*there, *(key for key in here if key not in there)]
        return [line for key in keys for line in differences(f"{place}.{key}" if place else key, there.get(key), here.get(key))]
    if place in ("data.digest", "data_digest") and there is not None and here is not None and there != here:
        return [f"the images are others: their digest, which data are known by, was {there[:12]}..., is now {here[:12]}..."]
    say = _shortly if _shortly(there) != _shortly(here) else json.dumps  # a difference in what is left out is one, too
    return [] if there == here else [f"{place} was {say(there)}, is now {say(here)}"]


def _code_differences(place: str, there: dict[str, Any], here: dict[str, Any]) -> list[str]:
    """Which functions of a part of the user's changed (`winsome.identity`), in place of two digests."""
    before, now, part = there["code"], here["code"], f"{here['name']!r} ({place})"
    lines = []
    for name in [*before, *(name for name in now if name not in before)]:
        whose = part if name in (here["name"], f"{here['name']}.__call__") else f"{name!r}, which {part} uses,"
        if name not in now or name not in before:
            lines.append(f"{part} {'no longer uses' if name in before else 'now uses'} {name!r}")
        elif before[name] != now[name]:
            lines.append(f"the code of {whose} changed since the folder was made")
    return lines + differences(place, there.get("values", {}), here.get("values", {}))


def _shortly(value: Any) -> str:
    """The value on a line: of a long list its first and last items and their number, numbers of six digits."""
    if isinstance(value, float):
        return json.dumps(float(f"{value:.6g}"))
    if isinstance(value, list):
        items = [_shortly(item) for item in value]
        shown = items if len(items) <= 6 else [*items[:3], "...", items[-1]]
        return f"[{', '.join(shown)}]" + (f" ({len(items)} values)" if len(items) > 6 else "")
    return json.dumps(value)

"""The ends of a line as they are named on the command line: a level of a run, a planted network, or anybody's checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from winsome import neighbours, ticket_file
from winsome.errors import WinsomeError
from winsome.runs.configuration import read_config
from winsome.runs.search_folder import SearchFolder
from winsome.signed_mask import SignedMask
from winsome.state import State


@dataclass(frozen=True, eq=False)
class NamedEnd:
    """A network's weights, its mask where a ticket beside them tells it, and the configuration of the run they are from."""

    label: str
    file: Path
    state: State
    mask: SignedMask | None
    config: Mapping[str, Any]  # empty where no run is known


def named_end(named: str) -> NamedEnd:
    """The network of a file of weights, of a ticket's weights, of RUN (its last level) or of RUN:LEVEL.

    Raises:
        WinsomeError: nothing of that name is there, or it holds no weights.
    """
    file = _file(named)
    ticket = file.with_suffix(".ticket")
    return NamedEnd(
        named,
        file,
        neighbours.read_checkpoint(file),
        ticket_file.read(ticket).mask if ticket.exists() else None,
        _config(file),
    )


def _file(named: str) -> Path:
    path = Path(named)
    if path.suffix == ".ticket" and path.exists():
        weights = path.with_suffix(".safetensors")
        if not weights.exists():
            raise WinsomeError(f"{path} holds no magnitudes, and the weights beside it, {weights}, are not there")
        return weights
    if path.is_file():
        return path
    run, colon, level = named.rpartition(":")
    if not path.exists() and colon and level.isdigit():
        search = SearchFolder(Path(run))
        if not search.weights_path(int(level)).exists():
            raise WinsomeError(f"{run} has no level {level}: {_levels_of(search)}")
        return search.weights_path(int(level))
    if not path.is_dir():
        raise WinsomeError(f"{named} is not there; name a file of weights, a .ticket, the folder of a search, or FOLDER:LEVEL")
    finished = SearchFolder(path).levels()
    if not finished:
        raise WinsomeError(
            f"{path} is not the folder of a search: no finished level in it. Name a file of weights in it, or give a study's "
            "folder alone: winsome barrier STUDY"
        )
    return SearchFolder(path).weights_path(finished[-1])


def _levels_of(search: SearchFolder) -> str:
    numbers = search.levels()
    return f"it has {', '.join(map(str, numbers))}" if numbers else "it has no finished level at all"


def _config(file: Path) -> Mapping[str, Any]:
    """The configuration of the run or study that a file lies in: of the nearest folder above that tells network and data."""
    for folder in file.resolve().parents:
        config = read_config(folder)
        if {"network", "data"} <= config.keys():
            return config
    return {}

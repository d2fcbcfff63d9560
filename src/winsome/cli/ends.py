"""The ends of a line as they are named on the command line: a level of a run, a planted network, or anybody's checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from winsome import neighbours, ticket_file
from winsome.errors import WinsomeError
from winsome.files import read_json
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


def named_end(words: str) -> NamedEnd:
    """The network of a file of weights, of a ticket's weights, of RUN (its last level) or of RUN:LEVEL.

    Raises:
        WinsomeError: nothing of that name is there, or it holds no weights.
    """
    file = _file(words)
    ticket = file.with_suffix(".ticket")
    return NamedEnd(
        words,
        file,
        neighbours.read_checkpoint(file),
        ticket_file.read(ticket).mask if ticket.exists() else None,
        _config(file),
    )


def _file(words: str) -> Path:
    path = Path(words)
    if path.suffix == ".ticket" and path.exists():
        weights = path.with_suffix(".safetensors")
        if not weights.exists():
            raise WinsomeError(f"{path} holds no magnitudes, and the weights beside it, {weights}, are not there")
        return weights
    if path.is_file():
        return path
    run, colon, level = words.rpartition(":")
    if not path.exists() and colon and level.isdigit():
        weights = Path(run) / f"level-{int(level):02d}.safetensors"
        if not weights.exists():
            raise WinsomeError(f"{run} has no level {level}: {_levels_of(Path(run))}")
        return weights
    if not path.is_dir():
        raise WinsomeError(f"{words} is not there; name a file of weights, a .ticket, the folder of a search, or FOLDER:LEVEL")
    finished = sorted(path.glob("level-*.json"))
    if not finished:
        raise WinsomeError(
            f"{path} is not the folder of a search: no finished level in it. Name a file of weights in it, or give a study's "
            "folder alone: winsome barrier STUDY"
        )
    return finished[-1].with_suffix(".safetensors")


def _levels_of(run: Path) -> str:
    numbers = [path.stem.removeprefix("level-") for path in sorted(run.glob("level-*.json"))]
    return f"it has {', '.join(str(int(number)) for number in numbers)}" if numbers else "it has no finished level at all"


def _config(file: Path) -> Mapping[str, Any]:
    """The configuration of the run or study that a file lies in: of the nearest folder above that tells network and data."""
    for folder in file.resolve().parents:
        if (folder / "config.json").is_file():
            config = read_json(folder / "config.json")
            if isinstance(config, dict) and {"network", "data"} <= config.keys():
                return config
    return {}

"""The ends of a line as they are named on the command line: a level of a run, a planted network, or anybody's checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from winsome import neighbours, ticket_file
from winsome.cli.options import KnownDataOptions, KnownNetworkOptions
from winsome.data.images import ImageData
from winsome.data.spec import DataSpec
from winsome.errors import WinsomeError
from winsome.models.spec import NetworkSpec
from winsome.runs.configuration import read_config
from winsome.runs.file_names import DATA_FOLDER
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


def network_of(ends: Sequence[NamedEnd], options: KnownNetworkOptions) -> NetworkSpec:
    """The networks' architecture: as asked for, else as their runs say.

    Raises:
        WinsomeError: no run says it, or they say different ones.
    """
    if (named := options.named()) is not None:
        return named
    known = [NetworkSpec.from_record(end.config["network"]) for end in ends if end.config]
    if not known:
        raise WinsomeError(f"no run says which network {ends[0].label} is of; name it: --network resnet20 --data cifar10")
    different = [spec for spec in known if (spec.name, spec.options) != (known[0].name, known[0].options)]
    if different:
        first, other = ({"name": spec.name, "options": dict(spec.options)} for spec in (known[0], different[0]))
        raise WinsomeError(f"no line between a {known[0].name} and a {different[0].name}: {first}, {other}")
    return known[0]


def images_of(ends: Sequence[NamedEnd], options: KnownDataOptions) -> ImageData:
    """What to judge on: what was asked for, else the data of the first end whose run says it.

    Raises:
        WinsomeError: no run says which data, or they are not those that it was trained with.
    """
    if (named := options.named()) is not None:
        return replace(named, test_images=None).load()  # the settings of a line take their part of the test images
    known = [(end, end.config["data"]) for end in ends if end.config]
    if not known:
        raise WinsomeError(f"no run says which data {ends[0].label} was trained on; name it: --data cifar10, or a folder")
    end, record = known[0]
    known_data = DataSpec.from_record(record, folder=end.config.get(DATA_FOLDER))
    spec = replace(options.over(known_data), test_images=known_data.test_images)
    images = spec.load()
    if options.train_images is None and images.digest() != record.get("digest", images.digest()):
        raise WinsomeError(
            f"{spec.name} is not the data that {end.label} was trained with: other images, or another part of them; "
            f"give that (--data-dir, --train-images), or --data {spec.name} to judge on this"
        )
    return images

"""The signs of one search over its levels, read from run folders."""

from __future__ import annotations

import contextlib
import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from winsome.about import taken_by
from winsome.errors import WinsomeError
from winsome.method import make_method
from winsome.methods import METHODS
from winsome.runs.search_folder import SearchFolder, search_folders
from winsome.shapes import differences
from winsome.signed_mask import SignedMask
from winsome.ticket import Ticket


@dataclass(frozen=True, eq=False)
class SignHistory:
    """The signs of a search at initialisation and after each of its levels.

    Attributes:
        method: name of the search's method.
        seed: of the search, the unit of every statistic.
        label: how the search's records write the method; empty where they say nothing.
        moments: signed masks. Moment 0 is the initialisation, of all weights or of those kept from the first level on;
            moment k is the end of level k - 1, of the weights that trained in it.

    Raises:
        WinsomeError: there is no level, a moment is of another network, or a weight is kept that was pruned before.
    """

    method: str
    seed: int
    moments: tuple[SignedMask, ...]
    label: str = ""

    def __post_init__(self) -> None:
        if len(self.moments) < 2:
            raise WinsomeError("a history of signs needs the initialisation and at least one level")
        for number, (before, after) in enumerate(itertools.pairwise(self.moments)):
            if different := differences(after.shapes, before.shapes, f"the end of level {number}", "what was before"):
                raise WinsomeError(f"the signs are those of different networks: {different}")
            if revived := [name for name in after if bool((after.kept(name) & ~before.kept(name)).any())]:
                raise WinsomeError(
                    f"{self.method}, seed {self.seed}: level {number} keeps weights of {', '.join(revived)} that were pruned "
                    "before; flips are counted over weights that live throughout, so the masks must be nested"
                )

    @property
    def level(self) -> int:
        """The last level: its end is the last moment."""
        return len(self.moments) - 2


@dataclass(frozen=True)
class SearchRun:
    """A search's folder and what tells it from others."""

    folder: Path
    method: str
    seed: int
    densities: tuple[float, ...]  # of all its levels, finished or not
    shapes: Mapping[str, tuple[int, ...]]  # of its prunable weights
    finished: int  # levels
    place: int  # of its method among all: searches are listed in this order
    method_label: str = ""  # how its records write the method

    @property
    def label(self) -> str:
        """For sentences."""
        return f"{self.method}, seed {self.seed} ({self.folder})"

    def ticket(self, level: int) -> Ticket:
        """The ticket of a level.

        Raises:
            WinsomeError: the search has not finished it.
        """
        ticket = SearchFolder(self.folder).read_ticket(level)
        if ticket is None:
            raise WinsomeError(f"{self.label} has no finished level {level}: it has {self.finished} levels, from 0 on")
        return ticket


def search_runs(places: Sequence[Path]) -> tuple[SearchRun, ...]:
    """The searches in and below some folders: of a search, of a study, or of several.

    Raises:
        WinsomeError: a folder holds none with a finished level; two are of the same method and seed, or of different networks.
    """
    folders = list(dict.fromkeys(folder.resolve() for place in places for folder in _folders_of(place)))
    runs = sorted(map(_search_run, folders), key=lambda run: (run.place, run.method, run.seed))
    for first, second in itertools.pairwise(runs):
        if (first.method, first.seed) == (second.method, second.seed):
            raise WinsomeError(
                f"two searches are of {first.method}, seed {first.seed}: {first.folder} and {second.folder}; name one of them"
            )
        if first.shapes != second.shapes:
            raise WinsomeError(f"{first.label} and {second.label} are of different networks; compare searches of one network")
    return tuple(runs)


def common_level(runs: Sequence[SearchRun], level: int | None = None) -> int:
    """The level asked for, checked, or the deepest that all searches have finished.

    Raises:
        WinsomeError: a search has not finished it, or the searches have different densities up to it.
    """
    deepest = min(run.finished for run in runs) - 1
    if level is not None and not 0 <= level <= deepest:
        least = min(runs, key=lambda run: run.finished)
        raise WinsomeError(f"level {level} is not there for all: levels go from 0 to {deepest}, for {least.label} ends there")
    chosen = deepest if level is None else level
    first = runs[0]
    for other in runs[1:]:
        for number, (a, b) in enumerate(zip(first.densities[: chosen + 1], other.densities[: chosen + 1], strict=True)):
            if not math.isclose(a, b, rel_tol=1e-9):
                raise WinsomeError(
                    f"level {number} has density {a:.4g} in {first.label} but {b:.4g} in {other.label}; "
                    "flips per level compare only between searches that prune alike"
                )
    return chosen


def sign_history(run: SearchRun | Path, *, level: int | None = None) -> SignHistory:
    """The signs of a search's weights from its initialisation to the end of a level, by default its last.

    Tickets hold them, so no level's weights are read: only the initial ones and the small ticket files.

    Raises:
        WinsomeError: the folder is no search's, or has not finished that level.
    """
    if not isinstance(run, SearchRun):
        (run,) = search_runs([run])
    last = common_level([run], level)
    initial = SearchFolder(run.folder).read_named("initial")
    if initial is None or any(name not in initial for name in run.shapes):
        raise WinsomeError(f"{run.folder} lacks the search's initial weights (initial.safetensors)")
    weights = {name: initial[name] for name in run.shapes}
    everything = {name: torch.ones(value.shape, dtype=torch.bool, device="cpu") for name, value in weights.items()}
    levels = (run.ticket(number).mask for number in range(last + 1))
    return SignHistory(run.method, run.seed, (SignedMask.of(weights, everything), *levels), run.method_label)


def _folders_of(place: Path) -> list[Path]:
    if not place.is_dir():
        raise WinsomeError(f"{place} is not a folder; give the folder of a search or of a study")
    folders = [found.path for found in search_folders(place)]
    if not folders:
        begun = bool(SearchFolder(place).config())
        raise WinsomeError(
            f"{place} holds no finished level of a search"
            + ("; run its command again to continue it" if begun else "; give the folder of `winsome find` or `winsome study`")
        )
    return folders


def _search_run(folder: Path) -> SearchRun:
    config = SearchFolder(folder).config()
    try:
        densities = tuple(float(density) for density in config["method"]["densities"])
        shapes = {name: tuple(shape) for name, shape in config["weights"].items()}
        place, known = _known_method(config["method"])
        method, seed = str(config.get("method_name", known)), int(config["seed"])
    except (KeyError, TypeError, AttributeError) as error:
        raise WinsomeError(f"{folder}: config.json is not of a search ({error!r})") from error
    label = str(SearchFolder(folder).read_record(0).get("label", ""))
    return SearchRun(folder, method, seed, densities, shapes, SearchFolder(folder).n_finished(), place, label)


def _known_method(record: Mapping[str, Any]) -> tuple[int, str]:
    """Which of the named methods has the recorded parts, and its name; else where it restarts from, after all of them."""
    rewind = record["rewind"] if isinstance(record["rewind"], str) else record["rewind"]["name"]
    step = re.search(r"step=(\d+)", rewind)
    densities = record["densities"]
    options = {"levels": max(len(densities) - 1, 1), "density": densities[-1], "prune_at": record.get("prune_at", ())}
    for place, (name, make) in enumerate(METHODS.items()):
        with contextlib.suppress(WinsomeError):  # it needs other arguments
            made = make_method(make, **options, **({"step": int(step[1])} if step else {})).record()
            in_phases = len(taken_by(make, {"levels": 1, "density": 1})) == 2  # of a schedule of its own, which tells it
            if (made if in_phases else {**made, "densities": densities}) == record:
                return place, name
    return len(METHODS), rewind

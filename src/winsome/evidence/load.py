"""Finished runs as records, by their folder."""

from __future__ import annotations

from pathlib import Path

from winsome.errors import WinsomeError
from winsome.evidence.barriers import FILE_NAME as CONNECTIVITY
from winsome.evidence.barriers import FORMAT, Connectivity
from winsome.evidence.finished import FinishedBarrier, FinishedSearch, FinishedStudy, FinishedSweep, finished_search
from winsome.evidence.results import read
from winsome.files import read_json
from winsome.runs.file_names import RESULTS, SWEEP
from winsome.runs.search_folder import search_folders
from winsome.study.folder import StudyFolder

Finished = FinishedStudy | FinishedSearch | FinishedSweep | FinishedBarrier


def load(folder: Path | str) -> Finished:
    """What a run left in its folder: a study, a search, a sweep, or the lines of `winsome barrier`.

    Each record has `to_pandas()`, is shown as a table in a notebook, and is taken by the functions of `winsome.figures`.

    Args:
        folder: of the run; `STUDY/connectivity` for the lines of a study.

    Raises:
        WinsomeError: there is no finished run in it, or a file of it is damaged.

    Example:
        >>> import tempfile
        >>> from winsome import find_tickets, imp, load
        >>> model = nn.Sequential(nn.Linear(10, 4), nn.Linear(4, 2))
        >>> with tempfile.TemporaryDirectory() as runs:
        ...     levels = list(find_tickets(model, imp(levels=1), lambda model, level: {"loss": 1.0}, save_to=runs))
        ...     load(runs).to_pandas()[["level", "density", "loss"]].values.tolist()
        [[0.0, 1.0, 1.0], [1.0, 0.8, 1.0]]
    """
    place = Path(folder).expanduser()
    if (place / SWEEP).is_file():
        return _sweep(place)
    if (place / RESULTS).is_file():
        return _study(place)
    if (place / CONNECTIVITY).is_file():
        return _barrier(place)
    if any(place.glob("level-*.json")):
        return finished_search(place)
    if not place.is_dir():
        raise WinsomeError(f"{place} is not a folder; give that of a finished study, search, sweep or barrier")
    raise WinsomeError(
        f"{place} holds nothing that is finished: no {RESULTS}, {SWEEP}, {CONNECTIVITY} or level-00.json; give the folder of a "
        "study, search, sweep or barrier, and run its command again where it was stopped"
    )


def _study(place: Path) -> FinishedStudy:
    searches = tuple(finished_search(one.path) for one in search_folders(place))
    lines = StudyFolder(place).connectivity
    barrier = _barrier(lines) if (lines / CONNECTIVITY).is_file() else None
    return FinishedStudy(place, read(place), searches, barrier)


def _sweep(place: Path) -> FinishedSweep:
    record = read_json(place / SWEEP)
    finished = [place / study["name"] for study in record["studies"] if (place / study["name"] / RESULTS).is_file()]
    return FinishedSweep(place, tuple(map(_study, finished)), tuple(record["failures"]))


def _barrier(place: Path) -> FinishedBarrier:
    content: Connectivity = read_json(place / CONNECTIVITY)
    if content.get("format") != FORMAT:
        raise WinsomeError(f"{place / CONNECTIVITY} is not of format {FORMAT}; run `winsome barrier` again to write it anew")
    return FinishedBarrier(place, content)

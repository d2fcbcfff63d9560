"""Error and loss along the lines between the networks of a study, seed by seed; what is measured is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from winsome.analysis.connectivity import Statistics
from winsome.data.image_store import OnCorrupt
from winsome.data.spec import DataSpec
from winsome.errors import WinsomeError
from winsome.evidence.barriers import FORMAT, Connectivity, LineRecord, barriers
from winsome.evidence.kept_lines import measured_line
from winsome.evidence.pairs import lines_of, pairs_of
from winsome.evidence.ruler import Ruler, Settings, ruler
from winsome.models.spec import NetworkSpec
from winsome.runs.file_names import DATA_FOLDER
from winsome.study.folder import StudyFolder

Watch = Callable[[int, int, str], None]  # lines done, lines in all, which one comes now


def study_connectivity(
    folder: Path,
    *,
    level: int | None = None,
    seeds: Sequence[int] = (),
    settings: Settings | None = None,
    data_dir: Path | None = None,
    on_corrupt: OnCorrupt = "stop",
    watch: Watch = lambda *_: None,
) -> Connectivity:
    """The lines between the networks of a study (`evidence.pairs`), and the barriers on them (arXiv:2504.05357).

    Every line is kept below `connectivity/lines/` and measured again only if its networks or the settings changed.

    Args:
        folder: of the study.
        level: of the searches; the study's deepest by default.
        seeds: search seeds; all by default.
        settings: how a line is measured; 11 points and as many images for statistics as the study by default.
        data_dir: folder of local parquet files with the data set, instead of a download.
        on_corrupt: whether an image of imagenet that cannot be decoded stops, or is left out.
        watch: hears of every line.

    Raises:
        WinsomeError: it is no study's folder, or lacks the level, a seed, or the networks of every pair.
    """
    place = StudyFolder(folder)
    record = place.study_record()
    if unknown := [seed for seed in seeds if seed not in record["search_seeds"]]:
        raise WinsomeError(f"{folder} has no search seed {unknown[0]}; it has {', '.join(map(str, record['search_seeds']))}")
    settings = settings or Settings(statistics=Statistics(images=record["statistics_images"]))
    at = max(record["levels"]) if level is None else level
    lines, missing = lines_of(place, record, level=at, seeds=seeds or record["search_seeds"])
    if not lines:
        remedies = "; ".join(dict.fromkeys(entry.remedy for entry in missing))
        raise WinsomeError(f"{folder} has no two networks to join at level {at}: {remedies}")
    instrument = _study_ruler(record, data_dir, on_corrupt, settings)
    pairs = pairs_of(record)
    labels = {pair.name: pair.label for pair in pairs}
    measured: list[LineRecord] = []
    for done, line in enumerate(lines):
        watch(done, len(lines), f"{labels[line.pair]}, seed {line.search_seed}")
        measured.append(measured_line(place.connectivity / "lines", line, at, instrument))
    watch(len(lines), len(lines), "")
    present = {line.pair for line in lines}
    return {
        "format": FORMAT,
        "title": record["name"],
        "level": at,
        "density": next(iter(record["searches"].values()))["densities"][at],
        "settings": settings.record(),
        "precision": instrument.precision.label,
        "pairs": [{"name": p.name, "label": p.label, "explanation": p.explanation} for p in pairs if p.name in present],
        "lines": measured,
        "barriers": barriers(measured),
        "missing": [{"pair": entry.pair, "remedy": entry.remedy} for entry in missing],
    }


def _study_ruler(record: dict[str, Any], data_dir: Path | None, on_corrupt: OnCorrupt, settings: Settings) -> Ruler:
    place = record.get(DATA_FOLDER)
    data = DataSpec.from_record(record["data"], folder=place, data_dir=data_dir, on_corrupt=on_corrupt).load()
    network = NetworkSpec.from_record(record["network"]).of_images(data.image_shape, data.n_classes)
    return ruler(data, network.build(0), settings)

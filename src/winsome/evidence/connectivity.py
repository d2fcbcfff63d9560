"""Error and loss along the lines between the networks of a study, seed by seed; what is measured is kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from winsome import ticket_file
from winsome.analysis.agreement import masked
from winsome.analysis.connectivity import Statistics, network_profile
from winsome.analysis.line import Profile, points
from winsome.data.image_store import OnCorrupt
from winsome.data.images import ImageData, subset
from winsome.data.spec import DataSpec
from winsome.errors import WinsomeError
from winsome.evidence.barriers import FORMAT, Connectivity, LineRecord, barriers, line_record
from winsome.evidence.pairs import Line, lines_of, pairs_of
from winsome.files import read_json, read_state, write_json
from winsome.models.spec import NetworkSpec
from winsome.stacking import can_stack, one_thread
from winsome.state import State
from winsome.study.folder import StudyFolder
from winsome.training.precision import Precision, default_device, fast_precision

Watch = Callable[[int, int, str], None]  # lines done, lines in all, which one comes now


@dataclass(frozen=True)
class Settings:
    """How a line is measured: what is kept of one measurement serves only another of the same settings."""

    points: int = 11
    statistics: Statistics | None = Statistics()
    test_images: int | None = None  # None: the whole test split
    fast: bool = False  # bf16 where the machine gains from it; its rounding is noise of the size of a small barrier

    def record(self) -> dict[str, Any]:
        """The settings as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Ruler:
    """What lines are measured with: data on the device, any network of the shape, and the settings."""

    data: ImageData
    network: nn.Module
    settings: Settings

    @property
    def precision(self) -> Precision:
        """fp32, in the memory layout that is fast; bf16 where the settings ask for it and the machine gains from it."""
        fast = fast_precision(self.network, self.data.train.labels.device)
        return fast if self.settings.fast else replace(fast, bf16=False)

    def measure(self, first: State, second: State, on_point: Callable[[int], None] = lambda _: None) -> Profile:
        """Error and loss along one line."""
        stacked = can_stack(self.network)
        with one_thread(on=stacked):
            return network_profile(
                first,
                second,
                self.network,
                self.data,
                alphas=points(self.settings.points),
                statistics=self.settings.statistics,
                precision=self.precision,
                stacked=stacked,
                on_point=on_point,
            )


def ruler(data: ImageData, network: nn.Module, settings: Settings) -> Ruler:
    """What lines between networks of this shape are measured with, on the default device."""
    points(settings.points)
    if settings.test_images is not None:
        data = subset(data, test_images=settings.test_images)
    return Ruler(data.on(default_device()), network, settings)


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
        words = "; ".join(dict.fromkeys(entry.remedy for entry in missing))
        raise WinsomeError(f"{folder} has no two networks to join at level {at}: {words}")
    instrument = _study_ruler(record, data_dir, on_corrupt, settings)
    pairs = pairs_of(record)
    labels = {pair.name: pair.label for pair in pairs}
    measured: list[LineRecord] = []
    for done, line in enumerate(lines):
        watch(done, len(lines), f"{labels[line.pair]}, seed {line.search_seed}")
        measured.append(_measured(place.connectivity / "lines", line, at, instrument))
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
    data = DataSpec.from_record(record["data"], data_dir=data_dir, on_corrupt=on_corrupt).load()
    network = NetworkSpec.from_record(record["network"]).of_images(data.image_shape, data.n_classes)
    return ruler(data, network.build(0), settings)


def _measured(place: Path, line: Line, level: int, instrument: Ruler) -> LineRecord:
    """A line as it was kept, if it was measured of these very files in this way; else measured and kept."""
    settings = {**instrument.settings.record(), "precision": instrument.precision.label}
    of = _digest("".join(_digest(path.read_bytes()) for path in (*line.ends, line.ticket)).encode())
    variant = _digest(json.dumps(settings, sort_keys=True).encode())[:8]
    kept = place / variant / line.pair / f"level-{level:02d}-seed-{line.search_seed:02d}-start-{line.start}.json"
    if kept.exists() and (found := read_json(kept))["of"] == of:
        record: LineRecord = found["line"]
        return record
    profile = instrument.measure(*_states(line))
    record = line_record(line.pair, profile, search_seed=line.search_seed, start=line.start)
    write_json(kept, {"of": of, "settings": settings, "line": record})
    return record


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _states(line: Line) -> tuple[State, State]:
    """The two ends of a line, checked against the mask that both have."""
    mask = ticket_file.read(line.ticket).mask
    kept = {name: mask.kept(name) for name in mask}
    first, second = (read_state(path)[0] for path in line.ends)
    for path, state in zip(line.ends, (first, second), strict=True):
        if lacking := [name for name in kept if name not in state]:
            raise WinsomeError(f"{path} lacks {lacking[0]}, which {line.ticket} has; the files do not belong together")
        if other := [name for name, value in masked(state, kept).items() if not torch.equal(value, state[name])]:
            raise WinsomeError(
                f"{path} has weights outside the mask of {line.ticket}, in {other[0]}; the files do not belong together"
            )
    return first, second

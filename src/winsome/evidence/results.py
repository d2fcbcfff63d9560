"""What a study says, as it stands in `results.json`: its one schema, written by `evidence.gather`, and how to read it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict

from winsome.errors import WinsomeError
from winsome.runs.file_names import RESULTS
from winsome.strict_json import value_of

FORMAT = 1
FILE_NAME = RESULTS

Status = Literal["shown", "not shown", "opposite", "within the spread", "not judged"]
Unit = Literal["points", "percent", "number"]  # of fractions, told as percentage points or percent, or told as they are


class ArmRecord(TypedDict):
    """An arm of the study."""

    name: str
    label: str  # short, as in a paper: "|θ₀|·s_AWS"
    kind: Literal["dense", "network", "planted"]  # network: of a search; planted: trained from scratch
    explanation: str
    search: str | None  # the search it comes from


class SearchRecord(TypedDict):
    """What a search of the study is."""

    name: str
    label: str  # as the papers write it: "LRR"
    sentence: str  # what it does; empty where it does not say
    citations: list[str]
    score: str
    allocation: str
    rewinding: str
    while_training: str
    masks: str  # whose masks it borrows, and how; empty for its own
    densities: list[float]  # of all its levels, fractions kept in (0, 1]
    training: dict[str, Any] | None  # of every level, where it is not the study's `search_training`


class DataRecord(TypedDict):
    """The images that the study trained and judged on."""

    name: str
    train_images: int
    test_images: int
    image_shape: list[int]  # channels, height, width
    classes: int
    validation: bool  # whether the test images are a part of the train split, for tuning


class StudyDesign(TypedDict):
    """What is compared."""

    name: str
    title: str
    network: dict[str, Any]  # its name and options
    densities: list[float]  # at which arms are judged, fractions kept in (0, 1]
    search_seeds: list[int]
    starts: list[int]  # fresh starts per search seed
    arms: list[ArmRecord]
    searches: list[SearchRecord]
    search_training: dict[str, Any]
    training: dict[str, Any]
    citations: list[str]


class StudyRecord(StudyDesign):
    """What was compared, on which data, in how large a network."""

    data: DataRecord
    parameters: int
    prunable: int  # of these


class RunRow(TypedDict):
    """One network that was judged."""

    arm: str
    density: float
    search_seed: int
    start: int
    accuracy: float  # fraction in [0, 1]
    loss: float
    curve: list[list[float]]  # (epoch, accuracy) pairs; empty where it was not recorded
    seconds: float


class LayerRow(TypedDict):
    """What a ticket keeps of one layer."""

    kept: int
    total: int
    positive: int  # kept weights of positive sign


class LevelRow(TypedDict):
    """One finished level of one search."""

    number: int
    density: float
    accuracy: float  # with BatchNorm statistics re-estimated
    stored_accuracy: float | None  # with the statistics stored during training
    loss: float
    seconds: float
    layers: dict[str, LayerRow]


class SearchRow(TypedDict):
    """One search of one seed, as far as it got."""

    search: str
    search_seed: int
    levels: list[LevelRow]


class TableEntry(TypedDict):
    """An arm at a density, over search seeds."""

    arm: str
    density: float
    mean: float
    std: float | None  # over search seeds; None where one seed has no spread
    n_search_seeds: int
    n_runs: int


class Comparison(TypedDict):
    """Two arms at a density, paired by search seed."""

    density: float
    first: str
    second: str
    difference: float  # mean over search seeds of first - second, as a fraction
    low: float | None  # 95 % confidence interval; None where too few seeds for one
    high: float | None
    n: int
    wins: int  # search seeds in which first is above second


class Verdict(TypedDict):
    """What runs say to a claim; `evidence.verdicts` puts it into words."""

    claim: str
    source: str
    meaning: str  # of the value, in words: "a minus b"
    where: str  # "at density 0.05", "over all levels"
    density: float | None  # at which it was judged, where it is one
    status: Status
    reason: str  # why it was not judged; empty otherwise
    unit: Unit
    value: float | None  # mean over what `of` names; None where there was none
    low: float | None  # 95 % confidence interval; None where there are too few for one
    high: float | None
    n: int  # values that it is the mean of
    of: str  # what they are: "search seed"
    study: str | None  # its label where several are judged side by side


class Hardware(TypedDict):
    """What it ran on, and how it was called."""

    winsome: str
    torch: str
    python: str
    cpu: str
    gpu: str | None
    date: str  # ISO 8601
    command: str


class Environment(Hardware):
    """The same with the precision of a study's trainings."""

    precision: str


class Results(TypedDict):
    """All of it."""

    format: int
    study: StudyRecord
    environment: Environment
    seconds: dict[str, float]
    rows: list[RunRow]
    searches: list[SearchRow]
    table: list[TableEntry]
    comparisons: list[Comparison]
    verdicts: list[Verdict]
    notes: list[str]
    warnings: list[str]
    missing: list[str]  # what the study asks for and is not finished; empty for a whole study


def read(folder: Path) -> Results:
    """The results in `folder`.

    Raises:
        WinsomeError: they are absent, damaged, or of another format.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        raise WinsomeError(f"{folder} holds no {FILE_NAME}; give the folder of a finished `winsome study`")
    try:
        content = value_of(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise WinsomeError(f"{path} is damaged ({error}); run the study's command again to write it anew") from error
    written = content.get("format") if isinstance(content, dict) else None
    if written != FORMAT:
        raise WinsomeError(f"{path} has format {written!r}, this version of winsome reads {FORMAT}; run the study again")
    missing = sorted(Results.__required_keys__ - content.keys())
    if missing:
        raise WinsomeError(f"{path} lacks {', '.join(missing)}; run the study's command again to write it anew")
    results: Results = content
    return results


def same_density(first: float, second: float) -> bool:
    """Whether two densities mean the same level: exact counts make 0.0563 of 0.75 ** 10 = 0.05631."""
    return math.isclose(first, second, rel_tol=5e-3)


def densities_of(results: Results) -> list[float]:
    """The densities of the study, highest first, without the dense network's 1."""
    return sorted((density for density in results["study"]["densities"] if density < 1), reverse=True)


def extremes_and_middle(densities: Sequence[float], most: int = 3) -> list[float]:
    """At most `most` of the densities, evenly spread over the list, its first and last among them."""
    if len(densities) <= most:
        return list(densities)
    step = (len(densities) - 1) / (most - 1)
    return [densities[round(step * index)] for index in range(most)]


def dense_names(arms: Sequence[ArmRecord]) -> frozenset[str]:
    """The arms that are the dense network, which stands beside every density."""
    return frozenset(arm["name"] for arm in arms if arm["kind"] == "dense")


def entry_of(results: Results, arm: str, density: float) -> TableEntry | None:
    """The table's entry of an arm at a density, if it was measured."""
    for entry in results["table"]:
        if entry["arm"] == arm and same_density(entry["density"], density):
            return entry
    return None


def dense_entry(results: Results) -> TableEntry | None:
    """The dense network's entry, if the study has that arm."""
    dense = dense_names(results["study"]["arms"])
    return next((entry for entry in results["table"] if entry["arm"] in dense), None)


def label_of(results: Results, arm: str) -> str:
    """The short label of an arm; its name where the study has no such arm."""
    return next((known["label"] for known in results["study"]["arms"] if known["name"] == arm), arm)


def search_labels(results: Results) -> dict[str, str]:
    """The label of every search that has begun, in the order of the study."""
    begun = {search["search"] for search in results["searches"]}
    return {search["name"]: search["label"] for search in results["study"]["searches"] if search["name"] in begun}

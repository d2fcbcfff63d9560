"""What a finished study wrote down (`results.json`, format 1), and how to read it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict, cast

from winsome.errors import WinsomeError

FORMAT = 1
FILE_NAME = "results.json"


class Arm(TypedDict):
    name: str
    label: str  # short, as in a paper: "|θ₀|·s_AWS"
    kind: Literal["dense", "network", "planted"]  # network: of a search; planted: trained from scratch
    explanation: str
    method: str | None  # the search it comes from


class Study(TypedDict):
    name: str
    title: str
    network: dict[str, Any]
    data: dict[str, Any]
    densities: list[float]  # fractions kept, in (0, 1]
    search_seeds: list[int]
    starts: list[int]  # fresh starts per search seed
    arms: list[Arm]
    search_training: dict[str, Any]
    training: dict[str, Any]
    citations: list[str]


class Run(TypedDict):
    arm: str
    density: float
    search_seed: int | None  # None where no search is behind the run
    start: int | None
    accuracy: float  # fraction in [0, 1]
    loss: float | None
    curve: list[tuple[float, float]]  # (epoch, accuracy); empty where it was not recorded


class LayerCount(TypedDict):
    kept: int
    total: int
    positive: int  # kept weights of positive sign


class SearchLevel(TypedDict):
    number: int
    density: float
    accuracy: float  # with BatchNorm statistics re-estimated
    stored_accuracy: float | None  # with the statistics stored during training
    loss: float | None
    seconds: float
    layers: dict[str, LayerCount]
    warnings: list[str]


class Search(TypedDict):
    method: str
    search_seed: int
    levels: list[SearchLevel]


class Entry(TypedDict):
    arm: str
    density: float
    mean: float
    std: float | None  # over search seeds; None where one seed has no spread
    n_search_seeds: int
    n_runs: int


class Comparison(TypedDict):
    density: float
    first: str
    second: str
    difference: float  # mean over search seeds of first - second, as a fraction
    low: float | None  # 95 % confidence interval; None where too few seeds for one
    high: float | None
    n: int
    wins: int


class Claim(TypedDict):
    claim: str
    source: str
    shown: bool | None  # None: not judged
    sentence: str
    density: float | None


class Results(TypedDict):
    format: int
    study: Study
    environment: dict[str, Any]
    seconds: dict[str, float]
    rows: list[Run]
    searches: list[Search]
    table: list[Entry]
    comparisons: list[Comparison]
    claims: list[Claim]
    notes: list[str]
    warnings: list[str]


def read(folder: Path) -> Results:
    """The results in `folder`; WinsomeError says what is absent, damaged, or of another format."""
    path = folder / FILE_NAME
    if not path.is_file():
        raise WinsomeError(f"{folder} holds no {FILE_NAME}; give the folder of a finished `winsome study`")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise WinsomeError(f"{path} is damaged ({error}); run the study's command again to write it anew") from error
    written = content.get("format") if isinstance(content, dict) else None
    if written != FORMAT:
        raise WinsomeError(f"{path} has format {written!r}, this version of winsome reads {FORMAT}; run the study again")
    missing = sorted(Results.__required_keys__ - content.keys())
    if missing:
        raise WinsomeError(f"{path} lacks {', '.join(missing)}; run the study's command again to write it anew")
    return cast(Results, content)


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


def mean_by_seed(results: Results, arm: str, density: float) -> dict[int, float]:
    """Accuracy of an arm per search seed, averaged over the fresh starts of one ticket (they are not independent).

    The dense network stands beside every density.
    """
    dense = {known["name"] for known in results["study"]["arms"] if known["kind"] == "dense"}
    grouped: dict[int, list[float]] = {}
    for row in results["rows"]:
        seed = row["search_seed"]
        if row["arm"] == arm and seed is not None and (arm in dense or same_density(row["density"], density)):
            grouped.setdefault(seed, []).append(row["accuracy"])
    return {seed: mean(values) for seed, values in sorted(grouped.items())}


def entry_of(results: Results, arm: str, density: float) -> Entry | None:
    """The table's entry of an arm at a density, if it was measured."""
    for entry in results["table"]:
        if entry["arm"] == arm and same_density(entry["density"], density):
            return entry
    return None


def dense_entry(results: Results) -> Entry | None:
    """The dense network's entry, if the study has that arm."""
    dense = {arm["name"] for arm in results["study"]["arms"] if arm["kind"] == "dense"}
    return next((entry for entry in results["table"] if entry["arm"] in dense), None)


def label_of(results: Results, arm: str) -> str:
    """The short label of an arm; its name where the study has no such arm."""
    return next((known["label"] for known in results["study"]["arms"] if known["name"] == arm), arm)


def method_label(method: str) -> str:
    """How the papers write a search method."""
    return METHOD_LABELS.get(method, method.replace("_", " "))


def methods_of(results: Results) -> list[str]:
    """The search methods, in the order of the searches."""
    return list(dict.fromkeys(search["method"] for search in results["searches"]))


def mean(values: Iterable[float]) -> float:
    """The arithmetic mean of at least one value."""
    listed = list(values)
    return math.fsum(listed) / len(listed)


def deviation(values: Sequence[float]) -> float:
    """The sample standard deviation (n - 1); 0 for a single value, which has no spread to show."""
    if len(values) < 2:
        return 0.0
    centre = mean(values)
    return math.sqrt(math.fsum((value - centre) ** 2 for value in values) / (len(values) - 1))


def percent(density: float) -> str:
    """A density as readers say it: `5.63 %`, `100 %`, never broken over two lines."""
    return f"{100 * density:.3g}\u00a0%"


METHOD_LABELS = {
    "imp": "IMP",
    "weight_rewinding": "WR",
    "lrr": "LRR",
    "learning_rate_rewinding": "LRR",
    "lrr_with_norm_rewinding": "LRR + norm rewinding",
    "aws": "AWS",
    "lrr_with_frozen_norms": "LRR, frozen norms",
    "frozen": "LRR, frozen norms",
}

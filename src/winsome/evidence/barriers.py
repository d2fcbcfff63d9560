"""What lines between networks say: barriers over search seeds, as records and as tables for other programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, TypedDict

from winsome.analysis.line import BASE_LINES, BaseLine, Profile, barrier
from winsome.evidence.intervals import interval, spread
from winsome.files import write_csv, write_json

FORMAT = 1
FILE_NAME = "connectivity.json"
BASE_LINE_WORDS = {"straight": "straight line between the ends", "mean": "mean of the ends"}


class PairRecord(TypedDict):
    """Two kinds of networks that lines join."""

    name: str
    label: str
    explanation: str


class LineRecord(TypedDict):
    """What was measured along one line."""

    pair: str
    search_seed: int
    start: int
    alphas: list[float]
    errors: list[float]  # fractions in [0, 1]
    losses: list[float]


class BarrierRecord(TypedDict):
    """The barrier of a pair against a base line: means over search seeds; errors are fractions."""

    pair: str
    base_line: str
    error: float
    std: float | None  # None where one seed has no spread
    low: float | None  # 95 % interval; None from fewer than two seeds
    high: float | None
    loss: float
    n: int  # search seeds
    first_error: float
    last_error: float


class Connectivity(TypedDict):
    """What `connectivity.json` holds."""

    format: int
    title: str
    level: int | None  # None where the networks are not a study's
    density: float | None
    settings: dict[str, Any]
    precision: str
    pairs: list[PairRecord]
    lines: list[LineRecord]
    barriers: list[BarrierRecord]
    missing: list[dict[str, str]]


def line_record(pair: str, profile: Profile, *, search_seed: int = 0, start: int = 0) -> LineRecord:
    """A line's measurements as JSON values."""
    return {
        "pair": pair,
        "search_seed": search_seed,
        "start": start,
        "alphas": list(profile.alphas),
        "errors": list(profile.errors),
        "losses": list(profile.losses),
    }


def barriers(lines: Sequence[LineRecord]) -> list[BarrierRecord]:
    """The mean barrier of every pair against every base line; the search seed is the unit, starts are averaged first."""
    pairs = dict.fromkeys(line["pair"] for line in lines)
    groups = {pair: [line for line in lines if line["pair"] == pair] for pair in pairs}
    return [_barrier(pair, own, base_line) for pair, own in groups.items() for base_line in BASE_LINES]


def _barrier(pair: str, lines: Sequence[LineRecord], base_line: str) -> BarrierRecord:
    base = BASE_LINES[base_line]
    heights = _by_seed(lines, lambda line: barrier(line["errors"], line["alphas"], base).height)
    found = interval(heights)
    return {
        "pair": pair,
        "base_line": base_line,
        "error": found.mean,
        "std": spread(heights),
        "low": found.low,
        "high": found.high,
        "loss": fmean(_by_seed(lines, lambda line: barrier(line["losses"], line["alphas"], base).height)),
        "n": found.n,
        "first_error": fmean(_by_seed(lines, lambda line: line["errors"][0])),
        "last_error": fmean(_by_seed(lines, lambda line: line["errors"][-1])),
    }


def barrier_of(measured: Connectivity, pair: str, base_line: str = "straight") -> dict[int, float]:
    """The error barrier of a pair by search seed, averaged over starts."""
    lines = [line for line in measured["lines"] if line["pair"] == pair]
    return _seed_means(lines, lambda line: barrier(line["errors"], line["alphas"], BASE_LINES[base_line]).height)


def _by_seed(lines: Sequence[LineRecord], value: Callable[[LineRecord], float]) -> list[float]:
    return list(_seed_means(lines, value).values())


def _seed_means(lines: Sequence[LineRecord], value: Callable[[LineRecord], float]) -> dict[int, float]:
    groups: dict[int, list[float]] = {}
    for line in lines:
        groups.setdefault(line["search_seed"], []).append(value(line))
    return {seed: fmean(values) for seed, values in groups.items()}


def write_tables(folder: Path, connectivity: Connectivity) -> tuple[Path, ...]:
    """Write connectivity.json, curves.csv (a row for each point) and barriers.csv (a row for each line and base line)."""
    json_file, curves, heights = (folder / name for name in (FILE_NAME, "curves.csv", "barriers.csv"))
    write_json(json_file, connectivity)
    points = [
        (line["pair"], line["search_seed"], line["start"], alpha, error, loss)
        for line in connectivity["lines"]
        for alpha, error, loss in zip(line["alphas"], line["errors"], line["losses"], strict=True)
    ]
    write_csv(curves, ("pair", "search_seed", "start", "alpha", "error", "loss"), points)
    rows = [_row(line, name, base) for line in connectivity["lines"] for name, base in BASE_LINES.items()]
    columns = ("error_barrier", "error_barrier_at", "loss_barrier", "loss_barrier_at", "first_error", "last_error")
    write_csv(heights, ("pair", "search_seed", "start", "base_line", *columns), rows)
    return json_file, curves, heights


def _row(line: LineRecord, name: str, base: BaseLine) -> tuple[Any, ...]:
    error, loss = (barrier(values, line["alphas"], base) for values in (line["errors"], line["losses"]))
    where = (line["pair"], line["search_seed"], line["start"], name)
    return (*where, error.height, error.alpha, loss.height, loss.alpha, line["errors"][0], line["errors"][-1])

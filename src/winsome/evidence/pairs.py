"""Which networks of a study are joined by lines: the paper's pairs, and what those that are not there lack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from winsome.study.folder import ArmRun, Run, StudyFolder


@dataclass(frozen=True)
class End:
    """One end of a line: a search's network, or an arm's."""

    arm: str | None = None  # None: the network of the search itself
    next_start: bool = False  # the study's second start instead of the line's own


@dataclass(frozen=True)
class Pair:
    """Two kinds of networks with one mask, joined by a line for every search seed and start."""

    name: str
    label: str
    explanation: str
    search: str  # whose ticket both ends have
    first: End
    second: End


@dataclass(frozen=True)
class Line:
    """One line to be measured: its two ends as files, and the ticket whose mask both have."""

    pair: str
    search_seed: int
    start: int
    ends: tuple[Path, Path]
    ticket: Path


@dataclass(frozen=True)
class Missing:
    """A pair that a study has no networks for, and what would have to be added."""

    pair: str
    remedy: str


def _pairs_of(method: str) -> tuple[Pair, ...]:
    name = method.upper()
    planted = End(f"planted_{method}")
    return (
        Pair(
            f"{method}_planted",
            f"|θ₀|·s_{name} to {name} network",
            f"The planted signed mask of {name}, trained, against the network it was read from: signs kept, norms fresh.",
            method,
            planted,
            End(),
        ),
        Pair(
            f"{method}_norms_kept",
            f"|θ₀|·s_{name}, ψ kept, to {name} network",
            f"The same with {name}'s trained normalisation parameters planted too: signs and norms kept.",
            method,
            End(f"planted_{method}_phi"),
            End(),
        ),
        Pair(
            f"{method}_noise",
            f"|θ₀|·s_{name}: two data orders",
            "SGD-noise stability: two trainings of one start that differ in data order only.",
            method,
            planted,
            End(f"planted_{method}_reordered"),
        ),
        Pair(
            f"{method}_fresh_magnitudes",
            f"|θ₀|·s_{name}: two starts",
            "What the paper's code calls noise stability: two trainings that differ in data order and in fresh magnitudes.",
            method,
            planted,
            End(f"planted_{method}", next_start=True),
        ),
    )


def lines_of(
    folder: StudyFolder, record: Mapping[str, Any], *, level: int, seeds: Sequence[int]
) -> tuple[tuple[Line, ...], tuple[Missing, ...]]:
    """The lines whose two ends a study's folder holds at a level, and the pairs that have none.

    Args:
        folder: of the study.
        record: its `config.json`.
        level: of the searches.
        seeds: search seeds.
    """
    lines: list[Line] = []
    missing: list[Missing] = []
    for pair in PAIRS:
        found = [line for seed in seeds for line in _lines(folder, record, pair, level, seed) if _is_there(line)]
        lines += found
        if not found:
            missing.append(Missing(pair.name, _remedy(pair, record, level)))
    return tuple(lines), tuple(missing)


def _lines(folder: StudyFolder, record: Mapping[str, Any], pair: Pair, level: int, seed: int) -> list[Line]:
    starts: list[int] = list(record["starts"])
    if pair.first.next_start or pair.second.next_start:
        if len(starts) < 2:
            return []
        starts = starts[:1]
    search = folder.search(pair.search, seed)

    def path(end: End, start: int) -> Path:
        if end.arm is None:
            return search.weights_path(level)
        chosen = record["starts"][1] if end.next_start else start
        return folder.weights_path(ArmRun(end.arm, level, Run(seed, chosen)))

    return [
        Line(pair.name, seed, start, (path(pair.first, start), path(pair.second, start)), search.ticket_path(level))
        for start in starts
    ]


def _is_there(line: Line) -> bool:
    # A level's or run's record is written last: without it the weights belong to something unfinished.
    return line.ticket.exists() and all(end.exists() and end.with_suffix(".json").exists() for end in line.ends)


def _remedy(pair: Pair, record: Mapping[str, Any], level: int) -> str:
    needed = [end.arm for end in (pair.first, pair.second) if end.arm is not None]
    absent = [arm for arm in dict.fromkeys(needed) if arm not in record["arms"]]
    parts = [f"--more-arms {' '.join(absent)}"] if absent else []
    if (pair.first.next_start or pair.second.next_start) and len(record["starts"]) < 2:
        parts.append("--starts 2")
    if level not in record["levels"]:
        parts.append(f"--at-levels {level}")
    if parts:
        return f"run the study's command again with {' and '.join(parts)}"
    return (
        "its trained networks are not in the folder: run the study to its end (or anew, if it was made before they were kept)"
    )


# Pair by pair, so that the two searches stand side by side in tables and figures.
PAIRS: tuple[Pair, ...] = tuple(pair for both in zip(_pairs_of("aws"), _pairs_of("lrr"), strict=True) for pair in both)

"""Which networks of a study are joined by lines: the paper's pairs, and what those that are not there lack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from winsome.study.folder import ArmRun, Run, StudyFolder

_ABBREVIATIONS = frozenset({"aws", "imp", "lrr", "wr"})  # written in capitals, as in the papers


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
class JoinedFiles:
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


def pairs_of(record: Mapping[str, Any]) -> tuple[Pair, ...]:
    """The pairs of a study, from its `config.json`: of every search those whose arms it has, or could have.

    Pair by pair, so that searches stand side by side in tables and figures; AWS first, as in the paper.
    """
    searches = sorted(record["searches"], key=lambda name: name != "aws")
    of_each = [_pairs_of(name, _arms_of(name, record.get("arm_settings", {}))) for name in searches]
    return tuple(pair for kind in zip(*of_each, strict=True) for pair in kind)


def _arms_of(search: str, settings: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The names of a search's planted arms by what is planted; of those that are not there, what --more-arms calls them."""
    names = {"signs": f"planted_{search}", "phi": f"planted_{search}_phi", "reordered": f"planted_{search}_reordered"}
    for name, arm in settings.items():
        if arm.get("search") == search and (kind := _planted(arm)) is not None and names[kind] not in settings:
            names[kind] = name
    return names


def _planted(arm: Mapping[str, Any]) -> str | None:
    """What of a search an arm plants, where lines can end in it."""
    if arm.get("while_training") != "plain":
        return None
    match arm.get("transplant"), arm.get("order"):
        case "plant_signs", 0:
            return "signs"
        case "plant_signs", _:
            return "reordered"
        case "plant_phi", 0:
            return "phi"
    return None


def _pairs_of(method: str, arms: Mapping[str, str]) -> tuple[Pair, ...]:
    name = method.upper() if method in _ABBREVIATIONS else method
    planted = End(arms["signs"])
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
            End(arms["phi"]),
            End(),
        ),
        Pair(
            f"{method}_noise",
            f"|θ₀|·s_{name}: two data orders",
            "SGD-noise stability: two trainings of one start that differ in data order only.",
            method,
            planted,
            End(arms["reordered"]),
        ),
        Pair(
            f"{method}_fresh_magnitudes",
            f"|θ₀|·s_{name}: two starts",
            "What the paper's code calls noise stability: two trainings that differ in data order and in fresh magnitudes.",
            method,
            planted,
            End(arms["signs"], next_start=True),
        ),
    )


def lines_of(
    folder: StudyFolder, record: Mapping[str, Any], *, level: int, seeds: Sequence[int]
) -> tuple[tuple[JoinedFiles, ...], tuple[Missing, ...]]:
    """The lines whose two ends a study's folder holds at a level, and the pairs that have none.

    Args:
        folder: of the study.
        record: its `config.json`.
        level: of the searches.
        seeds: search seeds.
    """
    lines: list[JoinedFiles] = []
    missing: list[Missing] = []
    for pair in pairs_of(record):
        found = [line for seed in seeds for line in _lines(folder, record, pair, level, seed) if _is_there(line)]
        lines += found
        if not found:
            missing.append(Missing(pair.name, _remedy(pair, record, level)))
    return tuple(lines), tuple(missing)


def _lines(folder: StudyFolder, record: Mapping[str, Any], pair: Pair, level: int, seed: int) -> list[JoinedFiles]:
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
        JoinedFiles(pair.name, seed, start, (path(pair.first, start), path(pair.second, start)), search.ticket_path(level))
        for start in starts
    ]


def _is_there(line: JoinedFiles) -> bool:
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

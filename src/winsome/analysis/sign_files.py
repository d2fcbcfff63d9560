"""Sign statistics as CSV files: counts of every search, from which every mean can be made again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from winsome.analysis.signs import COUNTS, Agreement, SignDynamics
from winsome.files import write_csv

LEVELS = ("method", "seed", "level", "layer", *COUNTS)
WEIGHTS = ("method", "seed", "layer", "k", "flipped_k_times", "settled_at_k")
AGREEMENT = (
    "level",
    "first_method",
    "first_seed",
    "second_method",
    "second_seed",
    "kept_first",
    "kept_second",
    "both",
    "both_by_chance",
    "jaccard",
    "jaccard_by_chance",
    "same_sign",
    "same_sign_by_chance",
)


def write_levels(path: Path, found: Sequence[SignDynamics]) -> None:
    """One line for each search, level and layer: counts over the weights alive in the level."""
    rows = (
        (one.method, one.seed, part.level, part.layer, *(getattr(part, count) for count in COUNTS))
        for one in found
        for part in one.levels
    )
    write_csv(path, LEVELS, rows)


def write_weights(path: Path, found: Sequence[SignDynamics]) -> None:
    """One line for each search, layer and k: how many weights alive at the last level flipped k times, and settled at k."""
    rows = (
        (one.method, one.seed, layer, k, flipped, settled)
        for one in found
        for layer in one.flips
        for k, (flipped, settled) in enumerate(zip(one.flips[layer], one.settled[layer], strict=True))
    )
    write_csv(path, WEIGHTS, rows)


def write_agreement(path: Path, found: Sequence[Agreement]) -> None:
    """One line for each level and compared pair of searches; ratios are empty where they have no denominator."""
    rows = []
    for one in found:
        shared = one.overlap
        ratios = (shared.jaccard, shared.chance_jaccard, shared.sign_agreement, shared.chance_sign_agreement)
        counts = (shared.kept_a, shared.kept_b, shared.both, shared.expected_both)
        searches = (one.methods[0], one.seeds[0], one.methods[1], one.seeds[1])
        rows.append((one.level, *searches, *counts, *("" if math.isnan(ratio) else ratio for ratio in ratios)))
    write_csv(path, AGREEMENT, rows)

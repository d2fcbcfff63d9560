"""Stratified choices of rows: every class in proportion, the same rows on every machine and with every library version."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import torch
from torch import Tensor

from winsome.errors import WinsomeError
from winsome.seeding import stream_seed


def stratified(labels: Sequence[int] | Tensor, count: int, *, seed: int, purpose: str) -> tuple[Tensor, Tensor]:
    """`count` rows that hold every class in proportion, and the rows that are left over.

    Both are ascending int64 row numbers. A class gets its exact share rounded down; the rows still missing go to the classes
    with the largest remainders, the lower class first. Within a class, rows are ranked by a digest of (seed, purpose, row),
    not by a generator: a split that defines a data set must not change with a library's random numbers.

    Raises:
        WinsomeError: there are not so many rows.
    """
    values = labels.tolist() if isinstance(labels, Tensor) else list(labels)
    if not 0 <= count <= len(values):
        raise WinsomeError(f"cannot choose {count:,} of {len(values):,} images; ask for 0 to {len(values):,}")
    rows_of: dict[int, list[int]] = {}
    for row, label in enumerate(values):
        rows_of.setdefault(label, []).append(row)
    quotas = _quotas({label: len(rows) for label, rows in rows_of.items()}, count)
    chosen: list[int] = []
    for label, rows in rows_of.items():
        ranked = sorted(rows, key=lambda row: (stream_seed(seed, purpose, row), row))
        chosen += ranked[: quotas[label]]
    taken = set(chosen)
    rest = [row for row in range(len(values)) if row not in taken]
    return torch.tensor(sorted(chosen), dtype=torch.int64), torch.tensor(rest, dtype=torch.int64)


def held_out(labels: Sequence[int] | Tensor, count: int, *, seed: int, purpose: str) -> tuple[Tensor, Tensor]:
    """The same, but that no class loses all its rows to what is held out: a class's one row is left over, to be trained on.

    So fewer than `count` rows are held out where there are such classes.
    """
    chosen, rest = stratified(labels, count, seed=seed, purpose=purpose)
    values = labels.cpu() if isinstance(labels, Tensor) else torch.tensor(list(labels))
    lost = ~torch.isin(values[chosen], values[rest])
    moved = [int((values[chosen] == label).nonzero()[0]) for label in sorted(set(values[chosen][lost].tolist()))]
    stays = torch.ones(len(chosen), dtype=torch.bool)
    stays[moved] = False
    return chosen[stays], torch.cat((rest, chosen[~stays])).sort().values


def _quotas(sizes: dict[int, int], count: int) -> dict[int, int]:
    """How many of each class: largest remainders, exactly `count` in all."""
    total = sum(sizes.values())
    shares = {label: Fraction(size * count, max(total, 1)) for label, size in sizes.items()}
    quotas = {label: int(share) for label, share in shares.items()}
    by_remainder = sorted(sizes, key=lambda label: (quotas[label] - shares[label], label))
    for label in by_remainder[: count - sum(quotas.values())]:
        quotas[label] += 1
    return quotas

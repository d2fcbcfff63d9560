"""Which weights both of two sparse networks keep: a line between them has to know what is pruned on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from winsome.errors import WinsomeError
from winsome.state import State

Kept = Mapping[str, Tensor]  # bool by parameter name
CommonMask = Callable[[Kept, Kept], dict[str, Tensor]]


def agree(a: Kept, b: Kept) -> dict[str, Tensor]:
    """The mask that both networks have.

    Raises:
        WinsomeError: they differ; the counts of the layers that do are named.
    """
    different = [
        f"{name} keeps {int(a[name].sum()):,} and {int(b[name].sum()):,} of {a[name].numel():,}, {int(both.sum()):,} in both"
        for name, both in intersection(a, b).items()
        if not torch.equal(a[name], b[name])
    ]
    if different:
        more = f"; and {len(different) - 3} layers more" if len(different) > 3 else ""
        raise WinsomeError(
            f"the masks of the two networks differ in {len(different)} of {len(a)} layers: {'; '.join(different[:3])}{more}. "
            "Choose what is kept along the line: --masks union (all that either keeps; the ends stay as they are) or "
            "--masks intersection (what both keep; the ends are pruned to it)"
        )
    return dict(a)


def union(a: Kept, b: Kept) -> dict[str, Tensor]:
    """What either keeps: the ends stay as they are, and points between are denser than both."""
    return {name: a[name] | b[name] for name in a}


def intersection(a: Kept, b: Kept) -> dict[str, Tensor]:
    """What both keep: the ends are pruned to it and judged so."""
    return {name: a[name] & b[name] for name in a}


def nonzero(state: State, names: Iterable[str]) -> dict[str, Tensor]:
    """Which weights of a state are not exactly zero: its mask, where no ticket tells it."""
    return {name: state[name] != 0 for name in names}


def masked(state: State, kept: Kept) -> State:
    """The state with every weight outside the mask at zero."""
    zero = torch.zeros((), device="cpu")
    return {
        name: torch.where(kept[name], value, zero.to(value.dtype)) if name in kept else value for name, value in state.items()
    }


AGREEMENTS: dict[str, CommonMask] = {f.__name__: f for f in (agree, union, intersection)}

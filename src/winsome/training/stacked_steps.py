"""The training steps of levels that train as one stack, and what every member keeps on the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch.optim import Optimizer

from winsome.level import Level
from winsome.optimizer_state import SavedState, member_of, put, saved_state, stacked_state
from winsome.own_names import OwnNames


def stacked_steps(levels: Sequence[Level], own: OwnNames, optimizer: Optimizer, *, total: int) -> Iterator[int]:
    """The training steps of levels of one number that train as one stack.

    Args:
        levels: one for each member of the stack; each keeps its early network and, where its method asks for it, its share of
            the optimizer's state, as it would by itself.
        own: the stack's state by its own names.
        optimizer: what steps the stack.
        total: steps of a full level.
    """
    first = levels[0]
    starts = [level.carried.at_start(level.number) for level in levels]
    if there := [start for start in starts if start is not None]:
        put(optimizer, stacked_state(there))
    for step in range(first.first_step, first.method.end_of(first.number, total)):
        if first.number == 0 and step == first.method.rewind.step:
            if first.carried.wanted:
                for member, share in enumerate(_shares(optimizer, len(levels))):
                    levels[member].carried.keep_early(share)
            state = own.state()
            for member, level in enumerate(levels):
                level.keep_early({name: value[member].clone() for name, value in state.items()})
        yield step
    if first.carried.wanted:
        for level, share in zip(levels, _shares(optimizer, len(levels)), strict=True):
            level.carried.keep_end(level.number, share)


def _shares(optimizer: Optimizer, members: int) -> list[SavedState]:
    saved = saved_state(optimizer)
    return [member_of(saved, member) for member in range(members)]

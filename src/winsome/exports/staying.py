"""Which channels of a network have to stay so that its outputs stay as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from winsome.exports.channels import Channels, Reader

LEAST_SHARE = 1e-2  # of the largest constant: what stands for the others has this size, so that no ratio is large


@dataclass(frozen=True)
class Staying:
    """Which channels stay.

    Attributes:
        roots: for every channel the first of those that it is joined with.
        kept: for every such first channel whether it stays, and all that are joined with it (bool).
    """

    roots: Tensor
    kept: Tensor

    def places(self, ids: Tensor) -> Tensor:
        """Which of the places with these channels stay (bool)."""
        return self.kept[self.roots[ids]]

    def keep(self, ids: Tensor) -> bool:
        """Let more channels stay; whether one of them did not before."""
        new = not bool(self.places(ids).all())
        self.kept[self.roots[ids]] = True
        return new


def staying(channels: Channels, weights: Mapping[str, Tensor]) -> Staying:
    """The fewest channels that can stay: what is fixed, and what they read, unless it is a constant that a bias can take over.

    It starts with what is fixed and adds what is read by what stays, until nothing is added. A padded convolution cannot take
    a constant other than zero into its bias, for there is none of it in the padding; but one such channel can stand for all
    others. Groups of a convolution stay equal in size. No layer is left without a channel.

    Args:
        channels: see `channels_of`.
        weights: the layers' weights by name.
    """
    roots = channels.roots()
    found = Staying(roots, torch.zeros(len(roots), dtype=torch.bool))
    for ids in channels.fixed:
        found.keep(ids)
    read = {reader.weight: nonzero(weights[reader.weight]) for reader in channels.readers}
    seen: dict[str, tuple[Tensor, Tensor]] = {}  # what stayed of a layer's rows and inputs when it was last looked at
    more = True
    while more:
        more = False
        for reader in reversed(channels.readers):  # backwards, as what is needed spreads
            before = seen.get(reader.weight)
            now = found.places(reader.rows), found.places(reader.inputs.ids)
            if before is not None and torch.equal(before[0], now[0]) and torch.equal(before[1], now[1]):
                continue
            seen[reader.weight] = now
            more |= _spread(found, reader, read[reader.weight])
    return found


def nonzero(weight: Tensor) -> Tensor:
    """[outputs, inputs of a group]: which inputs each row of a weight reads (bool)."""
    return (weight.flatten(2).ne(0).any(2) if weight.ndim > 2 else weight.ne(0)).cpu()


def stand_ins(found: Staying, reader: Reader) -> tuple[Tensor, Tensor]:
    """For every group of a padded convolution the input whose constant stands for the others: the largest that stays.

    Args:
        found: what stays.
        reader: the convolution.

    Returns:
        Its number in the group and its constant, [groups] each; constant 0 where there is none.
    """
    values = torch.where(found.places(reader.inputs.ids), reader.inputs.values, 0.0).nan_to_num(0.0).reshape(reader.groups, -1)
    place = values.abs().argmax(1)
    return place, values.gather(1, place[:, None])[:, 0]


def _spread(found: Staying, reader: Reader, read: Tensor) -> bool:
    """Let stay what a layer needs; whether that was more than before."""
    ids, known = reader.inputs.ids, reader.inputs.constant
    rows = found.places(reader.rows)
    needed = (read & rows[:, None]).reshape(reader.groups, -1, read.shape[1]).any(1).reshape(-1)
    more = found.keep(ids[needed & ~known])
    if reader.padded:
        values = torch.where(needed & known & ~found.places(ids), reader.inputs.values.abs(), 0.0).reshape(reader.groups, -1)
        largest, place = values.max(1)
        lacking = (largest > 0) & (stand_ins(found, reader)[1].abs() < LEAST_SHARE * largest)
        more |= found.keep(ids.reshape(reader.groups, -1)[lacking, place[lacking]])
    return _keep_groups_equal(found, reader) or more


def _keep_groups_equal(found: Staying, reader: Reader) -> bool:
    """Let every group that is left have as many inputs as the others, and as many outputs, one at least; whether more stay."""
    sides = [ids.reshape(reader.groups, -1) for ids in (reader.inputs.ids, reader.rows)]
    kept = [found.places(side) for side in sides]
    left = kept[0].any(1) | kept[1].any(1)
    if not left.any():
        left[0] = True
    more = False
    for ids, stays in zip(sides, kept, strict=True):
        counts = stays.sum(1)
        lacking = torch.where(left, counts.max().clamp_min(1) - counts, 0)
        more |= found.keep(ids[~stays & ((~stays).cumsum(1) <= lacking[:, None])])
    return more

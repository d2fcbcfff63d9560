"""Shrink: the same network without its dead channels and without its constant ones, with the same outputs to rounding.

Masks prune single weights. A channel is dead if nothing that reaches the outputs reads it; it is constant if its row of
weights is empty, or reads constants alone: what it becomes behind a bias, a normalisation and an activation is then one
number, which the bias of the next layer takes over. Both are found by following channels through the traced graph
(`channels_of`) with the values of constants, which a graph of dependencies alone (as Torch-Pruning's) does not have; and
nothing but torch is needed.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from winsome.errors import WinsomeError
from winsome.exports.channels import Channels, Reader
from winsome.exports.container import network_for, read, write
from winsome.exports.flows import channels_of
from winsome.exports.outputs import Example, difference, outputs, tolerance
from winsome.exports.resizing import resize
from winsome.exports.staying import Staying, stand_ins, staying
from winsome.exports.tracing import trace

FORM = "shrink"


@dataclass(frozen=True)
class Shrunk:
    """A network without the channels that did nothing.

    Attributes:
        network: a copy of the network with smaller layers, under the same names.
        groups: of convolutions that lost whole groups, by layer.
        channels: for every layer that lost some, its outputs before and after.
        parameters: of the whole network, before and after.
        difference: the largest difference of any output on the example, relative to the largest output.
    """

    network: nn.Module
    groups: Mapping[str, int]
    channels: Mapping[str, tuple[int, int]]
    parameters: tuple[int, int]
    difference: float

    def __str__(self) -> str:
        lost = sum(before - after for before, after in self.channels.values())
        before, after = self.parameters
        return (
            f"{lost:,} channels of {len(self.channels)} layers are gone: {after:,} of {before:,} parameters are left, "
            f"outputs differ by {self.difference:.1e} at most, relatively"
        )


@torch.no_grad()
def shrink(network: nn.Module, example: Example) -> Shrunk:
    """The same network without its dead and constant channels.

    Args:
        network: the network with zeros where its ticket prunes; it is not changed. Made for evaluation: statistics of batches
            and dropout do not act.
        example: inputs of two or more examples; outputs before and after are compared on them.

    Raises:
        WinsomeError: it cannot be traced, no channel of it is dead or constant, or the outputs came to differ.
    """
    whole = copy.deepcopy(network).eval()
    expected = outputs(whole, example)
    graph = trace(whole, example)
    reason = ""
    for literal in (True, False):  # a forward pass that names sizes (`view(n, 400)`) fails: keep the channels that it names
        found = channels_of(graph, whole, literal=literal)
        smaller, groups, lost = _without(whole, found)
        if not lost:
            raise WinsomeError(
                f"no channel of {type(network).__name__} is dead or constant{reason}, so there is nothing to shrink: its "
                "pruned weights are scattered; --form csr or small take single weights"
            )
        try:
            differs = difference(expected, outputs(smaller, example))
        except Exception as error:  # whatever a user's forward does with smaller layers
            reason = f", but for some whose number its forward pass depends on ({' '.join(str(error).split())[:200]})"
            continue
        if not differs <= tolerance(expected):
            reason = f", but for some whose number its forward pass depends on (outputs differ by {differs:.1e}, relatively)"
            continue
        before, after = (sum(p.numel() for p in one.parameters()) for one in (whole, smaller))
        return Shrunk(smaller, groups, lost, (before, after), differs)
    raise WinsomeError(
        f"{type(network).__name__} does not give the same outputs without its dead and constant channels{reason}; "
        "nothing was written"
    )


def _without(network: nn.Module, channels: Channels) -> tuple[nn.Module, dict[str, int], dict[str, tuple[int, int]]]:
    """A copy without channels that need not stay, groups of its convolutions, and outputs of layers before and after."""
    state = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    stays = staying(channels, state)
    cut: dict[str, Tensor] = dict(network.state_dict())
    groups: dict[str, int] = {}
    lost: dict[str, tuple[int, int]] = {}
    for reader in channels.readers:
        weight, bias, left = smaller_layer(
            reader, stays, state[reader.weight], None if reader.bias is None else state[reader.bias]
        )
        cut[reader.weight] = weight
        if bias is not None:
            cut[f"{reader.layer}.bias".lstrip(".")] = bias
        if left != reader.groups:
            groups[reader.layer] = left
        if len(weight) < len(reader.rows):
            lost[reader.layer] = len(reader.rows), len(weight)
    for one in channels.cuts:
        cut[one.name] = cut[one.name].index_select(one.axis, stays.places(one.ids).nonzero()[:, 0].to(cut[one.name].device))
    smaller = copy.deepcopy(network)
    resize(smaller, cut, groups)
    return smaller, groups, lost


def smaller_layer(reader: Reader, stays: Staying, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None, int]:
    """A layer's weight and bias without the channels that go; the bias, or one that stays, takes over. And its groups.

    Args:
        reader: the layer.
        stays: which channels stay.
        weight: [outputs, inputs of a group, ...].
        bias: [outputs] or None.
    """
    n_groups = reader.groups
    shape = weight.shape[2:]
    exact = (
        weight.detach().to("cpu", torch.float64, copy=True).reshape(n_groups, -1, *weight.shape[1:])
    )  # [groups, outputs, inputs, ...]
    inputs, rows = (stays.places(ids).reshape(n_groups, -1) for ids in (reader.inputs.ids, reader.rows))
    values = reader.inputs.values.nan_to_num(0.0).reshape(n_groups, -1)
    gone = torch.where(inputs, 0.0, values)  # the constants that go; what is dead is read by nobody
    shift = torch.zeros(rows.shape, dtype=torch.float64)
    if reader.padded and gone.any():
        place, standing = stand_ins(stays, reader)
        share = gone / torch.where(standing == 0, 1.0, standing)[:, None]
        exact[torch.arange(n_groups), :, place] += torch.einsum("goi...,gi->go...", exact, share)
    elif gone.any():
        shift = torch.einsum("goi,gi->go", exact.reshape(*exact.shape[:3], -1).sum(3), gone)
    left = inputs.any(1) | rows.any(1)
    n_rows, n_inputs = (int(kept[left].sum(1).max()) for kept in (rows, inputs))  # equal in all groups
    smaller = exact[left][rows[left]].reshape(-1, *exact.shape[2:])
    of_rows = inputs[left].repeat_interleave(n_rows, 0)
    smaller = smaller[of_rows].reshape(len(of_rows), n_inputs, *shape).to(weight.device, weight.dtype)
    shift = shift[rows]
    if bias is None and not shift.any():
        return smaller, None, int(left.sum())
    whole = shift if bias is None else shift + bias.detach().to("cpu", torch.float64)[rows.reshape(-1)]
    return smaller, whole.to(weight.device, weight.dtype), int(left.sum())


def write_shrunk(shrunk: Shrunk, path: str | os.PathLike[str], *, record: Mapping[str, Any] | None = None) -> int:
    """Write a smaller network; returns the file's bytes.

    Args:
        shrunk: the network.
        path: the file.
        record: which network it was (`NetworkSpec.record()`), so that it can be loaded without one.

    Raises:
        WinsomeError: the disk refuses.
    """
    return write(path, FORM, shrunk.network.state_dict(), groups=dict(shrunk.groups), network=record)


def read_shrunk(path: str | os.PathLike[str], model: nn.Module | None = None) -> nn.Module:
    """The smaller network of a file, in evaluation mode: a plain network whose layers have other sizes.

    Args:
        path: the file.
        model: the network that it was made from, with any weights; it is changed. None: the file says which.

    Raises:
        WinsomeError: the file is damaged, of another form, or made from another network.
    """
    state, head = read(path, FORM)
    network = network_for(head, model, path)
    resize(network, state, head["groups"])
    return network.eval()

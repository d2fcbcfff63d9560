"""Channels of a traced network: which ones stay or go together, who reads them, and which are constant."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class Flow:
    """What is known of one tensor in a network's graph.

    Attributes:
        axis: the axis along which its channels lie.
        ids: for every place along that axis the channel that it belongs to; a flattened image has many places a channel.
        values: for every place the value that it has whatever the input (float64); NaN where it depends on the input.
    """

    axis: int
    ids: Tensor
    values: Tensor

    @property
    def constant(self) -> Tensor:
        """Which places have one finite value, whatever the input (bool)."""
        return self.values.isfinite()


@dataclass(frozen=True)
class Reader:
    """A linear layer or convolution: it reads channels by the columns of its weight, and makes others by the rows.

    Attributes:
        weight: the parameter's name.
        bias: the bias' name; None where it has none.
        groups: of a convolution; 1 of a linear layer.
        padded: whether zeros are put around its input: a constant channel is none to it, then, but zero is.
        inputs: what it reads.
        rows: for every row of the weight the channel that it makes.
    """

    weight: str
    bias: str | None
    groups: int
    padded: bool
    inputs: Flow
    rows: Tensor

    @property
    def layer(self) -> str:
        """The name of the layer."""
        return self.weight.rpartition(".")[0]

    def foldable(self) -> Tensor:
        """Which places it may lose with nothing but its bias changed (bool)."""
        known = self.inputs.constant
        return known & (self.inputs.values == 0) if self.padded else known


@dataclass(frozen=True)
class Cut:
    """A parameter or buffer with one entry, or slice, a channel along an axis."""

    name: str
    axis: int
    ids: Tensor


@dataclass
class Channels:
    """The channels of a network; joined ones stay or go together.

    Attributes:
        readers: the layers with weights that read and make channels, in the order of the forward pass.
        cuts: what has one entry a channel beside them.
        fixed: channels that must stay: of the input, of the output, and what an operation reads that is not known here.
    """

    readers: list[Reader] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)
    fixed: list[Tensor] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)

    def new(self, count: int) -> Tensor:
        """So many channels more."""
        first = len(self.parents)
        self.parents.extend(range(first, first + count))
        return torch.arange(first, first + count)

    def join(self, one: Tensor, other: Tensor) -> None:
        """Let channels stay or go together, place by place."""
        for a, b in zip(one.tolist(), other.tolist(), strict=True):
            first, second = self._root(a), self._root(b)
            self.parents[max(first, second)] = min(first, second)

    def roots(self) -> Tensor:
        """For every channel the first of those that it is joined with."""
        return torch.tensor([self._root(number) for number in range(len(self.parents))], dtype=torch.long)

    def _root(self, number: int) -> int:
        while self.parents[number] != number:
            self.parents[number] = self.parents[self.parents[number]]
            number = self.parents[number]
        return number


def row_values(weight: Tensor, bias: Tensor | None, reader_inputs: Flow, groups: int, *, padded: bool) -> Tensor:
    """The value of every row of a layer that reads nothing but constant places; NaN of the others.

    Args:
        weight: [outputs, inputs of a group, ...], float64.
        bias: [outputs] or None.
        reader_inputs: what the layer reads.
        groups: of a convolution.
        padded: whether zeros are put around the input.
    """
    values, known = reader_inputs.values, reader_inputs.constant
    known = known & (values == 0) if padded else known
    n_rows = weight.shape[0]
    read = weight.flatten(2).ne(0).any(2) if weight.ndim > 2 else weight.ne(0)
    sums = weight.flatten(2).sum(2) if weight.ndim > 2 else weight
    of_rows = [part.reshape(groups, -1).repeat_interleave(n_rows // groups, 0) for part in (known, values)]
    products = torch.where(of_rows[0] & read, sums * of_rows[1].nan_to_num(), 0.0).sum(1)
    constant = (of_rows[0] | ~read).all(1)
    found = products if bias is None else products + bias
    return torch.where(constant, found, torch.nan)

"""What is known while a network's graph is followed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, fx, nn

from winsome.exports.channels import Channels, Flow
from winsome.exports.tracing import Trace


@dataclass
class Walk:
    """What is known when a graph has been followed so far.

    Attributes:
        trace: the graph.
        layers: the network's modules by name.
        state: parameters and buffers in float64, by name.
        channels: what has been found of channels.
        literal: whether shapes that the forward pass may hold as numbers (`view(n, 400)`) may change.
        flows: of every node so far, None where nothing is known.
    """

    trace: Trace
    layers: Mapping[str, nn.Module]
    state: Mapping[str, Tensor]
    channels: Channels
    literal: bool
    flows: dict[fx.Node, Flow | None] = field(default_factory=dict)

    def flow(self, value: Any) -> Flow | None:
        """What is known of a node; None of anything else."""
        return self.flows.get(value) if isinstance(value, fx.Node) else None

    def name(self, value: Any) -> str | None:
        """The parameter or buffer that a node is, if nothing else reads it."""
        name = self.trace.names.get(value) if isinstance(value, fx.Node) else None
        return name if name is not None and self.trace.uses(name) == 1 else None

    def fixed(self, count: int) -> Tensor:
        """Channels that stay."""
        ids = self.channels.new(count)
        self.channels.fixed.append(ids)
        return ids

"""What networks are trained and judged on: data on the device, precision, BatchNorm statistics, stacks or not."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from winsome.data.images import ImageData
from winsome.training.precision import Precision


@dataclass(frozen=True)
class Conditions:
    """What all networks of a study are trained and judged on."""

    data: ImageData  # on the device
    precision: Precision
    statistics_images: int
    statistics_augmented: bool = True
    # Whether networks train as stacks. Decided once for a study, even for a stack of one: a network trained alone rounds
    # differently, and a study that was killed must not end in other bits because fewer networks were left.
    stacked: bool = False

    @property
    def device(self) -> torch.device:
        """Where the data lies."""
        return self.data.train.labels.device

    def placed(self, network: nn.Module) -> nn.Module:
        """A network on the device and in the memory layout that it trains in."""
        network = network.to(self.device)
        return network.to(memory_format=torch.channels_last) if self.precision.channels_last else network

"""What networks are trained and judged on: data on the device, precision, BatchNorm statistics, stacks or not."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import nn

from winsome import distributed
from winsome.data.images import ImageData
from winsome.stacking import one_thread, pays
from winsome.training.precision import Precision, default_device
from winsome.training.settings import Training


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

    def n_steps(self, training: Training) -> int:
        """How many steps a whole training takes on these data.

        Raises:
            WinsomeError: its batches are larger than the training split, or several ranks cannot share them evenly.
        """
        training.refuse_uneven()
        return training.steps(self.data)

    def one_by_one(self, network: nn.Module) -> AbstractContextManager[None]:
        """Networks like this one are trained one by one meanwhile: small ones on a CPU by one thread, which is fastest."""
        return one_thread(on=self.device.type == "cpu" and pays(network, self.device))


def on_device(images: ImageData) -> ImageData:
    """The images on the default device.

    Raises:
        WinsomeError: several ranks have different ones.
    """
    placed = images.on(default_device())
    distributed.agree("the data set", placed.digest, "give every rank the same files, and empty its $WINSOME_CACHE")
    return placed

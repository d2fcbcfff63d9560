"""Image sets too large for memory: one split in a file of uint8 squares on disk, from which batches are read.

Shape suffixes: M images read, S side of a stored image, C channels (3).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from winsome.errors import WinsomeError

CHANNELS = 3
# What is known of each image of a file, gathered when it is decoded: nothing here needs a second pass over the pixels.
FACTS = np.dtype([("state", "u1"), ("sums", "<i8", CHANNELS), ("squares", "<i8", CHANNELS), ("digest", "u1", 16)])
MISSING, STORED, CORRUPT = 0, 1, 2  # states


@dataclass(frozen=True, eq=False)
class StoredSet:
    """One split in a file: uint8 squares of `stored_size` pixels, from which images of `size` are cut.

    Raises:
        WinsomeError: a split without images, or larger images than are stored.
    """

    file: Path  # uint8 [every row, S, S, C], nothing else
    stored_size: int
    size: int  # pixels of a side, at most `stored_size`
    places: Tensor  # int64 [N]: which row of the file each image is; on the CPU
    labels: Tensor  # int64 [N]
    facts: np.ndarray[Any, Any]  # FACTS of every row of the file
    skipped: tuple[str, ...] = ()  # images left out of the whole split because they could not be decoded, by name

    def __post_init__(self) -> None:
        """Check that the parts belong together."""
        if not 1 <= self.size <= self.stored_size:
            raise WinsomeError(f"images of {self.size} pixels cannot be cut from stored ones of {self.stored_size}")
        if len(self.places) == 0:
            raise WinsomeError("a split without images; train and test need at least one each")

    def __len__(self) -> int:
        """The number of images."""
        return len(self.places)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image as networks take it."""
        return CHANNELS, self.size, self.size

    @property
    def pixels(self) -> Tensor:
        """Every image as it is evaluated, uint8 [N, H, W, C] on the CPU: the middle of each, for sets that fit in memory."""
        return middle(self.read(torch.arange(len(self))), self.size)

    @property
    def images(self) -> Tensor:
        """The same as [N, C, H, W]."""
        return self.pixels.permute(0, 3, 1, 2)

    def rows(self, rows: Tensor) -> StoredSet:
        """The images and labels of these row numbers, in this order; no image is copied."""
        return replace(self, places=self.places[rows.cpu()], labels=self.labels[rows.to(self.labels.device)])

    def on(self, device: torch.device | str) -> StoredSet:
        """The split whose labels are on another device; its batches are moved there as they are read."""
        return replace(self, labels=self.labels.to(device))

    def read(self, rows: Tensor) -> Tensor:
        """The stored images of these row numbers, uint8 [M, S, S, C] on the CPU; in memory that a GPU can copy from.

        One read a picture, straight into the batch: faster from a cold disk than mapping the file, whose pages come by tens of
        kilobytes, and other threads run meanwhile.

        Raises:
            WinsomeError: the file ends before one of them.
        """
        side = self.stored_size
        batch_MSSC = torch.empty(len(rows), side, side, CHANNELS, dtype=torch.uint8, pin_memory=self.labels.is_cuda)
        arrays, n_bytes = batch_MSSC.numpy(), side * side * CHANNELS
        with self.file.open("rb", buffering=0) as opened:
            for array, place in zip(arrays, self.places[rows].tolist(), strict=True):
                if os.preadv(opened.fileno(), [array], place * n_bytes) != n_bytes:
                    raise WinsomeError(f"{self.file} ends before image {place}; delete its folder to have it built again")
        return batch_MSSC

    def contents(self) -> Iterator[bytes]:
        """What identifies the images and labels: the digest that each image got when it was stored, and the labels."""
        yield np.ascontiguousarray(self.facts["digest"][self.places.numpy()]).tobytes()
        yield self.labels.cpu().numpy().tobytes()

    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and population standard deviation of each channel of the stored images, pixels in [0, 1], from exact sums."""
        places = self.places.numpy()
        count = len(places) * self.stored_size**2
        mean = self.facts["sums"][places].sum(0) / count
        std = np.sqrt(np.maximum(self.facts["squares"][places].sum(0) / count - mean**2, 0))
        std = np.where(std < 1e-6, 255.0, std)
        return tuple((mean / 255).tolist()), tuple((std / 255).tolist())


def middle(pixels_MSSC: Tensor, size: int) -> Tensor:
    """The middle square of `size` pixels of each image, a view."""
    top, left = ((side - size) // 2 for side in pixels_MSSC.shape[1:3])
    return pixels_MSSC[:, top : top + size, left : left + size]

"""Which images: a data set or a part of it, written down and read back."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from winsome.data.catalogue import load
from winsome.data.image_store import OnCorrupt
from winsome.data.images import ImageData, subset, with_validation
from winsome.errors import WinsomeError

log = logging.getLogger("winsome")


@dataclass(frozen=True)
class DataSpec:
    """Which images: a data set by name or folder, whole or a stratified part of it."""

    name: str = "digits"
    data_dir: Path | None = None
    train_images: int | None = None  # None: all
    test_images: int | None = None
    validation: bool = False  # judge on a fifth of the train split instead of the test split: for tuning
    image_size: int | None = None  # pixels of a side; None: as the images are, or 224 for imagenet
    on_corrupt: OnCorrupt = "stop"  # for imagenet

    def load(self) -> ImageData:
        """Load it, on the CPU; what takes long is said in the log."""
        images = load(self.name, data_dir=self.data_dir, image_size=self.image_size, on_corrupt=self.on_corrupt, say=log.info)
        images = subset(images, train_images=self.train_images, test_images=self.test_images)
        return with_validation(images, fraction=0.2) if self.validation else images

    def record(self) -> dict[str, Any]:
        """What identifies the images, as JSON values: not where they lie; what was left out of them shows in their digest."""
        return {
            "name": self.name,
            "train_images": self.train_images,
            "test_images": self.test_images,
            "validation": self.validation,
            "image_size": self.image_size,
        }

    @classmethod
    def from_record(
        cls, record: Mapping[str, Any], *, data_dir: Path | None = None, on_corrupt: OnCorrupt = "stop"
    ) -> DataSpec:
        """What `record()` has written, read from where the images lie now; other entries, such as a digest, are left alone.

        Raises:
            WinsomeError: it is no record of a data set.
        """
        fields = ("name", "train_images", "test_images", "validation", "image_size")
        if lacking := [field for field in fields if field not in record]:
            raise WinsomeError(f"this is no record of a data set, it lacks {lacking[0]!r}: {dict(record)}")
        return cls(**{field: record[field] for field in fields}, data_dir=data_dir, on_corrupt=on_corrupt)

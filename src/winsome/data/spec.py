"""Which images: a data set or a part of it, written down and read back."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from winsome.data.catalogue import DATA_SETS, SixteenBit, load
from winsome.data.image_store import OnCorrupt
from winsome.data.images import ImageData, subset, with_validation
from winsome.data.named import code_of, is_own
from winsome.errors import WinsomeError
from winsome.identity import code_text
from winsome.runs.file_names import DATA_FOLDER

log = logging.getLogger("winsome")


@dataclass(frozen=True)
class Outline:
    """What networks and batches have to know of images, without the images."""

    image_shape: tuple[int, int, int]  # channels, height, width
    n_classes: int
    train_images: int
    test_images: int  # that networks are judged on


@dataclass(frozen=True)
class DataSpec:
    """Which images: a data set by name, of the user's as "FILE.py:NAME", or by folder; whole or a stratified part of it."""

    name: str = "digits"
    data_dir: Path | None = None
    train_images: int | None = None  # None: all
    test_images: int | None = None
    validation: bool = False  # judge on a fifth of the train split instead of the test split: for tuning
    image_size: int | None = None  # pixels of a side; None: as the images are, or 224 for imagenet
    on_corrupt: OnCorrupt = "stop"  # for imagenet
    config: str | None = None  # which of several data sets side by side in the folder; None: the default, or the only one
    sixteen_bit: SixteenBit = "stop"  # whether grey images of 16 bits are refused, or count by their high byte
    code: str = ""  # what code of the user's is known by that gives the images (`DataSpec.named`): other code is refused

    @classmethod
    def named(cls, name: str, **parts: Any) -> DataSpec:
        """The data set of a name; one of the user's with the digest of its code, which is loaded.

        Args:
            name: see `winsome.data.load`.
            parts: what else a spec takes.

        Raises:
            WinsomeError: no code of the user's has this name.
        """
        return cls(name, code=code_of(name), **parts)

    def load(self) -> ImageData:
        """Load it, on the CPU; what takes long is said in the log.

        Raises:
            WinsomeError: it cannot be had, or the user's code that gives it has changed.
        """
        if self.code and code_of(self.name) != self.code:
            raise WinsomeError(f"the code of the data set {self.name!r} has changed: restore it, or begin a new run")
        images = load(
            self.name,
            data_dir=self.data_dir,
            config=self.config,
            image_size=self.image_size,
            on_corrupt=self.on_corrupt,
            sixteen_bit=self.sixteen_bit,
            say=log.info,
        )
        images = subset(images, train_images=self.train_images, test_images=self.test_images)
        return with_validation(images, fraction=0.2) if self.validation else images

    def outline(self) -> Outline | None:
        """Shape, classes and number of the images, as far as the catalogue knows them: nothing is read. None for a folder."""
        known = DATA_SETS.get(self.name)
        if known is None or known.image_shape is None or known.n_classes is None:
            return None
        if known.train_images is None or known.test_images is None:
            return None
        channels, *sides = known.image_shape
        height, width = sides if self.image_size is None else (self.image_size, self.image_size)
        whole = known.train_images if self.train_images is None else min(self.train_images, known.train_images)
        held_out = round(0.2 * whole) if self.validation else 0
        test = known.test_images if self.test_images is None else min(self.test_images, known.test_images)
        return Outline((channels, height, width), known.n_classes, whole - held_out, held_out or test)

    @property
    def folder(self) -> Path | None:
        """The folder of a data set of one's own; None where it has a name."""
        return None if self.name in DATA_SETS or is_own(self.name) else Path(self.name).expanduser().resolve()

    def place(self) -> dict[str, str]:
        """Where the images lie, for whoever reads the configuration on this machine; it identifies nothing."""
        return {} if self.folder is None else {DATA_FOLDER: str(self.folder)}

    def record(self) -> dict[str, Any]:
        """What the images are called and how they are read, as JSON values: not where they lie.

        What identifies them is their digest (`ImageData.digest`), which also shows what was left out of them.
        """
        return {
            "name": self.name if self.folder is None else self.folder.name,
            "train_images": self.train_images,
            "test_images": self.test_images,
            "validation": self.validation,
            "image_size": self.image_size,
            **({} if self.config is None else {"config": self.config}),
            **({} if self.sixteen_bit == "stop" else {"sixteen_bit": self.sixteen_bit}),
            **(json.loads(self.code) if self.code else {}),
        }

    @classmethod
    def from_record(
        cls,
        record: Mapping[str, Any],
        *,
        folder: str | None = None,
        data_dir: Path | None = None,
        on_corrupt: OnCorrupt = "stop",
    ) -> DataSpec:
        """What `record()` has written, read from where the images lie now; other entries, such as a digest, are left alone.

        `folder` is what `place()` has written, of a data set of one's own.

        Raises:
            WinsomeError: it is no record of a data set.
        """
        fields = ("name", "train_images", "test_images", "validation", "image_size")
        if lacking := [field for field in fields if field not in record]:
            raise WinsomeError(f"this is no record of a data set, it lacks {lacking[0]!r}: {dict(record)}")
        known = {field: record[field] for field in (*fields, "config", "sixteen_bit") if field in record}
        if folder is not None and known["name"] not in DATA_SETS:
            known["name"] = folder
        return cls(**known, data_dir=data_dir, on_corrupt=on_corrupt, code=code_text(record))

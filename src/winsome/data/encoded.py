"""Image sets as they lie in files: encoded images, labels, class names, and where each image comes from."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from winsome.data.images import ImageSet
from winsome.errors import WinsomeError

log = logging.getLogger("winsome")


@dataclass(frozen=True)
class EncodedSplit:
    """Images of one split, as bytes in a known format (JPEG, PNG ...) or as paths of files, and their labels.

    The bytes may be read when they are asked for: a set that is stored on disk need not fit into memory.

    Raises:
        WinsomeError: a split without images.
        ValueError: not one label for each image.
    """

    images: Sequence[bytes | Path | None]  # None: missing, which is an error when it is opened
    labels: Sequence[int]
    files: tuple[tuple[str, int], ...]  # what holds the images, and how many rows of them, in order
    name_of: Callable[[int], str] | None = None  # where an image comes from, if it says more than `files`
    high_byte: bool = False  # grey images of 16 bits count by their high byte, instead of being refused

    def __post_init__(self) -> None:
        """Check that there is something, and a label for each image."""
        if len(self.images) == 0:
            raise WinsomeError(f"no images in {', '.join(name for name, _ in self.files) or 'the split'}")
        if len(self.images) != len(self.labels):
            raise ValueError(f"{len(self.images)} images but {len(self.labels)} labels")

    def origin(self, row: int) -> str:
        """Where an image comes from, for error messages: a path, or a file and the row in it, counted from 0."""
        if self.name_of is not None:
            return self.name_of(row)
        image = self.images[row]
        return str(image) if isinstance(image, Path) else row_of(self.files, row)


def row_of(files: Sequence[tuple[str, int]], row: int) -> str:
    """The file and the row in it, counted from 0, of a row of all files, each a (name, rows).

    Raises:
        IndexError: the split has no such row.
    """
    for name, rows in files:
        if row < rows:
            return f"{name}, row {row}"
        row -= rows
    raise IndexError(f"no row {row} in the split")


@dataclass(frozen=True)
class EncodedSet:
    """Train and test split, not decoded yet, and the names of the classes that the labels count.

    Raises:
        WinsomeError: fewer than two classes, a label that is none of them, a class that is tested and never trained, or a name
            that is no UTF-8.
    """

    train: EncodedSplit
    test: EncodedSplit
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check that every label has a class, and that the names of the classes are text."""
        for name in self.classes:
            if any("\ud800" <= character <= "\udfff" for character in name):  # what stands for a byte that is no text
                raise WinsomeError(
                    f"the class {name!r} has a name that is no UTF-8; rename its folder (convmv -f latin1 -t utf8 does all)"
                )
        if len(self.classes) < 2:
            raise WinsomeError(f"only {len(self.classes)} class ({', '.join(self.classes)}); classification needs 2 or more")
        for split in (self.train, self.test):
            for row, label in enumerate(split.labels):
                if not 0 <= label < len(self.classes):
                    hint = "; labels below 0 mark images without a known class" if label < 0 else ""
                    raise WinsomeError(
                        f"{split.origin(row)}: label {label} is none of the {len(self.classes)} classes, counted from 0{hint}"
                    )
        trained = set(self.train.labels)
        if never := sorted(set(self.test.labels) - trained):
            names = ", ".join(self.classes[label] for label in never[:8])
            raise WinsomeError(f"{self.test.files[0][0]}: no images to train on for the classes {names}")
        if unused := [name for label, name in enumerate(self.classes) if label not in trained]:
            log.warning(
                "%d of %d classes have no image: %s%s",
                *(len(unused), len(self.classes), ", ".join(unused[:8]), ", ..." if len(unused) > 8 else ""),
            )


@dataclass(frozen=True)
class DecodedSet:
    """Train and test split, decoded, and the names of the classes."""

    train: ImageSet
    test: ImageSet
    classes: tuple[str, ...]

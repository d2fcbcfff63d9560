"""What a data set is: where its images come from, and what is known of them without reading them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from winsome.data.encoded import DecodedSet, EncodedSet


@dataclass(frozen=True)
class DataSet:
    """A data set: what it is, where it comes from, and whether its images may be mirrored.

    Attributes:
        description: one line.
        key: tells what is read from everything else in the cache.
        read: gives its images.
        flip: whether a mirror image is an image of the same class.
        stored: it lies on disk, resized once, for it does not fit into memory.
        citations: keys of `winsome.citation.CITATIONS`.
        image_shape: channels, height and width as networks take them; known without reading, or None.
        n_classes: the same of the number of classes.
        train_images: the same of the number of images to train on.
        test_images: the same of the number of images to judge on.
    """

    description: str
    key: str
    read: Callable[[], EncodedSet | DecodedSet]
    flip: bool = True
    stored: bool = False
    citations: tuple[str, ...] = ()
    image_shape: tuple[int, int, int] | None = None
    n_classes: int | None = None
    train_images: int | None = None
    test_images: int | None = None

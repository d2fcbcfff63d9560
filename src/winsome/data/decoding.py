"""Decode encoded images into uint8 tensors, in parallel threads.

One rule for orientation, in folders, tables and shards: an image stands as its EXIF (or XMP) entry says, as people see it.
`datasets` does the same; torchvision's ImageFolder leaves the entry aside.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from winsome.data.encoded import DecodedSet, EncodedSet, EncodedSplit
from winsome.data.images import ImageSet
from winsome.errors import WinsomeError

if TYPE_CHECKING:
    from PIL.Image import Image

log = logging.getLogger("winsome")

FEW_SHARED = 0.01  # of the test images: known sets of photographs hold some twice
_GREY = {"1", "L", "LA"}


def decode(encoded: EncodedSet, *, image_size: int | None, say: Callable[[str], None]) -> DecodedSet:
    """All images of both splits in one shape: grey if every image is grey, else RGB; transparency is dropped.

    With `image_size` (pixels), the middle square of each image, resized bilinearly and antialiased. Without it, all images
    must have the size of the first.

    Raises:
        WinsomeError: an image is unreadable, of another size or of more than 8 bits; it is named.
    """
    if image_size is not None and image_size < 1:
        raise WinsomeError(f"image_size must be 1 or more pixels, got {image_size}")
    splits = (encoded.train, encoded.test)
    n_images = sum(len(split.images) for split in splits)
    say(f"decoding {n_images:,} images")
    begin = time.perf_counter()
    with opened(encoded.train, 0) as first:
        size = upright(first).size if image_size is None else (image_size, image_size)
    # `any` stops at the first colour image, mostly the first of all.
    mode = "RGB" if any(not _is_grey(split, row) for split in splits for row in range(len(split.images))) else "L"
    train, test = (_decode_split(split, mode, size, resize=image_size is not None) for split in splits)
    say(f"decoded {n_images:,} images in {time.perf_counter() - begin:.1f} s")
    _tell_shared(train, test)
    return DecodedSet(train, test, encoded.classes)


def _tell_shared(train: ImageSet, test: ImageSet) -> None:
    """Say how many images of the test split are trained on, to the pixel, where that is no chance."""
    trained = set(map(_digest, train.images.numpy()))
    shared = sum(_digest(image) in trained for image in test.images.numpy())
    if shared > FEW_SHARED * len(test):
        log.warning("%d of %d test images are in the train split too, to the pixel: they are no new images", shared, len(test))


def _digest(pixels: np.ndarray[Any, Any]) -> bytes:
    return hashlib.blake2b(pixels.tobytes(), digest_size=16).digest()


def _decode_split(split: EncodedSplit, mode: str, size: tuple[int, int], *, resize: bool) -> ImageSet:
    """One split in a PIL mode ("L" or "RGB") and a size (width, height)."""
    width, height = size
    n_images, channels = len(split.images), len(mode)
    pixels_NHWC = np.empty((n_images, height, width, channels), dtype=np.uint8)

    def decode_some(rows: range) -> None:
        for row in rows:
            with opened(split, row) as stored:
                image = eight_bits(upright(stored))
                if not resize and image.size != size:
                    raise WinsomeError(_other_size(split, row, image.size, size))
                pixels = np.asarray(_fitted(image, mode, size))
            pixels_NHWC[row] = pixels.reshape(height, width, channels)

    # Some hundred images at a time: handing small images out one by one would cost as much as decoding them.
    parts = [range(start, min(start + 250, n_images)) for start in range(0, n_images, 250)]
    with ThreadPoolExecutor(max_workers=min(16, os.cpu_count() or 1)) as threads:
        for _ in threads.map(decode_some, parts):
            pass
    return ImageSet(torch.from_numpy(pixels_NHWC).permute(0, 3, 1, 2), torch.tensor(split.labels, dtype=torch.int64))


def _fitted(image: Image, mode: str, size: tuple[int, int]) -> Image:
    """The image in a mode and size; of an image in another shape the middle is taken."""
    from PIL import ImageOps
    from PIL.Image import Resampling

    if image.mode != mode:
        image = image.convert(mode)
    return image if image.size == size else ImageOps.fit(image, size, Resampling.BILINEAR)


def _is_grey(split: EncodedSplit, row: int) -> bool:
    with opened(split, row) as image:
        return image.mode in _GREY or image.mode[0] == "I"


@contextmanager
def opened(split: EncodedSplit, row: int) -> Iterator[Image]:
    """The image of a row, its header read; whatever goes wrong with it is an error that names the image.

    Raises:
        WinsomeError: it is missing, unreadable, or of more than 8 bits and nothing was said of how to take them.
    """
    import PIL.Image

    encoded = split.images[row]
    if encoded is None:
        raise WinsomeError(
            f"{split.origin(row)}: no image, neither its bytes nor the path of a file that is there; remove the row"
        )
    try:
        with PIL.Image.open(encoded if isinstance(encoded, Path) else io.BytesIO(encoded)) as image:
            if image.mode[0] == "F" or (image.mode[0] == "I" and not split.high_byte):
                remedy = ", or take the high byte of 16 bits (--sixteen-bit high-byte)" if image.mode[0] == "I" else ""
                raise WinsomeError(
                    f"{split.origin(row)}: more than 8 bits per channel ({image.mode}); save it with 8 bits{remedy}"
                )
            yield image
    except WinsomeError:
        raise
    except Exception as error:  # PIL's plugins raise OSError, SyntaxError, ValueError, struct.error, IndexError ...
        raise WinsomeError(f"{split.origin(row)}: not a readable image ({error}); repair or remove it") from error


def upright(image: Image) -> Image:
    """The image turned and mirrored as its EXIF orientation says."""
    from PIL import ExifTags, ImageOps

    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # whatever is broken in what is said of an image, or in the image, which is told when it is decoded
        return image
    return image if orientation == 1 else ImageOps.exif_transpose(image)


def eight_bits(image: Image) -> Image:
    """A grey image of 16 bits as one of 8: the high byte of each value, as PIL takes it of colour images.

    Raises:
        ValueError: the values are no 16 bits.
    """
    from PIL import Image as images

    if image.mode[0] != "I":
        return image
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 0xFFFF:
        raise ValueError(f"values from {values.min()} to {values.max()} are no 16 bits")
    return images.fromarray((values.astype(np.uint16) >> 8).astype(np.uint8))


def _other_size(split: EncodedSplit, row: int, size: tuple[int, int], expected: tuple[int, int]) -> str:
    sizes = f"{size[0]}x{size[1]} pixels, the first image has {expected[0]}x{expected[1]}"
    return f"{split.origin(row)}: {sizes}; give image_size (--image-size 32) to bring all images to one size"

"""Images of noise in the shape of CIFAR-10, in memory or as a folder of parquet files: what they show costs no time."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from torch import Tensor

from winsome.data import Augmentation, ImageData, ImageSet, image_data
from winsome.seeding import generator

CLASSES = tuple("0123456789")


def noise_images(n_train: int, n_test: int = 10, *, size: int = 32) -> ImageData:
    """A data set of noise: uint8 [3, size, size], ten classes, the augmentation of CIFAR-10."""
    every = ImageSet(_pixels(n_train + n_test, size), torch.arange(n_train + n_test) % 10)
    train, test = every.rows(torch.arange(n_train)), every.rows(torch.arange(n_train, n_train + n_test))
    return image_data("noise", train, test, CLASSES, augmentation=Augmentation(pad=size // 8, flip=True))


def noise_folder(folder: Path, n_train: int, n_test: int) -> Path:
    """The same as train.parquet and test.parquet with encoded images, as the Hub gives CIFAR-10; returns the folder."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    pixels = _pixels(n_train + n_test)
    for split, rows in (("train", range(n_train)), ("test", range(n_train, n_train + n_test))):
        images = [{"bytes": _png(pixels[row]), "path": None} for row in rows]
        table = pa.table({"img": images, "label": [row % 10 for row in rows]})
        pq.write_table(table, folder / f"{split}.parquet")
    return folder


def _pixels(n_images: int, size: int = 32) -> Tensor:
    return torch.randint(256, (n_images, 3, size, size), dtype=torch.uint8, generator=generator(0, "benchmark"))


def _png(pixels_CHW: Tensor) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels_CHW.permute(1, 2, 0).contiguous().numpy()).save(buffer, "PNG", compress_level=0)
    return buffer.getvalue()

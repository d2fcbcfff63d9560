"""Small image sets written to files as people have them: parquet as `datasets` writes it, folders of PNG files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from PIL import Image

CLASSES = ("ant", "bee", "cat")


def picture(seed: int, *, size: int | tuple[int, int] = 8, mode: str = "RGB") -> Image.Image:
    """A random image."""
    width, height = (size, size) if isinstance(size, int) else size
    chance = np.random.default_rng(seed)
    pixels = chance.integers(0, 256, (height, width) if mode == "L" else (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def pictures(n_images: int, *, seed: int = 0, **kind: Any) -> list[Image.Image]:
    """Different random images."""
    return [picture(1000 * seed + number, **kind) for number in range(n_images)]


def pixels_of(images: Sequence[Image.Image]) -> np.ndarray:
    """Their values, uint8 [N, H, W, C]."""
    arrays = [np.asarray(image) for image in images]
    return np.stack([array[:, :, None] if array.ndim == 2 else array for array in arrays])


def labels_for(n_images: int) -> list[int]:
    """0, 1, 2, 0, 1, 2 ..."""
    return [number % len(CLASSES) for number in range(n_images)]


def png(image: Image.Image) -> bytes:
    """The bytes of an image's PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def dataset(
    images: Sequence[Any], labels: Sequence[Any], *, image: str = "img", label: str = "label", named: bool = True
) -> datasets.Dataset:
    """A data set as the Hub gives it: an Image and a ClassLabel column (or plain integers), and a column of no use."""
    features = datasets.Features(
        {
            image: datasets.Image(),
            "coarse_label": datasets.Value("int64"),
            label: datasets.ClassLabel(names=list(CLASSES)) if named else datasets.Value("int64"),
        }
    )
    columns = {image: list(images), "coarse_label": [0] * len(images), label: list(labels)}
    return datasets.Dataset.from_dict(columns, features=features)


def write_parquet(file: Path, images: Sequence[Any], labels: Sequence[Any] | None = None, **columns: Any) -> None:
    """The same as a parquet file, written by `datasets` itself."""
    file.parent.mkdir(parents=True, exist_ok=True)
    dataset(images, labels_for(len(images)) if labels is None else labels, **columns).to_parquet(file)


def write_folder(folder: Path, images: Sequence[Image.Image], classes: Sequence[str] = CLASSES) -> None:
    """One PNG file per image in the folder of its class; class i has every image whose number is i mod classes."""
    for number, image in enumerate(images):
        file = folder / classes[number % len(classes)] / f"{number:03}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        image.save(file)

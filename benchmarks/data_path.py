"""Images per second of the data path for CIFAR-10-shaped images, beside a torch DataLoader with PIL transforms.

    uv run python benchmarks/data_path.py [--images 50000] [--rounds 7]

Every figure is for shuffled batches of 128 of random uint8 images [3, 32, 32], padded by 4, cropped at random and mirrored
half of the time, the drawing of order, shifts and sides included, on the CPU:
- "crops and flips" ends with uint8 batches;
- "fp32", "bf16" end with what a network takes: normalised, channels_last, by `winsome.data.training_batches`;
- "DataLoader" does the same with torchvision's RandomCrop(32, 4), RandomHorizontalFlip, ToTensor, Normalize on PIL images that
  are in memory, without decoding, with as many worker processes as there are threads.
The bars are 150,000 images per second for fp32 and bf16 on 2 cores, and 15 times the rate of the DataLoader. Rounds are
interleaved, so that what else the machine does meets all alike.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
import torchvision
from torch.utils.data import DataLoader, Dataset

from measuring import Figure, interleaved, print_figures, print_machine, ratio
from noise import noise_images
from winsome.data import ImageData, training_batches
from winsome.data.augmentation import augmented, blank_canvas, draw_augmentation
from winsome.seeding import generator

BATCH = 128
IMAGES_PER_SECOND = 150_000
OVER_DATA_LOADER = 15


def ours(data: ImageData, steps: int, dtype: torch.dtype) -> Iterable[Any]:
    """The batches that training takes."""
    return training_batches(data, batch_size=BATCH, seed=0, last_step=steps, dtype=dtype, channels_last=True)


def uint8_crops(data: ImageData, steps: int) -> Iterable[Any]:
    """Crops and flips alone, without normalisation."""
    pixels, labels = data.train.pixels, data.train.labels
    order = torch.randperm(len(pixels), generator=generator(0, "order"))
    draws = torch.empty(3, len(pixels), dtype=torch.int64)
    draw_augmentation(draws, data.augmentation, generator(0, "augmentation"))
    canvas = blank_canvas(BATCH, pixels, data.augmentation)
    for rows, draws_3B in zip(torch.split(order, BATCH)[:steps], torch.split(draws, BATCH, dim=1), strict=False):
        yield augmented(pixels.index_select(0, rows), canvas, draws_3B), labels[rows]


class PilImages(Dataset[tuple[torch.Tensor, int]]):
    """The same images as PIL images in memory, transformed one by one, as most training code does."""

    def __init__(self, data: ImageData) -> None:
        """Keep the pixels as an array, which workers share."""
        self.pixels = data.train.pixels.numpy()
        transforms = torchvision.transforms
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(data.image_shape[-1], data.augmentation.pad),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(data.mean, data.std),
            ]
        )

    def __len__(self) -> int:
        """The number of images."""
        return len(self.pixels)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        """One transformed image and its label."""
        from PIL import Image

        return self.transform(Image.fromarray(self.pixels[row])), row % 10


def rate(batches: Callable[[], Iterable[Any]]) -> float:
    """Images per second of one pass."""
    begin = time.perf_counter()
    images = sum(len(labels) for _, labels in batches())
    return images / (time.perf_counter() - begin)


def figures(images: int = 50_000, rounds: int = 7) -> list[Figure]:
    """Images per second of every path, and ours over the DataLoader's."""
    data, steps, threads = noise_images(images), images // BATCH, torch.get_num_threads()
    loader = DataLoader(PilImages(data), BATCH, shuffle=True, num_workers=threads, drop_last=True, persistent_workers=True)
    subjects: dict[str, Callable[[], Iterable[Any]]] = {
        "crops and flips (uint8)": lambda: uint8_crops(data, steps),
        "normalised fp32": lambda: ours(data, steps, torch.float32),
        "normalised bf16": lambda: ours(data, steps, torch.bfloat16),
        "DataLoader with PIL transforms": lambda: loader,
    }
    # The first round warms up: workers start, memory is mapped.
    rates = interleaved({name: partial(rate, batches) for name, batches in subjects.items()}, rounds=rounds)
    slow = rates["DataLoader with PIL transforms"]
    found = []
    for name, values in rates.items():
        bar = IMAGES_PER_SECOND if name.startswith("normalised") else None
        found.append(Figure(f"{name}: images per second", tuple(values), bar, at_least=True))
        if values is not slow:
            bar = OVER_DATA_LOADER if name == "normalised fp32" else None
            found.append(ratio(f"{name}: rate over the DataLoader's", values, slow, bar=bar, at_least=True))
    return found


def main() -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=50_000, help="images of noise in the data set")
    parser.add_argument("--rounds", type=int, default=7, help="passes of each; medians are over these")
    options = parser.parse_args()
    print_machine()
    print_figures(figures(options.images, options.rounds))


if __name__ == "__main__":
    main()

"""Images per second of the data path for CIFAR-10-shaped images, beside a torch DataLoader with PIL transforms.

    python benchmarks/data_path.py [--images 50000] [--rounds 7]

Every figure is for shuffled batches of 128 of random uint8 images [3, 32, 32], padded by 4, cropped at random and mirrored
half of the time, the drawing of order, shifts and sides included, on the CPU:
- "crops and flips" ends with uint8 batches;
- "fp32", "bf16" end with what a network takes: normalised, channels_last, by `winsome.data.training_batches`;
- "DataLoader" does the same with torchvision's RandomCrop(32, 4), RandomHorizontalFlip, ToTensor, Normalize on PIL images that
  are in memory, without decoding, with as many worker processes as there are threads.
The bar is 150,000 images per second for fp32 and bf16 on 2 cores. Rounds are interleaved, so that what else the machine does
meets all alike.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch.utils.data import DataLoader, Dataset

from winsome.data import Augmentation, ImageData, ImageSet, image_data, training_batches
from winsome.data.augmentation import augmented, blank_canvas, draw_augmentation
from winsome.seeding import generator

BATCH = 128
BAR = 150_000  # images per second


def random_images(n_images: int) -> ImageData:
    """A data set of noise in the shape of CIFAR-10."""
    images = torch.randint(256, (n_images, 3, 32, 32), dtype=torch.uint8, generator=generator(0, "benchmark"))
    every = ImageSet(images, torch.arange(n_images) % 10)
    some = every.rows(torch.arange(10))
    return image_data("noise", every, some, tuple("0123456789"), augmentation=Augmentation(pad=4, flip=True))


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
                transforms.RandomCrop(32, 4),
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


def processor() -> str:
    """The processor's name and what it can do."""
    info = Path("/proc/cpuinfo")
    names = (
        [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        if info.exists()
        else []
    )
    return names[0] if names else platform.processor() or platform.machine()


def main() -> None:
    """Measure, print a table, and say whether the bar is met."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--images", type=int, default=50_000, help="images of noise in the data set")
    options.add_argument("--rounds", type=int, default=7, help="passes of each; medians are over these")
    chosen = options.parse_args()
    data, steps, threads = random_images(chosen.images), chosen.images // BATCH, torch.get_num_threads()
    loader = DataLoader(PilImages(data), BATCH, shuffle=True, num_workers=threads, drop_last=True, persistent_workers=True)
    subjects: dict[str, Callable[[], Iterable[Any]]] = {
        "ours, crops and flips (uint8)": lambda: uint8_crops(data, steps),
        "ours, normalised fp32": lambda: ours(data, steps, torch.float32),
        "ours, normalised bf16": lambda: ours(data, steps, torch.bfloat16),
        "DataLoader, PIL transforms, fp32": lambda: loader,
    }
    print(
        f"{processor()}, {threads} threads, Python {platform.python_version()}, torch {torch.__version__}, "
        f"torchvision {torchvision.__version__}; {chosen.images:,} images, batches of {BATCH}, {chosen.rounds} rounds"
    )
    rates: dict[str, list[float]] = {name: [] for name in subjects}
    for batches in subjects.values():
        rate(batches)  # warm-up: workers start, memory is mapped
    for _ in range(chosen.rounds):
        for name, batches in subjects.items():
            rates[name].append(rate(batches))
    loader_rate = statistics.median(rates["DataLoader, PIL transforms, fp32"])
    print(f"{'images per second':34}{'median':>10}{'least':>10}{'most':>10}{'x DataLoader':>14}")
    for name, values in rates.items():
        median = statistics.median(values)
        print(f"{name:34}{median:10,.0f}{min(values):10,.0f}{max(values):10,.0f}{median / loader_rate:14.1f}")
    worst = min(statistics.median(rates[f"ours, normalised {dtype}"]) for dtype in ("fp32", "bf16"))
    print(f"bar of {BAR:,} images/s with normalisation: {'met' if worst >= BAR else 'missed'} ({worst:,.0f})")


if __name__ == "__main__":
    main()

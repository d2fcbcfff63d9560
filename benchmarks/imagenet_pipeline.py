"""Images per second of ImageNet's path: stored once from encoded photographs, then read in training batches.

    uv run python benchmarks/imagenet_pipeline.py FOLDER [--images 2000] [--rounds 5]

FOLDER holds Tiny-ImageNet's parquet files. Its JPEG photographs of 64x64 pixels are taken as they are, and also enlarged to
500x375 pixels and encoded again (quality 95), which is what ImageNet's photographs have on average:
- "decoder, 1 thread" and "decoder, 2 processes": PIL decodes to RGB and nothing else, the limit of whatever is built on it;
- "torchvision, 1 thread": torchvision.io.decode_jpeg, likewise;
- "store": what `load` does: decode, resize the shorter side, cut the middle square, sum, digest, write and sync, on all cores;
- "training batches": RandomResizedCrop and mirror images from the store, normalised fp32 channels_last batches of 128, when the
  file is in the system's cache; "evaluation batches" likewise, the middle square.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
import torchvision
from PIL import Image

from measuring import Figure, interleaved, print_figures, print_machine, ratio
from winsome.data import Augmentation, ImageData, evaluation_batches, training_batches
from winsome.data.encoded import EncodedSet, EncodedSplit
from winsome.data.image_store import StoreSpec, image_store
from winsome.data.images import ResizedCrop, image_data

BATCH = 128


def tiny_photographs(folder: Path, n_images: int) -> list[bytes]:
    """The first JPEG files of Tiny-ImageNet's validation part."""
    table = pq.read_table(folder / "valid.parquet", columns=["image"]).slice(0, n_images)
    return [row["bytes"] for row in table.column("image").to_pylist()]


def enlarged(encoded: bytes) -> bytes:
    """The same photograph with 500x375 pixels."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(encoded)).convert("RGB").resize((500, 375), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def decode_all(images: Sequence[bytes]) -> int:
    """PIL's decoder and nothing else."""
    for encoded in images:
        np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))
    return len(images)


def torchvision_decode_all(images: Sequence[bytes]) -> int:
    """torchvision's decoder and nothing else."""
    for encoded in images:
        content = torch.from_numpy(np.frombuffer(encoded, np.uint8).copy())
        torchvision.io.decode_jpeg(content, mode=torchvision.io.ImageReadMode.RGB)
    return len(images)


def in_processes(pool: ProcessPoolExecutor, images: Sequence[bytes]) -> int:
    """PIL's decoder in two processes."""
    return sum(pool.map(decode_all, (images[0::2], images[1::2])))


def store(images: Sequence[bytes], plan: StoreSpec, folder: Path) -> ImageData:
    """The data set of a fresh store."""
    split = EncodedSplit(images, [row % 10 for row in range(len(images))], (("memory", len(images)),))
    few = EncodedSplit(images[:10], list(range(10)), (("memory", 10),))
    encoded = EncodedSet(split, few, tuple("0123456789"))
    train, _, classes = image_store("benchmark", folder.name, lambda: encoded, plan, folder=folder)
    return image_data("benchmark", train, train, classes, augmentation=Augmentation(flip=True, crop=ResizedCrop()))


def train_on(data: ImageData) -> int:
    """One epoch of training batches."""
    steps = len(data.train) // BATCH
    return sum(
        len(labels) for _, labels in training_batches(data, batch_size=BATCH, seed=0, last_step=steps, channels_last=True)
    )


def evaluate_on(data: ImageData) -> int:
    """Every image once."""
    return sum(len(labels) for _, labels in evaluation_batches(data.test, data, channels_last=True))


def rate(work: Callable[[], int]) -> float:
    """Images per second."""
    start = time.perf_counter()
    done = work()
    return done / (time.perf_counter() - start)


def figures(folder: Path, n_images: int = 2000, rounds: int = 5) -> list[Figure]:
    """Images per second of decoders, store and batches, and the store's over its decoder's on two processes."""
    small = tiny_photographs(folder, n_images)
    large = [enlarged(encoded) for encoded in small]
    found = []
    with tempfile.TemporaryDirectory() as place, ProcessPoolExecutor(2) as pool:
        for words, images, plan in (
            ("64x64, stored 64, batches 56", small, StoreSpec.for_images_of(56)),
            ("500x375, stored 256, batches 224", large, StoreSpec()),
        ):
            numbers = count()

            def built(images: list[bytes] = images, plan: StoreSpec = plan, numbers: Iterator[int] = numbers) -> ImageData:
                return store(images, plan, Path(place) / f"{plan.stored_size}-{next(numbers)}")

            def stored(built: Callable[[], ImageData] = built) -> int:
                return len(built().train)

            data = built()
            rates = interleaved(
                {
                    "decoder, 1 thread": partial(rate, partial(decode_all, images)),
                    "decoder, 2 processes": partial(rate, partial(in_processes, pool, images)),
                    "torchvision, 1 thread": partial(rate, partial(torchvision_decode_all, images)),
                    "store": partial(rate, stored),
                    "training batches": partial(rate, partial(train_on, data)),
                    "evaluation batches": partial(rate, partial(evaluate_on, data)),
                },
                rounds=rounds,
                warm_up=0,
            )
            found.append(Figure(f"{words}: kB of a photograph", (sum(map(len, images)) / len(images) / 1e3,)))
            found += [Figure(f"{words}, {name}: images per second", tuple(values)) for name, values in rates.items()]
            found.append(ratio(f"{words}: store over decoder, 2 processes", rates["store"], rates["decoder, 2 processes"]))
    return found


def main() -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print_machine()
    print_figures(figures(options.folder, options.images, options.rounds))


if __name__ == "__main__":
    main()

"""The store of a large image set: decoded and resized once into files of uint8 squares, from which trainings read batches.

A store is a folder: `train.pixels` and `test.pixels` (uint8 [rows, S, S, 3] and nothing else), beside each its facts (`FACTS`
of every row) and labels, and `store.json`. It is built under a name that ends in `.unfinished` and renamed at the end.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import numpy as np
import torch

from winsome.data.decoding import eight_bits, opened, upright
from winsome.data.encoded import EncodedSet, EncodedSplit
from winsome.data.locks import only_one
from winsome.data.stored import CHANNELS, CORRUPT, FACTS, MISSING, STORED, StoredSet
from winsome.errors import WinsomeError
from winsome.files import write_whole
from winsome.machine import usable_cores

if TYPE_CHECKING:
    from PIL.Image import Image

Say = Callable[[str], None]
OnCorrupt = Literal["stop", "skip"]

_FORMAT = "2"  # part of every store's name: raise it when decoding or the layout changes
_ROWS_AT_ONCE = 256  # images of one task; after each, what is done is on disk and stays done
_SECONDS_BETWEEN_REPORTS = 15.0
_MOST_RESIZED = 1 << 26  # pixels of an image once resized, 0.3 GB: a line of one pixel would fill the memory


@dataclass(frozen=True)
class StoreSpec:
    """The sizes of a store, in pixels of a side."""

    image_size: int = 224  # what networks take
    stored_size: int = 256  # the shorter side of an image is resized to this, and the middle square kept

    @classmethod
    def for_images_of(cls, image_size: int) -> StoreSpec:
        """The usual 256 to 224 at another image size.

        Raises:
            WinsomeError: it is smaller than one pixel.
        """
        if image_size < 1:
            raise WinsomeError(f"image_size must be 1 or more pixels, got {image_size}")
        return cls(image_size, round(image_size * 8 / 7))


def image_store(
    name: str,
    key: str,
    read: Callable[[], EncodedSet],
    spec: StoreSpec,
    *,
    folder: Path,
    on_corrupt: OnCorrupt = "stop",
    say: Say = lambda _: None,
) -> tuple[StoredSet, StoredSet, tuple[str, ...]]:
    """The train split, the test split and the classes of a store; it is built where it is missing, or finished.

    Args:
        name: of the data set, the beginning of the store's name.
        key: what tells this set from every other, its files included.
        read: gives the encoded images, should the store have to be built.
        spec: sizes.
        folder: the cache, in which stores lie.
        on_corrupt: what an image that cannot be decoded does: stop with its name, or be left out, named and counted.
        say: hears how far the work is.

    Raises:
        WinsomeError: too little room on the disk, before work starts; a corrupt image under "stop"; no image at all.
    """
    digest = hashlib.sha256(f"{_FORMAT}\n{key}\n{spec.stored_size}".encode("utf-8", "surrogateescape")).hexdigest()[:16]
    place = folder / "stores" / f"{name}-{digest}"
    if not (place / "store.json").exists():
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WinsomeError(
                f"cannot make {place.parent}: {error.strerror}; point WINSOME_CACHE to a folder that can be written to"
            ) from error
        with only_one(place.with_name(f"{place.name}.lock"), say):
            if not (place / "store.json").exists():  # another process may have built it meanwhile
                _build(place, read(), spec, on_corrupt, say)
    return _open(place, spec, on_corrupt, say)


def _build(place: Path, encoded: EncodedSet, spec: StoreSpec, on_corrupt: OnCorrupt, say: Say) -> None:
    unfinished = place.with_name(f"{place.name}.unfinished")
    unfinished.mkdir(exist_ok=True)
    splits = {"train": encoded.train, "test": encoded.test}
    _refuse_a_full_disk(unfinished, splits, spec)
    skipped = {name: _store_split(unfinished, name, split, spec, on_corrupt, say) for name, split in splits.items()}
    facts = {"format": _FORMAT, "stored_size": spec.stored_size, "classes": list(encoded.classes), "skipped": skipped}
    write_whole(unfinished / "store.json", json.dumps(facts).encode())
    unfinished.replace(place)
    say(f"stored {sum(len(split.images) for split in splits.values()):,} images in {place}")


def _refuse_a_full_disk(folder: Path, splits: dict[str, EncodedSplit], spec: StoreSpec) -> None:
    """Raise WinsomeError if what is still to be written does not fit."""
    n_images = sum(len(split.images) for split in splits.values())
    needed = n_images * (spec.stored_size**2 * CHANNELS + FACTS.itemsize + 8)
    there = sum(file.stat().st_blocks * 512 for file in folder.iterdir())
    free = shutil.disk_usage(folder).free
    if needed - there > free:
        raise WinsomeError(
            f"the store of {n_images:,} images of {spec.stored_size} pixels needs {needed / 1e9:,.1f} GB in {folder.parent}, "
            f"which has {(free + there) / 1e9:,.1f} GB left; point WINSOME_CACHE to a larger disk, or take smaller images "
            f"(--image-size {spec.image_size // 2} needs a quarter)"
        )


def _store_split(folder: Path, name: str, split: EncodedSplit, spec: StoreSpec, on_corrupt: OnCorrupt, say: Say) -> list[str]:
    """Decode what is missing of a split; the names of the images that cannot be."""
    side, n_images = spec.stored_size, len(split.images)
    facts = _facts_of(folder / f"{name}.facts", n_images)
    write_whole(folder / f"{name}.labels", np.asarray(split.labels, dtype=np.int64).tobytes())
    with _writing(folder / f"{name}.pixels", "ab") as file:
        file.truncate(n_images * side * side * CHANNELS)
    parts = [range(start, min(start + _ROWS_AT_ONCE, n_images)) for start in range(0, n_images, _ROWS_AT_ONCE)]
    again = (MISSING, CORRUPT) if on_corrupt == "stop" else (MISSING,)  # a corrupt image stops here rather than at the end
    left = [part for part in parts if np.isin(facts["state"][part.start : part.stop], again).any()]
    report = _progress(name, n_images, n_images - sum(map(len, left)), say)

    def store_some(part: range) -> int:
        pixels_MSSC, found = _decoded(split, part, side, on_corrupt)
        with _writing(folder / f"{name}.pixels", "rb+") as file:
            file.seek(part.start * side * side * CHANNELS)
            file.write(pixels_MSSC.data)  # all of it or an error: the system's own call may stop halfway on a full disk
            file.flush()
            os.fsync(file.fileno())
        facts[part.start : part.stop] = found  # after the pixels: what is marked as done is on disk
        return len(part)

    with _decoders() as threads:
        for done in threads.map(store_some, left):
            report(done)
    facts.flush()
    return [split.origin(int(row)) for row in np.flatnonzero(facts["state"] == CORRUPT)]


@contextmanager
def _writing(file: Path, mode: Literal["ab", "rb+"]) -> Iterator[BinaryIO]:
    """The file open for writing; what the disk refuses is an error that names it."""
    try:
        with file.open(mode) as opened_file:
            yield opened_file
    except OSError as error:
        raise WinsomeError(
            f"cannot write {file}: {error.strerror or error}; free space, or point WINSOME_CACHE to a larger disk, then run "
            "the same command again: what is stored stays"
        ) from error


def _decoded(split: EncodedSplit, rows: range, side: int, on_corrupt: OnCorrupt) -> tuple[Any, Any]:
    """Pixels and facts of some rows."""
    pixels_MSSC = np.zeros((len(rows), side, side, CHANNELS), dtype=np.uint8)
    facts = np.zeros(len(rows), dtype=FACTS)
    for pixels, fact, row in zip(pixels_MSSC, facts, rows, strict=True):
        try:
            with opened(split, row) as image:
                pixels[:] = np.asarray(square(eight_bits(upright(image)), side))
        except WinsomeError as error:
            if on_corrupt == "stop":
                raise WinsomeError(f"{error}, or leave out what cannot be read (--on-corrupt skip)") from error
            fact["state"] = CORRUPT
            continue
        fact["state"], fact["sums"], fact["squares"] = STORED, _sum(pixels), _sum(np.square(pixels, dtype=np.uint16))
        fact["digest"] = np.frombuffer(hashlib.sha256(pixels.data).digest()[:16], np.uint8)
    return pixels_MSSC, facts


def _sum(values_SSC: Any) -> Any:
    """The exact sum of each channel: first over the rows, twenty times faster than over pixels of three values."""
    columns = values_SSC.reshape(len(values_SSC), -1).sum(0, dtype=np.uint32)  # 255^2 x 66,000 rows fit
    return columns.reshape(-1, CHANNELS).sum(0, dtype=np.int64)


def square(image: Image, side: int) -> Image:
    """The image in RGB, its shorter side resized to `side` (bilinear, antialiased), and the middle square of that.

    The pixels of torchvision's Resize and CenterCrop on a PIL image, of which CenterCrop to less takes the same again.

    Raises:
        ValueError: the image is so long that it cannot be resized.
    """
    from PIL.Image import Resampling

    image = image.convert("RGB")
    width, height = image.size
    short = min(width, height)
    width, height = int(side * width / short), int(side * height / short)
    if width * height > _MOST_RESIZED:
        raise ValueError(f"{image.size[0]}x{image.size[1]} pixels, whose shorter side at {side} makes {width}x{height}")
    if image.size != (width, height):
        image = image.resize((width, height), Resampling.BILINEAR)
    left, top = round((width - side) / 2), round((height - side) / 2)
    return image.crop((left, top, left + side, top + side))


def _open(place: Path, spec: StoreSpec, on_corrupt: OnCorrupt, say: Say) -> tuple[StoredSet, StoredSet, tuple[str, ...]]:
    stored = json.loads((place / "store.json").read_text())
    splits = []
    for name in ("train", "test"):
        skipped: list[str] = stored["skipped"][name]
        if skipped and on_corrupt == "stop":
            raise WinsomeError(
                f"{_images(name, skipped)} that cannot be decoded, the first is {skipped[0]}; leave out what is corrupt "
                f"(--on-corrupt skip), or repair or remove it and delete {place}, to have it stored again"
            )
        if skipped:
            say(f"left out {_images(name, skipped)} that cannot be decoded: {_some(skipped)}")
        facts = np.fromfile(place / f"{name}.facts", dtype=FACTS)
        labels = np.fromfile(place / f"{name}.labels", dtype=np.int64)
        places = np.flatnonzero(facts["state"] == STORED)
        if len(places) == 0:
            raise WinsomeError(f"no {name} image can be decoded; the first is {skipped[0]}")
        splits.append(
            StoredSet(
                place / f"{name}.pixels",
                spec.stored_size,
                spec.image_size,
                torch.from_numpy(places),
                torch.from_numpy(labels[places]),
                facts,
                tuple(skipped),
            )
        )
    return splits[0], splits[1], tuple(stored["classes"])


def _images(split: str, names: Sequence[str]) -> str:
    return f"{len(names):,} {split} image{'s' if len(names) > 1 else ''}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")


def _facts_of(file: Path, rows: int) -> Any:
    """The facts of a split, mapped for writing; a file of another length, from an older state, begins anew."""
    if not file.exists() or file.stat().st_size != rows * FACTS.itemsize:
        np.zeros(rows, dtype=FACTS).tofile(file)
    return np.memmap(file, dtype=FACTS, mode="r+")


def _progress(name: str, total: int, done: int, say: Say) -> Callable[[int], None]:
    """A function that is told of every few images, and says now and then how far they are."""
    begin = last = time.monotonic()
    before = done
    if done:
        say(f"{name}: {done:,} of {total:,} images are stored already; going on")

    def report(more: int) -> None:
        nonlocal done, last
        done += more
        now = time.monotonic()
        if now - last >= _SECONDS_BETWEEN_REPORTS or done == total:
            rate = (done - before) / max(now - begin, 1e-9)
            left = f", {(total - done) / rate / 60:.0f} min left" if done < total else ""
            say(f"{name}: {done:,} of {total:,} images stored, {rate:,.0f}/s{left}")
            last = now

    return report


@contextmanager
def _decoders() -> Iterator[ThreadPoolExecutor]:
    """Threads, one for each core: decoders leave the interpreter to others. An error drops what has not begun."""
    cores = usable_cores()
    threads = ThreadPoolExecutor(max_workers=cores)
    try:
        yield threads
    finally:
        threads.shutdown(cancel_futures=True)

"""Image sets in WebDataset shards: tar files whose members of one name, KEY.jpg and KEY.cls, are one image and its label.

Read in place with the standard library: its index of a shard says where each image lies, so that images have numbers, are read
in parallel, and need no second copy on disk.
"""

from __future__ import annotations

import os
import re
import tarfile
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import IO, overload

from winsome.data.configurations import split_files
from winsome.data.encoded import EncodedSet, EncodedSplit
from winsome.data.folders import IMAGE_ENDINGS
from winsome.data.tables import class_names
from winsome.errors import WinsomeError

# In the names of shards or of their folders: the first that is there. "retrieval" is no "val", if there is a choice.
TRAIN_SHARDS = ("train",)
TEST_SHARDS = ("(?<![a-z])val", "(?<![a-z])test", "val", "test")


@dataclass(frozen=True)
class Shard:
    """A tar file and where its images lie in it."""

    file: Path
    keys: tuple[str, ...]
    offsets: tuple[int, ...]  # bytes from the beginning of the file
    sizes: tuple[int, ...]  # bytes
    labels: tuple[int, ...]


class ShardImages(Sequence[bytes]):
    """The encoded images of some shards in order, each read when it is asked for."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        """Keep the index; nothing is read."""
        self.shards = shards
        self.ends = list(accumulate(len(shard.keys) for shard in shards))

    def __len__(self) -> int:
        """The number of images."""
        return self.ends[-1]

    @overload
    def __getitem__(self, row: int) -> bytes: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[bytes]: ...
    def __getitem__(self, row: int | slice) -> bytes | Sequence[bytes]:
        """The bytes of an image's file."""
        if isinstance(row, slice):
            return [self[number] for number in range(*row.indices(len(self)))]
        shard, index = self._place(row)
        with shard.file.open("rb", buffering=0) as opened:
            return os.pread(opened.fileno(), shard.sizes[index], shard.offsets[index])

    def name_of(self, row: int) -> str:
        """The shard and the key of an image."""
        shard, index = self._place(row)
        return f"{shard.file}: {shard.keys[index]}"

    def _place(self, row: int) -> tuple[Shard, int]:
        number = bisect_right(self.ends, row)
        if row < 0 or number == len(self.shards):
            raise IndexError(f"no image {row} in {len(self):,}")
        return self.shards[number], row - (self.ends[number - 1] if number else 0)


def shard_files(folder: Path, config: str | None = None) -> list[Path]:
    """The tar files of a folder, of one configuration; see `split_files`.

    Raises:
        WinsomeError: there are several configurations, and nothing says which is meant.
    """
    return [one.file for one in split_files(folder, ".tar", config)]


def read_shards(folder: Path, config: str | None = None) -> EncodedSet:
    """The image set in a folder's shards: those with "train" in their names, and those with "val" or else "test".

    Raises:
        WinsomeError: there is nothing to train or to test on, or a shard is damaged, or lacks images or labels.
    """
    files = shard_files(folder, config)
    train_files = _named(folder, files, TRAIN_SHARDS)
    if not train_files:
        raise WinsomeError(f"{folder}: no shards with train in their names; found {_some(files)}")
    train = _split(train_files)
    # A shard to train on, "trainval-000.tar" say, never tests.
    test_files = _named(folder, [file for file in files if file not in train_files], TEST_SHARDS)
    if not test_files:
        raise WinsomeError(f"{folder}: no shards with val or test in their names to test on; found {_some(files)}")
    test = _split(test_files)
    return EncodedSet(train, test, class_names(None, train, test))


def _named(folder: Path, files: Sequence[Path], patterns: Sequence[str]) -> list[Path]:
    """The files with the first pattern that any of them has."""
    by_pattern = ([file for file in files if re.search(pattern, str(file.relative_to(folder)))] for pattern in patterns)
    return next((chosen for chosen in by_pattern if chosen), [])


def _some(files: Sequence[Path]) -> str:
    return ", ".join(file.name for file in files[:8]) + (" ..." if len(files) > 8 else "")


def _split(files: Sequence[Path]) -> EncodedSplit:
    shards = [shard for shard in map(_index, files) if shard.keys]
    if not shards:
        raise WinsomeError(f"{files[0]}: no images in it or the shards beside it")
    images = ShardImages(shards)
    labels = [label for shard in shards for label in shard.labels]
    return EncodedSplit(images, labels, tuple((str(s.file), len(s.keys)) for s in shards), images.name_of)


def _index(file: Path) -> Shard:
    """One pass over the headers of a shard."""
    images: dict[str, tuple[int, int]] = {}
    labels: dict[str, int] = {}
    dotted: dict[str, str] = {}  # what looks like a sample under a longer name, by the key it has by the format's rules
    try:
        with tarfile.open(file, "r:") as shard:
            for member in shard:
                if any(part.startswith("._") or part == "__MACOSX" for part in member.name.split("/")):
                    continue  # what macOS packs beside each file
                folder, _, name = member.name.rpartition("/")
                key, _, ending = name.partition(".")
                key = f"{folder}/{key}" if folder else key
                ending = f".{ending.lower()}"
                if member.isfile() and ending in IMAGE_ENDINGS:
                    images[key] = (member.offset_data, member.size)
                elif member.isfile() and ending == ".cls":
                    labels[key] = _label(file, member.name, shard.extractfile(member))
                elif member.isfile() and Path(name).suffix.lower() in IMAGE_ENDINGS:
                    dotted.setdefault(key, member.name)
    except WinsomeError:
        raise
    except (OSError, ValueError, tarfile.TarError) as error:
        raise WinsomeError(f"{file}: not a readable shard of images and labels ({error}); fetch it again") from error
    for key in dotted.keys() - images.keys() - labels.keys():
        raise WinsomeError(
            f"{file}: {dotted[key]} has a second dot in its name; a sample is KEY.jpg and KEY.cls, no dot in KEY"
        )
    for key in images.keys() ^ labels.keys():
        there, absent = (".cls", "image") if key in labels else ("image", ".cls")
        raise WinsomeError(f"{file}: {key} has an {there} member but no {absent} member; a sample is KEY.jpg and KEY.cls")
    offsets = tuple(offset for offset, _ in images.values())
    sizes = tuple(size for _, size in images.values())
    return Shard(file, tuple(images), offsets, sizes, tuple(labels[key] for key in images))


def _label(file: Path, name: str, content: IO[bytes] | None) -> int:
    text = content.read() if content is not None else b""
    try:
        return int(text)
    except ValueError as error:
        raise WinsomeError(f"{file}: {name} holds {text[:40]!r}; a label is a number, counted from 0") from error

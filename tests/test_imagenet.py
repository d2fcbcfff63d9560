"""The store of a large image set: the same from every layout, resumed, exact beside torchvision, and trained from."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms import functional as transforms

from image_files import CLASSES, dataset, labels_for, picture, pictures, png, write_folder, write_parquet
from winsome.data import (
    ImageData,
    evaluation_batches,
    image_store,
    load,
    statistics_batches,
    subset,
    training_batches,
    with_validation,
)
from winsome.data.decoding import opened
from winsome.data.image_store import StoreSpec, square
from winsome.data.images import Augmentation, ResizedCrop
from winsome.data.resized_crops import draw_boxes, resized_crops
from winsome.data.row_groups import read_large_parquet
from winsome.data.stored import FACTS, STORED, StoredSet
from winsome.errors import WinsomeError
from winsome.seeding import generator
from winsome.study import presets
from winsome.training.settings import SGD, Adam, Cosine

Encoded = Sequence[tuple[bytes, int]]  # bytes of an image file, label


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WINSOME_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(image_store, "_ROWS_AT_ONCE", 16)
    return tmp_path / "cache"


def loaded(folder: Path, size: int = 14, **options: Any) -> ImageData:
    return load("imagenet", data_dir=folder, image_size=size, **options)


def write_shards(folder: Path, split: str, images: Encoded, per_shard: int = 25) -> None:
    folder.mkdir(exist_ok=True)
    for start in range(0, len(images), per_shard):
        with tarfile.open(folder / f"{split}-{start:05}.tar", "w") as shard:
            for number, (content, label) in enumerate(images[start : start + per_shard], start):
                for ending, data in (("cls", str(label).encode()), ("jpg", content), ("json", b"{}")):
                    member = tarfile.TarInfo(f"{number:05}.{ending}")
                    member.size = len(data)
                    shard.addfile(member, io.BytesIO(data))


def write_class_folders(folder: Path, images: Encoded, classes: Sequence[str]) -> None:
    for number, (content, label) in enumerate(images):
        file = folder / classes[label] / f"{number:05}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def write_pictures(folder: Path, train: int = 40, test: int = 10, size: tuple[int, int] = (20, 18)) -> None:
    write_folder(folder / "train", pictures(train, size=size))
    write_folder(folder / "val", pictures(test, seed=1, size=size))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "pictures")
    return tmp_path / "pictures"


def store_of(cache: Path) -> Path:
    (found,) = (entry for entry in (cache / "stores").iterdir() if entry.is_dir())
    return found


def some_of_tiny_imagenet(shared_data: Path) -> tuple[Encoded, Encoded, list[str]]:
    """Images of four classes, sorted by class, and the classes' names."""
    table = pq.read_table(shared_data / "tiny_imagenet" / "valid.parquet").to_pylist()
    rows = [sorted((r for r in table if r["label"] == label), key=lambda r: str(r["image"]["path"])) for label in range(4)]
    train = [(row["image"]["bytes"], row["label"]) for part in rows for row in part[:15]]
    test = [(row["image"]["bytes"], row["label"]) for part in rows for row in part[15:20]]
    return train, test, ["n0", "n1", "n2", "n3"]


def test_every_layout_of_real_photographs_gives_the_same_store(shared_data: Path, tmp_path: Path) -> None:
    train, test, classes = some_of_tiny_imagenet(shared_data)
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=classes)})
    for name, part in (("train", train), ("validation", test)):
        rows = {"image": [{"bytes": content, "path": None} for content, _ in part], "label": [label for _, label in part]}
        file = tmp_path / "parquet" / "data" / f"{name}-00000-of-00001.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        datasets.Dataset.from_dict(rows, features=features).to_parquet(file, batch_size=7)  # several row groups
        write_shards(tmp_path / "shards", name, part)
        write_class_folders(tmp_path / "folder" / {"train": "train", "validation": "val"}[name], part, classes)
    unlabelled = {"image": rows["image"], "label": [-1] * len(test)}  # as ImageNet's own test files
    datasets.Dataset.from_dict(unlabelled, features=features).to_parquet(tmp_path / "parquet" / "data" / "test.parquet")

    sets = {name: loaded(tmp_path / name, 56) for name in ("parquet", "shards", "folder")}
    for data in sets.values():
        assert data.train.labels.tolist() == [label for _, label in train]
        assert data.test.labels.tolist() == [label for _, label in test]
        assert data.digest() == sets["folder"].digest()
        assert isinstance(data.train, StoredSet)
        assert data.train.file.read_bytes() == sets["folder"].train.file.read_bytes()  # type: ignore[union-attr]
    assert sets["parquet"].classes == sets["folder"].classes == tuple(classes)
    assert sets["shards"].classes == ("0", "1", "2", "3")
    for part, split in ((train, sets["shards"].train), (test, sets["shards"].test)):
        for (content, _), pixels in zip(part, split.pixels, strict=True):
            image = Image.open(io.BytesIO(content)).convert("RGB")
            expected = transforms.center_crop(transforms.resize(image, 64), 56)
            np.testing.assert_array_equal(pixels.numpy(), np.asarray(expected))
    # What we call WebDataset shards is what `datasets` reads as such.
    files = sorted(str(file) for file in (tmp_path / "shards").glob("train*.tar"))
    streamed = list(datasets.load_dataset("webdataset", data_files={"train": files}, split="train", streaming=True))
    assert [int(row["cls"]) for row in streamed] == [label for _, label in train]


def test_the_real_parquet_files_are_read_where_they_lie(shared_data: Path) -> None:
    encoded = read_large_parquet(shared_data / "tiny_imagenet")
    assert (len(encoded.train.images), len(encoded.test.images), len(encoded.classes)) == (100_000, 10_000, 200)
    last = pq.ParquetFile(shared_data / "tiny_imagenet" / "train-00002-of-00003.parquet")
    rows = last.read_row_group(last.num_row_groups - 1).to_pylist()
    assert encoded.train.images[-len(rows) + 100_000 :] == [row["image"]["bytes"] for row in rows]
    assert list(encoded.train.labels[-len(rows) :]) == [row["label"] for row in rows]
    assert encoded.train.origin(99_999).startswith("train-00002-of-00003.parquet, row ")


@pytest.mark.parametrize("size", [(300, 200), (257, 511), (64, 64), (31, 90), (261, 256), (259, 256)])
def test_squares_are_those_of_torchvision(size: tuple[int, int]) -> None:
    image = picture(0, size=size)
    stored = square(image, 256)
    np.testing.assert_array_equal(stored, transforms.center_crop(transforms.resize(image, 256), 256))
    evaluated = np.asarray(stored)[16:240, 16:240]
    np.testing.assert_array_equal(evaluated, transforms.center_crop(transforms.resize(image, 256), 224))


def test_resized_crops_are_those_of_torchvision() -> None:
    pixels = torch.randint(256, (50, 32, 32, 3), dtype=torch.uint8, generator=generator(0, "test"))
    draws = torch.empty(5, 50, dtype=torch.int64)
    draw_boxes(draws[:4], ResizedCrop(), 32, generator(1, "test"))
    draws[4].random_(0, 2, generator=generator(2, "test"))
    crops = resized_crops(pixels, draws, 28)
    for image, (top, left, height, width, mirror), crop in zip(pixels, draws.T.tolist(), crops, strict=True):
        floats = image.permute(2, 0, 1).float()
        expected = transforms.resized_crop(floats, top, left, height, width, [28, 28], antialias=False)
        expected = transforms.hflip(expected) if mirror else expected
        assert (crop.permute(2, 0, 1).float() - expected).abs().max() <= 0.51  # rounded to whole values


def test_boxes_follow_the_law_of_torchvision() -> None:
    side, count = 256, 20_000
    boxes = torch.empty(4, count, dtype=torch.int64)
    draw_boxes(boxes, ResizedCrop(), side, generator(0, "test"))
    top, left, height, width = boxes
    assert bool(((top >= 0) & (left >= 0) & (top + height <= side) & (left + width <= side)).all())
    torch.manual_seed(0)
    image = torch.empty(3, side, side)
    theirs = torch.tensor([RandomResizedCrop.get_params(image, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(count)]).T
    for mine, other in (
        *zip(boxes.double(), theirs.double(), strict=True),
        ((height * width).double(), (theirs[2] * theirs[3]).double()),
    ):
        for q in (0.1, 0.5, 0.9):  # the standard error of a quantile here is below 1 % of the range
            assert abs(float(mine.quantile(q) - other.quantile(q))) < 0.03 * float(other.max() - other.min())


def test_every_place_of_a_box_is_as_likely_and_width_is_no_height() -> None:
    """A quarter of a 4 x 4 image, square: 2 x 2 at nine places; and boxes that are always wider than high."""
    boxes = torch.empty(4, 9_000, dtype=torch.int64)
    draw_boxes(boxes, ResizedCrop((0.25, 0.25), (1.0, 1.0)), 4, generator(0, "test"))
    counts = Counter(tuple(box) for box in boxes.T.tolist())
    assert set(counts) == {(top, left, 2, 2) for top in range(3) for left in range(3)}
    assert all(abs(count - 1000) < 5 * 1000**0.5 for count in counts.values())
    draw_boxes(boxes, ResizedCrop((0.1, 0.2), (2.0, 3.0)), 256, generator(0, "test"))
    assert bool((boxes[3] > 1.9 * boxes[2]).all())


def test_each_size_has_a_store_of_its_own(folder: Path) -> None:
    small, large = loaded(folder, 14), loaded(folder, 7)
    assert (small.image_shape, large.image_shape) == ((3, 14, 14), (3, 7, 7))
    again = loaded(folder, 14)
    assert torch.equal(again.train.pixels, small.train.pixels)
    image = Image.open(folder / "train" / "ant" / "000.png")
    expected = transforms.center_crop(transforms.resize(image, 8), 7)
    np.testing.assert_array_equal(large.train.pixels[0].numpy(), np.asarray(expected))


def test_training_batches_have_the_same_bits_from_any_step(folder: Path) -> None:
    data = loaded(folder)
    run = list(training_batches(data, batch_size=8, seed=3, last_step=12))
    assert [tuple(inputs.shape) for inputs, _ in run] == [(8, 3, 14, 14)] * 12
    for first in (1, 5, 11):  # five steps an epoch
        for (inputs, labels), (again, labels_again) in zip(
            run[first:], training_batches(data, batch_size=8, seed=3, first_step=first, last_step=12), strict=True
        ):
            assert torch.equal(inputs, again)
            assert torch.equal(labels, labels_again)
    epoch = torch.cat([labels for _, labels in run[:5]])
    assert sorted(epoch.tolist()) == sorted(data.train.labels.tolist())
    other = next(training_batches(data, batch_size=8, seed=4, last_step=1))
    assert not torch.equal(other[0], run[0][0])


def test_evaluation_and_statistics_take_the_middle_of_each_image(folder: Path) -> None:
    data = loaded(folder)
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (data.mean, data.std))
    inputs, labels = (torch.cat(parts) for parts in zip(*evaluation_batches(data.test, data, batch_size=4), strict=True))
    expected = (data.test.images / 255 - mean) / std
    torch.testing.assert_close(inputs, expected, rtol=0, atol=1e-5)
    assert torch.equal(labels, data.test.labels)
    every = {tuple(image.flatten().tolist()) for image in data.train.images}
    ((some, _), *_) = statistics_batches(data, batch_size=10, seed=0, images=10)
    back = ((some * std + mean) * 255).round().to(torch.uint8)
    assert {tuple(image.flatten().tolist()) for image in back} <= every


def test_ranks_read_their_shares_only(folder: Path) -> None:
    data = loaded(folder)
    whole = list(training_batches(data, batch_size=8, seed=3, last_step=4))
    parts = [list(training_batches(data, batch_size=8, seed=3, last_step=4, share=half)) for half in (slice(0, 4), slice(4, 8))]
    for (inputs, labels), (a, a_labels), (b, b_labels) in zip(whole, *parts, strict=True):
        assert torch.equal(inputs, torch.cat((a, b)))
        assert torch.equal(labels, torch.cat((a_labels, b_labels)))
    cut = [evaluation_batches(data.test, data, batch_size=4, share=part) for part in (slice(0, 3), slice(3, None))]
    together = torch.cat([inputs for part in cut for inputs, _ in part])
    assert torch.equal(together, torch.cat([inputs for inputs, _ in evaluation_batches(data.test, data)]))
    assert list(evaluation_batches(data.test, data, share=slice(2, 2))) == []


def test_statistics_and_parts_of_a_store(folder: Path) -> None:
    data = loaded(folder)
    assert isinstance(data.train, StoredSet)
    stored = data.train.read(torch.arange(40)).double() / 255
    assert data.mean == pytest.approx(stored.mean((0, 1, 2)).tolist())
    assert data.std == pytest.approx(stored.std((0, 1, 2), correction=0).tolist())
    part = subset(data, train_images=12, test_images=5)
    assert (len(part.train), len(part.test)) == (12, 5)
    assert part.train.labels.bincount().tolist() == [4, 4, 4]
    assert part.digest() != data.digest()
    tuning = with_validation(data, images=9)
    assert (len(tuning.train), len(tuning.test)) == (31, 9)
    pixels = torch.cat((tuning.train.pixels, tuning.test.pixels)).flatten(1).tolist()
    assert sorted(pixels) == sorted(data.train.pixels.flatten(1).tolist())


def test_crops_belong_to_stores_and_padding_to_memory(folder: Path) -> None:
    data = loaded(folder)
    with pytest.raises(WinsomeError, match="padded crops are for images in memory"):
        replace(data, augmentation=Augmentation(pad=2))
    with pytest.raises(WinsomeError, match="resized crops are for stored images"):
        replace(load("digits"), augmentation=Augmentation(crop=ResizedCrop()))
    for refused in ({"scale": (0.0, 1.0)}, {"scale": (0.5, 1.5)}, {"ratio": (2.0, 1.0)}):
        with pytest.raises(WinsomeError, match="of a crop"):
            ResizedCrop(**refused)


def test_mirror_images_alone(folder: Path) -> None:
    """Without crops, a training image is the middle of a stored one, or its mirror image; about half of each."""
    data = replace(loaded(folder), augmentation=Augmentation(flip=True))
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (data.mean, data.std))
    inputs = torch.cat([batch for batch, _ in training_batches(data, batch_size=40, seed=0, last_step=4)])
    seen = [tuple(image.flatten().tolist()) for image in ((inputs * std + mean) * 255).round().to(torch.uint8)]
    straight = {tuple(image.flatten().tolist()) for image in data.train.images}
    mirrored = {tuple(image.flip(2).flatten().tolist()) for image in data.train.images}
    assert set(seen) <= straight | mirrored
    assert 50 < sum(image in straight for image in seen) < 110  # of 160; a standard deviation is 6


def corrupt(folder: Path) -> list[str]:
    """Harm two images; their names."""
    files = [folder / "train" / "bee" / "001.png", folder / "train" / "cat" / "011.png"]
    files[0].write_bytes(files[0].read_bytes()[:200])
    files[1].write_bytes(b"no image")
    return [str(file) for file in files]


def test_a_corrupt_image_stops_with_its_name(folder: Path) -> None:
    names = corrupt(folder)
    with pytest.raises(WinsomeError, match=r"(001|011)\.png: not a readable image .*--on-corrupt skip") as caught:
        loaded(folder)
    assert any(name in str(caught.value) for name in names)


def test_a_corrupt_image_is_left_out_named_and_counted(folder: Path) -> None:
    names = corrupt(folder)
    said: list[str] = []
    data = loaded(folder, on_corrupt="skip", say=said.append)
    assert (len(data.train), len(data.test)) == (38, 10)
    assert isinstance(data.train, StoredSet)
    assert sorted(data.train.skipped) == sorted(names)
    assert any(line.startswith("left out 2 train images that cannot be decoded: ") and names[0] in line for line in said)
    assert data.train.labels.bincount().tolist() == [14, 12, 12]
    with pytest.raises(
        WinsomeError, match=r"2 train images that cannot be decoded, the first is .*--on-corrupt skip"
    ) as caught:
        loaded(folder)  # the store is there, but with images missing
    for name in names:  # the remedy that the message names: the times of folders do not show a file that is overwritten
        picture(5).save(name)
    place = re.search(r"delete (\S+),", str(caught.value))
    assert place is not None
    shutil.rmtree(place[1])
    assert len(loaded(folder).train) == 40


def test_a_line_of_pixels_does_not_fill_the_memory(folder: Path) -> None:
    """256 x 7,680,000 pixels once its shorter side is resized, which take 8 GB."""
    Image.new("RGB", (1, 30_000)).save(folder / "train" / "ant" / "line.png")
    with pytest.raises(WinsomeError, match=r"line\.png: not a readable image \(1x30000 pixels, whose shorter side"):
        loaded(folder, 224)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert len(loaded(folder, 224, on_corrupt="skip").train) == 40
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 20  # KiB


def test_a_corrupt_member_of_a_shard_is_named(tmp_path: Path) -> None:
    good = [(png(image), label) for image, label in zip(pictures(6), labels_for(6), strict=True)]
    write_shards(tmp_path / "shards", "train", [*good, (b"no image", 0)])
    write_shards(tmp_path / "shards", "val", good)
    with pytest.raises(WinsomeError, match=r"train-00000\.tar: 00006: not a readable image"):
        loaded(tmp_path / "shards")
    assert len(loaded(tmp_path / "shards", on_corrupt="skip").train) == 6


def test_a_missing_image_costs_itself_and_not_its_row_group(tmp_path: Path) -> None:
    rows: list[Any] = [{"bytes": png(image), "path": None} for image in pictures(30)]
    rows[17] = None
    rows[23] = {"bytes": None, "path": "a file that is not here.png"}
    table = pa.table({"image": rows, "label": labels_for(30)})
    pq.write_table(table, tmp_path / "train.parquet", row_group_size=10)
    write_parquet(tmp_path / "val.parquet", pictures(3), named=False)
    with pytest.raises(WinsomeError, match=r"train\.parquet, row (17|23): no image, neither"):
        loaded(tmp_path)
    data = loaded(tmp_path, on_corrupt="skip")
    assert len(data.train) == 28
    assert isinstance(data.train, StoredSet)
    assert data.train.skipped == ("train.parquet, row 17", "train.parquet, row 23")
    assert data.train.labels.tolist() == [label for row, label in enumerate(labels_for(30)) if row not in (17, 23)]


def test_a_row_group_that_cannot_be_read_is_left_out_by_name(tmp_path: Path) -> None:
    noise = [{"bytes": png(image), "path": None} for image in pictures(30)]
    table = pa.table({"image": noise, "label": labels_for(30)})
    pq.write_table(table, tmp_path / "train.parquet", row_group_size=10, use_dictionary=False, compression="gzip")
    write_parquet(tmp_path / "val.parquet", pictures(3), named=False)
    metadata = pq.ParquetFile(tmp_path / "train.parquet").metadata.row_group(1)
    column = next(metadata.column(i) for i in range(3) if metadata.column(i).path_in_schema == "image.bytes")
    with (tmp_path / "train.parquet").open("rb+") as file:
        file.seek(column.data_page_offset + column.total_compressed_size // 2)
        file.write(b"\xff" * 50)
    with pytest.raises(WinsomeError, match=r"train\.parquet: not a readable parquet file"):
        loaded(tmp_path)
    data = loaded(tmp_path, on_corrupt="skip")
    assert isinstance(data.train, StoredSet)
    assert data.train.skipped == tuple(f"train.parquet, row {row}" for row in range(10, 20))
    assert len(data.train) == 20


class Killed(BaseException):
    """Stands for the end of the process."""


@contextmanager
def opens(monkeypatch: pytest.MonkeyPatch, *, until: int = 10**9) -> Iterator[list[int]]:
    """Count the images that are opened for decoding, and die at one of them."""
    count = [0]
    lock = threading.Lock()
    original = opened

    def counted(*arguments: Any) -> Any:
        with lock:
            count[0] += 1
            if count[0] > until:
                raise Killed
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(image_store, "opened", counted)
        yield count


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK])  # Lustre mounted noflock; NFS without a lock daemon
def test_a_file_system_without_locks_is_said_and_the_store_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refused(*_: Any) -> None:
        raise OSError(code, os.strerror(code))

    write_pictures(tmp_path / "pictures", train=20)
    expected = loaded(tmp_path / "pictures", cache=tmp_path / "locked").digest()
    monkeypatch.setattr(fcntl, "flock", refused)
    said: list[str] = []
    assert loaded(tmp_path / "pictures", say=said.append).digest() == expected
    assert any("a file system without locks" in line and os.strerror(code) in line for line in said)


def test_a_second_process_waits_for_the_builder_and_then_finds_the_store(tmp_path: Path, cache: Path) -> None:
    write_pictures(tmp_path / "pictures", train=20)
    expected = loaded(tmp_path / "pictures", cache=tmp_path / "elsewhere").digest()
    name = next((tmp_path / "elsewhere" / "stores").glob("*.lock")).name
    (cache / "stores").mkdir(parents=True)
    waiting = threading.Event()

    def said(line: str) -> None:
        if "another process stores these images" in line:
            waiting.set()

    with (cache / "stores" / name).open("w") as held, ThreadPoolExecutor(1) as second:
        fcntl.flock(held, fcntl.LOCK_EX)
        result = second.submit(loaded, tmp_path / "pictures", say=said)
        assert waiting.wait(60)
        assert not (cache / "stores" / name).with_suffix("").exists()
        fcntl.flock(held, fcntl.LOCK_UN)
        assert result.result().digest() == expected


def test_a_cache_in_which_no_store_can_be_made_is_named(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", train=20)
    (tmp_path / "file").touch()
    with pytest.raises(WinsomeError, match=r"cannot make .*file/stores: Not a directory; point WINSOME_CACHE to a folder"):
        loaded(tmp_path / "pictures", cache=tmp_path / "file")


def test_an_interrupted_build_goes_on(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pictures(tmp_path / "pictures", train=200)
    with opens(monkeypatch, until=120), pytest.raises(Killed):
        loaded(tmp_path / "pictures")
    assert not list(cache.glob("stores/*/store.json"))
    said: list[str] = []
    with opens(monkeypatch) as count:
        resumed = loaded(tmp_path / "pictures", say=said.append)
    assert 10 < count[0] < 210
    assert f"train: {210 - count[0]:,} of 200 images are stored already; going on" in said
    with opens(monkeypatch) as count:
        assert loaded(tmp_path / "pictures").digest() == resumed.digest()
    assert count[0] == 0
    shutil.rmtree(cache)
    fresh = loaded(tmp_path / "pictures")
    assert fresh.digest() == resumed.digest()
    assert torch.equal(fresh.train.pixels, resumed.train.pixels)


def test_a_disk_that_fills_up_leaves_nothing_marked_that_is_not_there(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pictures(tmp_path / "pictures", train=200)
    with opens(monkeypatch, until=20), pytest.raises(Killed):
        loaded(tmp_path / "pictures")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (100_000, hard)
    )  # in the middle of 16 images; a write that crosses it is cut short
    try:
        with pytest.raises(WinsomeError, match=r"cannot write .*train\.pixels: File too large; free space.*stays"):
            loaded(tmp_path / "pictures")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(cache.glob("stores/*/store.json"))
    train = loaded(tmp_path / "pictures").train
    assert isinstance(train, StoredSet)
    for row, place in enumerate(train.facts["digest"]):
        pixels = train.read(torch.tensor([row])).numpy()
        assert hashlib.sha256(pixels.data).digest()[:16] == place.tobytes()


BUILD = """
import sys
from pathlib import Path
from winsome.data import image_store, load
image_store._ROWS_AT_ONCE = 16
load("imagenet", data_dir=Path(sys.argv[1]), image_size=112)
"""


@pytest.mark.slow
def test_a_killed_build_goes_on_to_the_same_bits(tmp_path: Path, cache: Path) -> None:
    write_pictures(tmp_path / "pictures", train=2000, size=(300, 200))
    process = subprocess.Popen([sys.executable, "-c", BUILD, str(tmp_path / "pictures")])
    stored = 0
    while stored < 100:
        assert process.poll() is None, "the build ended before it was killed"
        time.sleep(0.01)
        for file in cache.glob("stores/*.unfinished/train.facts"):
            stored = int((np.fromfile(file, FACTS)["state"] == STORED).sum())
    process.send_signal(signal.SIGKILL)
    process.wait()
    with_kill = loaded(tmp_path / "pictures", 112)
    assert len(with_kill.train) == 2000
    assert isinstance(with_kill.train, StoredSet)
    for row, place in enumerate(with_kill.train.facts["digest"]):  # what is marked as stored is what lies in the file
        pixels = with_kill.train.read(torch.tensor([row])).numpy()
        assert hashlib.sha256(pixels.data).digest()[:16] == place.tobytes()
    digest = with_kill.digest()
    shutil.rmtree(cache)
    assert loaded(tmp_path / "pictures", 112).digest() == digest


def test_the_digest_is_that_of_the_pixels_and_labels(folder: Path) -> None:
    data = loaded(folder)
    file = folder / "train" / "ant" / "000.png"
    harmed = np.asarray(Image.open(file)).copy()
    harmed[9, 9] ^= 255
    Image.fromarray(harmed).save(file)
    (folder / "train" / "ant" / "new").touch()  # the folder's time of change
    (folder / "train" / "ant" / "new").unlink()
    assert loaded(folder).digest() != data.digest()


def test_one_of_two_builders_waits(folder: Path) -> None:
    read: list[int] = []
    plan = StoreSpec.for_images_of(14)
    source = load_source(folder, read)
    with ThreadPoolExecutor(2) as threads:
        calls = [threads.submit(image_store.image_store, "two", "key", source, plan, folder=folder / "c") for _ in range(2)]
        first, second = (call.result() for call in calls)
    assert len(read) == 1
    assert torch.equal(first[0].pixels, second[0].pixels)


def load_source(folder: Path, read: list[int]) -> Any:
    from winsome.data.folders import read_folder

    def source() -> Any:
        read.append(1)
        return read_folder(folder, say=lambda _: None)

    return source


def test_a_disk_that_is_too_small_is_refused_before_work(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(folder)._replace(free=20_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with opens(monkeypatch) as count, pytest.raises(WinsomeError, match=r"store of 50 images .* needs .* GB .*WINSOME_CACHE"):
        loaded(folder)
    assert count[0] == 0
    del cache


def test_room_is_counted_to_the_byte_and_what_is_stored_counts(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = 50 * (16 * 16 * 3 + FACTS.itemsize + 8)
    usage = shutil.disk_usage(folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=needed - 1))
    with pytest.raises(WinsomeError, match="store of 50 images"):
        loaded(folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=needed))
    with opens(monkeypatch, until=45), pytest.raises(Killed):
        loaded(folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=needed // 3))
    assert len(loaded(folder).train) == 40, "most of it lies on the disk already"
    del cache


def test_what_was_left_out_stops_a_build_that_goes_on_without_that_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pictures(tmp_path / "pictures", train=100)
    names = corrupt(tmp_path / "pictures")
    with opens(monkeypatch, until=105), pytest.raises(Killed):
        loaded(tmp_path / "pictures", on_corrupt="skip")
    with pytest.raises(WinsomeError, match=r"\.png: not a readable image"):
        loaded(tmp_path / "pictures")
    for name in names:
        picture(5, size=(20, 18)).save(name)
    assert len(loaded(tmp_path / "pictures").train) == 100, "an image that was repaired is decoded again"


def test_labels_are_part_of_the_digest(folder: Path) -> None:
    data = loaded(folder)
    assert isinstance(data.train, StoredSet)
    assert replace(data, train=replace(data.train, labels=data.train.labels.flip(0))).digest() != data.digest()


def test_a_store_that_was_cut_short_says_so(folder: Path, cache: Path) -> None:
    data = loaded(folder)
    with (store_of(cache) / "train.pixels").open("rb+") as file:
        file.truncate(1000)
    with pytest.raises(WinsomeError, match=r"train\.pixels ends before image .*delete its folder"):
        list(training_batches(data, batch_size=8, seed=0, last_step=5))


def test_the_hub_is_read_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {
        name: dataset(pictures(n, seed=seed, size=20), labels_for(n), image="image")
        for name, n, seed in (("train", 30, 0), ("validation", 9, 1), ("test", 6, 2))
    }
    monkeypatch.setattr(datasets, "load_dataset", lambda _: datasets.DatasetDict(parts))
    data = load("imagenet", image_size=14)
    assert (len(data.train), len(data.test), data.classes) == (30, 9, CLASSES)
    assert data.train.labels.tolist() == labels_for(30)
    expected = transforms.center_crop(transforms.resize(pictures(9, seed=1, size=20)[4], 16), 14)
    np.testing.assert_array_equal(data.test.pixels[4].numpy(), np.asarray(expected))


def test_a_gated_set_says_how_to_log_in(monkeypatch: pytest.MonkeyPatch) -> None:
    def gated(hub_id: str) -> Any:
        raise RuntimeError(f"Dataset '{hub_id}' is a gated dataset on the Hub. You must be authenticated to access it.")

    monkeypatch.setattr(datasets, "load_dataset", gated)
    with pytest.raises(WinsomeError, match=r"accept its terms at https://huggingface.co/datasets/ILSVRC/imagenet-1k, log in"):
        load("imagenet")


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ({"a.jpg": b"x"}, "a has an image member but no .cls member"),
        ({"a.cls": b"1"}, "a has an .cls member but no image member"),
        ({"a.jpg": b"x", "a.cls": b"cat"}, "a.cls holds b'cat'; a label is a number, counted from 0"),
    ],
)
def test_shards_that_are_none_are_refused(tmp_path: Path, members: dict[str, bytes], sentence: str) -> None:
    with tarfile.open(tmp_path / "train-0.tar", "w") as shard:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            shard.addfile(member, io.BytesIO(content))
    with pytest.raises(WinsomeError, match=sentence):
        loaded(tmp_path)


def test_shards_without_a_test_split_are_refused(tmp_path: Path) -> None:
    write_shards(tmp_path / "shards", "train", [(png(picture(0)), 0), (png(picture(1)), 1)])
    with pytest.raises(WinsomeError, match=r"no shards with val or test in their names to test on; found train-00000\.tar"):
        loaded(tmp_path / "shards")


def few(count: int, *, seed: int = 0) -> Encoded:
    return [(png(image), label) for image, label in zip(pictures(count, seed=seed), labels_for(count), strict=True)]


@pytest.mark.parametrize(
    ("train", "test", "neither"),
    [
        ("retrieval-train", "retrieval-test", None),
        ("retrieval-train", "retrieval-val", "retrieval-test"),
        ("imagenet-train", "imagenet-validation", "imagenet-test"),
        ("imagenettrain", "imagenetval", None),
        ("train_val", "test", None),
    ],
)
def test_a_shard_trains_or_tests_by_its_name(tmp_path: Path, train: str, test: str, neither: str | None) -> None:
    write_shards(tmp_path / "shards", train, few(9))
    write_shards(tmp_path / "shards", test, few(6, seed=1))
    if neither is not None:
        write_shards(tmp_path / "shards", neither, few(3, seed=2))
    data = loaded(tmp_path / "shards")
    assert (len(data.train), len(data.test)) == (9, 6)


def test_what_trains_never_tests(tmp_path: Path) -> None:
    write_shards(tmp_path / "shards", "trainval", few(9))
    with pytest.raises(WinsomeError, match=r"no shards with val or test in their names to test on; found trainval-00000\.tar"):
        loaded(tmp_path / "shards")


def test_keys_with_dots_are_refused_and_further_views_are_left_alone(tmp_path: Path) -> None:
    """By the format's rules a key ends at its first dot, so that 0.v2.jpg is the part v2.jpg of the sample 0."""
    write_shards(tmp_path, "val", few(3))
    write_shards(tmp_path, "train", few(3))
    with tarfile.open(tmp_path / "train-00001.tar", "w") as shard:
        for name, content in (("7.jpg", png(picture(7))), ("7.cls", b"1"), ("7.left.jpg", png(picture(8)))):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            shard.addfile(member, io.BytesIO(content))
    assert len(loaded(tmp_path).train) == 4
    with tarfile.open(tmp_path / "train-00002.tar", "w") as shard:
        for name, content in (("8.v2.jpg", png(picture(7))), ("8.v2.cls", b"1")):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            shard.addfile(member, io.BytesIO(content))
    with pytest.raises(WinsomeError, match=r"train-00002\.tar: 8\.v2\.jpg has a second dot in its name"):
        loaded(tmp_path)


@pytest.mark.parametrize("other", ["val.parquet", "train-1.parquet"])
@pytest.mark.parametrize("name", ["imagenet", "mine"])
def test_files_that_name_other_classes_are_refused(tmp_path: Path, other: str, name: str) -> None:
    for file in ("train-0.parquet", "train-1.parquet", "val.parquet"):
        classes = CLASSES[::-1] if file == other else CLASSES
        kind = datasets.ClassLabel(names=list(classes))
        dataset(pictures(6), labels_for(6), image="image").cast_column("label", kind).to_parquet(tmp_path / file)
    with pytest.raises(WinsomeError, match=r"name different classes; their labels do not match"):
        loaded(tmp_path) if name == "imagenet" else load(str(tmp_path))


def test_on_corrupt_is_for_stores(tmp_path: Path) -> None:
    write_parquet(tmp_path / "p" / "train.parquet", pictures(6))
    write_parquet(tmp_path / "p" / "test.parquet", pictures(3))
    with pytest.raises(WinsomeError, match="on_corrupt is for imagenet"):
        load(str(tmp_path / "p"), on_corrupt="skip")


def test_a_search_trains_from_a_store_to_the_same_bits(folder: Path, tmp_path: Path) -> None:
    from winsome.cli import main

    def searched(name: str) -> dict[str, Any]:
        place = tmp_path / name
        options = "--image-size 14 --network resnet8 --levels 1 --level-epochs 1 --warmup-epochs 0 --batch-size 16 --no-fast"
        main(["find", "imagenet", "--data-dir", str(folder), "--save-to", str(place), *options.split()])
        level = json.loads((place / "level-01.json").read_text())
        return {"mask": (place / "level-01.ticket").read_bytes()[-200:], "metrics": level["metrics"]}

    assert searched("first") == searched("second")


def test_what_was_found_on_a_store_with_gaps_is_planted_and_joined_on_it(folder: Path, tmp_path: Path) -> None:
    from winsome.cli import main

    corrupt(folder)
    run, data = str(tmp_path / "run"), ["--data-dir", str(folder), "--on-corrupt", "skip"]
    small = "--image-size 14 --network resnet8 --levels 1 --level-epochs 1 --warmup-epochs 0 --batch-size 16 --no-fast"
    main(["find", "imagenet", *data, "--save-to", run, *small.split()])
    main(["plant", f"{run}/level-01.ticket", *data, "--epochs", "1", "--batch-size", "16", "--no-fast"])
    assert list((tmp_path / "run").glob("level-01-planted-signs/*.safetensors"))
    main(["barrier", f"{run}:0", f"{run}:1", *data, *["--masks", "union", "--points", "3", "--statistics", "none"]])


@pytest.mark.parametrize(
    ("network", "optimizer", "batch_size"),
    [
        ("resnet50", Adam(1e-3, 1e-5), 256),
        ("mobilenet_v2", SGD(0.05, 0.9, 5e-5), 256),
        ("mlp_mixer", Adam(1e-3, 5e-5), 512),
    ],
)
def test_the_preset_is_the_papers(network: str, optimizer: SGD | Adam, batch_size: int) -> None:
    study = presets.imagenet(network)
    assert (study.data.name, study.network.name, study.levels) == ("imagenet", network, (10,))
    assert [study.level_training("lrr", number).epochs for number in range(11)] == [25, *[5] * 10]
    assert study.densities == pytest.approx([0.8**10])
    for training in (study.search_training, study.training):
        assert (training.optimizer, training.batch_size) == (optimizer, batch_size)
    assert study.training.schedule == Cosine(1e-3)
    steps = 1000
    assert study.training.rate(100 * steps - 1, steps) == pytest.approx(optimizer.learning_rate / 1000, rel=0.01)
    assert study.search_training.rate(3, steps) == optimizer.learning_rate

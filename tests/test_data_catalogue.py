"""The named data sets, the Hub (faked by real `datasets` objects), the cache, and the real CIFAR-10 where it is present."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from image_files import CLASSES, dataset, labels_for, pictures, pixels_of, write_folder, write_parquet
from winsome.citation import CITATIONS
from winsome.data import DATA_SETS, load, training_batches
from winsome.data.images import Augmentation
from winsome.errors import WinsomeError

# The columns of each set on the Hub: image, label, name of the test split, size of an image.
ON_HUB = {
    "uoft-cs/cifar10": ("img", "label", "test", 32),
    "uoft-cs/cifar100": ("img", "fine_label", "test", 32),
    "zh-plus/tiny-imagenet": ("image", "label", "valid", 64),
}


def fake_hub(hub_id: str) -> datasets.DatasetDict:
    image, label, test_split, size = ON_HUB[hub_id]

    def split(n_images: int, seed: int) -> datasets.Dataset:
        return dataset(pictures(n_images, seed=seed, size=size), labels_for(n_images), image=image, label=label)

    return datasets.DatasetDict({"train": split(30, 0), test_split: split(9, 1)})


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own, and a Hub that needs no network."""
    monkeypatch.setenv("WINSOME_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets, "load_dataset", fake_hub)
    return tmp_path / "cache"


@pytest.mark.parametrize("name", DATA_SETS)
def test_every_named_set_says_what_it_is(name: str) -> None:
    member = DATA_SETS[name]
    assert member.description
    assert "\n" not in member.description
    assert member.citations
    assert set(member.citations) <= CITATIONS.keys()
    assert member.image_shape is not None
    assert member.n_classes is not None
    assert member.train_images is not None
    channels, height, width = member.image_shape
    assert f"{'colour' if channels == 3 else 'grey'}" in member.description
    assert f"{member.n_classes:,} classes" in member.description
    assert member.train_images > member.n_classes
    assert len({other.key for other in DATA_SETS.values()}) == len(DATA_SETS)
    if not member.stored:
        assert f"{width}x{height} " in member.description
        assert load(name).image_shape == member.image_shape
    if name == "digits":  # the others are not at hand here
        assert (load(name).n_classes, len(load(name).train)) == (member.n_classes, member.train_images)


@pytest.mark.parametrize("name", [name for name in DATA_SETS if not DATA_SETS[name].stored])
def test_every_named_set_keeps_the_contract(name: str) -> None:
    said: list[str] = []
    data = load(name, say=said.append)
    assert data.name == name
    for split in (data.train, data.test):
        assert split.images.dtype == torch.uint8
        assert set(split.labels.tolist()) <= set(range(data.n_classes))
    assert (data.train.labels.bincount(minlength=data.n_classes) > 0).all()
    values = data.train.images.double() / 255
    assert data.mean == pytest.approx(values.mean((0, 2, 3)).tolist())
    assert data.std == pytest.approx(values.std((0, 2, 3), correction=0).tolist())
    assert data.augmentation == Augmentation(pad=data.image_shape[1] // 8, flip=name != "digits")
    again = load(name, say=said.append)
    assert torch.equal(again.train.images, data.train.images)
    assert sum("decoded" in line for line in said) == (name != "digits")
    ((inputs, labels),) = training_batches(data, batch_size=16, seed=0, last_step=1)
    assert (inputs.shape, labels.shape) == ((16, *data.image_shape), (16,))


@pytest.mark.parametrize("name", [name for name in DATA_SETS if name != "digits" and not DATA_SETS[name].stored])
def test_a_hub_set_has_the_hubs_images_labels_and_names(name: str) -> None:
    data = load(name)
    size = data.image_shape[1]
    np.testing.assert_array_equal(data.train.pixels.numpy(), pixels_of(pictures(30, size=size)))
    np.testing.assert_array_equal(data.test.pixels.numpy(), pixels_of(pictures(9, seed=1, size=size)))
    assert data.test.labels.tolist() == labels_for(9)
    assert data.classes == CLASSES


def test_digits_are_scikit_learns_without_loss_in_a_fixed_split() -> None:
    data = load("digits")
    assert (len(data.train), len(data.test)) == (1297, 500)
    counts, digit = load_digits(return_X_y=True)
    mine = torch.cat((data.train.pixels, data.test.pixels)).view(1797, 64).double() / 15
    labels = torch.cat((data.train.labels, data.test.labels))
    assert sorted(torch.cat((mine, labels[:, None]), 1).tolist()) == sorted(np.c_[counts, digit].tolist())
    shares = data.test.labels.bincount() - torch.from_numpy(np.bincount(digit)) * 500 / 1797
    assert shares.abs().max() < 1
    # Written down from the first version: results on digits are compared across versions.
    assert hashlib.sha256(data.test.pixels.numpy().tobytes()).hexdigest().startswith("56d526e4dbe9c809b73d2b0331a1dae8")


def test_a_named_set_can_be_read_from_a_folder(tmp_path: Path) -> None:
    train, test = pictures(6, size=32), pictures(3, seed=1, size=32)
    write_parquet(tmp_path / "mine" / "train.parquet", train)
    write_parquet(tmp_path / "mine" / "test.parquet", test)
    data = load("cifar10", data_dir=tmp_path / "mine")
    assert data.name == "cifar10"
    np.testing.assert_array_equal(data.train.pixels.numpy(), pixels_of(train))
    assert load("cifar10", data_dir=tmp_path / "mine", image_size=16).image_shape == (3, 16, 16)
    assert load("cifar10", data_dir=tmp_path / "mine").image_shape == (3, 32, 32)


@pytest.mark.parametrize("failure", [ConnectionError("no route to host\nmore"), RuntimeError("offline"), OSError("gone")])
def test_an_unreachable_hub_names_the_way_out(failure: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(_: str) -> Any:
        raise failure

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    with pytest.raises(WinsomeError, match=r"cannot load uoft-cs/cifar10 .*pass data_dir \(--data-dir\)") as caught:
        load("cifar10")
    assert caught.value.__cause__ is failure


def test_a_hub_set_without_a_test_split_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    only_train = datasets.DatasetDict({"train": dataset(pictures(3), labels_for(3))})
    monkeypatch.setattr(datasets, "load_dataset", lambda _: only_train)
    with pytest.raises(WinsomeError, match=r"needs the split train and one of test, .*; it has train"):
        load("cifar10")


def test_unknown_names_get_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(WinsomeError, match=r"unknown data set 'cifar1'; did you mean .*cifar10"):
        load("cifar1")
    with pytest.raises(WinsomeError, match="unknown data set 'cifar1'"):
        load("cifar1", data_dir=tmp_path)
    with pytest.raises(WinsomeError, match=r"no folder .*absent"):
        load("cifar10", data_dir=tmp_path / "absent")
    with pytest.raises(WinsomeError, match="digits comes with scikit-learn"):
        load("digits", data_dir=tmp_path)
    with pytest.raises(WinsomeError, match="digits comes decoded and cannot be resized"):
        load("digits", image_size=16)


def test_decoded_images_are_kept_until_the_files_change(tmp_path: Path, cache: Path) -> None:
    folder = tmp_path / "pictures"
    said: list[str] = []
    write_folder(folder / "train", pictures(6))
    write_folder(folder / "test", pictures(3))
    first = load(str(folder), say=said.append)
    assert sum("decoded" in line for line in said) == 1
    assert len(list(cache.rglob("*"))) == 2  # the folder images/ and one file in it: nothing unfinished is left behind
    assert torch.equal(load(str(folder), say=said.append).train.images, first.train.images)
    assert sum("decoded" in line for line in said) == 1
    pictures(1, seed=5)[0].save(folder / "train" / "ant" / "new.png")
    assert len(load(str(folder), say=said.append).train) == 7
    assert len(load(str(folder), cache=tmp_path / "elsewhere", say=said.append).train) == 7
    assert sum("decoded" in line for line in said) == 3


@pytest.mark.parametrize("harm", ["truncated", "empty", "foreign"])
def test_a_damaged_cache_is_made_anew(harm: str, cache: Path) -> None:
    said: list[str] = []
    first = load("cifar10").train.images.clone()
    (file,) = (cache / "images").iterdir()
    whole = file.read_bytes()
    file.unlink()
    file.write_bytes({"truncated": whole[: len(whole) // 2], "empty": b"", "foreign": b"\x08" + b"\0" * 7 + b"{}      "}[harm])
    assert torch.equal(load("cifar10", say=said.append).train.images, first)
    assert "is damaged" in said[0]
    assert file.read_bytes() == whole


def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path: Path) -> None:
    said: list[str] = []
    (tmp_path / "file").write_text("not a folder")
    data = load("cifar10", cache=tmp_path / "file", say=said.append)
    assert len(data.train) == 30
    assert any("cannot keep the decoded images" in line for line in said)


def test_without_a_home_directory_data_sets_are_read_and_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")  # as pathlib says it for a user number without an entry

    expected = load("digits")
    monkeypatch.delenv("WINSOME_CACHE")
    monkeypatch.setattr(Path, "home", nowhere)
    said: list[str] = []
    assert load("digits", say=said.append).digest() == expected.digest()
    assert "no home directory: decoded images are kept nowhere; WINSOME_CACHE=FOLDER names a place" in said[0]
    with pytest.raises(WinsomeError, match="imagenet is stored on disk, and there is no home directory; WINSOME_CACHE=FOLDER"):
        load("imagenet")


def test_real_cifar10(shared_data: Path) -> None:
    data = load("cifar10", data_dir=shared_data / "cifar10")
    assert data.classes == ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    assert data.train.labels.bincount().tolist() == [5000] * 10
    assert data.test.labels.bincount().tolist() == [1000] * 10
    known = DATA_SETS["cifar10"]
    assert (data.image_shape, data.n_classes, len(data.train)) == (known.image_shape, known.n_classes, known.train_images)
    # The constants that everyone copies; these files are JPEGs, a little smoother than the originals.
    assert data.mean == pytest.approx((0.4914, 0.4822, 0.4465), abs=5e-4)
    assert data.std == pytest.approx((0.2470, 0.2435, 0.2616), abs=4e-3)
    rows = pq.read_table(shared_data / "cifar10" / "test.parquet").slice(9_000, 20).to_pylist()
    for row, stored in enumerate(rows, start=9_000):
        expected = np.asarray(Image.open(io.BytesIO(stored["img"]["bytes"])).convert("RGB"))
        np.testing.assert_array_equal(data.test.pixels[row].numpy(), expected)
        assert int(data.test.labels[row]) == stored["label"]


def test_real_tiny_imagenet_with_grey_images(shared_data: Path, tmp_path: Path) -> None:
    valid = shared_data / "tiny_imagenet" / "valid.parquet"
    (tmp_path / "tiny").mkdir()
    for name in ("train.parquet", "valid.parquet"):  # the train files take too long for a test
        (tmp_path / "tiny" / name).symlink_to(valid)
    data = load("tiny_imagenet", data_dir=tmp_path / "tiny")
    assert data.image_shape == (3, 64, 64)
    assert data.n_classes == 200
    assert data.test.labels.bincount().tolist() == [50] * 200
    encoded = pq.read_table(valid)["image"].combine_chunks().field("bytes").to_pylist()
    grey = torch.tensor([Image.open(io.BytesIO(image)).mode == "L" for image in encoded])
    assert 0 < int(grey.sum()) < 1000
    channels = data.test.pixels[grey]
    assert torch.equal(channels, channels[..., :1].expand_as(channels))

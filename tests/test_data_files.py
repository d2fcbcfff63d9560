"""Image sets of one's own: parquet files and folders of images, as they should be and as they should not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder

from image_files import CLASSES, dataset, labels_for, picture, pictures, pixels_of, png, write_folder, write_parquet
from winsome.data import load
from winsome.data.folders import image_files
from winsome.data.images import Augmentation, ImageData
from winsome.errors import WinsomeError


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINSOME_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "pictures"
    place.mkdir()
    return place


def loaded(folder: Path, **options: Any) -> ImageData:
    return load(str(folder), **options)


def assert_holds(data: ImageData, train: list[Image.Image], test: list[Image.Image]) -> None:
    for split, images in ((data.train, train), (data.test, test)):
        np.testing.assert_array_equal(split.pixels.numpy(), pixels_of(images))
        assert split.labels.tolist() == labels_for(len(images))


@pytest.mark.parametrize("label", ["label", "labels", "fine_label"])
@pytest.mark.parametrize("image", ["img", "image"])
@pytest.mark.parametrize("test_file", ["test.parquet", "valid.parquet", "validation-00000-of-00001.parquet"])
def test_parquet_files_are_read_as_they_are(folder: Path, image: str, label: str, test_file: str) -> None:
    train, test = pictures(600), pictures(5, seed=1)
    write_parquet(folder / "train-00000-of-00002.parquet", train[:300], image=image, label=label)
    write_parquet(folder / "train-00001-of-00002.parquet", train[300:], image=image, label=label)
    write_parquet(folder / test_file, test, image=image, label=label)
    data = loaded(folder)
    assert_holds(data, train, test)
    assert data.classes == CLASSES
    assert data.name == "pictures"
    assert data.augmentation == Augmentation(pad=1, flip=True)


def test_parquet_files_may_lie_one_folder_down_and_name_no_classes(folder: Path) -> None:
    train, test = pictures(6), pictures(3, seed=1)
    write_parquet(folder / "data" / "train.parquet", train, named=False)
    write_parquet(folder / "data" / "test.parquet", test, named=False)
    data = loaded(folder)
    assert_holds(data, train, test)
    assert data.classes == ("0", "1", "2")


def test_grey_images_stay_grey_unless_one_has_colour(folder: Path) -> None:
    grey, test = pictures(6, mode="L"), pictures(3, seed=1, mode="L")
    write_parquet(folder / "train.parquet", grey)
    write_parquet(folder / "test.parquet", test)
    assert_holds(loaded(folder), grey, test)
    coloured = [*test[:2], picture(9)]
    write_parquet(folder / "test.parquet", coloured)
    assert_holds(loaded(folder), [image.convert("RGB") for image in grey], [image.convert("RGB") for image in coloured])


@pytest.mark.parametrize("mode", ["P", "RGBA", "CMYK", "1", "LA"])
def test_other_modes_become_rgb_or_grey(folder: Path, mode: str) -> None:
    ending = ".tif" if mode == "CMYK" else ".png"
    converted: list[Image.Image] = []
    for split in ("train", "test"):
        for name in CLASSES:
            file = folder / split / name / f"only{ending}"
            file.parent.mkdir(parents=True)
            picture(len(converted)).convert(mode).save(file)
            converted.append(Image.open(file).convert("L" if mode in {"1", "LA"} else "RGB"))
    assert_holds(loaded(folder), converted[:3], converted[3:])


@pytest.mark.parametrize("test_folder", ["test", "val", "valid", "validation"])
def test_a_folder_of_images(folder: Path, test_folder: str) -> None:
    train, test = pictures(9), pictures(6, seed=1)
    write_folder(folder / "train", train)
    write_folder(folder / test_folder, test)
    (folder / "train" / "notes.txt").write_text("no image")
    (folder / "train" / ".trash").mkdir()
    (folder / "train" / ".trash" / "old.png").write_bytes(b"no image either")
    data = loaded(folder)
    # Files are read class by class.
    in_order = [train[number] for label in range(3) for number in range(label, 9, 3)]
    np.testing.assert_array_equal(data.train.pixels.numpy(), pixels_of(in_order))
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert data.test.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert data.classes == CLASSES


@pytest.mark.parametrize("name", ["mine", "imagenet"])
def test_linked_folders_are_folders(folder: Path, name: str) -> None:
    """A subset of a large set is made of links to its classes; `torchvision` and `os.walk(followlinks=True)` see them too."""
    write_folder(folder.parent / "elsewhere" / "train", pictures(9, size=16))
    write_folder(folder / "all", pictures(6, seed=1, size=16))
    (folder / "val").symlink_to(folder / "all")
    (folder / "train").mkdir()
    for label in CLASSES:
        (folder / "train" / label).symlink_to(folder.parent / "elsewhere" / "train" / label)

    def found() -> ImageData:
        return loaded(folder) if name == "mine" else load("imagenet", data_dir=folder, image_size=14)

    data = found()
    assert (len(data.train), len(data.test), data.classes) == (9, 6, CLASSES)
    assert [Path(path).name for path, _ in ImageFolder(str(folder / "train")).samples] == [
        file.name for file in image_files(folder / "train")
    ]
    picture(7, size=16).save(folder.parent / "elsewhere" / "train" / "ant" / "new.png")
    assert len(found().train) == 10, "what is behind a link is part of what the cache asks for"


def test_links_that_lead_back_or_nowhere_are_named(folder: Path) -> None:
    write_folder(folder / "train", pictures(6, size=16))
    write_folder(folder / "val", pictures(6, size=16))
    (folder / "train" / "ant" / "lost.png").symlink_to(folder / "absent.png")
    with pytest.raises(WinsomeError, match=r"ant/lost\.png: cannot be read \(No such file or directory\)"):
        loaded(folder)
    with pytest.raises(WinsomeError, match=r"ant/lost\.png: not a readable image"):
        load("imagenet", data_dir=folder, image_size=14)
    assert len(load("imagenet", data_dir=folder, image_size=14, on_corrupt="skip").train) == 6
    (folder / "train" / "ant" / "lost.png").unlink()
    (folder / "train" / "ant" / "more").symlink_to(folder / "train")
    for name, where in ((str(folder), None), ("imagenet", folder)):
        with pytest.raises(WinsomeError, match=r"train/ant/more leads back to a folder that holds it"):
            load(name, data_dir=where)


def test_a_store_sees_images_added_deep_below_a_class(folder: Path) -> None:
    """Tiny-ImageNet's own archive has train/CLASS/images/…: the time of CLASS does not change with what is added there."""
    for split in ("train", "val"):
        for number, image in enumerate(pictures(6, size=16)):
            file = folder / split / CLASSES[number % 3] / "images" / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            image.save(file)
    assert len(load("imagenet", data_dir=folder, image_size=14).train) == 6
    picture(7, size=16).save(folder / "train" / "ant" / "images" / "new.png")
    assert len(load("imagenet", data_dir=folder, image_size=14).train) == 7


def test_the_test_part_may_lack_a_class_and_keeps_the_numbers(folder: Path) -> None:
    write_folder(folder / "train", pictures(6))
    write_folder(folder / "test", pictures(4), classes=("cat", "bee"))
    assert sorted(loaded(folder).test.labels.tolist()) == [1, 1, 2, 2]


def test_a_folder_without_parts_is_split_once_and_for_all(folder: Path) -> None:
    images = pictures(30)
    said: list[str] = []
    write_folder(folder, images)
    data = loaded(folder, say=said.append)
    assert any("a fixed fifth of each class is the test split" in line for line in said)
    assert data.train.labels.bincount().tolist() == [8, 8, 8]
    assert data.test.labels.bincount().tolist() == [2, 2, 2]
    both = np.concatenate((data.train.pixels.numpy(), data.test.pixels.numpy())).reshape(30, -1)
    assert sorted(both.tolist()) == sorted(pixels_of(images).reshape(30, -1).tolist())
    again = loaded(folder, cache=folder.parent / "another")
    np.testing.assert_array_equal(again.test.pixels.numpy(), data.test.pixels.numpy())


def test_images_are_brought_to_one_size_from_their_middle(folder: Path) -> None:
    for split in ("train", "test"):
        for name, left, size in (("ant", 10, (30, 10)), ("bee", 0, (10, 10))):
            file = folder / split / name / "only.png"
            file.parent.mkdir(parents=True)
            image = Image.new("RGB", size, (0, 0, 0))
            image.paste((200, 100, 50), (left, 0, left + 10, 10))
            image.save(file)
    data = loaded(folder, image_size=5)
    assert data.image_shape == (3, 5, 5)
    assert data.augmentation.pad == 0
    expected = np.broadcast_to(np.array([200, 100, 50], dtype=np.uint8), (2, 5, 5, 3))
    np.testing.assert_array_equal(data.train.pixels.numpy()[:, :, 1:4], expected[:, :, 1:4])
    np.testing.assert_array_equal(data.train.pixels.numpy()[1], expected[1])


def test_different_sizes_are_refused_by_name(folder: Path) -> None:
    write_folder(folder / "train", pictures(3))
    write_folder(folder / "test", [*pictures(2), picture(7, size=(9, 8))])
    with pytest.raises(WinsomeError, match=r"cat/002.png: 9x8 pixels, the first image has 8x8; give image_size"):
        loaded(folder)
    assert loaded(folder, image_size=8).image_shape == (3, 8, 8)
    with pytest.raises(WinsomeError, match="image_size must be 1 or more"):
        loaded(folder, image_size=0)


def test_an_undecodable_image_is_named_with_file_and_row(folder: Path) -> None:
    files = [png(image) for image in pictures(5)]
    whole = [{"bytes": file, "path": None} for file in files]
    write_parquet(folder / "test.parquet", whole)
    write_parquet(folder / "train-0.parquet", whole)
    write_parquet(folder / "train-1.parquet", [*whole[:3], {"bytes": files[3][:60], "path": None}, whole[4]])
    with pytest.raises(WinsomeError, match=r"train-1.parquet, row 3: not a readable image"):
        loaded(folder)


def test_a_damaged_file_in_a_folder_is_named(folder: Path) -> None:
    write_folder(folder / "train", pictures(3))
    write_folder(folder / "test", pictures(3))
    (folder / "train" / "bee" / "001.png").write_bytes(b"not an image")
    with pytest.raises(WinsomeError, match=r"bee/001.png: not a readable image"):
        loaded(folder)
    Image.fromarray(np.zeros((8, 8), dtype=np.uint16)).save(folder / "train" / "bee" / "001.png")
    with pytest.raises(WinsomeError, match=r"bee/001.png: more than 8 bits"):
        loaded(folder)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["test.parquet"], r"no train file; looked for train\*.parquet, found test.parquet"),
        (["train.parquet"], r"no test file; looked for test\*.parquet or valid\*.parquet .*, found train.parquet"),
        (["a.parquet", "b.parquet"], r"no train file; .* found a.parquet, b.parquet"),
    ],
)
def test_a_missing_parquet_file_is_named(folder: Path, files: list[str], message: str) -> None:
    for name in files:
        write_parquet(folder / name, pictures(3))
    with pytest.raises(WinsomeError, match=message):
        loaded(folder)


def test_a_truncated_parquet_file_is_named(folder: Path) -> None:
    write_parquet(folder / "train.parquet", pictures(3))
    (folder / "test.parquet").write_bytes((folder / "train.parquet").read_bytes()[:500])
    with pytest.raises(WinsomeError, match=r"test.parquet: not a readable parquet file"):
        loaded(folder)


def test_missing_columns_are_named(folder: Path) -> None:
    write_parquet(folder / "test.parquet", pictures(3))
    write_parquet(folder / "train.parquet", pictures(3), image="photo")
    with pytest.raises(WinsomeError, match=r"train.parquet: no image column; looked for img, image among .* photo"):
        loaded(folder)
    write_parquet(folder / "train.parquet", pictures(3), label="kind")
    with pytest.raises(
        WinsomeError, match=r"train.parquet: no label column; looked for label, fine_label, labels among .* kind"
    ):
        loaded(folder)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, -1], r"row 2: label -1 is none of the 3 classes.*without a known class"),
        ([0, 3, 1], r"row 1: label 3 is none of the 3 classes"),
        ([0, None, 1], r"row 1: no label in column label"),
    ],
)
def test_impossible_labels_are_named_with_their_row(folder: Path, labels: list[int | None], message: str) -> None:
    write_parquet(folder / "test.parquet", pictures(3))
    write_parquet(folder / "train.parquet", pictures(3), labels, named=False)
    # Names for the classes, which make 3 one too many: from the test file.
    with pytest.raises(WinsomeError, match=message):
        loaded(folder)


def test_labels_that_are_no_integers_and_images_that_are_no_structs_are_refused(folder: Path) -> None:
    write_parquet(folder / "test.parquet", pictures(3))
    encoded = [{"bytes": png(image), "path": None} for image in pictures(3)]
    pq.write_table(pa.table({"img": encoded, "label": ["ant", "bee", "cat"]}), folder / "train.parquet")
    with pytest.raises(WinsomeError, match=r"train\.parquet and test\.parquet label by text and by numbers"):
        loaded(folder)
    pq.write_table(pa.table({"img": [1, 2, 3], "label": [0, 1, 2]}), folder / "train.parquet")
    with pytest.raises(WinsomeError, match="column img is int64, not a struct with the bytes"):
        loaded(folder)
    pq.write_table(pa.table({"img": [*encoded[:2], None], "label": [0, 1, 2]}), folder / "train.parquet")
    with pytest.raises(WinsomeError, match=r"train.parquet, row 2: no image, neither its bytes nor"):
        loaded(folder)


def test_parts_that_name_other_classes_are_refused(folder: Path) -> None:
    write_parquet(folder / "train.parquet", pictures(3))
    other = datasets.ClassLabel(names=["cat", "bee", "ant"])
    dataset(pictures(3), labels_for(3)).cast_column("label", other).to_parquet(folder / "test.parquet")
    with pytest.raises(WinsomeError, match="name different classes"):
        loaded(folder)


def test_folders_that_hold_no_labelled_images_are_refused(folder: Path) -> None:
    with pytest.raises(WinsomeError, match="no images; looked for files that end in"):
        loaded(folder)
    picture(0).save(folder / "lonely.png")
    with pytest.raises(
        WinsomeError, match=r"lonely.png: an image without a label; put each image into the folder of its class"
    ):
        loaded(folder)


def test_a_folder_with_one_class_or_without_a_test_part_is_refused(folder: Path) -> None:
    write_folder(folder / "train", pictures(3), classes=("ant",))
    with pytest.raises(WinsomeError, match=r"no test part; looked for the folders test, .*val, .* found train"):
        loaded(folder)
    write_folder(folder / "test", pictures(3), classes=("ant",))
    with pytest.raises(WinsomeError, match=r"only 1 class \(ant\)"):
        loaded(folder)
    write_folder(folder / "test", pictures(3), classes=("ant", "bee"))
    with pytest.raises(WinsomeError, match="no images to train on for the classes bee"):
        loaded(folder)

"""Images as people have them: copies of the Hub, zips as they unpack, files of phones, of Macs and of other systems."""

from __future__ import annotations

import io
import json
import tarfile
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image, ImageOps

import winsome
from image_files import CLASSES, dataset, labels_for, picture, pictures, pixels_of, png, write_folder, write_parquet
from winsome import ticket_file
from winsome.cli.options import DataOptions, KnownDataOptions
from winsome.data import ImageData, load, with_validation
from winsome.data.shards import read_shards
from winsome.data.spec import DataSpec
from winsome.data.splits import held_out, stratified
from winsome.errors import WinsomeError
from winsome.models.spec import NetworkSpec
from winsome.search import Search
from winsome.study.conditions import conditions_of
from winsome.study.found_ticket import FoundTicket
from winsome.study.one_search import OneSearch, open_search
from winsome.training.settings import Training


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINSOME_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "pictures"
    place.mkdir()
    return place


def rows_of(data: ImageData) -> tuple[set[bytes], set[bytes]]:
    train, test = ({image.numpy().tobytes() for image in split.pixels} for split in (data.train, data.test))
    return train, test


def bytes_of(images: Sequence[Image.Image]) -> set[bytes]:
    return {pixels.tobytes() for pixels in pixels_of(images)}


# ---- several data sets side by side

TRAIN, TEST = pictures(9), pictures(6, seed=1)
FOLDS = {"fold_0": (TRAIN, TEST), "fold_1": (TRAIN[:3] + TEST, TRAIN[3:])}


def write_folds(folder: Path, form: str) -> None:
    for name, (train, test) in FOLDS.items():
        for split, images in (("train", train), ("test", test)):
            place = folder / name
            if form == "parquet":
                write_parquet(place / f"{split}-00000-of-00001.parquet", images)
            elif form == "parquet below splits":
                write_parquet(place / split / "0000.parquet", images)
            elif form == "folders":
                write_folder(place / split, images)
            else:
                write_tar(place / f"{split}-0.tar", [png(image) for image in images])


def add(shard: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    shard.addfile(member, io.BytesIO(content))


def write_tar(path: Path, images: Sequence[bytes], *, on_a_mac: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as shard:
        for number, image in enumerate(images):
            for name, content in ((f"{number:03}.cls", str(number % 3).encode()), (f"{number:03}.png", image)):
                if on_a_mac:
                    add(shard, f"._{name}", b"\x00\x05\x16\x07")
                add(shard, name, content)


FORMS = ["parquet", "parquet below splits", "folders"]


def read_folds(folder: Path, form: str, **options: Any) -> ImageData:
    if form == "shards":
        return load("imagenet", data_dir=folder, image_size=7, **options)
    return load(str(folder), **options)


@pytest.mark.parametrize("form", [*FORMS, "shards"])
def test_folds_are_never_pooled(folder: Path, form: str) -> None:
    write_folds(folder, form)
    with pytest.raises(WinsomeError, match=r"several data sets beside each other \(fold_0, fold_1\).*--config fold_0"):
        read_folds(folder, form)
    for config, (train, test) in FOLDS.items():
        data = read_folds(folder, form, config=config)
        assert (len(data.train), len(data.test)) == (len(train), len(test))
        if form != "shards":
            assert rows_of(data) == (bytes_of(train), bytes_of(test))
            assert load(str(folder / config)).digest() == data.digest()
    with pytest.raises(WinsomeError, match=r"no configuration 'fold_2': .*has the configurations fold_0, fold_1"):
        read_folds(folder, form, config="fold_2")


def write_readme(folder: Path, entries: str) -> None:
    (folder / "README.md").write_text(f"---\nlicense: mit\nconfigs:\n{entries}---\n# Folds\n")


def in_full(config: str, *more: str) -> str:
    lines = [f"- config_name: {config}", *more, "  data_files:"]
    lines += [f"  - split: {split}\n    path: {config}/{split}-*" for split in ("train", "test")]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("entries", "default"),
    [
        (in_full("fold_0") + in_full("fold_1", "  default: true"), "fold_1"),
        (in_full("fold_0"), "fold_0"),
        (in_full("fold_0") + in_full("elsewhere"), "fold_0"),  # a copy of a part of the repository
        ("- config_name: fold_1\n  data_dir: fold_1\n", "fold_1"),
        (in_full("fold_1").replace("path: fold_1/test-*", "path:\n    - fold_1/test-0000*"), "fold_1"),
        ("- config_name: fold_0\n  data_files: fold_0/*.parquet\n", "fold_0"),
    ],
)
def test_the_default_configuration_of_the_readme_is_read(folder: Path, entries: str, default: str) -> None:
    write_folds(folder, "parquet")
    write_readme(folder, entries)
    assert rows_of(load(str(folder))) == tuple(bytes_of(images) for images in FOLDS[default])
    theirs = datasets.load_dataset(str(folder), cache_dir=str(folder.parent / "theirs")) if "elsewhere" not in entries else None
    if theirs is not None and "test" in theirs:
        assert bytes_of([row["img"] for row in theirs["test"]]) == bytes_of(FOLDS[default][1])


def test_a_readme_that_names_no_default_asks_and_one_called_default_is_it(folder: Path) -> None:
    write_folds(folder, "parquet")
    write_readme(folder, in_full("fold_0") + in_full("fold_1"))
    with pytest.raises(WinsomeError, match=r"several data sets beside each other \(fold_0, fold_1\)"):
        load(str(folder))
    assert rows_of(load(str(folder), config="fold_1"))[0] == bytes_of(FOLDS["fold_1"][0])
    write_readme(folder, in_full("fold_0").replace("config_name: fold_0", "config_name: default") + in_full("fold_1"))
    assert rows_of(load(str(folder)))[0] == bytes_of(TRAIN)


@pytest.mark.parametrize("head", ["", "---\nnot: [yaml\n---\n", "---\nconfigs: 3\n---\n", "just text"])
def test_a_readme_that_lists_nothing_is_left_alone(folder: Path, head: str) -> None:
    write_parquet(folder / "train.parquet", TRAIN)
    write_parquet(folder / "test.parquet", TEST)
    (folder / "README.md").write_text(head)
    assert rows_of(load(str(folder))) == (bytes_of(TRAIN), bytes_of(TEST))


def test_a_data_set_without_configurations_has_none_to_choose(folder: Path) -> None:
    write_folder(folder / "train", TRAIN)
    write_folder(folder / "test", TEST)
    with pytest.raises(WinsomeError, match=r"no configuration 'full': .*has no configurations"):
        load(str(folder), config="full")
    with pytest.raises(WinsomeError, match="digits has no configurations"):
        load("digits", config="full")


# ---- the Hub's layouts


@pytest.mark.parametrize(
    "place",
    [
        "data/{}-00000-of-00001-b4af1727fb5b132e",
        "default/{}/0000",
        "{}/0000",
        "data/{}/0000",
        "plain_text/{}/0000",
        "plain_text/{}-00000-of-00001",
    ],
)
def test_parquet_files_lie_where_the_hub_puts_them(folder: Path, place: str) -> None:
    for split, images in (("train", TRAIN), ("test", TEST)):
        write_parquet(folder / f"{place.format(split)}.parquet", images)
    (folder / "._0000.parquet").write_bytes(b"\x00\x05\x16\x07")
    assert rows_of(load(str(folder))) == (bytes_of(TRAIN), bytes_of(TEST))
    assert len(load("imagenet", data_dir=folder, image_size=7).train) == len(TRAIN)


def write_text_labels(path: Path, images: Sequence[Image.Image], labels: Sequence[Any], kind: Any) -> None:
    columns = {"image": [{"bytes": png(image), "path": None} for image in images], "label": pa.array(labels, kind)}
    pq.write_table(pa.table(columns), path)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())])
def test_labels_that_are_text_make_classes_of_their_sorted_names(folder: Path, kind: Any) -> None:
    names = ["wolf", "Ant", "bee"]
    for split, images in (("train", TRAIN), ("test", TEST[:2])):
        write_text_labels(folder / f"{split}.parquet", images, [names[number % 3] for number in range(len(images))], kind)
    expected = datasets.Dataset.from_dict({"label": names}).class_encode_column("label").features["label"].names
    for data in (load(str(folder)), load("imagenet", data_dir=folder, image_size=7)):
        assert list(data.classes) == expected == ["Ant", "bee", "wolf"]
        assert data.train.labels.tolist() == [2, 0, 1] * 3
        assert data.test.labels.tolist() == [2, 0]


def test_text_labels_that_are_not_trained_or_missing_are_refused(folder: Path) -> None:
    write_text_labels(folder / "train.parquet", TRAIN[:2], ["ant", "bee"], pa.string())
    write_text_labels(folder / "test.parquet", TEST[:2], ["ant", "owl"], pa.string())
    with pytest.raises(WinsomeError, match=r"test\.parquet: no images to train on for the classes owl"):
        load(str(folder))
    write_text_labels(folder / "test.parquet", TEST[:2], ["ant", None], pa.string())
    with pytest.raises(WinsomeError, match=r"test\.parquet, row 1: no label"):
        load(str(folder))


# ---- classes


@pytest.mark.parametrize("part", ["", "train", "test"])
def test_a_class_whose_files_have_no_known_ending_is_refused_by_name(folder: Path, part: str) -> None:
    for place in ("train", "test") if part else ("",):
        write_folder(folder / place, TRAIN)
    (folder / part / "owl").mkdir()
    (folder / part / "owl" / "0.heic").write_bytes(b"an image that Pillow does not read")
    with pytest.raises(WinsomeError, match=r"owl: no images for this class; looked for files that end in .*\.jfif"):
        load(str(folder))


def test_jfif_is_jpeg_and_what_macos_packs_beside_is_nothing(folder: Path) -> None:
    write_folder(folder, TRAIN, classes=("ant", "bee"))
    (folder / "owl").mkdir()
    for number in range(5):
        picture(number).save(folder / "owl" / f"{number}.jfif", "JPEG")
    (folder / "__MACOSX" / "owl").mkdir(parents=True)
    (folder / "__MACOSX" / "owl" / "._0.png").write_bytes(b"\x00\x05\x16\x07")
    assert load(str(folder)).classes == ("ant", "bee", "owl")


def test_an_empty_class_is_refused_in_the_train_part_and_nothing_in_the_test_part(folder: Path) -> None:
    write_folder(folder / "train", TRAIN)
    write_folder(folder / "test", TEST)
    (folder / "test" / "cow").mkdir()
    assert load(str(folder)).classes == CLASSES
    (folder / "train" / "cow").mkdir()
    with pytest.raises(WinsomeError, match=r"train/cow: no images for this class"):
        load(str(folder))


def test_every_class_has_an_image_to_train_on_in_a_split_by_image(folder: Path) -> None:
    for person in range(12):
        write_folder(folder, [picture(person)], classes=(f"person{person:02}",))
    for known in range(4):
        write_folder(folder, pictures(5, seed=known + 20), classes=(f"known{known}",))
    said: list[str] = []
    data = load(str(folder), say=said.append)
    assert set(data.train.labels.tolist()) == set(range(16))
    assert len(data.train) + len(data.test) == 32
    assert "but for 2 classes with one image alone, which is trained on" in said[0]
    judged = with_validation(data, fraction=0.3)
    assert set(judged.train.labels.tolist()) == set(range(16))


def test_held_out_rows_are_the_stratified_ones_where_every_class_has_two() -> None:
    labels = torch.arange(60) % 7
    for mine, expected in zip(
        held_out(labels, 20, seed=3, purpose="a"), stratified(labels, 20, seed=3, purpose="a"), strict=True
    ):
        assert torch.equal(mine, expected)


@pytest.mark.parametrize("moved", [False, True])
def test_tiny_imagenet_as_its_zip_unpacks(folder: Path, moved: bool) -> None:
    names = ("n01443537", "n01629819")
    lines = []
    for number, image in enumerate(pictures(4, size=16)):
        for place in (f"train/{names[number % 2]}/images", "test/images"):
            (folder / place).mkdir(parents=True, exist_ok=True)
            image.save(folder / place / f"{number}.JPEG")
        owner = names[number // 2]
        val = folder / "val" / (f"{owner}/images" if moved else "images")
        val.mkdir(parents=True, exist_ok=True)
        picture(50 + number, size=16).save(val / f"val_{number}.JPEG")
        lines.append(f"val_{number}.JPEG\t{owner}\t0\t0\t1\t1")
    (folder / "train" / names[0] / f"{names[0]}_boxes.txt").write_text("x 0 0 1 1\n")
    (folder / "val" / "val_annotations.txt").write_text("\n".join(lines))
    said: list[str] = []
    data = load("tiny_imagenet", data_dir=folder, say=said.append)
    assert data.classes == names
    assert data.train.labels.tolist() == data.test.labels.tolist() == [0, 0, 1, 1]
    assert any(line.startswith(f"{folder / 'test'} has images without labels and is left out") for line in said)
    if not moved:
        (folder / "val" / "val_annotations.txt").write_text("\n".join(lines[1:]))
        with pytest.raises(WinsomeError, match=r"val_0\.JPEG: an image that val_annotations\.txt gives no class"):
            load("tiny_imagenet", data_dir=folder, cache=folder.parent / "again")


# ---- names


def test_an_accent_is_one_letter_however_it_is_written(folder: Path) -> None:
    composed, apart = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    assert composed != apart
    write_folder(folder / "train", TRAIN, classes=("ant", composed))
    write_folder(folder / "test", TEST, classes=("ant", apart))
    data = load(str(folder))
    assert data.classes == ("ant", composed)
    assert data.test.labels.tolist() == [0] * 3 + [1] * 3
    tables = folder.parent / "tables"
    tables.mkdir()
    for split, name in (("train", composed), ("test", apart)):
        write_text_labels(tables / f"{split}.parquet", TRAIN[:2], ["ant", name], pa.string())
    assert load(str(tables)).classes == ("ant", composed)


def test_a_name_that_is_no_utf8_is_read_of_a_file_and_refused_of_a_class(folder: Path) -> None:
    write_folder(folder / "train", TRAIN)
    write_folder(folder / "test", TEST)
    odd = "caf\udce9"  # as Python has the Latin-1 byte
    picture(77).save(folder / "train" / "ant" / f"{odd}.png")
    assert len(load(str(folder)).train) == 10
    (folder / "train" / "bee").rename(folder / "train" / odd)
    (folder / "test" / "bee").rename(folder / "test" / odd)
    with pytest.raises(WinsomeError, match=r"the class 'caf\\udce9' has a name that is no UTF-8; rename its folder"):
        load(str(folder))


def test_shards_packed_on_a_mac(folder: Path) -> None:
    write_tar(folder / "train-0.tar", [png(image) for image in TRAIN], on_a_mac=True)
    write_tar(folder / "val-0.tar", [png(image) for image in TEST], on_a_mac=True)
    (folder / "._train-0.tar").write_bytes(b"\x00\x05\x16\x07")
    encoded = read_shards(folder)
    assert [encoded.train.images[row] for row in range(9)] == [png(image) for image in TRAIN]
    assert list(encoded.train.labels) == labels_for(9)
    assert len(encoded.test.images) == 6


# ---- orientation and depth


def turned(seed: int, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    picture(seed, size=(12, 8)).save(buffer, "PNG", exif=exif)
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["folder", "parquet", "shards"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_images_stand_as_their_exif_orientation_says_in_every_form(folder: Path, form: str, orientation: int) -> None:
    stored = [turned(seed, orientation) for seed in range(6)]
    expected = [ImageOps.exif_transpose(Image.open(io.BytesIO(content))) for content in stored]
    table = dataset([{"bytes": content, "path": None} for content in stored], labels_for(6), image="image")
    for image, theirs in zip(expected, (table[row]["image"] for row in range(6)), strict=True):
        np.testing.assert_array_equal(np.asarray(image), np.asarray(theirs))  # as `datasets` decodes it
    for split in ("train", "val"):
        if form == "parquet":
            table.to_parquet(folder / f"{split}.parquet")
        elif form == "shards":
            write_tar(folder / f"{split}.tar", stored)
        else:
            for number, content in enumerate(stored):
                place = folder / split / CLASSES[number // 2]
                place.mkdir(parents=True, exist_ok=True)
                (place / f"{number}.png").write_bytes(content)
    if form != "shards":
        np.testing.assert_array_equal(load(str(folder)).train.pixels.numpy(), pixels_of(expected))
    kept = load("imagenet", data_dir=folder, image_size=7).train
    for image, pixels in zip(expected, kept.pixels, strict=True):
        side = image.resize((8, 12) if image.size[0] == 8 else (12, 8))
        left, top = (round((length - 8) / 2) for length in side.size)
        middle = np.asarray(side.crop((left, top, left + 8, top + 8)))[:7, :7]
        np.testing.assert_array_equal(pixels.numpy(), middle)


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_grey_images_of_sixteen_bits_are_refused_or_count_by_their_high_byte(folder: Path, ending: str) -> None:
    values = np.random.default_rng(0).integers(0, 2**16, (6, 8, 8), dtype=np.uint16)
    for split in ("train", "test"):
        for number, image in enumerate(values):
            (folder / split / CLASSES[number // 2]).mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / split / CLASSES[number // 2] / f"{number}.{ending}")
    with pytest.raises(WinsomeError, match=r"more than 8 bits.*save it with 8 bits, or take the high byte.*high-byte"):
        load(str(folder))
    data = load(str(folder), sixteen_bit="high-byte")
    np.testing.assert_array_equal(data.train.pixels.numpy()[..., 0], values // 256)
    assert data.image_shape == (1, 8, 8)


def test_floating_point_images_are_refused_however_they_are_asked_for(folder: Path) -> None:
    for split in ("train", "test"):
        for name in CLASSES:
            (folder / split / name).mkdir(parents=True)
            Image.fromarray(np.ones((8, 8), np.float32)).save(folder / split / name / "0.tif")
    with pytest.raises(WinsomeError, match=r"more than 8 bits per channel \(F\); save it with 8 bits$"):
        load(str(folder), sixteen_bit="high-byte")


def test_a_spec_keeps_what_was_chosen_and_says_nothing_of_what_was_not(folder: Path) -> None:
    write_folds(folder, "parquet")
    chosen = DataSpec(str(folder), config="fold_1", sixteen_bit="high-byte")
    assert DataSpec.from_record(chosen.record(), folder=chosen.place()["data_folder"]) == chosen
    assert rows_of(chosen.load()) == tuple(bytes_of(images) for images in FOLDS["fold_1"])
    assert not {"config", "sixteen_bit"} & DataSpec(str(folder)).record().keys()
    assert DataOptions(config="fold_1", sixteen_bit="high-byte").of(str(folder)) == chosen
    assert KnownDataOptions().over(chosen).config == "fold_1"
    assert KnownDataOptions(config="fold_0").over(chosen).config == "fold_0"


def test_data_is_known_by_its_images_and_not_by_its_name(folder: Path) -> None:
    write_parquet(folder / "train.parquet", pictures(6, size=32))
    write_parquet(folder / "test.parquet", pictures(3, seed=1, size=32))
    assert load(str(folder)).digest() == load("cifar10", data_dir=folder).digest()


def test_a_run_knows_its_images_whatever_they_are_called_and_wherever_they_lie(folder: Path) -> None:
    for place in ("here", "there", "others"):
        write_parquet(folder / place / "train.parquet", pictures(8, seed=int(place == "others"), size=8))
        write_parquet(folder / place / "test.parquet", pictures(4, seed=2, size=8))
    network, training = NetworkSpec("residual_mlp", (("width", 8),)), Training(1, 4)

    def opened(name: str, data_dir: Path | None = None) -> Search:
        one = OneSearch("imp", winsome.imp(0), DataSpec(name, data_dir), network, training)
        return open_search(one, folder / "run", conditions_of(one.study))

    search = opened(str(folder / "here"))
    assert str(folder) not in json.dumps(search.provenance), "what tickets say"
    assert search.provenance["data"]["name"] == "here"
    opened(str(folder / "there"))
    opened("cifar10", folder / "here")
    with pytest.raises(WinsomeError, match="the images are others: their digest, which data are known by, was"):
        opened(str(folder / "others"))

    ticket = winsome.Ticket(winsome.SignedMask({"w": torch.ones(2)}), provenance=search.provenance)
    for place in ("run", "elsewhere"):
        (folder / place).mkdir(exist_ok=True)
        ticket_file.write(ticket, folder / place / "level-00.ticket")
    assert FoundTicket.read(folder / "run" / "level-00.ticket").data == DataSpec(str((folder / "here").resolve()))
    with pytest.raises(WinsomeError, match="found with the images of a folder called 'here'; name it: --data FOLDER"):
        _ = FoundTicket.read(folder / "elsewhere" / "level-00.ticket").data


# ---- parts, shards and labels


@pytest.mark.parametrize(
    ("train", "test"),
    [("training", "testing"), ("Train", "Test"), ("TRAIN", "VAL"), ("train", "dev"), ("Training", "validation")],
)
def test_parts_of_a_folder_by_their_usual_names(train: str, test: str, folder: Path) -> None:
    write_folder(folder / train, TRAIN)
    write_folder(folder / test, TEST)
    data = load(str(folder))
    assert rows_of(data) == (bytes_of(TRAIN), bytes_of(TEST))
    assert data.classes == CLASSES


@pytest.mark.parametrize("names", [("seg_train", "seg_test"), ("fold 1", "fold 2"), ("split0", "split1", "split2")])
def test_parts_of_a_folder_are_no_classes(names: tuple[str, ...], folder: Path) -> None:
    for number, name in enumerate(names):
        write_folder(folder / name, pictures(6, seed=number))
    said = rf"{', '.join(sorted(names))} hold the same folders \({', '.join(CLASSES)}\), as parts of a data set do, not classes"
    with pytest.raises(WinsomeError, match=said):
        load(str(folder))


def test_classes_with_folders_of_their_own_are_classes(folder: Path) -> None:
    for name in ("day", "night"):
        write_folder(folder / name, pictures(15, seed=len(name)))
    assert load(str(folder)).classes == ("day", "night")


def test_folds_by_the_names_of_files_are_never_pooled(folder: Path) -> None:
    for number, (train, test) in enumerate(FOLDS.values()):
        write_parquet(folder / f"train_fold{number}.parquet", train)
        write_parquet(folder / f"test_fold{number}.parquet", test)
    with pytest.raises(WinsomeError, match=r"several data sets beside each other \(fold0, fold1\)"):
        load(str(folder))
    assert rows_of(load(str(folder), config="fold1")) == tuple(map(bytes_of, FOLDS["fold_1"]))


def test_shards_that_are_not_there_are_said(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name, images in (("train-00000-of-00003", TRAIN), ("test-00000-of-00001", TEST)):
        write_parquet(folder / f"{name}.parquet", images)
    load(str(folder))
    (said,) = caplog.messages
    assert said.startswith("train-00001-of-00003 is not there, nor are 1 others: 1 of the 3 files of this split are read")


def test_a_test_split_without_labels_gives_way_to_one_with(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_parquet(folder / "train.parquet", TRAIN)
    write_parquet(folder / "test.parquet", pictures(4, seed=5), [-1] * 4)
    with pytest.raises(WinsomeError, match="label -1 is none of the 3 classes"):
        load(str(folder))
    write_parquet(folder / "validation.parquet", TEST)
    assert rows_of(load(str(folder))) == (bytes_of(TRAIN), bytes_of(TEST))
    assert any("test.parquet have no labels (all are below 0) and are left out" in line for line in caplog.messages)


def test_classes_without_an_image_are_said_or_refused(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_parquet(folder / "train.parquet", TRAIN, [1, 2, 1] * 3)
    write_parquet(folder / "test.parquet", TEST, [1, 2] * 3)
    load(str(folder))
    assert "1 of 3 classes have no image: ant" in caplog.messages
    write_parquet(folder / "test.parquet", TEST)
    with pytest.raises(WinsomeError, match=r"test\.parquet: no images to train on for the classes ant"):
        load(str(folder))


def test_images_that_are_trained_and_tested_on_are_counted(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_folder(folder / "train", TRAIN)
    write_folder(folder / "test", [*TEST[:3], *TRAIN[3:6]])
    load(str(folder))
    assert "3 of 6 test images are in the train split too, to the pixel: they are no new images" in caplog.messages

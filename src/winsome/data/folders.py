"""Image sets as folders of image files: FOLDER/train/CLASS/… beside FOLDER/test/CLASS/…, or FOLDER/CLASS/… alone."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from winsome.data.encoded import EncodedSet, EncodedSplit
from winsome.data.splits import held_out
from winsome.errors import WinsomeError

IMAGE_ENDINGS = {".png", ".jpg", ".jpeg", ".jfif", ".jpe", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
TRAIN_FOLDERS = ("train", "training")  # in any case of letters
TEST_FOLDERS = ("test", "testing", "val", "valid", "validation", "dev", "eval", "evaluation")  # the first that is there
IMAGE_NET_TEST_FOLDERS = ("val", "valid", "validation", "test")  # ImageNet's own test folder has no labels
ANNOTATIONS = "val_annotations.txt"
TEST_SHARE = 5  # one image in five, where the folder has no test part of its own


def image_files(folder: Path) -> list[Path]:
    """Every image file below a folder, sorted; links are followed, one that leads nowhere is a file that cannot be read."""
    return sorted(Path(place, name) for place, names in _walk(folder) for name in names if _is_image(name))


def class_folders(folder: Path) -> list[Path]:
    """Every folder below a folder, sorted: where an added or removed image shows, without asking every file."""
    return sorted(Path(place) for place, _ in _walk(folder) if place != str(folder))


def has_parts(folder: Path) -> bool:
    """Whether a folder has a part to train on."""
    return _first_part(folder, TRAIN_FOLDERS) is not None


def _first_part(folder: Path, names: Sequence[str]) -> Path | None:
    return next(iter(_parts(folder, names)), None)


def _parts(folder: Path, names: Sequence[str]) -> list[Path]:
    """The folders inside a folder that have one of some names, in whatever case of letters, in the order of the names."""
    if not folder.is_dir():
        return []
    there = sorted(entry for entry in folder.iterdir() if entry.name.lower() in names and entry.is_dir())
    return sorted(there, key=lambda entry: (names.index(entry.name.lower()), entry.name != entry.name.lower()))


def read_folder(folder: Path, *, say: Callable[[str], None], test_folders: Sequence[str] = TEST_FOLDERS) -> EncodedSet:
    """The image set in a folder, not decoded yet; the names of the class folders, in composed form (NFC), are the classes.

    A folder without a train part is split in a fixed way, class by class: 80 % to train on, 20 % to test on. The test part is
    the first of `test_folders` that is there and has labels, by class folders or, as Tiny-ImageNet's `val` has them, in
    `val_annotations.txt` beside `images/`.

    Raises:
        WinsomeError: a part is missing, an image has no label, or a class has no image to train on.
    """
    train_folder = _first_part(folder, TRAIN_FOLDERS)
    if train_folder is None:
        _refuse_parts_as_classes(folder)
        images, labels, classes = _labelled(folder)
        test, train = held_out(labels, len(images) // TEST_SHARE, seed=0, purpose="test folder")
        single = len(images) // TEST_SHARE - len(test)
        note = f", but for {single} classes with one image alone, which is trained on" if single else ""
        say(f"{folder} has no train and test folders: a fixed fifth of each class is the test split{note}")
        train_part, test_part = (_part(folder, images, labels, rows.tolist()) for rows in (train, test))
        return EncodedSet(train_part, test_part, classes)
    images, labels, classes = _labelled(train_folder)
    test_folder = _test_folder(folder, test_folders, classes, say)
    test_images, owners = _annotated(test_folder) or _owned(test_folder, lost_classes=False)
    if surplus := sorted(set(owners) - set(classes)):
        raise WinsomeError(f"{test_folder}: no images to train on for the classes {', '.join(surplus[:8])}")
    number = {name: label for label, name in enumerate(classes)}
    return EncodedSet(
        EncodedSplit(images, labels, ((str(train_folder), len(images)),)),
        EncodedSplit(test_images, [number[owner] for owner in owners], ((str(test_folder), len(test_images)),)),
        classes,
    )


def _test_folder(folder: Path, names: Sequence[str], classes: Sequence[str], say: Callable[[str], None]) -> Path:
    """The first that is there and has labels; one without is left out, and said, if another takes its place."""
    there = _parts(folder, names)
    if not there:
        found = ", ".join(sorted(entry.name for entry in folder.iterdir())[:8])
        raise WinsomeError(f"{folder}: no test part; looked for the folders {', '.join(names)}, found {found}")
    labelled = [part for part in there if "images" in classes or not _unlabelled(part)]
    for part in there[: there.index(labelled[0])] if labelled else ():
        say(f"{part} has images without labels and is left out; {labelled[0]} is the test split")
    return (labelled or there)[0]


def _refuse_parts_as_classes(folder: Path) -> None:
    """Refuse folders named after parts of a data set that each hold the same folders: these are the classes.

    Raises:
        WinsomeError: names them, and what a part is called.
    """
    if not folder.is_dir():
        return
    inner = [entry for entry in sorted(folder.iterdir()) if _is_visible(entry.name) and entry.is_dir()]
    within = {entry.name: {one.name for one in entry.iterdir() if _is_visible(one.name) and one.is_dir()} for entry in inner}
    shared = sorted(set.intersection(*within.values())) if within else []
    if len(shared) > 1 and any(_PART.search(name) for name in within):
        raise WinsomeError(
            f"{folder}: {', '.join(within)} hold the same folders ({', '.join(shared[:8])}), as parts of a data set do, not "
            "classes; name the one to train on train and the other test, or name the folder of one data set"
        )


_PART = re.compile(r"(?<![a-z])(train|test|val|valid|eval|holdout|fold|split|part)", re.IGNORECASE)


def _unlabelled(folder: Path) -> bool:
    """Whether a part holds its images in one folder called images, or in none, and no file says their classes."""
    if (folder / ANNOTATIONS).is_file():
        return False
    visible = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    return {entry.name for entry in visible if entry.is_dir()} <= {"images"} and bool(visible)


def _annotated(folder: Path) -> tuple[list[Path], list[str]] | None:
    """The images of Tiny-ImageNet's val folder as its zip unpacks, and their classes; None of a folder that is otherwise."""
    listed, place = folder / ANNOTATIONS, folder / "images"
    files = image_files(place) if listed.is_file() and place.is_dir() else []
    if not files:
        return None
    lines = [line.split() for line in listed.read_text(encoding="utf-8").splitlines()]
    owner_of = {words[0]: words[1] for words in lines if len(words) > 1}
    for file in files:
        if file.name not in owner_of:
            raise WinsomeError(f"{file}: an image that {listed.name} gives no class; add its line there, or remove it")
    return files, [owner_of[file.name] for file in files]


def _labelled(folder: Path) -> tuple[list[Path], list[int], tuple[str, ...]]:
    """Files, labels and class names of the class folders in a folder, each of which has images."""
    files, owners = _owned(folder)
    classes = tuple(sorted(set(owners)))
    number = {name: label for label, name in enumerate(classes)}
    return files, [number[owner] for owner in owners], classes


def _owned(folder: Path, *, lost_classes: bool = True) -> tuple[list[Path], list[str]]:
    """Files of the class folders in a folder, and the class of each; `lost_classes`: an empty class folder is an error, too."""
    files = image_files(folder)
    endings = ", ".join(sorted(IMAGE_ENDINGS))
    if not files:
        raise WinsomeError(f"{folder}: no images; looked for files that end in {endings}")
    for file in files:
        if file.parent == folder:
            raise WinsomeError(f"{file}: an image without a label; put each image into the folder of its class")
    names = [file.relative_to(folder).parts[0] for file in files]
    with os.scandir(folder) as entries:
        inner = [entry.name for entry in entries if _is_visible(entry.name) and not _is_image(entry.name) and entry.is_dir()]
    for name in sorted(set(inner) - set(names)):
        if lost_classes or any(found for _, found in _walk(folder / name)):
            raise WinsomeError(
                f"{folder / name}: no images for this class; looked for files that end in {endings}: convert or add some, or "
                "remove the folder"
            )
    return files, [unicodedata.normalize("NFC", name) for name in names]


def _part(folder: Path, images: Sequence[Path], labels: Sequence[int], rows: Sequence[int]) -> EncodedSplit:
    return EncodedSplit([images[row] for row in rows], [labels[row] for row in rows], ((str(folder), len(rows)),))


def _walk(folder: str | Path, above: frozenset[tuple[int, int]] = frozenset()) -> Iterator[tuple[str, list[str]]]:
    """Each folder with the names of its files, itself first; what is hidden is left out.

    A folder that is a link counts as the folder: a subset of a large set is often made of links to its classes.
    """
    status = Path(folder).stat()
    here = status.st_dev, status.st_ino
    if here in above:
        raise WinsomeError(f"{folder} leads back to a folder that holds it; remove this link")
    with os.scandir(folder) as entries:
        visible = [entry for entry in entries if _is_visible(entry.name)]
    # An image's name is believed: to ask what each of a million links is takes minutes.
    inner = [entry for entry in visible if not _is_image(entry.name) and entry.is_dir()]
    folders = {entry.name for entry in inner}
    yield str(folder), [entry.name for entry in visible if entry.name not in folders]
    for entry in inner:
        yield from _walk(entry.path, above | {here})


def _is_visible(name: str) -> bool:
    """Whether a name begins with no dot, and is not the folder that macOS packs beside the others."""
    return not name.startswith(".") and name != "__MACOSX"


def _is_image(name: str) -> bool:
    return name.lower().endswith(tuple(IMAGE_ENDINGS))

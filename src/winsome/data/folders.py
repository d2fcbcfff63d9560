"""Image sets as folders of image files: FOLDER/train/CLASS/… beside FOLDER/test/CLASS/…, or FOLDER/CLASS/… alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from winsome.data.encoded import EncodedSet, EncodedSplit
from winsome.data.splits import stratified
from winsome.errors import WinsomeError

IMAGE_ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
TEST_FOLDERS = ("test", "val", "valid", "validation")  # the first that is there
IMAGE_NET_TEST_FOLDERS = ("val", "valid", "validation", "test")  # ImageNet's own test folder has no labels
TEST_SHARE = 5  # one image in five, where the folder has no test part of its own


def image_files(folder: Path) -> list[Path]:
    """Every image file below a folder, sorted; links are followed, one that leads nowhere is a file that cannot be read."""
    return sorted(Path(place, name) for place, names in _walk(folder) for name in names if _is_image(name))


def class_folders(folder: Path) -> list[Path]:
    """Every folder below a folder, sorted: where an added or removed image shows, without asking every file."""
    return sorted(Path(place) for place, _ in _walk(folder) if place != str(folder))


def read_folder(folder: Path, *, say: Callable[[str], None], test_folders: Sequence[str] = TEST_FOLDERS) -> EncodedSet:
    """The image set in a folder, not decoded yet; the names of the class folders are the classes.

    A folder without a train part is split in a fixed way, class by class: 80 % to train on, 20 % to test on. The test part is
    the first of `test_folders` that is there.
    """
    if not (folder / "train").is_dir():
        images, labels, classes = _labelled(folder)
        test, train = stratified(labels, len(images) // TEST_SHARE, seed=0, purpose="test folder")
        say(f"{folder} has no train and test folders: a fixed fifth of each class is the test split")
        train_part, test_part = (_part(folder, images, labels, rows.tolist()) for rows in (train, test))
        return EncodedSet(train_part, test_part, classes)
    test_folder = next((folder / name for name in test_folders if (folder / name).is_dir()), None)
    if test_folder is None:
        there = ", ".join(sorted(entry.name for entry in folder.iterdir())[:8])
        raise WinsomeError(f"{folder}: no test part; looked for the folders {', '.join(test_folders)}, found {there}")
    images, labels, classes = _labelled(folder / "train")
    test_images, test_labels, test_classes = _labelled(test_folder)
    if surplus := sorted(set(test_classes) - set(classes)):
        raise WinsomeError(f"{test_folder}: no images to train on for the classes {', '.join(surplus[:8])}")
    number = {name: label for label, name in enumerate(classes)}
    test_labels = [number[test_classes[label]] for label in test_labels]
    return EncodedSet(
        EncodedSplit(images, labels, ((str(folder / "train"), len(images)),)),
        EncodedSplit(test_images, test_labels, ((str(test_folder), len(test_images)),)),
        classes,
    )


def _labelled(folder: Path) -> tuple[list[Path], list[int], tuple[str, ...]]:
    """Files, labels and class names of the class folders in a folder; a folder without images is no class."""
    files = image_files(folder)
    if not files:
        raise WinsomeError(f"{folder}: no images; looked for files that end in {', '.join(sorted(IMAGE_ENDINGS))}")
    for file in files:
        if file.parent == folder:
            raise WinsomeError(f"{file}: an image without a label; put each image into the folder of its class")
    owners = [file.relative_to(folder).parts[0] for file in files]
    classes = tuple(sorted(set(owners)))
    number = {name: label for label, name in enumerate(classes)}
    return list(files), [number[owner] for owner in owners], classes


def _part(folder: Path, images: Sequence[Path], labels: Sequence[int], rows: Sequence[int]) -> EncodedSplit:
    return EncodedSplit([images[row] for row in rows], [labels[row] for row in rows], ((str(folder), len(rows)),))


def _walk(folder: str | Path, above: frozenset[tuple[int, int]] = frozenset()) -> Iterator[tuple[str, list[str]]]:
    """Each folder with the names of its files, itself first; what is hidden (a name that begins with a dot) is left out.

    A folder that is a link counts as the folder: a subset of a large set is often made of links to its classes.
    """
    status = Path(folder).stat()
    here = status.st_dev, status.st_ino
    if here in above:
        raise WinsomeError(f"{folder} leads back to a folder that holds it; remove this link")
    with os.scandir(folder) as entries:
        visible = [entry for entry in entries if not entry.name.startswith(".")]
    # An image's name is believed: to ask what each of a million links is takes minutes.
    inner = [entry for entry in visible if not _is_image(entry.name) and entry.is_dir()]
    folders = {entry.name for entry in inner}
    yield str(folder), [entry.name for entry in visible if entry.name not in folders]
    for entry in inner:
        yield from _walk(entry.path, above | {here})


def _is_image(name: str) -> bool:
    return name.lower().endswith(tuple(IMAGE_ENDINGS))

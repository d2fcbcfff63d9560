"""Image sets in a folder of parquet files: train*.parquet beside test*.parquet or valid*.parquet, or as the Hub has them."""

from __future__ import annotations

import json
import logging
import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from winsome.data.configurations import SplitFile, split_files
from winsome.data.encoded import EncodedSet
from winsome.data.tables import Rows, encoded_set, image_and_label_columns, rows_in
from winsome.errors import WinsomeError

log = logging.getLogger("winsome")

TRAIN_FILES = ("train",)
TEST_FILES = ("test", "valid", "val")  # the first with which any name begins


def parquet_files(folder: Path, config: str | None = None) -> list[SplitFile]:
    """The parquet files of a folder, of one configuration; see `split_files`.

    Raises:
        WinsomeError: there are several configurations, and nothing says which is meant.
    """
    return split_files(folder, ".parquet", config)


def read_parquet(folder: Path, config: str | None = None) -> EncodedSet:
    """The image set in a folder's parquet files, not decoded yet.

    Raises:
        WinsomeError: a split, a column or a label is missing, a file is damaged, or files name different classes.
    """
    files = parquet_files(folder, config)
    train, train_names = _read_split(chosen_files(folder, files, "train", TRAIN_FILES))
    test, test_names = _read_test(folder, files)
    names = same_names([(f"the train files of {folder}", train_names), ("the test files", test_names)])
    return encoded_set(train, test, names)


def _read_test(folder: Path, files: Sequence[SplitFile]) -> tuple[Rows, list[str] | None]:
    """The first test split that has labels; one whose labels are all below 0 is left out, and said, where there is another."""
    beginnings = [one for one in TEST_FILES if any(file.split.lower().startswith(one) for file in files)]
    for beginning in beginnings[:-1]:
        found = _read_split(chosen_files(folder, files, "test", (beginning,)))
        if any(isinstance(label, str) or label >= 0 for label in found[0].labels):
            return found
        log.warning("%s: the images of %s have no labels (all are below 0) and are left out", folder, found[0].files[0][0])
    return _read_split(chosen_files(folder, files, "test", beginnings[-1:] or TEST_FILES))


def chosen_files(folder: Path, files: Sequence[SplitFile], split: str, beginnings: Sequence[str]) -> list[Path]:
    """The files of a split: those whose split begins as the first of `beginnings` that any has.

    Raises:
        WinsomeError: there is none.
    """
    for beginning in beginnings:
        if found := [one.file for one in files if one.split.lower().startswith(beginning)]:
            _tell_missing(found)
            return found
    there = ", ".join(str(one.file.relative_to(folder)) for one in files[:8]) + (" ..." if len(files) > 8 else "")
    wanted = " or ".join(f"{beginning}*.parquet" for beginning in beginnings)
    raise WinsomeError(f"{folder}: no {split} file; looked for {wanted}, found {there or 'no parquet files'}")


def _tell_missing(files: Sequence[Path]) -> None:
    """Say which files are not there of those that the names of others count: NAME-00000-of-00002.parquet."""
    counted = [found for file in files if (found := _COUNTED.fullmatch(file.name))]
    for start, total in sorted({(one["start"], one["total"]) for one in counted}):
        numbers = {int(one["number"]) for one in counted if (one["start"], one["total"]) == (start, total)}
        if lacking := [number for number in range(int(total)) if number not in numbers]:
            others = f", nor are {len(lacking) - 1} others" if len(lacking) > 1 else ""
            log.warning(
                "%s%0*d-of-%s is not there%s: %d of the %d files of this split are read; fetch the rest, or rename these",
                *(start, len(total), lacking[0], total, others, len(numbers), int(total)),
            )


_COUNTED = re.compile(r"(?P<start>.*-)(?P<number>\d+)-of-(?P<total>\d+)\b.*")


def _read_split(files: list[Path]) -> tuple[Rows, list[str] | None]:
    """The rows of some files, and the class names that they give."""
    tables = [(file.name, _read_columns(file)) for file in files]
    label_columns = [image_and_label_columns(table.column_names, name)[1] for name, table in tables]
    names = [(name, names_in(table.schema, label)) for (name, table), label in zip(tables, label_columns, strict=True)]
    return rows_in(tables), same_names(names)


def _read_columns(file: Path) -> Any:
    """The image and the label column of a file as a pyarrow.Table."""
    with opened_parquet(file) as opened:
        columns = image_and_label_columns(opened.schema_arrow.names, file.name)
        return opened.read(columns=list(columns))


@contextmanager
def opened_parquet(file: Path) -> Iterator[Any]:
    """A pyarrow.ParquetFile; what goes wrong with it inside the block is an error that names it.

    Raises:
        WinsomeError: the file cannot be read.
    """
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as opened:
            yield opened
    except WinsomeError:
        raise
    except (OSError, ValueError) as error:  # pyarrow's ArrowInvalid is a ValueError
        raise WinsomeError(f"{file}: not a readable parquet file ({error}); fetch it again") from error


def same_names(named: Sequence[tuple[str, list[str] | None]]) -> list[str] | None:
    """The class names that those of several sources give which give any, each a (what it is called in errors, names).

    Raises:
        WinsomeError: two of them give different ones, so that a label means one thing here and another there.
    """
    giving = [(source, names) for source, names in named if names]
    for source, names in giving[1:]:
        if names != giving[0][1]:
            raise WinsomeError(f"{giving[0][0]} and {source} name different classes; their labels do not match")
    return giving[0][1] if giving else None


def names_in(schema: Any, label_column: str) -> list[str] | None:
    """The class names that `datasets` writes into a file's metadata, where there are any."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return [unicodedata.normalize("NFC", str(name)) for name in features[label_column]["names"]]
    except (KeyError, TypeError, ValueError):
        return None

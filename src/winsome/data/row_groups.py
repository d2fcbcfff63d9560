"""Encoded images of tables too large for memory: read some thousand rows at a time, as they are asked for."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any, overload

from winsome.data.encoded import EncodedSet, row_of
from winsome.data.hub import load_hub, undecoded
from winsome.data.parquet import TEST_FILES, TRAIN_FILES, chosen_files, names_in, opened_parquet, parquet_files, same_names
from winsome.data.tables import Label, Rows, encoded_set, image_and_label_columns, images_in, labels_in

_KEPT = 4  # groups in memory: the threads that store images work on neighbouring rows
_HUB_ROWS = 1000  # rows of a group where the table has none of its own

Group = Sequence[bytes | Path | None]


class GroupedImages(Sequence["bytes | Path | None"]):
    """The images of groups of rows, one group after another; the groups used last stay in memory."""

    def __init__(self, counts: Sequence[int], read: Callable[[int], Group]) -> None:
        """`counts` are the rows of each group, `read` gives the images of a group by its number."""
        self.ends = list(accumulate(counts))
        self.read = read
        self.kept: OrderedDict[int, Group] = OrderedDict()
        self.lock = threading.Lock()

    def __len__(self) -> int:
        """The number of images."""
        return self.ends[-1] if self.ends else 0

    @overload
    def __getitem__(self, row: int) -> bytes | Path | None: ...
    @overload
    def __getitem__(self, row: slice) -> Group: ...
    def __getitem__(self, row: int | slice) -> bytes | Path | Group | None:
        """An image's bytes, the path of its file, or None where it is missing."""
        if isinstance(row, slice):
            return [self[number] for number in range(*row.indices(len(self)))]
        number = bisect_right(self.ends, row)
        if row < 0 or number == len(self.ends):
            raise IndexError(f"no image {row} in {len(self):,}")
        with self.lock:  # one thread reads a group, the others wait for it rather than read it too
            if number not in self.kept:
                self.kept[number] = self.read(number)
                if len(self.kept) > _KEPT:
                    self.kept.popitem(last=False)
            self.kept.move_to_end(number)
            return self.kept[number][row - (self.ends[number - 1] if number else 0)]


def read_large_parquet(folder: Path, config: str | None = None) -> EncodedSet:
    """The image set in a folder's parquet files: labels at once, images as they are asked for.

    Files called val... come before those called test... as the test split: ImageNet's own test images have no labels.

    Raises:
        WinsomeError: see `read_parquet`.
    """
    files = parquet_files(folder, config)
    train, train_names = _parquet_split(chosen_files(folder, files, "train", TRAIN_FILES))
    test, test_names = _parquet_split(chosen_files(folder, files, "test", (*TEST_FILES[1:], TEST_FILES[0])))
    names = same_names([(f"the train files of {folder}", train_names), ("the test files", test_names)])
    return encoded_set(train, test, names)


def _parquet_split(files: Sequence[Path]) -> tuple[Rows, list[str] | None]:
    groups: list[tuple[Path, int]] = []
    counts: list[int] = []
    labels: list[Label] = []
    files_rows: list[tuple[str, int]] = []
    names: list[tuple[str, list[str] | None]] = []
    for file in files:
        with opened_parquet(file) as opened:
            _, label_column = image_and_label_columns(opened.schema_arrow.names, file.name)
            names.append((file.name, names_in(opened.schema_arrow, label_column)))
            labels += labels_in(opened.read(columns=[label_column]).column(label_column), file.name, label_column)
            for group in range(opened.num_row_groups):
                groups.append((file, group))
                counts.append(opened.metadata.row_group(group).num_rows)
            files_rows.append((file.name, opened.metadata.num_rows))

    def read(number: int) -> Group:
        file, group = groups[number]
        with opened_parquet(file) as opened:
            column, _ = image_and_label_columns(opened.schema_arrow.names, file.name)
            return images_in(opened.read_row_group(group, columns=[column]).column(column), file.name, column)

    return _grouped(counts, read, labels, files_rows), same_names(names)


def _grouped(
    counts: Sequence[int], read: Callable[[int], Group], labels: Sequence[Label], files: Sequence[tuple[str, int]]
) -> Rows:
    """A split whose images are named by their rows without being read: what is named is mostly what cannot be read."""
    return Rows(GroupedImages(counts, read), labels, tuple(files), partial(row_of, files))


def read_large_hub(hub_id: str) -> EncodedSet:
    """The image set of a Hub id, downloaded where `datasets` has no copy of it; images are read as they are asked for.

    The test split is the first of validation, valid, val and test that is there.
    """
    train_part, test_part = load_hub(hub_id, test_splits=("validation", "valid", "val", "test"))
    train, names = _hub_split(train_part, f"{hub_id}, split train")
    test, _ = _hub_split(test_part, f"{hub_id}, test split")
    return encoded_set(train, test, names)


def _hub_split(dataset: Any, name: str) -> tuple[Rows, list[str] | None]:
    rows, image_column, label_column, names = undecoded(dataset, name)
    total = len(rows)
    counts = [min(_HUB_ROWS, total - start) for start in range(0, total, _HUB_ROWS)]
    labels = labels_in(rows.select_columns([label_column])[:].column(label_column), name, label_column)

    def read(number: int) -> Group:
        table = rows[number * _HUB_ROWS : min((number + 1) * _HUB_ROWS, total)]
        return images_in(table.column(image_column), name, image_column)

    return _grouped(counts, read, labels, [(name, total)]), names

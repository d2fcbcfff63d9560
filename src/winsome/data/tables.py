"""Image and label columns of Arrow tables in the layout of Hugging Face `datasets`."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, cast

from winsome.data.encoded import EncodedSet, EncodedSplit
from winsome.errors import WinsomeError

IMAGE_COLUMNS = ("img", "image")
LABEL_COLUMNS = ("label", "fine_label", "labels")

Label: TypeAlias = int | str


def image_and_label_columns(columns: Sequence[str], where: str) -> tuple[str, str]:
    """The names of the image and the label column among a table's columns; `where` names the table in errors.

    Raises:
        WinsomeError: one of them is not there.
    """
    found = []
    for kind, names in (("image", IMAGE_COLUMNS), ("label", LABEL_COLUMNS)):
        column = next((name for name in names if name in columns), None)
        if column is None:
            raise WinsomeError(
                f"{where}: no {kind} column; looked for {', '.join(names)} among its columns {', '.join(columns) or '(none)'}"
            )
        found.append(column)
    return found[0], found[1]


@dataclass(frozen=True)
class Rows:
    """The rows of one split as they lie in tables: images, and labels that may be numbers or text."""

    images: Sequence[bytes | Path | None]
    labels: Sequence[Label]
    files: tuple[tuple[str, int], ...]
    name_of: Callable[[int], str] | None = None

    def numbered(self, number: Mapping[str, int] | None) -> EncodedSplit:
        """The split with numbers for labels; `number` gives that of a class by its name, None: they are numbers."""
        labels = cast("Sequence[int]", self.labels) if number is None else [number[str(label)] for label in self.labels]
        return EncodedSplit(self.images, labels, self.files, self.name_of)


def encoded_set(train: Rows, test: Rows, names: Sequence[str] | None) -> EncodedSet:
    """Two splits with the classes that `names` gives, or that follow from their labels.

    Labels that are text make classes of their sorted names, as a ClassLabel made from them does.

    Raises:
        WinsomeError: labels are text in one split and numbers in the other; or text that no image to train on has.
    """
    kinds = {type(split.labels[0]) for split in (train, test) if split.labels}
    if str not in kinds:
        splits = train.numbered(None), test.numbered(None)
        return EncodedSet(*splits, class_names(names, *splits))
    if len(kinds) > 1:
        raise WinsomeError(f"{train.files[0][0]} and {test.files[0][0]} label by text and by numbers; label both in one way")
    classes = tuple(sorted(set(map(str, train.labels))))
    if surplus := sorted(set(map(str, test.labels)) - set(classes)):
        raise WinsomeError(f"{test.files[0][0]}: no images to train on for the classes {', '.join(surplus[:8])}")
    number = {name: label for label, name in enumerate(classes)}
    return EncodedSet(train.numbered(number), test.numbered(number), classes)


def rows_in(tables: Sequence[tuple[str, Any]]) -> Rows:
    """The rows of several tables, one after another, each a (name for errors, pyarrow.Table) with image and label columns."""
    images: list[bytes | Path | None] = []
    labels: list[Label] = []
    for name, table in tables:
        image_column, label_column = image_and_label_columns(table.column_names, name)
        images += images_in(table.column(image_column), name, image_column)
        labels += labels_in(table.column(label_column), name, label_column)
    return Rows(images, labels, tuple((name, table.num_rows) for name, table in tables))


def images_in(column: Any, name: str, column_name: str) -> list[bytes | Path | None]:
    """Encoded bytes from a struct, the path of a local file where a row has a path alone, None where it has neither.

    Raises:
        WinsomeError: the column is no such struct.
    """
    import pyarrow as pa

    children = {field.name for field in column.type} if pa.types.is_struct(column.type) else set()
    if "bytes" not in children:
        raise WinsomeError(f"{name}: column {column_name} is {column.type}, not a struct with the bytes of encoded images")
    values: list[bytes | Path | None] = []
    for chunk in column.chunks:
        # Not `chunk.field`, which shows what lies below a missing struct.
        fields = dict(zip((field.name for field in column.type), chunk.flatten(), strict=True))
        paths = fields["path"].to_pylist() if "path" in fields else [None] * len(chunk)
        for encoded, path in zip(fields["bytes"].to_pylist(), paths, strict=True):
            local = Path(path) if encoded is None and path and Path(path).is_file() else None
            values.append(encoded if encoded is not None else local)
    return values


def labels_in(column: Any, name: str, column_name: str) -> list[Label]:
    """Labels: integers, or text in its composed form (NFC), so that a name is one whatever system wrote it.

    Raises:
        WinsomeError: they are neither, or one is missing.
    """
    import pyarrow as pa

    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    if not text and not pa.types.is_integer(kind):
        raise WinsomeError(f"{name}: column {column_name} is {column.type}; labels must be text, or integers counted from 0")
    values: list[Any] = column.to_pylist()
    if column.null_count:
        raise WinsomeError(f"{name}, row {values.index(None)}: no label in column {column_name}; label or remove the row")
    return [unicodedata.normalize("NFC", value) for value in values] if text else values


def class_names(names: Sequence[str] | None, *splits: EncodedSplit) -> tuple[str, ...]:
    """The names that a ClassLabel gives, or, without one, the numbers from 0 to the largest label."""
    if names:
        return tuple(names)
    return tuple(str(label) for label in range(max(max(split.labels) for split in splits) + 1))

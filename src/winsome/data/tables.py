"""Image and label columns of Arrow tables in the layout of Hugging Face `datasets`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from winsome.data.encoded import EncodedSplit
from winsome.errors import WinsomeError

IMAGE_COLUMNS = ("img", "image")
LABEL_COLUMNS = ("label", "fine_label", "labels")


def image_and_label_columns(columns: Sequence[str], where: str) -> tuple[str, str]:
    """The names of the image and the label column among a table's columns; `where` names the table in errors."""
    found = []
    for kind, names in (("image", IMAGE_COLUMNS), ("label", LABEL_COLUMNS)):
        column = next((name for name in names if name in columns), None)
        if column is None:
            raise WinsomeError(
                f"{where}: no {kind} column; looked for {', '.join(names)} among its columns {', '.join(columns) or '(none)'}"
            )
        found.append(column)
    return found[0], found[1]


def encoded_split(tables: Sequence[tuple[str, Any]]) -> EncodedSplit:
    """The rows of several tables, one after another, each a (name for errors, pyarrow.Table) with image and label columns."""
    images: list[bytes | Path | None] = []
    labels: list[int] = []
    for name, table in tables:
        image_column, label_column = image_and_label_columns(table.column_names, name)
        images += images_in(table.column(image_column), name, image_column)
        labels += labels_in(table.column(label_column), name, label_column)
    return EncodedSplit(images, labels, tuple((name, table.num_rows) for name, table in tables))


def images_in(column: Any, name: str, column_name: str) -> list[bytes | Path | None]:
    """Encoded bytes from a struct, the path of a local file where a row has a path alone, None where it has neither."""
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


def labels_in(column: Any, name: str, column_name: str) -> list[int]:
    """Integer labels; a missing one is an error."""
    import pyarrow as pa

    if not pa.types.is_integer(column.type):
        raise WinsomeError(f"{name}: column {column_name} is {column.type}; labels must be integers, counted from 0")
    values: list[int] = column.to_pylist()
    if column.null_count:
        raise WinsomeError(f"{name}, row {values.index(None)}: no label in column {column_name}; label or remove the row")  # type: ignore[arg-type]
    return values


def class_names(names: Sequence[str] | None, *splits: EncodedSplit) -> tuple[str, ...]:
    """The names that a ClassLabel gives, or, without one, the numbers from 0 to the largest label."""
    if names:
        return tuple(names)
    return tuple(str(label) for label in range(max(max(split.labels) for split in splits) + 1))

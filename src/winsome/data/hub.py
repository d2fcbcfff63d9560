"""Image sets on the Hugging Face Hub, through `datasets`."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

from winsome.data.encoded import EncodedSet
from winsome.data.tables import Rows, encoded_set, image_and_label_columns, rows_in
from winsome.errors import WinsomeError

TEST_SPLITS = ("test", "valid", "validation", "val")  # the first that is there


def read_hub(hub_id: str) -> EncodedSet:
    """The image set of an id such as "uoft-cs/cifar10", downloaded where `datasets` has no copy of it, not decoded yet."""
    train_part, test_part = load_hub(hub_id)
    train, train_names = _read_split(train_part, f"{hub_id}, split train")
    test, _ = _read_split(test_part, f"{hub_id}, test split")
    return encoded_set(train, test, train_names)


def load_hub(hub_id: str, *, test_splits: Sequence[str] = TEST_SPLITS) -> tuple[Any, Any]:
    """The train split and the first of the test splits that is there, as `datasets.Dataset`s.

    Raises:
        WinsomeError: the Hub is out of reach or refuses, or a split is missing.
    """
    import datasets

    try:
        splits: Any = datasets.load_dataset(hub_id)
    except Exception as error:  # the network's, the Hub's and the file system's errors share no class
        reason = str(error).strip().split("\n")[0]
        remedy = (
            "without network access, pass data_dir (--data-dir) with a folder that holds its train*.parquet and test*.parquet "
            "files"
        )
        if "gated" in str(error).lower():
            remedy = f"accept its terms at https://huggingface.co/datasets/{hub_id}, log in with `hf auth login`, run again"
        raise WinsomeError(
            f"cannot load {hub_id} from the Hugging Face Hub ({type(error).__name__}: {reason}); {remedy}"
        ) from error
    test_split = next((name for name in test_splits if name in splits), None)
    if "train" not in splits or test_split is None:
        raise WinsomeError(f"{hub_id}: needs the split train and one of {', '.join(test_splits)}; it has {', '.join(splits)}")
    return splits["train"], splits[test_split]


def undecoded(dataset: Any, name: str) -> tuple[Any, str, str, list[str] | None]:
    """A `datasets.Dataset` of Arrow tables with its images left encoded, its image and label column, and its class names."""
    import datasets

    image_column, label_column = image_and_label_columns(dataset.column_names, name)
    names = getattr(dataset.features[label_column], "names", None)
    names = names and [unicodedata.normalize("NFC", name) for name in names]
    encoded = dataset.select_columns([image_column, label_column])
    encoded = encoded.cast_column(image_column, datasets.Image(decode=False)).with_format("arrow")
    return encoded, image_column, label_column, names


def _read_split(dataset: Any, name: str) -> tuple[Rows, list[str] | None]:
    """The rows of a `datasets.Dataset`, and its class names."""
    encoded, _, _, names = undecoded(dataset, name)
    return rows_in([(name, encoded[:])]), names

"""The data set in a folder of one's own, by what lies there: parquet files, WebDataset shards, image files."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from winsome.data.cache import files_key
from winsome.data.configurations import README, configured_folder
from winsome.data.data_set import DataSet
from winsome.data.folders import IMAGE_NET_TEST_FOLDERS, class_folders, has_parts, image_files, read_folder
from winsome.data.parquet import parquet_files, read_parquet
from winsome.data.row_groups import read_large_parquet
from winsome.data.shards import read_shards, shard_files
from winsome.errors import WinsomeError

Say = Callable[[str], None]


def in_folder(folder: Path, config: str | None, say: Say, *, flip: bool = True) -> DataSet:
    """The data set in a folder: of parquet files if there are any, else of image files.

    Raises:
        WinsomeError: there is no such folder, or it holds no data set.
    """
    if not folder.is_dir():
        raise WinsomeError(f"no folder {folder}; give one with train*.parquet and test*.parquet, or with images by class")
    if files := [one.file for one in parquet_files(folder, config)]:
        return DataSet("parquet files", _files_key(files, folder, config), partial(read_parquet, folder, config), flip)
    folder = configured_folder(folder, config, has_parts)
    # The folders, too: one whose images have endings that are not known is a class that would be missed.
    places = [str(place.relative_to(folder)) for place in class_folders(folder)]
    key = "\n".join([files_key(image_files(folder), folder), *places])
    return DataSet("image files", key, partial(read_folder, folder, say=say), flip)


def large_folder(folder: Path, config: str | None, say: Say) -> DataSet:
    """The data set in a folder, to be stored on disk: of WebDataset shards, of parquet files, or of image files.

    Raises:
        WinsomeError: there is no such folder, or it holds no data set.
    """
    if not folder.is_dir():
        raise WinsomeError(
            f"no folder {folder}; give one with *.tar shards, with parquet files, or with train/CLASS and val/CLASS"
        )
    if files := shard_files(folder, config):
        key = _files_key(files, folder, config)
        return DataSet("WebDataset shards", key, partial(read_shards, folder, config), stored=True)
    if files := [one.file for one in parquet_files(folder, config)]:
        key = _files_key(files, folder, config)
        return DataSet("parquet files", key, partial(read_large_parquet, folder, config), stored=True)
    folder = configured_folder(folder, config, has_parts)
    read = partial(read_folder, folder, say=say, test_folders=IMAGE_NET_TEST_FOLDERS)
    return DataSet("image files", files_key(class_folders(folder), folder), read, stored=True)


def _files_key(files: list[Path], folder: Path, config: str | None) -> str:
    """The key of some files; what README.md says of them counts, too."""
    readme = [folder / README] if (folder / README).is_file() else []
    return files_key([*files, *readme], folder) + ("" if config is None else f"\nconfiguration {config}")

"""Decoded images on disk: decoded once, then mapped into memory, one copy for all processes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from winsome.data.encoded import DecodedSet
from winsome.data.images import ImageSet
from winsome.errors import WinsomeError
from winsome.files import written_whole

# Part of every key: raise it when decoding or the layout of the file changes.
_FORMAT = "2"


def cache_folder() -> Path | None:
    """Where decoded images are kept unless said otherwise: $WINSOME_CACHE, or ~/.cache/winsome.

    None where there is neither: in a container, a user number may have no HOME and no entry in /etc/passwd.
    """
    try:
        return Path(os.environ.get("WINSOME_CACHE") or Path.home() / ".cache" / "winsome").expanduser()
    except RuntimeError:  # no home
        return None


def files_key(files: Iterable[Path], folder: Path) -> str:
    """What tells one state of a folder's files from another: their names, sizes and times of change.

    Raises:
        WinsomeError: one of them is not there.
    """
    facts = []
    for file in files:
        try:
            status = file.stat()
        except OSError as error:
            raise WinsomeError(f"{file}: cannot be read ({error.strerror}); repair or remove it") from error
        facts.append(f"{file.relative_to(folder)} {status.st_size} {status.st_mtime_ns}")
    return "\n".join([str(folder.resolve()), *facts])


def cached(
    name: str, key: str, decode: Callable[[], DecodedSet], *, folder: Path | None, say: Callable[[str], None]
) -> DecodedSet:
    """The decoded set of a key: read from the cache folder, or decoded and then written there.

    A file that cannot be read is made anew. No folder, or one that cannot be written to, is said, and costs the next run its
    time.
    """
    if folder is None:
        say("no home directory: decoded images are kept nowhere; WINSOME_CACHE=FOLDER names a place for them")
        return decode()
    digest = hashlib.sha256(f"{_FORMAT}\n{key}".encode("utf-8", "surrogateescape")).hexdigest()[:16]
    file = folder / "images" / f"{name}-{digest}.safetensors"
    if file.exists():
        try:
            return _read(file)
        except Exception as error:  # safetensors' own error, a missing key, JSON that is none, tensors of a wrong shape
            say(f"{file} is damaged ({error}); decoding again")
    decoded = decode()
    try:
        _write(file, decoded)
    except Exception as error:  # safetensors raises an error of its own for a full disk
        say(f"cannot keep the decoded images in {folder} ({error}); the next run decodes again")
        return decoded
    # Read back: the mapped file is memory that other processes share, and that the system may drop and load again.
    return _read(file)


def _read(file: Path) -> DecodedSet:
    from safetensors import safe_open

    with safe_open(file, framework="pt") as stored:
        facts = stored.metadata()
        classes = tuple(str(name) for name in json.loads(facts["classes"]))
        train, test = (
            ImageSet(stored.get_tensor(f"{split}.pixels").permute(0, 3, 1, 2), stored.get_tensor(f"{split}.labels"))
            for split in ("train", "test")
        )
    return DecodedSet(train, test, classes)


def _write(file: Path, decoded: DecodedSet) -> None:
    """Write the file: another process sees all of it or nothing."""
    from safetensors.torch import save_file

    tensors: dict[str, torch.Tensor] = {}
    for split, images in (("train", decoded.train), ("test", decoded.test)):
        tensors |= {f"{split}.pixels": images.pixels, f"{split}.labels": images.labels}
    file.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(file) as unfinished:  # not `write_whole`: the images need not be in memory a second time
        save_file(tensors, unfinished, metadata={"classes": json.dumps(decoded.classes)})
        unfinished.chmod(0o644)  # safetensors writes for the owner alone; a cache may serve several users

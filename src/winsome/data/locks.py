"""One process at a time, where several want to make the same thing on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def only_one(file: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold a lock that goes with the process: whoever comes second waits, and then finds the store.

    A file system without locks (Lustre mounted noflock, NFS with nolock) is said. No lock file takes their place: one that a
    killed process leaves would stop every later one.
    """
    lock = FileLock(file, fallback_to_soft=False)
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say("another process stores these images; waiting for it")
            lock.acquire()
    except (OSError, NotImplementedError) as error:
        say(f"{file.parent} is on a file system without locks ({error}): let no other process store these images meanwhile")
    try:
        yield
    finally:
        lock.release()

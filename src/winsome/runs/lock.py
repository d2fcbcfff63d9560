"""One process at a time works in a folder: a job that is queued again, or a second terminal, is refused by a sentence."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from winsome import distributed
from winsome.errors import WinsomeError

log = logging.getLogger("winsome")


@contextmanager
def only_process(folder: Path) -> Iterator[None]:
    """Hold a folder while the block runs; the lock goes with the process, however that ends. Every rank calls it, rank 0 holds.

    The same process may hold it twice. A file system without locks is said, and work goes on.

    Raises:
        WinsomeError: another process holds it.
    """
    # One lock for each path of the process, whichever thread asks; no file takes the place of a lock, for a killed process
    # would leave it behind.
    lock = FileLock(folder / ".lock", is_singleton=True, thread_local=False, fallback_to_soft=False)
    distributed.from_main(lambda: _acquire(lock, folder))
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: FileLock, folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise WinsomeError(
            f"another process is at work in {folder}; let it end and run the same command again, or choose another folder "
            "(--save-to)"
        ) from error
    except (OSError, NotImplementedError) as error:
        log.warning("%s cannot be locked (%s): let no other process work in it meanwhile", folder, error)

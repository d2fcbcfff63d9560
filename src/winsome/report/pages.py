"""The pages of many studies, drawn side by side: each takes seconds, and none waits for another."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from winsome.evidence.results import FILE_NAME
from winsome.machine import usable_cores
from winsome.report.page import write
from winsome.tasks.graph import Event, OnFraction, Task, run_graph
from winsome.tasks.processes import processes, this_process

PAGE = "report.html"
FEW = 2  # studies that are drawn right here: a process takes as long to start as a page to draw


def is_drawn(folder: Path) -> bool:
    """Whether a study's page is there, and no older than its results."""
    page, results = folder / PAGE, folder / FILE_NAME
    return page.is_file() and page.stat().st_mtime_ns >= results.stat().st_mtime_ns


def draw_pages(
    folders: Iterable[Path], *, workers: int = 0, watch: Callable[[int, int], None] = lambda _done, _all: None
) -> Mapping[Path, Exception]:
    """Write the page and the figures of every study that has results newer than its page.

    Args:
        folders: of studies.
        workers: processes side by side; 0 for one per core.
        watch: hears how many of how many are drawn.

    Returns:
        What failed, by folder; the others are drawn.
    """
    due = [folder for folder in folders if (folder / FILE_NAME).is_file() and not is_drawn(folder)]
    if not due:
        return {}
    drawn = itertools.count(1)

    def on_event(event: Event) -> None:
        if event.state == "finished":
            watch(next(drawn), len(due))

    n_workers = 1 if len(due) <= FEW else min(workers or usable_cores(), len(due))
    tasks = [Task(partial(_draw, folder)) for folder in due]
    with nullcontext(this_process()) if n_workers == 1 else processes(n_workers) as runner:
        outcome = run_graph(tasks, runner, watch=on_event, keep_going=True)
    return {due[number]: error for number, error in outcome.failures.items()}


def _draw(folder: Path, _on_fraction: OnFraction) -> float:
    start = time.perf_counter()
    write(folder)
    return time.perf_counter() - start

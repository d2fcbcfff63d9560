"""What a running sweep shows, and what is said at its end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console

from winsome.cli import console as consoles
from winsome.cli.progress import progress_bar
from winsome.sweep.run import Ended, said_of
from winsome.sweep.steps import Step
from winsome.tasks.graph import Event
from winsome.wording import counted, time_left


def print_plan(steps: tuple[Step, ...]) -> None:
    """What would be run."""
    shared = sum(bool(step.task.after) for step in steps)
    for step in steps:
        print(f"{step.study.name}: {step.label}{' (shared)' if step.task.after else ''}")
    print(f"{counted(len(steps), 'job')}, {shared} shared with others before them")


class SweepDisplay:
    """Shows a sweep while it runs; a context manager whose `watch` is told of events."""

    def __init__(self, steps: tuple[Step, ...], console: Console | None = None) -> None:
        self.steps, self.console = steps, console or consoles.open_console()
        self.n_jobs, self.n_new = 0, 0
        self._left = {study.name: sum(step.study == study for step in steps) for study in {step.study: None for step in steps}}
        self.n_studies = len(self._left)
        self._start, self._done_before = time.monotonic(), -1.0
        self._bar = progress_bar(self.console, disable=not consoles.draws_over(self.console))
        self._task = self._bar.add_task("starting", total=1.0, left="")

    def __enter__(self) -> Self:
        self.say(f"{counted(self.n_studies, 'study', 'studies')}, {counted(len(self.steps), 'job')}")
        self._bar.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.__exit__(kind, error, trace)

    def say(self, *parts: str | tuple[str, str]) -> None:
        """A sentence above the bar, some of its parts with a style."""
        consoles.say(self.console, *parts)

    def watch_pages(self, drawn: int, wanted: int) -> None:
        """Take note of a page that is drawn."""
        self._bar.update(self._task, completed=drawn / wanted, description=f"drawing pages, {drawn}/{wanted}", left="")

    @property
    def n_done(self) -> int:
        """Studies of which nothing is left to do."""
        return sum(left == 0 for left in self._left.values())

    def watch(self, event: Event) -> None:
        """Take note of an event."""
        step = self.steps[event.number]
        if event.state in ("found", "finished"):
            self._left[step.study.name] -= 1
        self.n_jobs += event.state != "moved"
        self.n_new += event.state == "finished"
        if event.state in ("finished", "moved") and self._done_before < 0:
            self._done_before, self._start = event.done, time.monotonic()
        left = time_left(event.done - self._done_before, time.monotonic() - self._start, event.total - event.done)
        so_far = f"{self.n_jobs}/{len(self.steps)} jobs, {self.n_done}/{self.n_studies} studies"
        share = event.done / event.total if event.total else 1.0
        if event.state in ("finished", "failed", "skipped"):
            how = f"{event.seconds:.1f} s" if event.state == "finished" else event.state
            if event.error is not None:
                first = said_of(event.error).partition("\n")[0]
                how += f": {first}"
            end = f"; {left}" if left else ""
            self.say(f"[{share:4.0%}] {step.study.name}: {step.label}, {how} ({so_far}{end})")
        self._bar.update(self._task, completed=share, description=so_far, left=left)


def print_end(ended: Ended, display: SweepDisplay, page: Path, undrawn: Mapping[Path, Exception] = {}) -> None:
    """What failed, and where the page is; ends the process with 1 where something failed.

    Args:
        ended: how the sweep ended.
        display: what has shown it.
        page: over all studies.
        undrawn: folders of studies whose own page could not be drawn, and why.

    Raises:
        SystemExit: with exit code 1 where a job failed, or a page.
    """
    if not display.n_new and not ended.failures:
        display.say("everything is finished already; nothing was trained. Choose another --save-to to run it anew.")
    for failure in ended.failures:
        first = failure.error.partition("\n")[0]
        display.say(("failed:", "bold red"), f" {failure.study}: {failure.job}: {first}")
    if ended.skipped:
        studies = sorted({study for study, _ in ended.skipped})
        jobs = counted(len(ended.skipped), "job")
        display.say(("skipped:", "yellow"), f" {jobs} that need what failed, of {', '.join(studies)}")
    for folder, error in undrawn.items():
        display.say(("not drawn:", "bold red"), f" the page of {folder}: {said_of(error).partition(chr(10))[0]}")
    display.say(f"report: {page}")
    if ended.failures or undrawn:
        display.say("what is finished is kept; the same command tries again what failed")
        raise SystemExit(1)

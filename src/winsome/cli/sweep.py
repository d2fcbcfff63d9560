"""`winsome sweep`: many studies, on a Ray cluster or on this machine."""

from __future__ import annotations

import shlex
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from tyro.conf import Positional

from winsome.cli.display import counted, progress_bar, time_left
from winsome.errors import WinsomeError
from winsome.study.run import default_workers
from winsome.sweep.file import GridFile, read_grid
from winsome.sweep.plan import Finish, Step, plan_sweep, refuse_unpicklable
from winsome.sweep.run import Ended, run_sweep, said_of
from winsome.tasks.graph import Event, Runner
from winsome.tasks.processes import processes, this_process


def sweep(
    grid: Positional[Path],
    /,
    *,
    save_to: Path | None = None,
    ray: bool = True,
    address: str = "local",
    workers: int = 0,
    cpus_per_run: float = 1.0,
    gpus_per_run: float | None = None,
    retries: int = 3,
    plan_only: bool = False,
) -> None:
    """Run all studies of a grid: what they share is done once, and one that fails does not stop the others.

    GRID is a Python file of yours that defines `studies`, a list of them, or a function `sweep()` that returns one;
    `winsome.sweep.grid` makes the product of methods, networks, data sets, seeds and levels (docs/sweeps.md). Every study has
    a folder of its own. A run whose worker or node is lost starts again from its last checkpoint. Run the sweep again to
    continue it, or to try again what failed; a grid that grew only adds to it.

    Args:
        grid: The Python file. It is run as it is: take only files that you trust.
        save_to: Folder of the sweep; by default runs/sweep-GRID.
        ray: Run on Ray (pip install "winsome[ray]"); with --no-ray on this machine's own processes.
        address: Ray cluster: local for one of this machine's own, auto for the one running here, or HOST:PORT.
        workers: Runs side by side on this machine; 0 for one per core. A cluster at an address decides for itself.
        cpus_per_run: Cores (and threads) of a run on Ray.
        gpus_per_run: GPUs of a run on Ray, in shares: 0.25 puts four on each; by default 1 where the cluster has any.
        retries: How often Ray starts a run again whose worker died.
        plan_only: Print what would be run, and stop.
    """
    if not cpus_per_run > 0 or not (gpus_per_run or 0) >= 0 or workers < 0 or retries < -1:
        raise WinsomeError(
            "--cpus-per-run must be above 0, --gpus-per-run and --workers 0 or more, --retries 0 or more or -1 for ever"
        )
    grid_file, studies = read_grid(grid)
    folder = save_to or Path("runs") / f"sweep-{grid.stem}"
    command = shlex.join(["winsome", *sys.argv[1:]])
    steps = plan_sweep(studies, folder.resolve(), command=command, finish=Finish(_write_report, "report.html"))
    if plan_only:
        _print_plan(steps)
        return
    n_workers = workers or default_workers()
    if ray:
        from winsome.tasks.on_ray import ray_runner

        runner: AbstractContextManager[Runner] = ray_runner(
            address=address, at_once=n_workers, cpus=cpus_per_run, gpus=gpus_per_run, retries=retries, prepare=grid_file.load
        )
    else:
        runner = _without_ray(steps, n_workers, grid_file)
    with SweepDisplay(steps) as display:
        ended = run_sweep(steps, folder.resolve(), runner, watch=display.watch)
    from winsome import report  # here, for matplotlib takes seconds to import

    page = report.write_overview(folder)
    _print_end(ended, display, page)


def _without_ray(steps: tuple[Step, ...], workers: int, grid_file: GridFile) -> AbstractContextManager[Runner]:
    if workers == 1:
        return nullcontext(this_process())
    refuse_unpicklable(steps)
    return processes(workers, prepare=grid_file.load)


def _write_report(folder: Path) -> None:
    from winsome import report

    report.write(folder)


def _print_plan(steps: tuple[Step, ...]) -> None:
    shared = sum(bool(step.task.after) for step in steps)
    for step in steps:
        print(f"{step.study.name}: {step.label}{' (shared)' if step.task.after else ''}")
    print(f"{counted(len(steps), 'job')}, {shared} shared with others before them")


class SweepDisplay:
    """Shows a sweep while it runs; a context manager whose `watch` is told of events."""

    def __init__(self, steps: tuple[Step, ...], console: Console | None = None) -> None:
        self.steps, self.console = steps, console or Console()
        self.n_jobs, self.n_new = 0, 0
        self._left = {study.name: sum(step.study == study for step in steps) for study in {step.study: None for step in steps}}
        self.n_studies = len(self._left)
        self._start, self._done_before = time.monotonic(), -1.0
        self._bar = progress_bar(self.console, disable=not self.console.is_terminal)
        self._task = self._bar.add_task("starting", total=1.0, left="")

    def __enter__(self) -> Self:
        self.say(f"{counted(self.n_studies, 'study', 'studies')}, {counted(len(self.steps), 'job')}")
        self._bar.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.__exit__(kind, error, trace)

    def say(self, sentence: str) -> None:
        """A sentence above the bar."""
        self.console.print(sentence, highlight=False, soft_wrap=True)

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
                how += f": {escape(first)}"
            end = f"; {left}" if left else ""
            self.say(f"\\[{share:4.0%}] {escape(step.study.name)}: {escape(step.label)}, {how} ({so_far}{end})")
        self._bar.update(self._task, completed=share, description=so_far, left=left)


def _print_end(ended: Ended, display: SweepDisplay, page: Path) -> None:
    if not display.n_new and not ended.failures:
        display.say("everything is finished already; nothing was trained. Choose another --save-to to run it anew.")
    for failure in ended.failures:
        first = failure.error.partition("\n")[0]
        display.say(f"[bold red]failed:[/] {escape(failure.study)}: {escape(failure.job)}: {escape(first)}")
    if ended.skipped:
        studies = sorted({study for study, _ in ended.skipped})
        jobs = counted(len(ended.skipped), "job")
        display.say(f"[yellow]skipped:[/] {jobs} that need what failed, of {escape(', '.join(studies))}")
    display.say(f"report: {page}")
    if ended.failures:
        display.say("what is finished is kept; the same command tries again what failed")
        raise SystemExit(1)

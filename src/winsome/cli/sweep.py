"""`winsome sweep`: many studies, on a Ray cluster or on this machine."""

from __future__ import annotations

import shlex
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional

from winsome.errors import WinsomeError

if TYPE_CHECKING:
    from winsome.sweep.steps import Step
    from winsome.tasks.graph import Runner
    from winsome.user_code import UserFile


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
    pages: bool = True,
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
        ray: Run on Ray (pip install ray); with --no-ray on this machine's own processes.
        address: Ray cluster: local for one of this machine's own, auto for the one running here, or HOST:PORT.
        workers: Runs side by side on this machine; 0 for one per core. A cluster at an address decides for itself.
        cpus_per_run: Cores (and threads) of a run on Ray.
        gpus_per_run: GPUs of a run on Ray, in shares: 0.25 puts four on each; by default 1 where the cluster has any.
        retries: How often Ray starts a run again whose worker died.
        pages: Draw page and figures of every study once all are done, side by side on this machine; `winsome report FOLDER`
            does so later. The page over all studies is written in any case.
        plan_only: Print what would be run, and stop.
    """
    if not cpus_per_run > 0 or not (gpus_per_run or 0) >= 0 or workers < 0 or retries < -1:
        raise WinsomeError(
            "--cpus-per-run must be above 0, --gpus-per-run and --workers 0 or more, --retries 0 or more or -1 for ever"
        )
    from winsome import report
    from winsome.cli.sweep_display import SweepDisplay, print_end, print_plan
    from winsome.study.workers import default_workers
    from winsome.sweep.file import read_grid
    from winsome.sweep.run import run_sweep
    from winsome.sweep.steps import sweep_steps

    grid_file, studies = read_grid(grid)
    folder = save_to or Path("runs") / f"sweep-{grid.stem}"
    command = shlex.join(["winsome", *sys.argv[1:]])
    steps = sweep_steps(studies, folder.resolve(), command=command, load=not plan_only)
    if plan_only:
        print_plan(steps)
        return
    n_workers = workers or default_workers()
    if ray:
        from winsome.tasks.on_ray import ray_runner

        runner: AbstractContextManager[Runner] = ray_runner(
            address=address, at_once=n_workers, cpus=cpus_per_run, gpus=gpus_per_run, retries=retries, prepare=grid_file.load
        )
    else:
        runner = _without_ray(steps, n_workers, grid_file)
    folders = list(dict.fromkeys(folder / step.study.name for step in steps))
    with SweepDisplay(steps) as display:
        ended = run_sweep(steps, folder.resolve(), runner, watch=display.watch)
        undrawn = report.draw_pages(folders, workers=n_workers, watch=display.watch_pages) if pages else {}
    print_end(ended, display, report.write_overview(folder), undrawn)


def _without_ray(steps: tuple[Step, ...], workers: int, grid_file: UserFile) -> AbstractContextManager[Runner]:
    from winsome.sweep.steps import refuse_unpicklable
    from winsome.tasks.processes import processes, this_process

    if workers == 1:
        return nullcontext(this_process())
    refuse_unpicklable(steps)
    return processes(workers, prepare=grid_file.load)

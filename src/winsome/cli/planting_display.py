"""A planting, shown start by start while it runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from winsome import distributed
from winsome.cli.console import open_console, say
from winsome.study.planted_runs import plant_runs
from winsome.study.planting import Planting
from winsome.study.planting_folder import PlantedRun
from winsome.tracking.log import LogEntry, RunLog, numbers


def show_planting(planned: Planting, starts: Sequence[int], *, log: str = "none") -> None:
    """Train what is left of a planting, and say what comes of it, to a tracker too."""
    console, conditions = open_console(), planned.conditions
    say(
        console,
        f"{planned.network.name}, density {planned.ticket.density:.4g}, {len(conditions.data.train):,} training images, "
        f"{conditions.precision.label} on {conditions.device}",
    )

    def on_run(run: PlantedRun) -> None:
        again = " (finished already)" if run.before else ""
        say(console, f"seed {run.start}: accuracy {100 * run.accuracy:.2f} %{again}")
        if distributed.is_main():
            kept = {"density": planned.ticket.density, "accuracy": run.accuracy, "loss": run.loss}
            logged.tell([LogEntry("planting", run.start, numbers(kept))])

    told = log if distributed.is_main() else "none"
    with RunLog(planned.folder.path, told) as logged, console.status("training") as status:
        runs = plant_runs(
            planned,
            starts,
            on_fraction=lambda start, fraction: status.update(f"seed {start}: {fraction:.0%}"),
            on_run=on_run,
        )
    if len(runs) > 1:
        accuracies = [100 * run.accuracy for run in runs]
        spread = f"{np.mean(accuracies):.2f} +- {np.std(accuracies, ddof=1):.2f} %"
        say(console, f"accuracy {spread} over {len(runs)} seeds")
    say(console, f"results and weights: {planned.folder.path}")

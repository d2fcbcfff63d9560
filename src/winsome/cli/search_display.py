"""One search, shown level by level while it runs."""

from __future__ import annotations

from pathlib import Path

from winsome.cli.console import open_console, say
from winsome.level import Level
from winsome.norms import norm_parameters
from winsome.prunable import format_plan, plan, prunable
from winsome.runs.search_folder import SearchFolder
from winsome.study.one_search import OneSearch, open_search, run_search
from winsome.training.conditions import Conditions


def show_search(one: OneSearch, conditions: Conditions, folder: Path) -> None:
    """Do what is left of a search, and say what comes of it."""
    console = open_console()
    search, place = open_search(one, folder, conditions), SearchFolder(folder)
    finished_already = place.is_finished(one.last_level)
    dense = [name for name in prunable(search.model, prune_classifier=one.prune_classifier) if name not in search.names]
    console.print(format_plan(plan(search.model, prune_classifier=one.prune_classifier, exclude=dense)))
    say(console, f"{one.study.title}: {one.network.name}, {conditions.precision.label} on {conditions.device}")
    if "norms" in one.method.needs and not norm_parameters(search.model):
        say(console, f"the network has no normalisation parameters: {one.name} is learning-rate rewinding here")

    def on_level(level: Level) -> None:
        metrics = level.metrics
        say(
            console,
            f"level {level.number:2d}  density {level.ticket.density:.4f}  accuracy {100 * metrics['accuracy']:.2f} %"
            f"  loss {metrics['loss']:.3f}  {level.seconds:.1f} s",
        )
        for name in level.ticket.mask.empty_layers():
            say(console, f"  warning: {name} has lost all its weights")

    with console.status("training") as status:
        run_search(
            one,
            search,
            conditions,
            on_fraction=lambda fraction: status.update(f"training: {fraction:.0%}"),
            on_level=on_level,
        )
    if finished_already:
        say(console, f"{folder} is finished already; nothing was trained. Choose another --save-to to run it anew.")
    say(console, f"ticket: {place.ticket_path(one.last_level)}")

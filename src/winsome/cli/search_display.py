"""One search, shown level by level while it runs."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from torch import nn

from winsome import distributed
from winsome.cli.console import open_console, say
from winsome.level import Level
from winsome.norm_choice import norms_of
from winsome.planned import format_plan
from winsome.prunable import plan, prunable
from winsome.runs.search_folder import SearchFolder
from winsome.study.one_search import OneSearch, open_search, run_search
from winsome.tracking.log import LogEntry, RunLog, numbers
from winsome.training.conditions import Conditions


def show_plan(one: OneSearch, network: nn.Module, searched: Collection[str] | None = None) -> None:
    """Print which weights a search prunes, and which parameters it takes for normalisation.

    Args:
        one: the search.
        network: what it prunes.
        searched: the weights that it prunes, where its allocation leaves some of the usual ones dense.
    """
    classifier = one.classifier or None
    usual = prunable(network, prune_classifier=one.prune_classifier, classifier=classifier)
    dense = [name for name in usual if searched is not None and name not in searched]
    norms = norms_of(one.method)
    lines = plan(network, prune_classifier=one.prune_classifier, classifier=classifier, norms=norms, exclude=dense)
    open_console().print(format_plan(lines))


def show_search(one: OneSearch, conditions: Conditions, folder: Path, *, log: str = "none") -> None:
    """Do what is left of a search, and say what comes of it, to a tracker too."""
    console = open_console()
    search, place = open_search(one, folder, conditions), SearchFolder(folder)
    finished_already = place.is_finished(one.last_level)
    show_plan(one, search.model, searched=search.names)
    say(console, f"{one.study.title}: {one.network.name}, {conditions.precision.label} on {conditions.device}")

    def on_level(level: Level) -> None:
        metrics = level.metrics
        if distributed.is_main():
            kept = {"density": level.ticket.density, "seconds": level.seconds, **metrics}
            logged.tell([LogEntry("search", level.number, numbers(kept))])
        say(
            console,
            f"level {level.number:2d}  density {level.ticket.density:.4f}  accuracy {100 * metrics['accuracy']:.2f} %"
            f"  loss {metrics['loss']:.3f}  {level.seconds:.1f} s",
        )
        for name in level.ticket.mask.empty_layers():
            say(console, f"  warning: {name} has lost all its weights")

    told = log if distributed.is_main() else "none"
    with RunLog(folder, told) as logged, console.status("training") as status:
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

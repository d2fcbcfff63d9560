"""Recipes on the terminal: which there are, what they would cost, how far they are, their tables."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from winsome.cli.console import open_console, say
from winsome.cli.display import Display
from winsome.cli.tables import add_row, open_table, show
from winsome.recipes.catalogue import RECIPES
from winsome.recipes.estimate import estimates, seeds_in_a_sitting, time_label
from winsome.recipes.recipe import Recipe
from winsome.recipes.run import Earlier
from winsome.study.design import Study
from winsome.study.run import Watch
from winsome.training.conditions import Conditions


@contextmanager
def displayed(study: Study, folder: Path, conditions: Conditions) -> Iterator[Watch]:
    """Shows the progress of a study of a recipe."""
    with Display(study, folder, conditions) as display:
        yield display.watch


def print_list() -> None:
    """Print the recipes that have a name."""
    table = open_table("name", "what", title="recipes: winsome reproduce NAME")
    for name, make in RECIPES.items():
        add_row(table, name, (inspect.getdoc(make) or "").partition("\n")[0])
    show(open_console(), table)


def print_estimate(console: Console, recipe: Recipe, earlier: Sequence[Earlier], workers: int) -> None:
    """Print what the studies of a recipe would cost on this machine."""
    say(console, "  timing a few training steps of each network on this machine")
    with console.status("timing training steps") as status:
        found = estimates(
            recipe.studies, earlier, workers=workers, watch=lambda network: status.update(f"timing steps of {network}")
        )
    for label, estimate in found.items():
        say(console, f"  {label}: {estimate.label}")
    if len(found) > 1:
        say(console, f"  in all {time_label(list(found.values()))}")
    seeds = max((len(study.search_seeds) for study in recipe.studies.values()), default=0)
    if (few := seeds_in_a_sitting(list(found.values()), seeds)) is not None:
        grows = few > 1 or not any(one.members for one in found.values())  # a single network does not go into a stack
        later = "; more seeds asked for later go on from there" if grows else ""
        alone = " (a single one judges no claim)" if few == 1 else ""
        say(console, f"  45 minutes are enough for --seeds {few}{alone}{later}")


def print_table(console: Console, record: dict[str, Any]) -> None:
    """Print a table of a recipe, from its record."""
    # A first column that says "study" on every row says nothing where there is one.
    first = int(record["columns"][0] == "study" and len({row[0] for row in record["rows"]}) == 1)
    columns = record["columns"]
    texts = [name for place, name in enumerate(columns) if any(isinstance(row[place], str) for row in record["rows"])]
    table = open_table(*columns[first:], title=record["caption"], text_columns=texts)
    for row in record["rows"]:
        add_row(table, *_cells(row[first:]))
    show(console, table)


def _cells(row: Sequence[Any]) -> list[str]:
    return ["" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value) for value in row]

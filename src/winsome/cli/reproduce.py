"""`winsome reproduce`: the papers' figures and tables by name."""

from __future__ import annotations

import dataclasses
import inspect
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyro.conf import Positional

from winsome.recipes.recipe import Scale
from winsome.user_code import Named, by_name

if TYPE_CHECKING:
    from rich.console import Console

    from winsome.recipes.recipe import Recipe
    from winsome.study.design import Study
    from winsome.study.reuse import Places
    from winsome.study.run import Watch
    from winsome.training.conditions import Conditions


def reproduce(
    names: Positional[tuple[str, ...]] = (),
    /,
    *,
    scale: Scale = "small",
    save_to: Path = Path("runs/reproduce"),
    seeds: int | None = None,
    data_dir: Path | None = None,
    workers: int = 0,
    estimate_only: bool = False,
) -> None:
    """Reproduce the papers' figures and tables by name.

    `winsome reproduce list` says which there are; `all` runs them all. Each recipe runs its studies, then leaves figures
    (SVG, PDF), tables (CSV) and recipe.json in a folder of its own; report.html shows all that are there. Run it again to
    continue where it stopped. What recipes share, an earlier call's in the same folder included, is done once.

    Args:
        names: Recipes, or `all`; `list` prints them. One of your own: FILE.py:NAME or PACKAGE.MODULE:NAME.
        scale: small takes minutes on two cores; paper is the papers' own set-up, and says first what it would cost.
        save_to: Folder of all recipes.
        seeds: Search seeds instead of the recipe's own: fewer for a quick look, more for narrower intervals.
        data_dir: Folder of local parquet files with the data set, or with a folder for each, instead of a download.
        workers: Processes side by side; 0 for one per core.
        estimate_only: Print what it would cost on this machine, and stop.
    """
    from winsome.cli.console import open_console, say

    if not names or names == ("list",):
        _print_list()
        return
    chosen = {name: named for one in names for name, named in _recipes_named(one)}
    if any(named.file for named in chosen.values()):
        workers = 1  # what a file defines is known to this process alone
    console = open_console()
    earlier = _earlier(save_to, scale, data_dir)
    done = [places for _, places in earlier]
    for name, named in chosen.items():
        recipe = _adapted(named.value(scale), seeds, data_dir)
        say(console, (name, "bold"), f": {recipe.title}")
        if scale == "paper" or estimate_only:
            _print_estimate(console, recipe, earlier)
        if not estimate_only:
            _reproduce(console, name, recipe, save_to, scale, workers, done)


def _recipes_named(text: str) -> list[tuple[str, Named]]:
    """The recipes of a name on the command line, each with the name of its folder."""
    from winsome.recipes.catalogue import RECIPES

    if text == "all":
        return [(name, Named(make)) for name, make in RECIPES.items()]
    return [(text.rpartition(":")[2], by_name(text, RECIPES, "recipe"))]


def _adapted(recipe: Recipe, seeds: int | None, data_dir: Path | None) -> Recipe:
    changed: dict[str, Study] = {}
    for label, study in recipe.studies.items():
        chosen = study.search_seeds if seeds is None else tuple(range(seeds))
        data = dataclasses.replace(study.data, data_dir=_data_dir(data_dir, study.data.name))
        changed[label] = dataclasses.replace(study, data=data, search_seeds=chosen)
    return dataclasses.replace(recipe, studies=changed)


def _data_dir(data_dir: Path | None, name: str) -> Path | None:
    """Where a data set is read from: the folder of its name inside the given one, if there is one."""
    if data_dir is None or name == "digits":
        return None
    return data_dir / name if (data_dir / name).is_dir() else data_dir


def _folder(save_to: Path, name: str, scale: Scale) -> Path:
    return save_to / (name if scale == "small" else f"{name}-{scale}")


def _earlier(save_to: Path, scale: Scale, data_dir: Path | None) -> list[tuple[Study, Places]]:
    """What earlier calls have left in the folder of all recipes."""
    from winsome.recipes.catalogue import RECIPES
    from winsome.recipes.run import earlier_results

    recipes = ((_adapted(make(scale), None, data_dir), _folder(save_to, name, scale)) for name, make in RECIPES.items())
    return earlier_results((study, folder / label) for recipe, folder in recipes for label, study in recipe.studies.items())


def _reproduce(
    console: Console, name: str, recipe: Recipe, save_to: Path, scale: Scale, workers: int, done: list[Places]
) -> None:
    from winsome import report
    from winsome.cli.console import say
    from winsome.cli.display import print_accuracies, print_verdicts
    from winsome.evidence.results import read
    from winsome.recipes.run import run_recipe

    command = shlex.join(["winsome", *sys.argv[1:]])
    folder = _folder(save_to, name, scale)
    record = run_recipe(name, recipe, folder, scale=scale, command=command, watching=_watching, workers=workers, done=done)
    for label in record["studies"]:
        print_accuracies(read(folder / label), title=label)
        report.write(folder / label)
    for table in record["tables"]:
        if table["name"] not in ("accuracy", "differences"):  # the former is printed above, arms by densities
            _print_table(console, table)
    print_verdicts(record["verdicts"])
    say(console, f"figures and tables: {folder}")
    say(console, f"report: {report.write_recipes(save_to)}")


@contextmanager
def _watching(study: Study, folder: Path, conditions: Conditions) -> Iterator[Watch]:
    from winsome.cli.display import Display

    with Display(study, folder, conditions) as display:
        yield display.watch


def _print_list() -> None:
    from winsome.cli.console import open_console
    from winsome.cli.tables import add_row, open_table, show
    from winsome.recipes.catalogue import RECIPES

    table = open_table("name", "what", title="recipes: winsome reproduce NAME")
    for name, make in RECIPES.items():
        add_row(table, name, (inspect.getdoc(make) or "").partition("\n")[0])
    show(open_console(), table)


def _print_estimate(console: Console, recipe: Recipe, earlier: list[tuple[Study, Places]]) -> None:
    from winsome.cli.console import say
    from winsome.recipes.estimate import estimates, time_label

    say(console, "  timing a few training steps of each network on this machine")
    with console.status("timing training steps") as status:
        found = estimates(recipe.studies, earlier, watch=lambda network: status.update(f"timing steps of {network}"))
    for label, estimate in found.items():
        say(console, f"  {label}: {estimate.label}")
    if len(found) > 1:
        say(console, f"  in all {time_label(list(found.values()))}")


def _print_table(console: Console, record: dict[str, Any]) -> None:
    from winsome.cli.tables import add_row, open_table, show

    # A first column that says "study" on every row says nothing where there is one.
    first = int(record["columns"][0] == "study" and len({row[0] for row in record["rows"]}) == 1)
    columns = record["columns"]
    words = [name for place, name in enumerate(columns) if any(isinstance(row[place], str) for row in record["rows"])]
    table = open_table(*columns[first:], title=record["caption"], words=words)
    for row in record["rows"]:
        add_row(table, *_cells(row[first:]))
    show(console, table)


def _cells(row: Sequence[Any]) -> list[str]:
    return ["" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value) for value in row]

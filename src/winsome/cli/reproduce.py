"""`winsome reproduce`: the papers' figures and tables by name."""

from __future__ import annotations

import shlex
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional

from winsome.cli.recipe_choices import adapted, chosen_recipes, made_recipe, refuse_ignored
from winsome.recipes.recipe import Scale
from winsome.user_code import UserFile, load_files

if TYPE_CHECKING:
    from rich.console import Console

    from winsome.recipes.recipe import Recipe
    from winsome.recipes.run import Earlier
    from winsome.study.reuse import Places


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
    continue where it stopped. What recipes share, an earlier call's in the same folder included, is done once. `winsome
    reproduce summary` prints every claim with what the recipes of a folder say to it, scale by scale, as a Markdown page;
    `summary arXiv:2504.05357` one paper's in a short table.

    Args:
        names: Recipes, or `all`; `list` prints them, `summary` what they have shown. One of your own: FILE.py:NAME or
            PACKAGE.MODULE:NAME.
        scale: small takes minutes on two cores; medium most of an hour or more, on CIFAR-10 (docs/medium.md); paper is the
            papers' own set-up. Medium and paper say first what they would cost.
        save_to: Folder of all recipes.
        seeds: Search seeds instead of the recipe's own: fewer for a quick look, more for narrower intervals.
        data_dir: Folder of local parquet files with the data set, or with a folder for each, instead of a download.
        workers: Processes side by side; 0 for one per core.
        estimate_only: Print what it would cost on this machine, and stop.
    """
    from winsome.cli.console import open_console, say
    from winsome.cli.recipe_display import print_estimate, print_list

    if not names or names == ("list",):
        print_list()
        return
    if names[0] == "summary":
        print(_summary(save_to, names[1:]), end="")
        return
    chosen = chosen_recipes(names)
    made = {name: made_recipe(text, named.value, scale) for name, (text, named) in chosen.items()}
    refuse_ignored(made.values(), seeds, data_dir)
    console = open_console()
    earlier = _earlier(save_to, scale, data_dir)
    done = [places for _, places in earlier]
    for name, (_, named) in chosen.items():
        recipe = adapted(made[name], seeds, data_dir)
        say(console, (name, "bold"), f": {recipe.title}")
        if scale != "small" or estimate_only:
            print_estimate(console, recipe, earlier, workers)
        if not estimate_only:
            _reproduce(console, name, recipe, save_to, scale, workers, named.file, done)


def _summary(folder: Path, papers: tuple[str, ...]) -> str:
    from winsome.recipes.claims import claims_page, records_in, short_table

    records = records_in(folder)
    return "\n".join(short_table(records, paper) for paper in papers) if papers else claims_page(records)


def _folder(save_to: Path, name: str, scale: Scale) -> Path:
    return save_to / (name if scale == "small" else f"{name}-{scale}")


def _earlier(save_to: Path, scale: Scale, data_dir: Path | None) -> list[Earlier]:
    """What earlier calls have left in the folder of all recipes."""
    from winsome.recipes.catalogue import RECIPES
    from winsome.recipes.run import earlier_results

    recipes = ((adapted(make(scale), None, data_dir), _folder(save_to, name, scale)) for name, make in RECIPES.items())
    return earlier_results((study, folder / label) for recipe, folder in recipes for label, study in recipe.studies.items())


def _reproduce(
    console: Console,
    name: str,
    recipe: Recipe,
    save_to: Path,
    scale: Scale,
    workers: int,
    file: UserFile | None,
    done: list[Places],
) -> None:
    from winsome import report
    from winsome.cli.console import say
    from winsome.cli.display import print_accuracies, print_verdicts
    from winsome.cli.recipe_display import displayed, print_table
    from winsome.evidence.results import read
    from winsome.recipes.run import run_recipe

    command = shlex.join(["winsome", *sys.argv[1:]])
    folder = _folder(save_to, name, scale)
    prepare = partial(load_files, () if file is None else (file,))
    record = run_recipe(
        name,
        recipe,
        folder,
        scale=scale,
        command=command,
        watching=displayed,
        workers=workers,
        prepare=prepare,
        done=done,
    )
    for label in record["studies"]:
        print_accuracies(read(folder / label), title=label)
        report.write(folder / label)
    for table in record["tables"]:
        if table["name"] not in ("accuracy", "differences"):  # the former is printed above, arms by densities
            print_table(console, table)
    print_verdicts(record["verdicts"])
    say(console, f"figures and tables: {folder}")
    say(console, f"report: {report.write_recipes(save_to)}")

"""The recipes that are named on the command line, at a scale, with what else is asked for of them."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from winsome.about import parameters_of
from winsome.errors import WinsomeError
from winsome.recipes.recipe import Scale
from winsome.user_code import Named, by_name, running

if TYPE_CHECKING:
    from winsome.data.spec import DataSpec
    from winsome.recipes.recipe import Recipe

log = logging.getLogger("winsome")


def chosen_recipes(names: Sequence[str]) -> dict[str, tuple[str, Named]]:
    """The recipes named on the command line, each once, by the names of their folders: the text, and what it stands for.

    Raises:
        WinsomeError: nothing has a name, or two recipes have one.
    """
    chosen: dict[str, tuple[str, Named]] = {}
    for text in names:
        for name, named in _recipes_named(text):
            if name in chosen and chosen[name][1].value is not named.value:
                raise WinsomeError(
                    f"two of the recipes are called {name}, which names their folder too; call one of them something else"
                )
            chosen[name] = text, named
    return chosen


def made_recipe(text: str, make: Any, scale: Scale) -> Recipe:
    """The recipe at a scale; a function of the user's may do without one, and then there is the small scale alone.

    Raises:
        WinsomeError: it takes no scale and is asked for another one, raises, or gives something else.
    """
    from winsome.recipes.recipe import Recipe

    scaled = callable(make) and bool(parameters_of(make))
    if not scaled and scale != "small":
        raise WinsomeError(f"{text} is the same at every scale: it takes none; leave --scale {scale} out")
    with running("recipe", text):
        recipe: object = make(scale) if scaled else make() if callable(make) else make
    if not isinstance(recipe, Recipe):
        raise WinsomeError(
            f"{text} gives a {type(recipe).__name__}; a function (scale) that returns a winsome Recipe is wanted"
        )
    if ":" in text and scale != "small" and recipe.studies and make("small").studies == recipe.studies:
        log.warning("%s has the same studies at the scales small and %s", text, scale)
    return recipe


def refuse_ignored(recipes: Iterable[Recipe], seeds: int | None, data_dir: Path | None) -> None:
    """Refuse what no study of these recipes would look at.

    Raises:
        WinsomeError: names the option.
    """
    studies = [study for recipe in recipes for study in recipe.studies.values()]
    if seeds is not None and not studies:
        raise WinsomeError("--seeds are of searches, and what is asked for has none; leave it out")
    if data_dir is not None and not any(_is_read_from(study.data) for study in studies):
        raise WinsomeError("--data-dir is where data sets of a name lie, and what is asked for reads none; leave it out")


def _recipes_named(text: str) -> list[tuple[str, Named]]:
    """The recipes of a name on the command line, each with the name of its folder."""
    from winsome.recipes.catalogue import RECIPES

    if text == "all":
        return [(name, Named(make)) for name, make in RECIPES.items()]
    return [(text.rpartition(":")[2], by_name(text, RECIPES, "recipe"))]


def adapted(recipe: Recipe, seeds: int | None, data_dir: Path | None) -> Recipe:
    """The recipe with so many search seeds, and its data from a folder."""
    changed = {}
    for label, study in recipe.studies.items():
        chosen = study.search_seeds if seeds is None else tuple(range(seeds))
        data = dataclasses.replace(study.data, data_dir=_data_dir(data_dir, study.data))
        changed[label] = dataclasses.replace(study, data=data, search_seeds=chosen)
    return dataclasses.replace(recipe, studies=changed)


def _data_dir(given: Path | None, data: DataSpec) -> Path | None:
    """Where a data set is read from: the folder of its name inside the given one, if there is one; as the study says if not."""
    if given is None or not _is_read_from(data):
        return data.data_dir
    return given / data.name if (given / data.name).is_dir() else given


def _is_read_from(data: DataSpec) -> bool:
    """Whether a folder may hold the data set: not digits, nor what code or a folder of the user's gives itself."""
    from winsome.data.named import is_own

    return data.name != "digits" and data.folder is None and not is_own(data.name)

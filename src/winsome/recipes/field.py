"""The recipes on what the field compares with, by name: masks and what they cost, patterns, long levels, low sparsity."""

from __future__ import annotations

from winsome.recipes.before_training import at_initialisation
from winsome.recipes.equal_epochs import equal_epochs
from winsome.recipes.level_length import level_length
from winsome.recipes.low_sparsity import low_sparsity
from winsome.recipes.patterns import n_of_m
from winsome.recipes.recipe import MakeRecipe
from winsome.recipes.search_budget import search_budget, search_budget_frozen, search_budget_lrr
from winsome.recipes.sign_in import sign_in

FIELD: dict[str, MakeRecipe] = {
    make.__name__: make
    for make in (
        at_initialisation,
        n_of_m,
        sign_in,
        search_budget,
        search_budget_lrr,
        search_budget_frozen,
        equal_epochs,
        level_length,
        low_sparsity,
    )
}

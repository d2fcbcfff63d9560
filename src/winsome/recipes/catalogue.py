"""All recipes by name."""

from __future__ import annotations

from winsome.recipes.basins import connectivity
from winsome.recipes.before_training import at_initialisation
from winsome.recipes.beyond import absorbed_signs, frozen_norms
from winsome.recipes.equal_epochs import equal_epochs
from winsome.recipes.masks import imp_mask_swap, lrr_mask_swap, mask_randomisation, random_masks
from winsome.recipes.neuron import single_neuron
from winsome.recipes.norms import norm_rewinding
from winsome.recipes.patterns import n_of_m
from winsome.recipes.recipe import MakeRecipe
from winsome.recipes.search_budget import search_budget
from winsome.recipes.sign_dynamics import sign_dynamics
from winsome.recipes.sign_in import sign_in
from winsome.recipes.signs import sign_perturbation, sign_transplants
from winsome.recipes.tickets import accuracy_over_density, imagenet_table

RECIPES: dict[str, MakeRecipe] = {
    make.__name__: make
    for make in (
        accuracy_over_density,
        connectivity,
        imagenet_table,
        single_neuron,
        mask_randomisation,
        lrr_mask_swap,
        imp_mask_swap,
        sign_dynamics,
        sign_perturbation,
        sign_transplants,
        norm_rewinding,
        random_masks,
        frozen_norms,
        absorbed_signs,
        at_initialisation,
        n_of_m,
        sign_in,
        search_budget,
        equal_epochs,
    )
}

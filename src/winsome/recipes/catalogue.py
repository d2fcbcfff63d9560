"""All recipes by name."""

from __future__ import annotations

from winsome.recipes.basins import connectivity
from winsome.recipes.beyond import absorbed_signs, frozen_norms, norm_free
from winsome.recipes.field import FIELD
from winsome.recipes.masks import imp_mask_swap, lrr_mask_swap, mask_randomisation, random_masks
from winsome.recipes.neuron import single_neuron
from winsome.recipes.norms import norm_rewinding
from winsome.recipes.recipe import MakeRecipe
from winsome.recipes.sign_dynamics import sign_dynamics
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
        norm_free,
    )
} | FIELD

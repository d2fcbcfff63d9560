"""Whose mask, whose optimisation: mask swap, mask randomisation and random masks (arXiv:2402.19262)."""

from __future__ import annotations

from dataclasses import replace

from winsome.allocation import balanced, erdos_renyi_kernel, globally, uniformly
from winsome.mask_swap import permuted_masks, random_masks_of_the_same_counts
from winsome.recipes.accuracy import accuracy_evidence
from winsome.recipes.recipe import Recipe, Scale
from winsome.recipes.set_ups import DIGITS, IMP, LRR, SHORT_LEVELS, B, Searches, SetUp, imp, lrr, over, studies_of_searches
from winsome.scores import random
from winsome.study.design import SearchSpec

SMALL = (DIGITS, SHORT_LEVELS)
ALLOCATIONS = {"balanced": balanced, "ERK": erdos_renyi_kernel, "uniform": uniformly, "global": globally}


def lrr_mask_swap(scale: Scale) -> Recipe:
    """IMP in LRR's masks: how much of LRR's gain is its mask?

    Claim (arXiv:2402.19262, mask swap): LRR finds better masks: IMP inside them is better than IMP in its own.

    Command: winsome reproduce lrr_mask_swap

    Measured at small scale on residual-mlp-digits (16 search seeds, in points, 95 % intervals; two cores of an AMD EPYC,
    Zen 4): IMP in LRR's masks minus IMP +3.1 (2.2, 4.0); LRR minus IMP in LRR's masks +.8 (.3, 1.4); LRR minus IMP +3.9
    (3.2, 4.7). All of it is in docs/masks-signs-lrr.md.
    """

    def searches(set_up: SetUp) -> Searches:
        return {
            "lrr": (SearchSpec(lrr(set_up)), *LRR),
            "imp_in_lrr": (
                SearchSpec(imp(set_up), "lrr"),
                "IMP in LRR's masks",
                "IMP; at every level the mask is LRR's.",
            ),
            "imp": (SearchSpec(imp(set_up)), *IMP),
        }

    claims = (
        over("LRR's masks improve IMP.", "imp_in_lrr", "imp", "IMP in LRR's masks minus IMP"),
        over("The mask is not all: LRR optimises it better.", "lrr", "imp_in_lrr", "LRR minus IMP in LRR's masks"),
        over("LRR beats IMP.", "lrr", "imp", "LRR minus IMP"),
    )
    title = "IMP in LRR's masks"
    claim = "LRR finds better masks: IMP inside them is better than IMP in its own."
    studies = studies_of_searches(scale, title, searches, claims, reference="imp", small=SMALL)
    return Recipe(title, f"{B}, mask swap", claim, studies, analyse=accuracy_evidence)


def imp_mask_swap(scale: Scale) -> Recipe:
    """LRR in IMP's masks: how much of LRR's gain is its optimisation?

    Claim (arXiv:2402.19262, mask swap): LRR optimises better: inside IMP's masks it is better than IMP.

    Command: winsome reproduce imp_mask_swap

    Measured at small scale on residual-mlp-digits (16 search seeds, in points, 95 % intervals; two cores of an AMD EPYC,
    Zen 4): LRR in IMP's masks minus IMP -3.8 (-5.7, -1.9); LRR minus LRR in IMP's masks +7.7 (6.2, 9.3). All of it is in
    docs/masks-signs-lrr.md.
    """

    claims = (
        over("LRR optimises IMP's masks better than IMP.", "lrr_in_imp", "imp", "LRR in IMP's masks minus IMP"),
        over("LRR's own masks are better still.", "lrr", "lrr_in_imp", "LRR minus LRR in IMP's masks"),
    )
    title = "LRR in IMP's masks"
    claim = "LRR optimises better: inside IMP's masks it is better than IMP."
    studies = studies_of_searches(scale, title, in_imp_masks, claims, reference="imp", small=SMALL)
    return Recipe(title, f"{B}, mask swap", claim, studies, analyse=accuracy_evidence)


def in_imp_masks(set_up: SetUp) -> Searches:
    """LRR, LRR in IMP's masks, and IMP."""
    return {
        "lrr": (SearchSpec(lrr(set_up)), *LRR),
        "lrr_in_imp": (SearchSpec(lrr(set_up), "imp"), "LRR in IMP's masks", "LRR; at every level the mask is IMP's."),
        "imp": (SearchSpec(imp(set_up)), *IMP),
    }


def mask_randomisation(scale: Scale) -> Recipe:
    """LRR's layer densities, places at random: drawn anew level by level, or its masks permuted.

    Claim (arXiv:2402.19262, mask randomisation): LRR's gain is not in the mask alone: it trains randomised masks better
    than IMP does.

    Command: winsome reproduce mask_randomisation

    Measured at small scale on residual-mlp-digits (16 search seeds, in points, 95 % intervals; two cores of an AMD EPYC,
    Zen 4): LRR minus IMP, random masks -3.5 (-5.4, -1.5); LRR minus IMP, permuted masks -2.5 (-4.6, -.5); LRR minus LRR in
    random masks +16.8 (14.7, 19.0). All of it is in docs/masks-signs-lrr.md.
    """

    def searches(set_up: SetUp) -> Searches:
        drawn, permuted = random_masks_of_the_same_counts, permuted_masks
        return {
            "lrr": (SearchSpec(lrr(set_up)), *LRR),
            "lrr_random": (
                SearchSpec(lrr(set_up), "lrr", drawn),
                "LRR, random masks",
                "LRR in random nested masks of LRR's layer densities.",
            ),
            "imp_random": (SearchSpec(imp(set_up), "lrr_random"), "IMP, random masks", "IMP in the same random masks."),
            "lrr_permuted": (
                SearchSpec(lrr(set_up), "lrr", permuted),
                "LRR, permuted masks",
                "LRR in its own masks with the places of every layer shuffled, alike at all levels.",
            ),
            "imp_permuted": (
                SearchSpec(imp(set_up), "lrr_permuted"),
                "IMP, permuted masks",
                "IMP in the same permuted masks.",
            ),
        }

    claims = (
        over("In the same random masks LRR beats IMP.", "lrr_random", "imp_random", "LRR minus IMP, random masks"),
        over("In the same permuted masks LRR beats IMP.", "lrr_permuted", "imp_permuted", "LRR minus IMP, permuted masks"),
        over("Places matter: LRR's own masks beat random ones.", "lrr", "lrr_random", "LRR minus LRR in random masks"),
    )
    claim = "LRR's gain is not in the mask alone: it trains randomised masks better than IMP does."
    studies = studies_of_searches(scale, "Randomised masks", searches, claims, reference="lrr", small=SMALL)
    return Recipe("Mask randomisation", f"{B}, mask randomisation", claim, studies, analyse=accuracy_evidence)


def random_masks(scale: Scale) -> Recipe:
    """Random nested masks, balanced, ERK, uniform and global, under LRR and under IMP.

    Claim (arXiv:2402.19262, random masks): LRR trains random masks, too, better than IMP does.

    Command: winsome reproduce random_masks

    Measured at small scale on residual-mlp-digits (16 search seeds, in points, 95 % intervals; two cores of an AMD EPYC,
    Zen 4): LRR minus IMP, balanced -11.9 (-15.8, -8.1); LRR minus IMP, ERK -14.9 (-19.2, -10.7); LRR minus IMP, uniform
    -20.4 (-23.9, -17.0); LRR minus IMP, global -16.4 (-19.2, -13.7). All of it is in docs/masks-signs-lrr.md.
    """

    def searches(set_up: SetUp) -> Searches:
        return {name: search for kind in ALLOCATIONS for name, search in in_random_masks(set_up, kind).items()}

    claims = tuple(
        over(
            f"LRR trains {name} random masks better than IMP.",
            f"lrr_{name.lower()}",
            f"imp_{name.lower()}",
            f"LRR minus IMP, {name}",
        )
        for name in ALLOCATIONS
    )
    claim = "LRR trains random masks, too, better than IMP does."
    studies = studies_of_searches(scale, "Random masks", searches, claims, reference="lrr_erk", small=SMALL)
    return Recipe("Random masks", f"{B}, random masks", claim, studies, analyse=accuracy_evidence)


def in_random_masks(set_up: SetUp, allocation: str) -> Searches:
    """LRR in random nested masks of one of the `ALLOCATIONS`, and IMP in the same."""
    own, same = f"lrr_{allocation.lower()}", f"imp_{allocation.lower()}"
    spec = SearchSpec(replace(lrr(set_up), score=random, allocate=ALLOCATIONS[allocation]))
    return {
        own: (spec, f"LRR, {allocation}", f"LRR in random nested masks, {allocation}."),
        same: (SearchSpec(imp(set_up), own), f"IMP, {allocation}", "IMP in the same masks."),
    }

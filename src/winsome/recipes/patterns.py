"""Tickets in N:M patterns against unstructured ones of the same density."""

from __future__ import annotations

from dataclasses import replace

from winsome.allocation import NOfM
from winsome.methods import aws, learning_rate_rewinding
from winsome.models.spec import NetworkSpec
from winsome.recipes.accuracy import accuracy_evidence
from winsome.recipes.recipe import Recipe, Scale
from winsome.recipes.set_ups import OURS, over, study_of_tickets
from winsome.study.arms import ARMS, arms_of_search

N_OF_M = "arXiv:2102.04010"


def n_of_m(scale: Scale) -> Recipe:
    """AWS and LRR tickets in which of every 4 inputs 2, and then 1, are kept, against unstructured ones of the same density.

    Claim (arXiv:2102.04010, of tickets): A signed ticket in a 2:4 pattern trains from any start as an unstructured one does.

    Command: winsome reproduce n_of_m

    Measured at small scale (16 search seeds, in points, 95 % intervals; two cores of an AMD EPYC, Zen 4), at density .25:
    s_AWS unstructured minus in a pattern +4.5 (2.9, 6.2); s_AWS minus s_LRR, both N:4 +1.6 (-.4, 3.7); s_AWS minus its mask
    only, N:4 +4.3 (2.4, 6.2); s_LRR minus s_LRR N:4 +5.6 (4.5, 6.8); dense minus s_AWS N:4 +6.0 (4.0, 8.1). All of it is in
    docs/field.md.
    """
    base = study_of_tickets(scale)
    if scale == "small":
        # Of the usual width 64 a quarter of the weights is more than the digits need.
        narrow = NetworkSpec("residual_mlp", (("width", 16),))
        base = replace(base, name="narrow", network=narrow, search_seeds=tuple(range(16)), curve_at=())
    densities = (1.0, 0.75, 0.5, 0.25)
    methods = {"lrr": learning_rate_rewinding(), "aws": aws()}
    searches, arms = [], [ARMS["dense"]]
    for name, method in methods.items():
        plain = replace(method, densities=densities)
        for key, one, label in (
            (name, plain, name.upper()),
            (f"{name}_n_of_m", replace(plain, allocate=NOfM(1, 4)), f"{name.upper()} N:4"),
        ):
            searches.append((key, replace(one, label=label)))
            own = arms_of_search(key, label)
            arms += [own[f"planted_{key}"], own[f"mask_only_{key}"]]
    patterned, free = "planted_aws_n_of_m", "planted_aws"
    claims = (
        over("Unstructured AWS tickets are better.", free, patterned, "s_AWS unstructured minus in a pattern", OURS),
        over("In a pattern AWS plants better than LRR.", patterned, "planted_lrr_n_of_m", "s_AWS minus s_LRR, both N:4", OURS),
        over("In a pattern signs matter.", patterned, "mask_only_aws_n_of_m", "s_AWS minus its mask only, N:4", OURS),
        over("Unstructured LRR tickets are better.", "planted_lrr", "planted_lrr_n_of_m", "s_LRR minus s_LRR N:4", OURS),
        over("The dense network is better than the pattern.", "dense", patterned, "dense minus s_AWS N:4", N_OF_M),
    )
    study = replace(base, searches=tuple(searches), arms=tuple(arms), levels=(2, 3), claims=claims, reference=patterned)
    label = {"small": "narrow-residual-mlp-digits", "medium": "resnet20-photographs", "paper": "resnet20-cifar10"}[scale]
    claim = "A signed ticket in a 2:4 pattern trains from any start as an unstructured one does."
    return Recipe("Tickets in N:M patterns", f"{N_OF_M}, of tickets", claim, {label: study}, analyse=accuracy_evidence)

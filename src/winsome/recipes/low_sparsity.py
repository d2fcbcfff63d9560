"""Where rewinding the learning rate may harm: wide networks of which little is pruned (arXiv:2109.09670)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from winsome.recipes.accuracy import accuracy_evidence
from winsome.recipes.recipe import Recipe, Scale
from winsome.recipes.set_ups import DIGITS, IMP, LRR, PHOTOGRAPHS, Searches, SetUp, imp, lrr, over, set_ups, study_of_searches
from winsome.study.arms import ARMS, Claim
from winsome.study.design import SearchSpec, Study

REMARK = "arXiv:2109.09670"
RATE = 0.2
# Once levels are trained to their end, what goes on where it was has no advantage of plain time over what starts again.
LONG_LEVELS = replace(DIGITS, training=replace(DIGITS.training, epochs=160), seeds=8)
LONG_PHOTOGRAPHS = replace(PHOTOGRAPHS, training=replace(PHOTOGRAPHS.training, epochs=60))
LEVELS = {"80-percent": 1, "41-percent": 4}  # what is kept at a fifth a level; at the first, iterative is one-shot
WIDTHS: Mapping[Scale, Mapping[str, int]] = {
    "small": {"narrow": 16, "wide": 128},
    "medium": {"narrow": 8, "wide": 24},
    "paper": {"narrow": 16, "wide": 128},
}


def low_sparsity(scale: Scale) -> Recipe:
    """LRR, IMP and both in one shot where little is pruned, on a narrow and on a wide network.

    Claim (arXiv:2109.09670, on Wide ResNets): At low sparsity LRR is worse than weight rewinding on wide networks.

    Command: winsome reproduce low_sparsity

    Measured at small scale (8 search seeds, in points, 95 % intervals; two cores of an AMD EPYC): IMP minus LRR at density .8,
    narrow -.7 (-1.6, .3), wide +.2 (-.3, .7); at .41, narrow -1.4 (-2.7, -.2), wide +.1 (-.3, .4). At medium scale (one H100):
    -4.7 (-5.3, -4.0), -2.4 (-2.8, -1.9); -3.8 (-4.5, -3.2), -2.1 (-2.4, -1.9). All of it is in docs/field.md.
    """
    studies = {}
    for kind, width in WIDTHS[scale].items():
        for kept, levels in LEVELS.items():
            base = LONG_PHOTOGRAPHS if scale == "medium" else set_ups(scale, (LONG_LEVELS,))[0]
            options = {**dict(base.network.options), "width": width}
            network = replace(base.network, options=tuple(options.items()))
            chosen = replace(base, name=f"{kind}-{kept}", network=network, rate=RATE, levels=levels, judged=(levels,))
            studies[chosen.name] = _study(chosen)
    claim = "At low sparsity LRR is worse than weight rewinding on wide networks."
    return Recipe("Low sparsity on wide networks", REMARK, claim, studies, analyse=accuracy_evidence)


def _study(set_up: SetUp) -> Study:
    """The searches of one network at one density, judged there beside the dense network."""
    several = set_up.levels > 1
    searches: Searches = {"lrr": (SearchSpec(lrr(set_up)), *LRR), "imp": (SearchSpec(imp(set_up)), *IMP)}
    if several:
        once = (1.0, (1 - set_up.rate) ** set_up.levels)
        for name, label, method in (("lrr", "LRR", lrr(set_up)), ("imp", "IMP", imp(set_up))):
            spec = SearchSpec(replace(method, densities=once))
            searches[f"{name}_at_once"] = (spec, f"{label}, one-shot", f"Pruned once, then one level of {label}.")
    study = study_of_searches(set_up, "Low sparsity", searches, _claims(several), reference="lrr")
    return replace(study, arms=(ARMS["dense"], *study.arms))


def _claims(several: bool) -> tuple[Claim, ...]:
    worse = over("At low sparsity LRR is worse than IMP.", "imp", "lrr", "IMP minus LRR", REMARK)
    below = over("At low sparsity LRR is worse than the dense network.", "dense", "lrr", "dense minus LRR", REMARK)
    at_once = (
        over("Iterative LRR is worse than LRR in one shot.", "lrr_at_once", "lrr", "LRR one-shot minus LRR", REMARK),
        over("Iterative LRR is worse than IMP in one shot.", "imp_at_once", "lrr", "IMP one-shot minus LRR", REMARK),
    )
    return (worse, below, *(at_once if several else ()))

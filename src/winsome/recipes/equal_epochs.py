"""Ways from dense to sparse at equal total epochs: AC/DC, SCULPT and gradual pruning beside AWS, LRR and IMP."""

from __future__ import annotations

from dataclasses import replace

from winsome.methods import aws
from winsome.methods_in_phases import ac_dc, gradual, sculpt
from winsome.recipes.accuracy import accuracy_evidence
from winsome.recipes.recipe import Recipe, Scale
from winsome.recipes.set_ups import IMP, LRR, OURS, Searches, SetUp, imp, lrr, over, set_ups, studies_of_searches
from winsome.study.arms import ARMS, Arm, Claim, arms_of_search
from winsome.study.design import SearchSpec, Study

AC_DC, CYCLIC = "arXiv:2106.12379", "arXiv:2406.02773"

# Where phases 1, 2, ... begin, as a part of the training: in turns of a twentieth from a tenth on, the last two longer.
_PHASES = (*(0.1 + 0.05 * turn for turn in range(14)), 0.85)


def equal_epochs(scale: Scale) -> Recipe:
    """AC/DC, SCULPT and gradual pruning beside AWS, LRR and IMP at equal total epochs: their networks, and their signs planted.

    Claim (arXiv:2106.12379, 2406.02773): Sparse and dense in turn, or cycles on one mask, do as well as a search of many levels
    for the same epochs.

    Command: winsome reproduce equal_epochs

    Measured at small scale on residual-mlp-digits (16 search seeds, density .031, in points, 95 % intervals; 16 cores of an
    Intel Xeon): network of AC/DC minus LRR +1.0 (.6, 1.4); of SCULPT minus LRR -5.7 (-7.3, -4.0); of GMP minus LRR -.1 (-.9,
    .6); s_AWS minus s_AC/DC -1.5 (-2.2, -.8); s_AC/DC minus s_LRR +1.0 (.4, 1.6). All of it is in docs/field.md.
    """

    def searches(set_up: SetUp) -> Searches:
        last = (1 - set_up.rate) ** set_up.levels
        total = (set_up.levels + 1) * set_up.training.epochs
        once = replace(set_up.training, epochs=total)

        def steps(*parts: float) -> tuple[int, ...]:
            return tuple(round(part * total * set_up.steps_per_epoch) for part in parts)

        falling = steps(*(0.1 + 0.65 * turn / (2 * set_up.levels - 1) for turn in range(2 * set_up.levels)))
        phases = set_up.keeping(ac_dc(density=last, prune_at=steps(*_PHASES)))
        cycles = set_up.keeping(sculpt(set_up.levels, last))
        return {
            "lrr": (SearchSpec(lrr(set_up)), *LRR),
            "aws": (SearchSpec(set_up.keeping(aws(set_up.levels, set_up.rate))), "AWS", "LRR with interpolated normalisation."),
            "imp": (SearchSpec(imp(set_up)), *IMP),
            "ac_dc": (SearchSpec(phases, training=once), "AC/DC", "Sparse and dense in turn, within one training."),
            "sculpt": (SearchSpec(cycles), "SCULPT", "Cycles on a random mask, then one pruning and a last cycle."),
            "gmp": (
                SearchSpec(gradual(density=last, prune_at=falling), training=once),
                "GMP",
                "Pruned gradually, by a cubic schedule, within one training.",
            ),
        }

    title = "Equal total epochs"
    last = (set_ups(scale)[0].levels,)
    studies = studies_of_searches(scale, title, searches, _claims(), reference="planted_lrr", judged=last)
    claim = "Sparse and dense in turn, or cycles on one mask, do as well as a search of many levels for the same epochs."
    planted = {label: _with_planted(study) for label, study in studies.items()}
    return Recipe(title, f"{AC_DC}, 2406.02773", claim, planted, analyse=accuracy_evidence)


def _with_planted(study: Study) -> Study:
    """The study, in which the signs of every search are planted beside its network."""
    arms: list[Arm] = [ARMS["dense"]]
    for name, spec in study.search_specs.items():
        own = arms_of_search(name, spec.method.label)
        arms += [own[f"network_{name}"], own[f"planted_{name}"]]
    return replace(study, arms=tuple(arms), prune_classifier=False)


def _claims() -> tuple[Claim, ...]:
    networks = [
        ("AC/DC's network is better than LRR's.", "ac_dc", "lrr", AC_DC),
        ("SCULPT's network is better than LRR's.", "sculpt", "lrr", CYCLIC),
        ("Gradual pruning's network is better than LRR's.", "gmp", "lrr", OURS),
        ("AWS's network is better than AC/DC's.", "aws", "ac_dc", OURS),
        ("LRR's network is better than IMP's.", "lrr", "imp", "arXiv:2402.19262"),
    ]
    signs = [
        ("AWS's signs are better than AC/DC's.", "aws", "ac_dc", OURS),
        ("AWS's signs are better than SCULPT's.", "aws", "sculpt", OURS),
        ("AC/DC's signs are better than LRR's.", "ac_dc", "lrr", OURS),
        ("SCULPT's signs are better than LRR's.", "sculpt", "lrr", OURS),
    ]
    labels = {"lrr": "LRR", "aws": "AWS", "imp": "IMP", "ac_dc": "AC/DC", "sculpt": "SCULPT", "gmp": "GMP"}
    found = [
        over(text, f"network_{a}", f"network_{b}", f"network of {labels[a]} minus {labels[b]}", source)
        for text, a, b, source in networks
    ]
    return (
        *found,
        *(over(t, f"planted_{a}", f"planted_{b}", f"s_{labels[a]} minus s_{labels[b]}", source) for t, a, b, source in signs),
    )

"""When signs flip and when they settle (arXiv:2402.19262, figure 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from winsome.analysis.signs import SignDynamics
from winsome.evidence.signs import SUMMARY, summary
from winsome.figures.plots import Plot
from winsome.figures.signs import sign_levels, sign_settling
from winsome.methods import aws
from winsome.recipes.accuracy import accuracy_evidence
from winsome.recipes.recipe import Evidence, Finished, Recipe, Scale, Table, of_study
from winsome.recipes.set_ups import CONSTANT_RATE, DIGITS, IMP, LRR, B, Searches, SetUp, imp, lrr, studies_of_searches
from winsome.recipes.settling import AWS_NO_LATER, EARLIER, FEWER, counted_in, judge
from winsome.study.design import SearchSpec


def sign_dynamics(scale: Scale) -> Recipe:
    """How often signs flip and when they settle, under IMP, LRR and AWS.

    Claim (arXiv:2402.19262, figure 5): Under LRR signs settle much earlier than under IMP.

    Command: winsome reproduce sign_dynamics

    Measured at small scale on residual-mlp-digits-constant-rate (16 search seeds, 95 % intervals; two cores of an AMD EPYC,
    Zen 4): settled level of IMP minus that of LRR +.87 (.58, 1.16); flips per weight under IMP minus under LRR +.24 (.13,
    .35); settled level of LRR minus that of AWS -.02 (-.05, .01). All of it is in docs/masks-signs-lrr.md.
    """

    def searches(set_up: SetUp) -> Searches:
        return {
            "lrr": (SearchSpec(lrr(set_up)), *LRR),
            "aws": (SearchSpec(set_up.keeping(aws(set_up.levels, set_up.rate))), "AWS", "LRR with interpolated normalisation."),
            "imp": (SearchSpec(imp(set_up)), *IMP),
        }

    claim = "Under LRR signs settle much earlier than under IMP."
    small = (CONSTANT_RATE, DIGITS)
    studies = studies_of_searches(scale, "Signs over levels", searches, (), reference="lrr", small=small)
    return Recipe("Sign dynamics", f"{B}, figure 5", claim, studies, analyse=_signs)


def _signs(finished: Mapping[str, Finished]) -> Evidence:
    rows: list[Sequence[object]] = []
    plots: list[Plot] = []
    verdicts = []
    for label, one in finished.items():
        counted = counted_in(one)
        rows += [(label, *row) for row in summary(counted)]
        plots += _plots(f"-{label}" if len(finished) > 1 else "", counted)
        verdicts += [of_study(judge(claim, counted), label, finished) for claim in (EARLIER, FEWER, AWS_NO_LATER)]
    table = Table("signs", "Flips and settled levels of the weights alive at the last level.", ("study", *SUMMARY), rows)
    accuracies = accuracy_evidence(finished)
    return replace(
        accuracies, tables=(table, accuracies.tables[0]), plots=(*plots, *accuracies.plots), verdicts=tuple(verdicts)
    )


def _plots(suffix: str, counted: Sequence[SignDynamics]) -> list[Plot]:
    settling = (
        "How often a weight's sign flips, and the level at whose end it has its final sign; weights alive at the end. Bars: "
        "means over search seeds; whiskers: one standard deviation."
    )
    levels = (
        "Level by level: signs that differ from the last level, and from initialisation. Means over search seeds, one standard "
        "deviation shaded."
    )
    return [
        Plot(f"settling{suffix}", settling, partial(sign_settling, counted)),
        Plot(f"levels{suffix}", levels, partial(sign_levels, counted)),
    ]

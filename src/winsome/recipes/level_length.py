"""Whether the length of levels decides what LRR is better at than IMP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, replace
from functools import partial

from winsome.evidence.leads import Lead, shrinks
from winsome.figures.lengths import lead_over_length
from winsome.figures.plots import Plot
from winsome.recipes.accuracy import accuracy_evidence
from winsome.recipes.masks import in_imp_masks, in_random_masks
from winsome.recipes.recipe import Evidence, Finished, Recipe, Scale, Table, of_study
from winsome.recipes.set_ups import DIGITS, OURS, B, Searches, over, set_ups, study_of_searches
from winsome.recipes.settling import EARLIER, counted_in, judge
from winsome.study.arms import Claim
from winsome.study.design import Study

LENGTHS: Mapping[Scale, tuple[int, ...]] = {"small": (8, 24, 64), "medium": (20, 50, 120), "paper": (50, 150, 450)}
_CLAIMS = (
    over("LRR beats IMP.", "lrr", "imp", "LRR minus IMP"),
    over("LRR optimises IMP's masks better than IMP.", "lrr_in_imp", "imp", "LRR in IMP's masks minus IMP"),
    over("LRR trains ERK random masks better than IMP.", "lrr_erk", "imp_erk", "LRR minus IMP, ERK"),
)


def level_length(scale: Scale) -> Recipe:
    """LRR and IMP in their own masks, in IMP's and in random ones, in levels of three lengths.

    Claim (question of this project): Where LRR beats IMP in one set-up and loses in another, the length of levels decides: what
    goes on where it was has trained longer than what starts again, until both are trained to their end.

    Command: winsome reproduce level_length

    Measured (8 search seeds, in points, 95 % intervals). On the digits, levels of 8, 24 and 64 epochs: LRR minus IMP +20.4
    (17.9, 22.9), +5.0 (4.0, 6.0), +1.0 (-.6, 2.6); in ERK's random masks +8.2 (1.2, 15.1), -13.2 (-15.8, -10.6), -18.9 (-26.1,
    -11.7). At medium scale, 20, 50, 120 epochs: +6.5 (5.8, 7.2), +3.2 (2.7, 3.7), +6.2 (5.1, 7.3); in random masks +6.3 (5.2,
    7.5), +5.0 (3.5, 6.6), +3.4 (2.5, 4.4). Two cores of an AMD EPYC; one H100. All of it is in docs/field.md.
    """
    studies: dict[str, Study] = {}
    base = set_ups(scale, (replace(DIGITS, seeds=8),))[0]
    for epochs in LENGTHS[scale]:
        chosen = replace(base, name=f"{base.name}-{epochs}-epochs", training=replace(base.training, epochs=epochs))
        searches: Searches = {**in_imp_masks(chosen), **in_random_masks(chosen, "ERK")}
        ends = (0, chosen.levels)  # level 0 is the dense network: whether it is trained to its end
        title = f"Levels of {epochs} epochs"
        studies[f"{epochs}-epochs"] = study_of_searches(chosen, title, searches, _CLAIMS, reference="imp", judged=ends)
    claim = "Where LRR beats IMP in one set-up and loses in another, the length of levels decides."
    return Recipe("The length of levels", f"{OURS}, after {B}", claim, studies, analyse=_evidence)


def _evidence(finished: Mapping[str, Finished]) -> Evidence:
    found = accuracy_evidence(finished)
    leads = [_lead(claim, one) for claim in _CLAIMS for one in finished.values()]
    rows = [(lead.name, lead.epochs, *astuple(lead.interval)) for lead in leads]
    table = Table(
        "leads",
        "What LRR is better by at the last level, over the epochs of a level; 95 % confidence intervals (Student's t).",
        ("difference", "epochs", "mean", "low", "high", "search seeds"),
        rows,
    )
    words = (
        "What LRR is better by than IMP at the last level, over the epochs of every level: means over search seeds, bars 95 % "
        "confidence intervals."
    )
    plot = Plot("leads", words, partial(lead_over_length, leads))
    settled = [of_study(judge(EARLIER, counted_in(one)), label, finished) for label, one in finished.items()]
    less = [shrinks([lead for lead in leads if lead.name == claim.meaning], OURS) for claim in _CLAIMS]
    return Evidence((table, *found.tables), (plot, *found.plots), (*found.verdicts, *settled, *less))


def _lead(claim: Claim, one: Finished) -> Lead:
    return Lead.of(claim, one.results["rows"], one.study.densities[-1], one.study.search_training.epochs)

"""What a search has to cost: planted accuracy over its epochs and over how often it prunes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from statistics import fmean

from winsome.evidence.intervals import by_seed, interval
from winsome.evidence.results import Verdict
from winsome.evidence.verdicts import judged
from winsome.figures.budget import Priced, accuracy_over_cost
from winsome.figures.plots import Plot
from winsome.recipes.accuracy import accuracy_table, differences_table
from winsome.recipes.budget_plans import EARLY, KINDS, Kind, PricedSearch, budget_study, few_plans_of, mask_only, plans_of
from winsome.recipes.recipe import Evidence, Finished, Recipe, Scale, Table
from winsome.recipes.set_ups import OURS, study_of_tickets
from winsome.study.arms import Claim

_WITHIN = 0.01  # of the usual search: what counts as as good


def search_budget(scale: Scale) -> Recipe:
    """Planted signs over what AWS's search cost: iterative, one-shot, cubic in one training, and the dense network alone.

    Claim (question of this project): Signs need a search of many levels. Searches by AWS end at one density and cost from two
    epochs to those of the usual search; their signs are planted on the same fresh starts. `search_budget_lrr` and
    `search_budget_frozen` ask the same of LRR, and of LRR with frozen norms.

    Command: winsome reproduce search_budget

    Measured at small scale (16 search seeds, density .032, in points, 95 % intervals; two cores of an AMD EPYC): the usual
    search of 114 epochs minus one-shot half way +.8 (-.0, 1.6); minus cubic in one training +.3 (-.4, 1.0); minus the dense
    network of 114 epochs, pruned once, -.3 (-1.2, .6); minus a quarter of its epochs +2.5 (1.7, 3.2). At medium scale (4 seeds,
    density .046): minus one-shot +1.5 (.9, 2.1). All is in docs/field.md.
    """
    return _priced_searches(scale, "aws")


def search_budget_lrr(scale: Scale) -> Recipe:
    """Planted signs over what LRR's search cost, by the same plans as `search_budget`.

    Claim (question of this project): Signs need a search of many levels.

    Command: winsome reproduce search_budget_lrr

    Measured at small scale (16 search seeds, density .032, in points, 95 % intervals; two cores of an AMD EPYC): the usual
    search of 114 epochs minus one-shot half way +.4 (-.5, 1.2); minus the dense network of 114 epochs, pruned once, +.3 (-.7,
    1.3); minus a quarter of its epochs +1.3 (.5, 2.1). All is in docs/field.md.
    """
    return _priced_searches(scale, "lrr")


def search_budget_frozen(scale: Scale) -> Recipe:
    """Planted signs over what LRR's search with frozen norms cost, and whether a cheap one is as good as AWS's usual search.

    Claim (question of this project): Signs need a search of many levels.

    Command: winsome reproduce search_budget_frozen

    Measured at small scale (16 search seeds, density .032, in points, 95 % intervals; two cores of an AMD EPYC): the usual
    search of 114 epochs minus one-shot half way +1.1 (.6, 1.7); minus the dense network of 114 epochs, pruned once, +.9 (-.0,
    1.9); 57 epochs minus AWS's 114, plus a point, +.9 (.3, 1.5). All is in docs/field.md.
    """
    return _priced_searches(scale, "frozen")


def _priced_searches(scale: Scale, kind: Kind) -> Recipe:
    base = study_of_tickets(scale)
    if scale == "small":
        base = replace(base, search_seeds=tuple(range(16)), curve_at=())
    label = {"small": "residual-mlp-digits", "medium": "resnet20-photographs", "paper": "resnet20-cifar10"}[scale]
    plans = (few_plans_of if scale == "medium" else plans_of)(base, kind)  # two cores have no time for more there
    study = budget_study(base, kind, plans, steps={"small": 10, "medium": 39, "paper": 390}[scale])
    analyse = partial(_evidence, kind, plans)
    claim = "Signs need a search of many levels."
    return Recipe(
        f"The price of a search: {KINDS[kind]}", f"{OURS}, after arXiv:2504.05357", claim, {label: study}, analyse=analyse
    )


def _evidence(kind: Kind, plans: Sequence[PricedSearch], finished: Mapping[str, Finished]) -> Evidence:
    ((label, one),) = finished.items()
    density = one.study.densities[-1]

    def of_arm(name: str) -> dict[int, float]:
        return by_seed(one.results["rows"], name, density)

    there = {arm.name for arm in one.study.arms}
    priced = [_priced(plan, kind, one, of_arm(plan.arm(kind))) for plan in plans if plan.arm(kind) in there]
    usual = of_arm(plans[0].arm(kind))
    rows = []
    for found in priced:
        behind = interval([own - whole for own, whole in zip(found.accuracies, usual.values(), strict=True)])
        cells = (found.kind, found.schedule, found.label, found.epochs, round(found.seconds, 3), fmean(found.accuracies))
        rows.append((*cells, behind.mean, behind.low, behind.high, behind.n))
    columns = ("search", "schedule", "plan", "epochs", "seconds", "accuracy", "minus the usual", "low", "high", "search seeds")
    caption = (
        f"Planted accuracy at density {density:.3g} and what the search cost; seconds are a network's share of a stack. "
        "Differences are paired; 95 % confidence intervals (Student's t)."
    )
    across = {
        "dense": fmean(of_arm("dense").values()),
        f"{KINDS[kind]}: mask, own signs": fmean(of_arm(mask_only(kind).name).values()),
    }
    verdicts: list[Verdict] = []
    if kind != "lrr":  # whose usual signs are no measure
        whole = of_arm("planted_aws")
        verdicts = [
            _within(kind, found, priced[0].epochs, list(whole.values())) for found in priced if _is_cheaper(found, priced[0])
        ]
        across |= {"AWS, usual": fmean(whole.values())} if kind == "frozen" else {}
    words = "Accuracy of planted signs over {} of their search: means over search seeds, bars 95 % confidence intervals."
    plots = (
        Plot("epochs", words.format("the epochs"), partial(accuracy_over_cost, priced, across, "epochs")),
        Plot("seconds", words.format("the seconds"), partial(accuracy_over_cost, priced, across, "seconds")),
    )
    tables = (Table("budget", caption, columns, rows), accuracy_table({label: one}), differences_table({label: one}))
    return Evidence(tables, plots, (*one.results["verdicts"], *verdicts))


def _is_cheaper(found: Priced, usual: Priced) -> bool:
    return found.epochs < usual.epochs and found.schedule != EARLY


def _within(kind: Kind, found: Priced, epochs: int, usual: Sequence[float]) -> Verdict:
    """Whether a search that costs less than AWS's usual one, of so many epochs, is within a point of it."""
    search = f"{KINDS[kind]}, {found.label}"
    claim = Claim(
        f"{search} is within one point of AWS's usual search.", OURS, {}, f"{search}, minus AWS, usual, plus one point"
    )
    values = [own - whole + _WITHIN for own, whole in zip(found.accuracies, usual, strict=True)]
    return judged(values, claim, f"at {found.epochs} of {epochs} epochs")


def _priced(plan: PricedSearch, kind: Kind, one: Finished, accuracies: Mapping[int, float]) -> Priced:
    """A search that was planted, with its price."""
    seconds = _seconds(one, plan.search(kind), dense_alone=plan.schedule == EARLY)
    return Priced(KINDS[kind], plan.schedule, plan.key.replace("_", " "), plan.total, seconds, tuple(accuracies.values()))


def _seconds(one: Finished, search: str, *, dense_alone: bool) -> float:
    """What a network of a search took, on average over seeds."""
    spent = [row["levels"][:1] if dense_alone else row["levels"] for row in one.results["searches"] if row["search"] == search]
    return fmean(sum(level["seconds"] for level in levels) for levels in spent)

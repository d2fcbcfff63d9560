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
from winsome.recipes.budget_plans import EARLY, ITERATIVE, KINDS, PricedSearch, budget_study, few_plans_of, plans_of
from winsome.recipes.recipe import Evidence, Finished, Recipe, Scale, Table
from winsome.recipes.set_ups import OURS, study_of_tickets
from winsome.study.arms import Claim

_WITHIN = 0.01  # of the usual search: what counts as as good


def search_budget(scale: Scale) -> Recipe:
    """Planted signs over what their search cost: iterative, one-shot, cubic in one training, and the dense network alone.

    Claim (question of this project): Signs need a search of many levels. Searches by AWS, LRR and LRR with frozen norms end at
    one density and cost from one epoch to those of the usual search; their signs are planted on the same fresh starts.

    Command: winsome reproduce search_budget

    Measured at small scale (16 search seeds, density .032, in points, 95 % intervals; 16 cores of an Intel Xeon): the usual
    search of 114 epochs minus one-shot half way, AWS +.8 (-.0, 1.6), frozen norms +1.1 (.6, 1.7); minus cubic in one training,
    AWS +.3 (-.4, 1.0); minus the dense network of 114 epochs, pruned once, AWS -.3 (-1.2, .6); minus a quarter of its epochs,
    AWS +2.5 (1.7, 3.2); frozen norms for 57 epochs minus AWS for 114, plus a point, +.9 (.3, 1.5). At medium scale
    (4 seeds, density .046; two cores of an AMD EPYC): minus one-shot +1.5 (.9, 2.1). All is in docs/field.md.
    """
    base = study_of_tickets(scale)
    if scale == "small":
        base = replace(base, search_seeds=tuple(range(16)), curve_at=())
    label = {"small": "residual-mlp-digits", "medium": "resnet20-photographs", "paper": "resnet20-cifar10"}[scale]
    kinds, plans = tuple(KINDS), plans_of(base)
    if scale == "medium":  # two cores have no time for more there
        kinds, plans = ("aws",), few_plans_of(base)
    claim = "Signs need a search of many levels."
    study = budget_study(base, steps={"small": 10, "medium": 39, "paper": 390}[scale], kinds=kinds, plans=plans)
    analyse = partial(_evidence, plans)
    return Recipe("The price of a search", f"{OURS}, after arXiv:2504.05357", claim, {label: study}, analyse=analyse)


def _evidence(plans: Sequence[PricedSearch], finished: Mapping[str, Finished]) -> Evidence:
    ((label, one),) = finished.items()
    priced = _priced(plans, one)
    density = one.study.densities[-1]
    rows = []
    for (kind, key), found in priced.items():
        whole = by_seed(one.results["rows"], f"planted_{kind}", density)
        own = by_seed(one.results["rows"], _planted(kind, key), density)
        seeds = [seed for seed in own if seed in whole]
        behind = interval([own[seed] - whole[seed] for seed in seeds])
        mean, spent = fmean(found.accuracies), round(found.seconds, 3)
        rows.append(
            (
                KINDS[kind],
                found.schedule,
                found.label,
                found.epochs,
                spent,
                mean,
                behind.mean,
                behind.low,
                behind.high,
                behind.n,
            )
        )
    verdicts = [_within(kind, found, priced["aws", ""]) for (kind, key), found in priced.items() if key and kind != "lrr"]
    columns = ("search", "schedule", "plan", "epochs", "seconds", "accuracy", "minus the usual", "low", "high", "search seeds")
    caption = (
        f"Planted accuracy at density {density:.3g} and what the search cost; seconds are a network's share of a stack. "
        "Differences are paired; 95 % confidence intervals (Student's t)."
    )
    across = {
        "dense": fmean(by_seed(one.results["rows"], "dense", density).values()),
        "AWS's mask, own signs": fmean(by_seed(one.results["rows"], "mask_only", density).values()),
    }
    words = "Accuracy of planted signs over {} of their search: means over search seeds, bars 95 % confidence intervals."
    plots = (
        Plot("epochs", words.format("the epochs"), partial(accuracy_over_cost, list(priced.values()), across, "epochs")),
        Plot("seconds", words.format("the seconds"), partial(accuracy_over_cost, list(priced.values()), across, "seconds")),
    )
    tables = (Table("budget", caption, columns, rows), accuracy_table({label: one}), differences_table({label: one}))
    return Evidence(tables, plots, (*one.results["verdicts"], *filter(None, verdicts)))


def _within(kind: str, found: Priced, usual: Priced) -> Verdict | None:
    """Whether a search that costs less than AWS's usual one is within a point of it; None where it costs as much."""
    if found.epochs >= usual.epochs or found.schedule == EARLY:
        return None
    search = f"{KINDS[kind]}, {found.label}"
    claim = Claim(
        f"{search} is within one point of AWS's usual search.", OURS, {}, f"{search}, minus AWS, usual, plus one point"
    )
    values = [own - whole + _WITHIN for own, whole in zip(found.accuracies, usual.accuracies, strict=True)]
    return judged(values, claim, f"at {found.epochs} of {usual.epochs} epochs")


def _priced(plans: Sequence[PricedSearch], one: Finished) -> dict[tuple[str, str], Priced]:
    """Every search that was planted with its price, by kind and plan; the usual search has the plan ""."""
    found = {}
    density, there = one.study.densities[-1], {arm.name for arm in one.study.arms}
    for kind, label in KINDS.items():
        if _planted(kind, "") not in there:
            continue
        usual = one.study.search_epochs(kind, one.study.depth(kind) + 1)
        for plan in (PricedSearch("", ITERATIVE, (usual,)), *plans):
            if _planted(kind, plan.key) in there:
                name = f"{kind}_{plan.search}" if plan.key else kind
                accuracies = tuple(by_seed(one.results["rows"], _planted(kind, plan.key), density).values())
                seconds = _seconds(one, name, dense_alone=plan.schedule == EARLY)
                words = plan.key.replace("_", " ") or "usual"
                found[kind, plan.key] = Priced(label, plan.schedule, words, plan.total, seconds, accuracies)
    return found


def _planted(kind: str, key: str) -> str:
    return f"planted_{kind}_{key}" if key else f"planted_{kind}"


def _seconds(one: Finished, search: str, *, dense_alone: bool) -> float:
    """What a network of a search took, on average over seeds."""
    spent = [row["levels"][:1] if dense_alone else row["levels"] for row in one.results["searches"] if row["search"] == search]
    return fmean(sum(level["seconds"] for level in levels) for levels in spent)

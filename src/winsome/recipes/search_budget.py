"""What a search has to cost: planted accuracy over its epochs and over how often it prunes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import fmean

from winsome.densities import cubic
from winsome.evidence.intervals import by_seed, interval
from winsome.evidence.verdicts import judged
from winsome.figures.budget import Priced, accuracy_over_cost
from winsome.figures.plots import Plot
from winsome.method import Method
from winsome.recipes.accuracy import accuracy_table, differences_table
from winsome.recipes.recipe import Evidence, Finished, Recipe, Scale, Table
from winsome.recipes.set_ups import over
from winsome.study import presets
from winsome.study.arms import ARMS, Arm, Claim, Planted
from winsome.study.design import SearchSpec, Study
from winsome.study.transplants import plant_largest

OURS = "question of this project"
KINDS = {"aws": "AWS", "lrr": "LRR", "frozen": "LRR, frozen norms"}
ITERATIVE, ONE_SHOT, CUBIC, EARLY = "iterative", "one-shot", "cubic, one training", "dense network, pruned at once"
_WITHIN = 0.01  # of the full search: what counts as as good


@dataclass(frozen=True)
class _Plan:
    """A search of a price: its levels' epochs, or those of one training within which is pruned."""

    key: str
    schedule: str
    epochs: tuple[int, ...]  # by level; of a cubic schedule of the training; of the dense network alone a last one, not used
    kinds: tuple[str, ...] = tuple(KINDS)

    @property
    def total(self) -> int:
        """Epochs of the search."""
        return sum(self.epochs[:-1] if self.schedule == EARLY else self.epochs)


def search_budget(scale: Scale) -> Recipe:
    """Planted signs over what their search cost: iterative, one-shot, cubic in one training, and the dense network alone.

    Claim (question of this project): Signs need a search of many levels. Searches by AWS, LRR and LRR with frozen norms end at
    one density and cost from one epoch to those of the usual search; their signs are planted on the same fresh starts.

    Command: winsome reproduce search_budget
    """
    if scale == "small":
        label, base = "residual-mlp-digits", replace(presets.digits(), search_seeds=tuple(range(16)), curve_at=())
    else:
        label, base = "resnet20-cifar10", presets.images("cifar10")
    claim = "Signs need a search of many levels."
    study = budget_study(base, steps=10 if scale == "small" else 390)
    analyse = partial(_evidence, _plans(base))
    return Recipe("The price of a search", f"{OURS}, after arXiv:2504.05357", claim, {label: study}, analyse=analyse)


def budget_study(base: Study, *, steps: int, kinds: Sequence[str] = tuple(KINDS)) -> Study:
    """The study of searches that cost less than those of another one, judged at its last level.

    Args:
        base: with the usual searches.
        steps: training steps of an epoch.
        kinds: of the searches, AWS's among them.
    """
    methods = {name: spec.method for name, spec in base.search_specs.items()}
    # The usual search is the first: its densities are those at which arms are judged.
    searches: list[tuple[str, SearchSpec]] = [(kind, base.search_specs[kind]) for kind in kinds]
    arms: list[Arm] = [ARMS["dense"], ARMS["mask_only"], *(ARMS[f"planted_{kind}"] for kind in kinds)]
    for plan in _plans(base):
        for kind in (kind for kind in kinds if kind in plan.kinds):
            name, label = f"{kind}_{plan.key}", f"{KINDS[kind]}, {plan.key.replace('_', ' ')}"
            searches.append((name, _spec(plan, base, methods[kind], label, steps)))
            arms.append(_arm(plan, name, label))
    levels = base.levels[-1:]
    return replace(base, levels=levels, searches=tuple(searches), arms=tuple(arms), claims=_claims(), reference="planted_aws")


def _plans(base: Study) -> tuple[_Plan, ...]:
    """The searches beside the usual one, named by what they do; their epochs are parts of the usual one's."""
    full = base.search_epochs("aws", base.levels[-1] + 1)
    warm, levels, each = base.warmup_epochs, base.levels[-1], base.search_training.epochs

    def even(count: int, epochs: int, before: int) -> tuple[int, ...]:
        return (before + epochs, *[epochs] * count)

    few, half, quarter = max(levels // 4, 1), full // 2, full // 4
    early = [epochs for epochs in (1, 5, 10, 20) if epochs < half] + [full]
    third = (full - warm) // (few + 1)
    return (
        _Plan("half", ITERATIVE, even(levels, max(each // 2, 1), warm // 2)),
        _Plan("quarter", ITERATIVE, even(levels, max(each // 4, 1), warm // 4)),
        _Plan("eighth", ITERATIVE, even(levels, max(each // 8, 1), warm // 8)),
        _Plan("few_levels", ITERATIVE, even(few, third, warm), ("aws",)),
        _Plan("one_shot", ONE_SHOT, (warm + (full - warm) // 2, (full - warm) // 2)),
        _Plan("one_shot_half", ONE_SHOT, (half - half // 2, half // 2)),
        _Plan("one_shot_quarter", ONE_SHOT, (quarter - quarter // 2, quarter // 2)),
        _Plan("one_shot_late", ONE_SHOT, (full - each, each), ("aws",)),
        _Plan("cubic", CUBIC, (full,)),
        _Plan("cubic_half", CUBIC, (half,)),
        _Plan("cubic_quarter", CUBIC, (quarter,)),
        *(_Plan(f"dense_{epochs}", EARLY, (epochs, 1)) for epochs in early),
    )


def _spec(plan: _Plan, base: Study, method: Method, label: str, steps: int) -> SearchSpec:
    """The search of a plan, from the method of its kind; `steps` are those of an epoch."""
    last, count = base.all_densities[base.levels[-1]], base.levels[-1]
    if plan.schedule == CUBIC:
        # As in gradual pruning's own experiments: none in the first tenth, the last after three quarters.
        at = tuple(round(plan.total * steps * (0.1 + 0.65 * k / (count - 1))) for k in range(count))
        made = replace(method, densities=cubic(count, last), optimizer_state="kept", prune_at=at, label=label)
        return SearchSpec(made, training=replace(base.search_training, epochs=plan.total - base.warmup_epochs))
    rounds = len(plan.epochs) - 1
    densities = tuple(last ** (level / rounds) for level in range(rounds + 1))
    return SearchSpec(replace(method, densities=densities, label=label), epochs=plan.epochs)


def _arm(plan: _Plan, name: str, label: str) -> Planted:
    if plan.schedule == EARLY:
        words = f"Places and signs of the largest weights of the dense network after {plan.total} epochs, {label}."
        return Planted(f"planted_{name}", f"|θ₀|·s, {label}", words, name, plant_largest, signs_of=(name, 0))
    return Planted(f"planted_{name}", f"|θ₀|·s, {label}", f"The signed mask of {label}.", name)


def _claims() -> tuple[Claim, ...]:
    found = []
    for kind, label in KINDS.items():
        full, one_shot = f"planted_{kind}", f"planted_{kind}_one_shot"
        found += [
            over(
                f"Pruning in many levels finds better signs than pruning once, at equal epochs ({label}).",
                *(full, one_shot, f"the usual search minus one-shot, {label}", OURS),
            ),
            over(
                f"A longer search finds better signs ({label}).",
                *(full, f"planted_{kind}_quarter", f"the usual search minus one of a quarter of its epochs, {label}", OURS),
            ),
            over(
                f"Pruning between trainings finds better signs than within one, at equal epochs ({label}).",
                *(full, f"planted_{kind}_cubic", f"the usual search minus cubic in one training, {label}", OURS),
            ),
        ]
    early = "The dense network's own largest weights have signs that are worth planting, ten epochs in."
    meaning = "largest weights of epoch 10, frozen norms, minus the searched mask with the start's signs"
    return (*found, over(early, "planted_frozen_dense_10", "mask_only", meaning, OURS))


def _evidence(plans: Sequence[_Plan], finished: Mapping[str, Finished]) -> Evidence:
    ((label, one),) = finished.items()
    priced = _priced(plans, one)
    density = one.study.densities[-1]
    rows, verdicts = [], []
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
        if key and found.epochs < priced[kind, ""].epochs and found.schedule != EARLY:
            text = f"{KINDS[kind]}: {found.label} is within one point of the usual search."
            claim = Claim(text, OURS, {}, f"{KINDS[kind]}, {found.label} minus the usual search, plus one point")
            values = [own[seed] - whole[seed] + _WITHIN for seed in seeds]
            verdicts.append(judged(values, claim, f"at {found.epochs} of {priced[kind, ''].epochs} epochs"))
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
    return Evidence(tables, plots, (*one.results["verdicts"], *verdicts))


def _priced(plans: Sequence[_Plan], one: Finished) -> dict[tuple[str, str], Priced]:
    """Every search that was planted with its price, by kind and plan; the usual search has the plan ""."""
    found = {}
    density, there = one.study.densities[-1], {arm.name for arm in one.study.arms}
    for kind, label in KINDS.items():
        usual = one.study.search_epochs(kind, one.study.depth(kind) + 1)
        for plan in (_Plan("", ITERATIVE, (usual,)), *plans):
            if _planted(kind, plan.key) in there:
                name = f"{kind}_{plan.key}" if plan.key else kind
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

"""Searches of several prices that end at one density: in fewer epochs, in fewer levels, within one training, or none at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from winsome.densities import cubic
from winsome.method import Method
from winsome.recipes.set_ups import OURS, over
from winsome.study.arms import ARMS, Arm, Claim, Planted
from winsome.study.design import SearchSpec, Study
from winsome.study.transplants import plant_largest

KINDS = {"aws": "AWS", "lrr": "LRR", "frozen": "LRR, frozen norms"}
ITERATIVE, ONE_SHOT, CUBIC, EARLY = "iterative", "one-shot", "cubic, one training", "dense network, pruned at once"


@dataclass(frozen=True)
class PricedSearch:
    """A search of a price: its levels' epochs, or those of one training within which is pruned."""

    key: str
    schedule: str
    epochs: tuple[int, ...]  # by level; of a cubic schedule of the training; of the dense network alone a last one, not used
    kinds: tuple[str, ...] = tuple(KINDS)
    of: str = ""  # of the dense network alone: the plan whose level 0 it is, if not its own

    @property
    def search(self) -> str:
        """The plan that is searched."""
        return self.of or self.key

    @property
    def total(self) -> int:
        """Epochs of the search."""
        return sum(self.epochs[:-1] if self.schedule == EARLY else self.epochs)


def budget_study(
    base: Study, *, steps: int, kinds: Sequence[str] = tuple(KINDS), plans: Sequence[PricedSearch] | None = None
) -> Study:
    """The study of searches that cost less than those of another one, judged at its last level.

    Args:
        base: with the usual searches.
        steps: training steps of an epoch.
        kinds: of the searches, AWS's among them.
        plans: the cheaper searches; None for all of `plans_of`.
    """
    methods = {name: spec.method for name, spec in base.search_specs.items()}
    # The usual search is the first: its densities are those at which arms are judged.
    searches: list[tuple[str, SearchSpec]] = [(kind, base.search_specs[kind]) for kind in kinds]
    arms: list[Arm] = [ARMS["dense"], ARMS["mask_only"], *(ARMS[f"planted_{kind}"] for kind in kinds)]
    for plan in plans_of(base) if plans is None else plans:
        for kind in (kind for kind in kinds if kind in plan.kinds):
            label = f"{KINDS[kind]}, {plan.key.replace('_', ' ')}"
            if not plan.of:
                searches.append((f"{kind}_{plan.key}", _spec(plan, base, methods[kind], label, steps)))
            arms.append(_arm(plan, kind, label))
    levels, there = base.levels[-1:], {arm.name for arm in arms}
    claims = _claims(kinds, base.search_epochs("aws", levels[0] + 1))
    return replace(
        base,
        levels=levels,
        searches=tuple(searches),
        arms=tuple(arms),
        claims=tuple(claim for claim in claims if claim.contrast.keys() <= there),
        reference="planted_aws",
    )


def plans_of(base: Study) -> tuple[PricedSearch, ...]:
    """The searches beside the usual one, named by what they do; their epochs are parts of the usual one's."""
    full = base.search_epochs("aws", base.levels[-1] + 1)
    warm, levels, each = base.warmup_epochs, base.levels[-1], base.search_training.epochs

    def even(count: int, epochs: int, before: int) -> tuple[int, ...]:
        return (before + epochs, *[epochs] * count)

    few, half, quarter = max(levels // 4, 1), full // 2, full // 4
    early = [epochs for epochs in (1, 5, 10, 20) if epochs < half] + [full]
    third = (full - warm) // (few + 1)
    return (
        PricedSearch("half", ITERATIVE, even(levels, max(each // 2, 1), warm // 2)),
        PricedSearch("quarter", ITERATIVE, even(levels, max(each // 4, 1), warm // 4)),
        PricedSearch("eighth", ITERATIVE, even(levels, max(each // 8, 1), warm // 8)),
        PricedSearch("few_levels", ITERATIVE, even(few, third, warm), ("aws",)),
        PricedSearch("one_shot", ONE_SHOT, (warm + (full - warm) // 2, (full - warm) // 2)),
        PricedSearch("one_shot_half", ONE_SHOT, (half - half // 2, half // 2)),
        PricedSearch("one_shot_quarter", ONE_SHOT, (quarter - quarter // 2, quarter // 2)),
        PricedSearch("one_shot_late", ONE_SHOT, (full - each, each), ("aws",)),
        PricedSearch("cubic", CUBIC, (full,)),
        PricedSearch("cubic_half", CUBIC, (half,)),
        PricedSearch("cubic_quarter", CUBIC, (quarter,)),
        *(PricedSearch(f"dense_{epochs}", EARLY, (epochs, 1)) for epochs in early),
    )


def few_plans_of(base: Study) -> tuple[PricedSearch, ...]:
    """Those that two cores have time for where a search takes minutes: a quarter, one-shot, and its dense network alone."""
    quarter, one_shot = (plan for plan in plans_of(base) if plan.key in ("quarter", "one_shot"))
    before = one_shot.epochs[0]
    return quarter, one_shot, PricedSearch(f"dense_{before}", EARLY, one_shot.epochs, of=one_shot.key)


def _spec(plan: PricedSearch, base: Study, method: Method, label: str, steps: int) -> SearchSpec:
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


def _arm(plan: PricedSearch, kind: str, label: str) -> Planted:
    name, search = f"{kind}_{plan.key}", f"{kind}_{plan.search}"
    if plan.schedule == EARLY:
        words = f"Places and signs of the largest weights of the dense network after {plan.total} epochs, {label}."
        return Planted(f"planted_{name}", f"|θ₀|·s, {label}", words, search, plant_largest, signs_of=(search, 0))
    return Planted(f"planted_{name}", f"|θ₀|·s, {label}", f"The signed mask of {label}.", search)


def _claims(kinds: Sequence[str], epochs: int) -> tuple[Claim, ...]:
    """What is judged; `epochs` are the usual search's."""
    found = []
    for kind in kinds:
        label = KINDS[kind]
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
                f"A search finds better signs than pruning the dense network once, at equal epochs ({label}).",
                *(full, f"planted_{kind}_dense_{epochs}", f"the usual search minus the dense network pruned at once, {label}"),
                OURS,
            ),
            over(
                f"Pruning between trainings finds better signs than within one, at equal epochs ({label}).",
                *(full, f"planted_{kind}_cubic", f"the usual search minus cubic in one training, {label}", OURS),
            ),
        ]
    early = "The dense network's own largest weights have signs that are worth planting, ten epochs in."
    meaning = f"largest weights of epoch 10, {KINDS[kinds[-1]]}, minus the searched mask with the start's signs"
    return (*found, over(early, f"planted_{kinds[-1]}_dense_10", "mask_only", meaning, OURS))

"""Searches of several prices that end at one density: in fewer epochs, in fewer levels, within one training, or none at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from winsome.densities import cubic
from winsome.method import Method
from winsome.recipes.set_ups import OURS, over
from winsome.study.arms import ARMS, Arm, Claim, Planted, arms_of_search
from winsome.study.design import SearchSpec, Study
from winsome.study.transplants import plant_largest

Kind = Literal["aws", "lrr", "frozen"]
KINDS: dict[Kind, str] = {"aws": "AWS", "lrr": "LRR", "frozen": "LRR, frozen norms"}
USUAL = "usual"
ITERATIVE, ONE_SHOT, CUBIC, EARLY = "iterative", "one-shot", "cubic, one training", "dense network, pruned at once"


@dataclass(frozen=True)
class PricedSearch:
    """A search of a price: its levels' epochs, or those of one training within which is pruned."""

    key: str
    schedule: str
    epochs: tuple[int, ...]  # by level; of a cubic schedule of the training; of the dense network alone a last one, not used
    of: str = ""  # of the dense network alone: the plan whose level 0 it is, if not its own

    @property
    def total(self) -> int:
        """Epochs of the search."""
        return sum(self.epochs[:-1] if self.schedule == EARLY else self.epochs)

    def search(self, kind: Kind) -> str:
        """The name in the study of what is searched."""
        plan = self.of or self.key
        return kind if plan == USUAL else f"{kind}_{plan}"

    def arm(self, kind: Kind) -> str:
        """The name in the study of its planted signs."""
        return f"planted_{kind}" if self.key == USUAL else f"planted_{kind}_{self.key}"


def budget_study(base: Study, kind: Kind, plans: Sequence[PricedSearch], *, steps: int) -> Study:
    """The study of searches that cost less than the usual one, judged at its last level.

    Args:
        base: with the usual searches.
        kind: of the searches; beside those that are not AWS's stands AWS's usual one.
        plans: the usual search first, then the cheaper ones.
        steps: training steps of an epoch.
    """
    specs = base.search_specs
    # The usual search is the first: its densities are those at which arms are judged.
    searches: list[tuple[str, SearchSpec]] = [(kind, specs[kind])]
    arms: list[Arm] = [ARMS["dense"], mask_only(kind), ARMS[f"planted_{kind}"]]
    if kind == "frozen":
        searches.append(("aws", specs["aws"]))
        arms.append(ARMS["planted_aws"])
    for plan in plans[1:]:
        label = f"{KINDS[kind]}, {plan.key.replace('_', ' ')}"
        if not plan.of:
            searches.append((plan.search(kind), _spec(plan, base, specs[kind].method, label, steps)))
        arms.append(_arm(plan, kind, label))
    there = {arm.name for arm in arms}
    return replace(
        base,
        levels=base.levels[-1:],
        searches=tuple(searches),
        arms=tuple(arms),
        claims=tuple(claim for claim in _claims(kind, plans) if claim.contrast.keys() <= there),
        reference=f"planted_{kind}",
    )


def mask_only(kind: Kind) -> Arm:
    """The arm of the usual search's mask alone."""
    return ARMS["mask_only"] if kind == "aws" else arms_of_search(kind, KINDS[kind])[f"mask_only_{kind}"]


def plans_of(base: Study, kind: Kind) -> tuple[PricedSearch, ...]:
    """The usual search, and those beside it, named by what they do; their epochs are parts of the usual one's."""
    full = base.search_epochs("aws", base.levels[-1] + 1)
    warm, levels, each = base.warmup_epochs, base.levels[-1], base.search_training.epochs

    def even(key: str, count: int, epochs: int, before: int) -> PricedSearch:
        return PricedSearch(key, ITERATIVE, (before + epochs, *[epochs] * count))

    def part(key: str, by: int) -> PricedSearch:
        return even(key, levels, max(each // by, 1), warm // by)

    few, half, quarter = max(levels // 4, 1), full // 2, full // 4
    iterative = (even(USUAL, levels, each, warm), part("half", 2), part("quarter", 4), part("eighth", 8))
    early = {
        plan.epochs[0]: PricedSearch(f"dense_{plan.epochs[0]}", EARLY, (plan.epochs[0], 0), plan.key) for plan in iterative
    }
    of_aws = (
        even("few_levels", few, (full - warm) // (few + 1), warm),
        PricedSearch("one_shot_late", ONE_SHOT, (full - each, each)),
    )
    return (
        *iterative,
        *(of_aws if kind == "aws" else ()),
        PricedSearch("one_shot", ONE_SHOT, (warm + (full - warm) // 2, (full - warm) // 2)),
        PricedSearch("one_shot_half", ONE_SHOT, (half - half // 2, half // 2)),
        PricedSearch("one_shot_quarter", ONE_SHOT, (quarter - quarter // 2, quarter // 2)),
        PricedSearch("cubic", CUBIC, (full,)),
        PricedSearch("cubic_half", CUBIC, (half,)),
        PricedSearch("cubic_quarter", CUBIC, (quarter,)),
        PricedSearch(f"dense_{full}", EARLY, (full, 1)),
        *early.values(),
    )


def few_plans_of(base: Study, kind: Kind) -> tuple[PricedSearch, ...]:
    """Those that two cores have time for where a search takes minutes: a quarter, one-shot, and its dense network alone."""
    usual, quarter, one_shot = (plan for plan in plans_of(base, kind) if plan.key in (USUAL, "quarter", "one_shot"))
    before = one_shot.epochs[0]
    return usual, quarter, one_shot, PricedSearch(f"dense_{before}", EARLY, one_shot.epochs, one_shot.key)


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


def _arm(plan: PricedSearch, kind: Kind, label: str) -> Planted:
    name, search = plan.arm(kind), plan.search(kind)
    if plan.schedule == EARLY:
        words = f"Places and signs of the largest weights of the dense network after {plan.total} epochs, {label}."
        return Planted(name, f"|θ₀|·s, {label}", words, search, plant_largest, signs_of=(search, 0))
    return Planted(name, f"|θ₀|·s, {label}", f"The signed mask of {label}.", search)


def _claims(kind: Kind, plans: Sequence[PricedSearch]) -> tuple[Claim, ...]:
    """What is judged of the searches of a kind."""
    label, epochs, full = KINDS[kind], plans[0].total, f"planted_{kind}"
    early = next((plan for plan in plans if plan.of == "half"), None)
    found = [
        over(
            f"Pruning in many levels finds better signs than pruning once, at equal epochs ({label}).",
            *(full, f"{full}_one_shot", f"the usual search minus one-shot, {label}", OURS),
        ),
        over(
            f"A longer search finds better signs ({label}).",
            *(full, f"{full}_quarter", f"the usual search minus one of a quarter of its epochs, {label}", OURS),
        ),
        over(
            f"A search finds better signs than pruning the dense network once, at equal epochs ({label}).",
            *(full, f"{full}_dense_{epochs}", f"the usual search minus the dense network pruned at once, {label}", OURS),
        ),
        over(
            f"Pruning between trainings finds better signs than within one, at equal epochs ({label}).",
            *(full, f"{full}_cubic", f"the usual search minus cubic in one training, {label}", OURS),
        ),
    ]
    if early is not None:
        words = (
            f"The dense network's own largest weights have signs that are worth planting, {early.total} epochs in ({label})."
        )
        meaning = f"largest weights of epoch {early.total}, {label}, minus the searched mask with the start's signs"
        found.append(over(words, early.arm(kind), mask_only(kind).name, meaning, OURS))
    return tuple(found)

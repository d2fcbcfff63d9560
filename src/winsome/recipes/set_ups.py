"""The set-ups that recipes share: each paper's own, one of minutes on two cores, and one of photographs between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from winsome.data.spec import DataSpec
from winsome.method import Method
from winsome.methods import learning_rate_rewinding, weight_rewinding
from winsome.models.spec import NetworkSpec
from winsome.recipes.recipe import Scale
from winsome.rewinding import RewindAndRestart
from winsome.study import presets
from winsome.study.arms import Claim, FoundNetwork
from winsome.study.design import SearchSpec, Study
from winsome.training.settings import SGD, Constant, StepDecay, Training

A, B, OURS = "arXiv:2504.05357", "arXiv:2402.19262", "question of this project"
Searches = dict[str, tuple[SearchSpec, str, str]]  # by name: the plan, a short label, an explanation


@dataclass(frozen=True)
class SetUp:
    """Data, network and training of a search in which every level has a whole learning-rate schedule (arXiv:2402.19262).

    Attributes:
        name: names a study's folder: network and data.
        levels: prune-train rounds after level 0, each removing the fraction `rate` of what is left, in (0, 1).
        steps_per_epoch: of the training split at this batch size.
        judged: levels at which networks are judged.
        seeds: how many searches.
        warmup_before: epochs of a warm-up before level 0; every level has its own besides.
        carries_optimizer: whether LRR keeps the optimizer's state from level to level, and what goes back takes it back too.
    """

    name: str
    data: DataSpec
    network: NetworkSpec
    training: Training
    levels: int
    rate: float
    steps_per_epoch: int
    judged: tuple[int, ...]
    seeds: int
    warmup_before: int = 0
    carries_optimizer: bool = False

    @property
    def warmup_steps(self) -> int:
        """Training steps of the learning rate's first warm-up: where arXiv:2402.19262's IMP rewinds to."""
        return (self.warmup_before or self.training.warmup_epochs) * self.steps_per_epoch

    @property
    def cold(self) -> Training:
        """The same levels without a warm-up; where the schedule has its drops after one, they come as much earlier."""
        schedule, epochs = self.training.schedule, self.training.epochs
        if self.warmup_before and isinstance(schedule, StepDecay):
            earlier = self.training.warmup_epochs / epochs
            schedule = replace(schedule, at=tuple(place - earlier for place in schedule.at))
        return replace(self.training, warmup_epochs=0, schedule=schedule)

    def keeping(self, method: Method) -> Method:
        """The method, whose optimizer goes on from level to level where the set-up says so."""
        return replace(method, optimizer_state="kept") if self.carries_optimizer else method

    def taking_back(self, method: Method) -> Method:
        """The method, whose optimizer goes back to the rewinding step where the set-up says so."""
        return replace(method, optimizer_state="rewound") if self.carries_optimizer else method


# The paper's schedule, 150 epochs shrunk to 32.
DIGITS = SetUp(
    name="residual-mlp-digits",
    data=DataSpec("digits"),
    network=NetworkSpec("residual_mlp"),
    training=Training(32, 128, SGD(0.2, 0.9, 1e-3), StepDecay((0.4, 0.8), 0.1), warmup_epochs=2),
    levels=6,
    rate=0.44,
    steps_per_epoch=10,
    judged=(1, 2, 4, 6),
    seeds=16,
)

# Levels in which IMP is far from trained, and LRR, which goes on where it was, is not: how much of its gain is time?
SHORT_LEVELS = replace(
    DIGITS,
    name="residual-mlp-digits-10-epochs",
    training=Training(10, 128, SGD(0.1, 0.9, 1e-3), StepDecay((0.4, 0.8), 0.1), warmup_epochs=2),
    levels=12,
    rate=0.25,
    judged=(3, 6, 9, 12),
)

# As the searches of arXiv:2504.05357: a constant rate from the first step on, under which signs move most.
CONSTANT_RATE = replace(
    DIGITS,
    name="residual-mlp-digits-constant-rate",
    training=Training(8, 128, SGD(0.2, 0.9, 1e-3), Constant()),
    levels=12,
    rate=0.25,
    judged=(3, 6, 9, 12),
)


# A deep network on photographs, as `presets.photographs`: few levels, each nearly as long as its trainings from scratch.
PHOTOGRAPHS = SetUp(
    name="resnet20-photographs",
    data=presets.photographs().data,
    network=presets.photographs().network,
    training=Training(20, 128, SGD(0.1, 0.9, 1e-3), StepDecay((0.4, 0.8), 0.1), warmup_epochs=2),
    levels=4,
    rate=0.53,
    steps_per_epoch=39,
    judged=(1, 2, 3, 4),
    seeds=8,
)


def paper_set_ups() -> tuple[SetUp, ...]:
    """The set-ups of arXiv:2402.19262 on CIFAR, as its code has them.

    10 epochs of warm-up before level 0; then 150 epochs at every level, of which 10 warm up, x0.1 every 60 epochs after these.
    A warm-up's rate grows from epoch to epoch. The last batch of an epoch, which is not full, is kept: 196 steps.
    """

    def set_up(network: str, data: str, weight_decay: float) -> SetUp:
        drops = StepDecay((70 / 150, 130 / 150), 0.1)
        sgd = SGD(0.1, 0.9, weight_decay)
        training = Training(150, 256, sgd, drops, warmup_epochs=10, warmup_by="epoch", drop_last=False)
        return SetUp(
            name=f"{network}-{data}",
            data=DataSpec(data),
            network=NetworkSpec(network),
            training=training,
            levels=15,
            rate=0.2,
            steps_per_epoch=196,
            judged=(3, 6, 9, 12, 15),
            seeds=3,
            warmup_before=10,
            carries_optimizer=True,
        )

    return set_up("resnet20", "cifar10", 1e-4), set_up("resnet18", "cifar100", 1e-3)


def set_ups(scale: Scale, small: tuple[SetUp, ...] = (DIGITS,)) -> tuple[SetUp, ...]:
    """Those of arXiv:2402.19262 at a scale."""
    return {"small": small, "medium": (PHOTOGRAPHS,), "paper": paper_set_ups()}[scale]


def study_of_tickets(scale: Scale) -> Study:
    """The study of arXiv:2504.05357's arms at a scale: digits, photographs, or CIFAR-10 as the paper has it."""
    if scale == "paper":
        return presets.images("cifar10")
    return presets.digits() if scale == "small" else presets.photographs()


def lrr(set_up: SetUp) -> Method:
    """LRR of a set-up."""
    return set_up.keeping(learning_rate_rewinding(set_up.levels, set_up.rate))


def imp(set_up: SetUp) -> Method:
    """The IMP of arXiv:2402.19262: weights go back to the end of the first warm-up.

    The schedule goes on from there; where the warm-up came before level 0, as in the paper's code, every level has all of it.
    """
    method = weight_rewinding(set_up.levels, set_up.rate, step=set_up.warmup_steps)
    if set_up.warmup_before:
        method = replace(method, rewind=RewindAndRestart(set_up.warmup_steps))
    return set_up.taking_back(method)


LRR = ("LRR", "Learning-rate rewinding: weights stay, the schedule restarts.")
IMP = ("IMP", "Weights go back to where the warm-up of level 0 ended, as in the code of arXiv:2402.19262.")


def at_rate(training: Training, learning_rate: float) -> Training:
    """The same training at another learning rate."""
    return replace(training, optimizer=replace(training.optimizer, learning_rate=learning_rate))


def over(text: str, better: str, worse: str, meaning: str, source: str = B) -> Claim:
    """The claim that one arm is better than another."""
    return Claim(text, source, {better: 1, worse: -1}, meaning)


def studies_of_searches(
    scale: Scale,
    title: str,
    searches: Callable[[SetUp], Searches],
    claims: tuple[Claim, ...],
    *,
    reference: str,
    small: tuple[SetUp, ...] = (DIGITS,),
    judged: tuple[int, ...] = (),
) -> dict[str, Study]:
    """Studies that compare the networks of searches themselves, level by level; one for each set-up of a scale.

    Args:
        scale: small, medium or paper.
        title: of each study.
        searches: the searches of a set-up, in the order in which they are shown.
        claims: what is judged, at the lowest density.
        reference: the search with which the others are compared.
        small: the set-ups at small scale.
        judged: the levels of the searches that are judged, where they are not the set-up's.
    """
    chosen = set_ups(scale, small)
    return {
        set_up.name: study_of_searches(set_up, title, searches(set_up), claims, reference=reference, judged=judged)
        for set_up in chosen
    }


def study_of_searches(
    set_up: SetUp,
    title: str,
    searches: Searches,
    claims: tuple[Claim, ...],
    *,
    reference: str,
    judged: tuple[int, ...] = (),
) -> Study:
    """The study that compares the networks of these searches, as `studies_of_searches` makes one for each set-up."""
    return Study(
        name=set_up.name,
        title=title,
        data=set_up.data,
        network=set_up.network,
        searches=tuple((name, _labelled(*search)) for name, search in searches.items()),
        search_training=set_up.training,
        warmup_epochs=set_up.warmup_before,
        warmup_ramp=bool(set_up.warmup_before),
        training=set_up.training,
        arms=tuple(FoundNetwork(name, label, sentence, name) for name, (_, label, sentence) in searches.items()),
        levels=judged or set_up.judged,
        search_seeds=tuple(range(set_up.seeds)),
        prune_classifier=True,
        claims=claims,
        reference=reference,
    )


def _labelled(spec: SearchSpec, label: str, sentence: str) -> SearchSpec:
    return replace(spec, method=replace(spec.method, label=label, sentence=sentence))

"""The options of a method's parts, from the same lists as in Python or from code of one's own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import UseAppendAction, arg

from winsome.about import about
from winsome.cli import choices
from winsome.user_code import by_name

if TYPE_CHECKING:  # help knows every option before torch is imported
    from winsome.method import Method

Unset = arg(help_behavior_hint="")  # no default is shown


@dataclass(frozen=True)
class PartOptions:
    """Parts in place of the method's own. One of your own is FILE.py:NAME or PACKAGE.MODULE:NAME (docs/extending.md).

    Attributes:
        score: What matters, instead of what the method says: magnitude, magnitude_times_gamma, random, snip, grasp, synflow,
            gradient_magnitude, or one of your own.
        score_rounds: Score and prune so many times before a level, a few weights each time, without training in between.
        allocate: How many weights each layer keeps: globally, uniformly, erdos_renyi_kernel, balanced, 2:4 (of every 4
            inputs 2, with --densities 1 0.75 0.5 one fewer at every level), ending-in-2:4 (globally, in the end 2:4), or one
            of your own.
        rewind: Where a level restarts: RewindTo, KeepWeights, KeepWeightsRewindNorms, KeepSigns, RewindSigns,
            ShuffleMagnitudes, ShuffleEarlyMagnitudes, RewindAndRestart, RewindWeightsKeepNorms, or one of your own; those
            that go back do so to --rewind-step.
        while_training: What holds while a level trains: plain, interpolated_norms, frozen_norms, fixed_signs, or one of your
            own.
        optimizer_state: What becomes of the optimizer's momentum where a level starts: fresh, kept from the last level, or
            rewound to --rewind-step. By default what the method says: fresh.
        densities: The density of every level instead of --levels and --rate; a first one below 1 prunes before training.
        method_option: Another argument of the method's function, name=value; may be given several times.
    """

    score: Annotated[str | None, Unset] = None
    score_rounds: Annotated[int | None, Unset] = None
    allocate: Annotated[str | None, Unset] = None
    rewind: Annotated[str | None, Unset] = None
    while_training: Annotated[str | None, Unset] = None
    optimizer_state: Annotated[Literal["fresh", "kept", "rewound"] | None, Unset] = None
    densities: Annotated[tuple[float, ...], Unset] = ()
    method_option: Annotated[UseAppendAction[tuple[str, ...]], Unset] = ()

    def method(self, name: str, *, levels: int, rate: float, step: int) -> Method:
        """The method of a name, with these parts in place of its own.

        Raises:
            WinsomeError: there is no method or part of a name, or the method takes no such option.
        """
        from winsome.scores import SCORES

        given = choices.values(self.method_option, "method options")
        choices.refuse_untaken(name, given)
        made = choices.method(name, **{"levels": levels, "rate": rate, "step": step, **given})
        label = made.label or choices.search_name(name)
        if self.score is not None:
            made = replace(made, score=by_name(self.score, SCORES, "score").value)
            label += f", {about(made.score).label}"
        if self.score_rounds is not None:
            made = replace(made, scoring=replace(made.scoring, rounds=self.score_rounds))
            label += f", {self.score_rounds} rounds"
        if self.allocate is not None:
            made = replace(made, allocate=choices.allocation(self.allocate))
            label += f", {about(made.allocate).label}"
        if self.rewind is not None:
            made = replace(made, rewind=choices.rewind(self.rewind, step=step))
            label += f", {about(made.rewind).label}"
        if self.while_training is not None:
            made = replace(made, while_training=choices.while_training(self.while_training).value)
            label += f", {about(made.while_training).label}"
        if self.optimizer_state is not None:
            made = replace(made, optimizer_state=self.optimizer_state)
        return replace(made, densities=self.densities or made.densities, label=label)


AS_THE_METHOD_SAYS = PartOptions()

"""The options of a learning-rate schedule, for the levels of a search."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import arg

from winsome.errors import WinsomeError

if TYPE_CHECKING:
    from winsome.training.settings import Constant, Cosine, StepDecay

Kind = Literal["constant", "step", "cosine"]


@dataclass(frozen=True)
class ScheduleOptions:
    """The learning rate over a level. Every level has the whole schedule, or goes on with it from the step it rewinds to.

    Attributes:
        schedule: constant, step (the rate is multiplied by --drop-factor at --drop-at), or cosine (half a cosine,
            down to --final-rate).
        drop_at: With --schedule step: epochs of a level at which the rate drops; by default after a half and three quarters.
        drop_factor: With --schedule step: what the rate is multiplied by.
        final_rate: With --schedule cosine: the fraction of the rate that it ends at.
        lr_warmup_by: Whether a warm-up's rate grows with every step, or with every epoch as in arXiv:2402.19262's code.
        warmup_ramp: The rate grows to its peak in the --warmup-epochs before level 0, which then has its whole schedule.
        drop_last: Leave out the images that do not fill a batch at the end of an epoch.
    """

    schedule: Kind = "constant"
    drop_at: Annotated[tuple[int, ...], arg(help_behavior_hint="")] = ()
    drop_factor: float = 0.1
    final_rate: float = 1e-3
    lr_warmup_by: Literal["step", "epoch"] = "step"
    warmup_ramp: bool = False
    drop_last: bool = True

    def of(self, epochs: int) -> Constant | StepDecay | Cosine:
        """The schedule of a level of so many epochs.

        Raises:
            WinsomeError: an option of another schedule, or a drop outside of the level.
        """
        from winsome.training.settings import Constant

        factor = self.drop_factor if self.schedule == "step" or self.drop_factor != CONSTANT.drop_factor else None
        final = self.final_rate if self.schedule == "cosine" or self.final_rate != CONSTANT.final_rate else None
        return changed(Constant(), epochs, self.schedule, at=self.drop_at, factor=factor, final=final)


def changed(
    base: Constant | StepDecay | Cosine,
    epochs: int,
    kind: Kind | None = None,
    *,
    at: tuple[int, ...] = (),
    factor: float | None = None,
    final: float | None = None,
    prefix: str = "",
) -> Constant | StepDecay | Cosine:
    """The schedule of a training of so many epochs: another one, or its own with what of it is asked for.

    Args:
        base: its own.
        epochs: of the training, or of a level.
        kind: the schedule asked for; None for its own.
        at: epochs at which the rate drops.
        factor: what the rate is multiplied by there.
        final: the fraction of the rate that half a cosine ends at.
        prefix: of the options' names, for sentences.

    Raises:
        WinsomeError: an option of another schedule, or a drop outside of the training.
    """
    from winsome.training.settings import Constant, Cosine, StepDecay

    kinds: dict[str, Constant | StepDecay | Cosine] = {"constant": Constant(), "step": StepDecay(), "cosine": Cosine()}
    made = base if kind is None or isinstance(base, type(kinds[kind])) else kinds[kind]
    for option, given, wanted in (("drop-at", at, "step"), ("drop-factor", factor, "step"), ("final-rate", final, "cosine")):
        if given not in (None, ()) and not isinstance(made, type(kinds[wanted])):
            raise WinsomeError(f"--{prefix}{option} is of --{prefix}schedule {wanted}; add that, or leave it out")
    if beyond := [epoch for epoch in at if not 0 < epoch < epochs]:
        raise WinsomeError(f"--{prefix}drop-at {beyond[0]}: the epochs of a level go from 1 to {epochs - 1}")
    if isinstance(made, StepDecay):
        places = tuple(epoch / epochs for epoch in at) or made.at
        return StepDecay(places, made.factor if factor is None else factor)
    return Cosine(final) if final is not None else made


def refuse_no_warm_up(by: str | None, *, ramp: bool, before: int, epochs: Iterable[int]) -> None:
    """Refuse options of a warm-up where there is none.

    Args:
        by: what its rate is to grow by, where that is asked for.
        ramp: whether the rate is to grow in the epochs before level 0.
        before: how many these are.
        epochs: of the other warm-ups.

    Raises:
        WinsomeError: says which warm-up to add.
    """
    if ramp and not before:
        raise WinsomeError(
            "--warmup-ramp is of epochs before level 0, and there are none; leave it out, or add --warmup-epochs"
        )
    if by is not None and not ramp and not any(epochs):
        raise WinsomeError(
            f"--lr-warmup-by {by} says how a warm-up's rate grows, and there is none; leave it out, or add --lr-warmup-epochs"
        )


CONSTANT = ScheduleOptions()

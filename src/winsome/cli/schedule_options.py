"""The options of a learning-rate schedule, for the levels of a search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import arg

from winsome.errors import WinsomeError

if TYPE_CHECKING:
    from winsome.training.settings import Constant, Cosine, StepDecay


@dataclass(frozen=True)
class ScheduleOptions:
    """The learning rate over a level. Every level has the whole schedule, or goes on with it from the step it rewinds to.

    Attributes:
        schedule: constant, step (the rate is multiplied by --drop-factor at --drop-at), or cosine (half a cosine down to
            --final-rate).
        drop_at: With --schedule step: epochs of a level at which the rate drops; by default after a half and three quarters.
        drop_factor: With --schedule step: what the rate is multiplied by.
        final_rate: With --schedule cosine: the fraction of the rate that it ends at.
        lr_warmup_by: Whether a warm-up's rate grows with every step, or with every epoch as in arXiv:2402.19262's code.
        warmup_ramp: The rate grows to its peak in the --warmup-epochs before level 0, which then has its whole schedule.
        drop_last: Leave out the images that do not fill a batch at the end of an epoch.
    """

    schedule: Literal["constant", "step", "cosine"] = "constant"
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
        from winsome.training.settings import Constant, Cosine, StepDecay

        if self.drop_at and self.schedule != "step":
            raise WinsomeError("--drop-at is of --schedule step; add that, or leave it out")
        if beyond := [epoch for epoch in self.drop_at if not 0 < epoch < epochs]:
            raise WinsomeError(f"--drop-at {beyond[0]}: the epochs of a level go from 1 to {epochs - 1}")
        if self.schedule == "step":
            places = tuple(epoch / epochs for epoch in self.drop_at) or StepDecay().at
            return StepDecay(places, self.drop_factor)
        return Cosine(self.final_rate) if self.schedule == "cosine" else Constant()


CONSTANT = ScheduleOptions()

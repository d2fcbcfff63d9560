"""The options of a study's learning-rate schedules: those of its searches' levels, and those from scratch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal

from winsome.cli.options import Unset
from winsome.cli.schedule_options import Kind, changed

if TYPE_CHECKING:
    from winsome.training.settings import Training


@dataclass(frozen=True)
class StudySchedules:
    """The learning rate over a level of a search, and over a training from scratch; by default as the study has them.

    Attributes:
        search_schedule: Over a level of a search: constant, step (the rate is multiplied by --search-drop-factor at
            --search-drop-at), or cosine (half a cosine down to --search-final-rate).
        search_drop_at: With --search-schedule step: epochs of a level at which the rate drops; by default after a half
            and three quarters.
        search_drop_factor: With --search-schedule step: what the rate is multiplied by; by default 0.1.
        search_final_rate: With --search-schedule cosine: the fraction of the rate that it ends at; by default 0.001.
        search_lr_warmup_epochs: Epochs of every level in which the rate grows from 0.
        schedule: From scratch: constant, step or cosine, with the next three as above.
        drop_at: With --schedule step: epochs from scratch at which the rate drops.
        drop_factor: With --schedule step: what the rate is multiplied by.
        final_rate: With --schedule cosine: the fraction of the rate that it ends at.
        lr_warmup_epochs: Epochs from scratch in which the rate grows from 0.
        lr_warmup_by: Whether warm-ups' rates grow with every step, or with every epoch as in arXiv:2402.19262's code.
        warmup_ramp: The rate grows to its peak in the --warmup-epochs before level 0, which then has its whole schedule.
        drop_last: Leave out the images that do not fill a batch at the end of an epoch.
    """

    search_schedule: Annotated[Kind | None, Unset] = None
    search_drop_at: Annotated[tuple[int, ...], Unset] = ()
    search_drop_factor: Annotated[float | None, Unset] = None
    search_final_rate: Annotated[float | None, Unset] = None
    search_lr_warmup_epochs: Annotated[int | None, Unset] = None
    schedule: Annotated[Kind | None, Unset] = None
    drop_at: Annotated[tuple[int, ...], Unset] = ()
    drop_factor: Annotated[float | None, Unset] = None
    final_rate: Annotated[float | None, Unset] = None
    lr_warmup_epochs: Annotated[int | None, Unset] = None
    lr_warmup_by: Annotated[Literal["step", "epoch"] | None, Unset] = None
    warmup_ramp: bool = False
    drop_last: bool = True

    def of_searches(self, base: Training) -> Training:
        """The training of a level, with the schedule asked for.

        Raises:
            WinsomeError: an option of another schedule, or a drop or a warm-up outside of the level.
        """
        chosen = changed(
            base.schedule,
            base.epochs,
            self.search_schedule,
            at=self.search_drop_at,
            factor=self.search_drop_factor,
            final=self.search_final_rate,
            prefix="search-",
        )
        return self._warmed_up(replace(base, schedule=chosen), self.search_lr_warmup_epochs)

    def from_scratch(self, base: Training) -> Training:
        """The training of dense and planted networks, with the schedule asked for.

        Raises:
            WinsomeError: an option of another schedule, or a drop or a warm-up outside of the training.
        """
        own, at, factor = base.schedule, self.drop_at, self.drop_factor
        chosen = changed(own, base.epochs, self.schedule, at=at, factor=factor, final=self.final_rate)
        return self._warmed_up(replace(base, schedule=chosen), self.lr_warmup_epochs)

    def _warmed_up(self, base: Training, epochs: int | None) -> Training:
        return replace(
            base,
            warmup_epochs=base.warmup_epochs if epochs is None else epochs,
            warmup_by=self.lr_warmup_by or base.warmup_by,
            drop_last=base.drop_last and self.drop_last,
        )


AS_THE_STUDY = StudySchedules()

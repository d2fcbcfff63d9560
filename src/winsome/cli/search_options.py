"""The options of one search: how deep it goes, and how its levels train."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

from winsome.cli.schedule_options import CONSTANT, ScheduleOptions, refuse_no_warm_up

if TYPE_CHECKING:  # help knows every option before torch is imported
    from winsome.training.settings import Training


@dataclass(frozen=True)
class SearchOptions:
    """How deep a search goes, and how its levels train.

    Attributes:
        levels: Prune-train rounds after the dense level 0. More of them later go on from those that are there.
        rate: Fraction of the remaining weights removed per level, in (0, 1).
        rewind_step: Training step that rewinding methods go back to.
        level_epochs: Epochs per level.
        warmup_epochs: Epochs before level 0's own.
        learning_rate: Peak learning rate.
        weight_decay: Weight decay on all parameters.
        batch_size: Images per step.
        schedule: How the learning rate changes.
    """

    levels: int = 15
    rate: float = 0.2
    rewind_step: int = 0
    level_epochs: int = 10
    warmup_epochs: int = 10
    learning_rate: float = 0.1
    weight_decay: float = 5e-4
    batch_size: int = 128
    schedule: Annotated[ScheduleOptions, arg(name="")] = CONSTANT

    def training(self, *, lr_warmup_epochs: int, sync_batch_norm: bool) -> Training:
        """The training of a level.

        Raises:
            WinsomeError: an option of another schedule, or of a warm-up that is not there.
        """
        from winsome.training.settings import SGD, Training

        own = self.schedule
        by = own.lr_warmup_by if own.lr_warmup_by != CONSTANT.lr_warmup_by else None
        refuse_no_warm_up(by, ramp=own.warmup_ramp, before=self.warmup_epochs, epochs=(lr_warmup_epochs,))
        return Training(
            self.level_epochs,
            self.batch_size,
            SGD(self.learning_rate, 0.9, self.weight_decay),
            self.schedule.of(self.level_epochs),
            lr_warmup_epochs,
            sync_batch_norm,
            self.schedule.lr_warmup_by,
            drop_last=self.schedule.drop_last,
        )


AS_IN_THE_PAPER = SearchOptions()

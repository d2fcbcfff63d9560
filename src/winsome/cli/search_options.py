"""The options of one search: how deep it goes, and how its levels train."""

from __future__ import annotations

from dataclasses import dataclass

from winsome.training.settings import SGD, Constant, Training


@dataclass(frozen=True)
class SearchOptions:
    """How deep a search goes, and how its levels train.

    Attributes:
        levels: Prune-train rounds after the dense level 0. More of them later go on from those that are there.
        rate: Fraction of the remaining weights removed per level, in (0, 1).
        rewind_step: Training step that rewinding methods go back to.
        level_epochs: Epochs per level.
        warmup_epochs: Epochs before level 0's own.
        learning_rate: Learning rate, constant within the search.
        weight_decay: Weight decay on all parameters.
        batch_size: Images per step.
    """

    levels: int = 15
    rate: float = 0.2
    rewind_step: int = 0
    level_epochs: int = 10
    warmup_epochs: int = 10
    learning_rate: float = 0.1
    weight_decay: float = 5e-4
    batch_size: int = 128

    def training(self, *, lr_warmup_epochs: int, sync_batch_norm: bool) -> Training:
        """The training of a level."""
        optimizer = SGD(self.learning_rate, 0.9, self.weight_decay)
        return Training(self.level_epochs, self.batch_size, optimizer, Constant(), lr_warmup_epochs, sync_batch_norm)


AS_IN_THE_PAPER = SearchOptions()

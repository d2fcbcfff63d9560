"""`winsome plant`: put a ticket on fresh networks, train them from scratch, and say how they do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from winsome.cli.options import AS_KNOWN, USUAL_COMPUTE, ComputeOptions, KnownDataOptions

if TYPE_CHECKING:
    from winsome.training.settings import Training


@dataclass(frozen=True)
class FromScratchOptions:
    """How planted networks train.

    Attributes:
        epochs: Epochs from scratch; the learning rate falls tenfold after a half and three quarters of them.
        learning_rate: Peak learning rate.
        weight_decay: Weight decay on all parameters.
        batch_size: Images per step.
    """

    epochs: int = 40
    learning_rate: float = 0.1
    weight_decay: float = 5e-4
    batch_size: int = 128

    def of(self, *, sync_batch_norm: bool) -> Training:
        """The training of every start."""
        from winsome.training.settings import SGD, StepDecay, Training

        optimizer = SGD(self.learning_rate, 0.9, self.weight_decay)
        return Training(self.epochs, self.batch_size, optimizer, StepDecay(), sync_batch_norm=sync_batch_norm)


AS_FROM_SCRATCH = FromScratchOptions()


def plant(
    ticket: Positional[Path],
    /,
    *,
    starts: Annotated[tuple[int, ...], arg(aliases=("--seeds",))] = (0,),
    keep: str = "signs",
    while_training: str = "plain",
    training: Annotated[FromScratchOptions, arg(name="")] = AS_FROM_SCRATCH,
    images: Annotated[KnownDataOptions, arg(name="")] = AS_KNOWN,
    save_to: Path | None = None,
    compute: Annotated[ComputeOptions, arg(name="")] = USUAL_COMPUTE,
) -> None:
    """Plant a ticket on fresh random initialisations and train them from scratch.

    The ticket file says which network and data set it was found with. The same start has the same weights on every machine
    with the same version of torch. Weights after planting and after training are kept as safetensors. Run it again to continue
    a training that was stopped.

    Args:
        ticket: A .ticket file.
        starts: One fresh network for each of these seeds.
        keep: What of the ticket is planted: signs (mask and signs), mask (mask only), or phi (signs and trained normalisation,
            read from the level's weights beside the ticket).
        while_training: What holds while they train: plain, interpolated_norms, frozen_norms, fixed_signs, or one of your own
            (FILE.py:NAME or PACKAGE.MODULE:NAME).
        training: How the planted networks train.
        images: What to train and judge on.
        save_to: Folder for weights and results; by default beside the ticket, named after it.
        compute: How trainings use the machine.
    """
    from winsome.cli import choices
    from winsome.cli.planting_display import show_planting
    from winsome.study.found_ticket import FoundTicket
    from winsome.study.planting import planting

    planned = planting(
        ticket,
        training.of(sync_batch_norm=compute.sync_batch_norm),
        keep=keep,
        while_training=choices.while_training(while_training).value,
        data=images.named() or images.over(FoundTicket.read(ticket).data),
        save_to=save_to,
        fast=compute.fast,
        compiled=compute.compiled,
    )
    show_planting(planned, starts, log=compute.log)

"""A ticket made ready to be planted: what it fits, what is planted of it, how that is trained, and where it is kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from winsome.data.spec import DataSpec
from winsome.errors import unknown
from winsome.identity import identity
from winsome.models.spec import NetworkSpec
from winsome.study.found_ticket import FoundTicket
from winsome.study.planting_folder import PlantingFolder
from winsome.ticket import Ticket
from winsome.training.conditions import Conditions, on_device
from winsome.training.precision import default_device, precision_for
from winsome.training.settings import Training
from winsome.transfer import KEEPS, plant
from winsome.while_training import WhileTraining, plain


@dataclass(frozen=True, eq=False)
class Planting:
    """A ticket, ready to be planted: what it is planted on, how that is trained, and where it is kept.

    Attributes:
        ticket: with trained normalisation where that is planted too.
        network: what it fits.
        keep: what of it is planted, one of `transfer.KEEPS`.
        training: of every start.
        conditions: what starts are trained and judged on.
        folder: of weights and results, taken for this planting.
        while_training: a context around every training.
    """

    ticket: Ticket
    network: NetworkSpec
    keep: str
    training: Training
    conditions: Conditions
    folder: PlantingFolder
    while_training: WhileTraining = plain


def planting(
    file: Path,
    training: Training,
    *,
    keep: str = "signs",
    while_training: WhileTraining = plain,
    data: DataSpec | None = None,
    save_to: Path | None = None,
    fast: bool = True,
    compiled: bool = False,
) -> Planting:
    """Make a ticket file ready to be planted; everything that cannot work is refused before anything is written.

    Args:
        file: a .ticket file; it says which network it fits.
        training: of every start.
        keep: what of it is planted: signs, mask, or phi (signs and trained normalisation, from the weights beside the ticket).
        while_training: a context around every training.
        data: what to train on; by default what the ticket was found with.
        save_to: folder for weights and results; by default beside the ticket, named after it.
        fast: bf16 and channels_last where this machine gains from them.
        compiled: train by torch.compile.

    Raises:
        WinsomeError: the ticket does not say what it fits or does not fit it, data are absent or others, or the folder was made
            with another configuration.
    """
    if keep not in KEEPS:
        raise unknown("choice for --keep", keep, KEEPS)
    found = FoundTicket.read(file)
    network, spec = found.network, data or found.data
    ticket = found.with_trained_norms() if keep == "phi" else found.ticket
    images = on_device(spec.load())
    found.refuse_other_images(images)
    fresh = network.build(0)
    precision = precision_for(fresh, default_device(), fast=fast, compiled=compiled)
    conditions = Conditions(images, precision, statistics_images=1000)
    conditions.n_steps(training)  # refuses batches that cannot be
    plant(ticket, fresh, keep=KEEPS[keep])  # a ticket that does not fit is refused before anything is written
    config: dict[str, Any] = {
        "mask": ticket.mask.digest(),
        "network": network.record(),
        "keep": keep,
        "training": training.record(),
        "while_training": identity(while_training),
        "data": {**spec.record(), "name": images.name, "digest": images.digest()},
        "precision": precision.label,
        "citations": list(ticket.provenance.get("citations", [])),
    }
    folder = PlantingFolder.take(save_to or file.parent / f"{file.stem}-planted-{keep}", config)
    return Planting(ticket, network, keep, training, conditions, folder, while_training)

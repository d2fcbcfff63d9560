"""`winsome plant`: put a ticket on fresh networks, train them from scratch, and say how they do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from winsome.cli.options import AS_KNOWN, USUAL_COMPUTE, ComputeOptions, KnownDataOptions

if TYPE_CHECKING:
    from winsome.study.planting_folder import PlantedRun


def plant(
    ticket: Positional[Path],
    /,
    *,
    starts: Annotated[tuple[int, ...], arg(aliases=("--seeds",))] = (0,),
    keep: str = "signs",
    epochs: int = 40,
    learning_rate: float = 0.1,
    weight_decay: float = 5e-4,
    batch_size: int = 128,
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
        epochs: Epochs from scratch; the learning rate falls tenfold after a half and three quarters of them.
        learning_rate: Peak learning rate.
        weight_decay: Weight decay on all parameters.
        batch_size: Images per step.
        images: What to train and judge on.
        save_to: Folder for weights and results; by default beside the ticket, named after it.
        compute: How trainings use the machine.
    """
    import numpy as np

    from winsome.cli import console as consoles
    from winsome.study.found_ticket import FoundTicket
    from winsome.study.planted_runs import plant_runs
    from winsome.study.planting import planting
    from winsome.training.settings import SGD, StepDecay, Training

    training = Training(
        epochs, batch_size, SGD(learning_rate, 0.9, weight_decay), StepDecay(), sync_batch_norm=compute.sync_batch_norm
    )
    planned = planting(
        ticket,
        training,
        keep=keep,
        data=images.named() or images.over(FoundTicket.read(ticket).data),
        save_to=save_to,
        fast=compute.fast,
        compiled=compute.compiled,
    )
    console = consoles.open_console()
    conditions = planned.conditions
    consoles.say(
        console,
        f"{planned.network.name}, density {planned.ticket.density:.4g}, {len(conditions.data.train):,} training images, "
        f"{conditions.precision.label} on {conditions.device}",
    )

    def say(run: PlantedRun) -> None:
        consoles.say(
            console, f"seed {run.start}: accuracy {100 * run.accuracy:.2f} %{' (finished already)' if run.before else ''}"
        )

    with console.status("training") as status:
        runs = plant_runs(
            planned,
            starts,
            on_fraction=lambda start, fraction: status.update(f"seed {start}: {fraction:.0%}"),
            on_run=say,
        )
    if len(runs) > 1:
        accuracies = [100 * run.accuracy for run in runs]
        consoles.say(
            console, f"accuracy {np.mean(accuracies):.2f} +- {np.std(accuracies, ddof=1):.2f} % over {len(runs)} seeds"
        )
    consoles.say(console, f"results and weights: {planned.folder.path}")

"""A ticket planted on fresh random initialisations that are trained from scratch: what `winsome plant` does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from winsome import distributed, ticket_file
from winsome.data.batches import steps_per_epoch
from winsome.data.images import ImageData
from winsome.data.spec import DataSpec
from winsome.errors import WinsomeError, unknown
from winsome.files import read_json, read_state, write_json, write_state
from winsome.identity import identity
from winsome.models.spec import NetworkSpec
from winsome.psi import norm_parameters
from winsome.runs.configuration import take_folder
from winsome.runs.lock import only_process
from winsome.seeding import stream_seed
from winsome.stacking import can_stack, one_thread
from winsome.state import State, full_state
from winsome.ticket import Ticket
from winsome.training.conditions import Conditions
from winsome.training.precision import default_device, precision_for
from winsome.training.settings import Training
from winsome.training.side_by_side import FreshStart, train_from_scratch
from winsome.transfer import KEEPS, plant
from winsome.while_training import WhileTraining, plain


@dataclass(frozen=True)
class PlantedRun:
    """One planted start, trained and judged."""

    start: int
    accuracy: float  # fraction in [0, 1]
    loss: float
    before: bool = False  # whether it was finished before


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
    folder: Path
    while_training: WhileTraining = plain


def found_with(file: Path) -> DataSpec:
    """The data that a ticket file says it was found with.

    Raises:
        WinsomeError: it does not say so.
    """
    record = _read(file).provenance.get("data", {})
    if "name" not in record:
        raise WinsomeError(f"{file} does not say which data it was found with; name it: --data cifar10, or a folder")
    return DataSpec.from_record(record)


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
    distributed.refuse_uneven(training.batch_size)
    ticket = _read(file)
    if "network" not in ticket.provenance:
        raise WinsomeError(
            f"{file} does not say which network it was found with; plant it from Python: winsome.plant(ticket, model)"
        )
    network = NetworkSpec.from_record(ticket.provenance["network"])
    spec = data or found_with(file)
    if keep == "phi" and not ticket.norms:
        ticket = _with_trained_norms(ticket, file, network)
    device = default_device()
    images = spec.load().on(device)
    distributed.agree("the data set", images.digest, "give every rank the same files, and empty its $WINSOME_CACHE")
    _refuse_other_images(file, network, images)
    steps_per_epoch(images, training.batch_size)
    fresh = network.build(0)
    precision = precision_for(fresh, device, fast=fast, compiled=compiled)
    plant(ticket, fresh, keep=KEEPS[keep])  # a ticket that does not fit is refused before anything is written
    folder = save_to or file.parent / f"{file.stem}-planted-{keep}"
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
    take_folder(folder, config)
    conditions = Conditions(images, precision, statistics_images=1000)
    return Planting(ticket, network, keep, training, conditions, folder, while_training)


def plant_runs(
    planting: Planting,
    starts: Sequence[int] = (0,),
    *,
    on_fraction: Callable[[int, float], None] = lambda *_: None,
    on_run: Callable[[PlantedRun], None] = lambda _: None,
) -> tuple[PlantedRun, ...]:
    """Plant a ticket on fresh starts and train each from scratch; what is finished already is read back.

    The same start has the same weights on every machine with the same version of torch. Weights after planting and after
    training are kept as safetensors. A training that was killed goes on where it was.

    Args:
        planting: from `planting(file, training)`.
        starts: one fresh network for each of these seeds.
        on_fraction: hears how much of a start's training is done.
        on_run: hears of every start that is finished, or was.

    Raises:
        WinsomeError: a start below 0, another process at work in the folder, or the disk fails.
        Diverged: a training's loss became NaN.
    """
    if negative := [start for start in starts if start < 0]:
        raise WinsomeError(f"a start is a seed, 0 or more, got {negative[0]}")
    runs = []
    small = can_stack(planting.network.build(0)) and planting.conditions.device.type == "cpu"
    with only_process(planting.folder), one_thread(on=small):
        for start in starts:
            files = _Files(planting.folder, start)
            run = files.finished() or _run(planting, start, files, on_fraction)
            on_run(run)
            runs.append(run)
    return tuple(runs)


def _run(planting: Planting, start: int, files: _Files, on_fraction: Callable[[int, float], None]) -> PlantedRun:
    conditions = planting.conditions
    network = conditions.placed(planting.network.build(start))
    mask = plant(planting.ticket, network, keep=KEEPS[planting.keep])
    files.write_start(full_state(network))
    fresh = FreshStart(network, mask, stream_seed(start, "scratch order"), f"seed {start}", files.path(".checkpoint"))
    (metrics,) = train_from_scratch(
        [fresh],
        conditions,
        planting.training,
        while_training=planting.while_training,
        on_fraction=lambda done: on_fraction(start, done),
    )
    run = PlantedRun(start, metrics["accuracy"], metrics["loss"])
    files.finish(run, full_state(network))
    return run


@dataclass(frozen=True)
class _Files:
    """The files of one start. Rank 0 alone reads and writes; every rank calls every method but `path`."""

    folder: Path
    start: int

    def path(self, ending: str) -> Path:
        return self.folder / f"seed-{self.start}{ending}"

    def finished(self) -> PlantedRun | None:
        result = self.path(".json")
        record = distributed.from_main(lambda: read_json(result) if result.exists() else None)
        return record and PlantedRun(self.start, float(record["accuracy"]), float(record["loss"]), before=True)

    def write_start(self, state: State) -> None:
        distributed.from_main(lambda: write_state(self.path("-start.safetensors"), state))

    def finish(self, run: PlantedRun, trained: State) -> None:
        def write() -> None:
            write_state(self.path("-trained.safetensors"), trained)
            write_json(self.path(".json"), {"seed": run.start, "accuracy": run.accuracy, "loss": run.loss})
            self.path(".checkpoint").unlink(missing_ok=True)

        distributed.from_main(write)


def _read(file: Path) -> Ticket:
    return distributed.from_main(lambda: ticket_file.read(file))


def _refuse_other_images(file: Path, network: NetworkSpec, images: ImageData) -> None:
    """Raise WinsomeError where the ticket's network does not take these images: it is not resized."""
    shape, classes = list(network.image_shape or ()), network.n_classes
    if (list(images.image_shape), images.n_classes) != (shape, classes):
        raise WinsomeError(
            f"{file} is for images of shape {shape} in {classes} classes; "
            f"{images.name} has {list(images.image_shape)} in {images.n_classes}"
        )


def _with_trained_norms(ticket: Ticket, file: Path, network: NetworkSpec) -> Ticket:
    weights = file.with_suffix(".safetensors")

    def read() -> Ticket:
        if not weights.exists():
            raise WinsomeError(f"--keep phi needs the trained normalisation parameters in {weights}, which is not there")
        state, _ = read_state(weights)
        return ticket.with_norms({name: state[name] for name in norm_parameters(network.build(0))})

    return distributed.from_main(read)

"""`winsome plant`: put a ticket on fresh networks, train them from scratch, and say how they do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from tyro.conf import Positional

from winsome import distributed, models, ticket_file
from winsome.cli.console import open_console
from winsome.data.batches import steps_per_epoch
from winsome.data.image_store import OnCorrupt
from winsome.data.images import ImageData
from winsome.errors import WinsomeError, unknown
from winsome.files import read_json, read_state, write_json, write_state
from winsome.norms import norm_parameters
from winsome.runs.configuration import take_folder
from winsome.seeding import stream_seed
from winsome.stacking import can_stack, one_thread
from winsome.state import full_state
from winsome.study.design import DataSpec
from winsome.ticket import Ticket
from winsome.training.conditions import Conditions
from winsome.training.precision import default_device, precision_for
from winsome.training.settings import SGD, StepDecay, Training
from winsome.training.side_by_side import FreshStart, train_from_scratch
from winsome.transfer import KEEPS
from winsome.transfer import plant as plant_ticket


def plant(
    ticket: Positional[Path],
    /,
    *,
    seeds: tuple[int, ...] = (0,),
    keep: str = "signs",
    epochs: int = 40,
    learning_rate: float = 0.1,
    weight_decay: float = 5e-4,
    batch_size: int = 128,
    data: str | None = None,
    data_dir: Path | None = None,
    train_images: int | None = None,
    test_images: int | None = None,
    on_corrupt: OnCorrupt = "stop",
    save_to: Path | None = None,
    sync_batch_norm: bool = False,
    fast: bool = True,
    compiled: bool = False,
) -> None:
    """Plant a ticket on fresh random initialisations and train them from scratch.

    The ticket file says which network and data set it was found with. The same seed gives the same starting weights on
    every machine with the same version of torch. Weights after planting and after training are kept as safetensors. Run it
    again to continue a training that was stopped.

    Args:
        ticket: A .ticket file.
        seeds: One fresh network for each.
        keep: What of the ticket is planted: signs (mask and signs), mask (mask only), or phi (signs and trained normalisation,
            read from the level's weights beside the ticket).
        epochs: Epochs from scratch; the learning rate falls tenfold after a half and three quarters of them.
        learning_rate: Peak learning rate.
        weight_decay: Weight decay on all parameters.
        batch_size: Images per step.
        data: Data set or folder to train on; by default the one that the ticket was found with.
        data_dir: Folder of local parquet files with the data set, instead of a download.
        train_images: Train on a stratified part of this many images; by default as many as the search had.
        test_images: Judge on a stratified part of this many images.
        on_corrupt: Whether an image of imagenet that cannot be decoded stops, or is left out, named and counted.
        save_to: Folder for weights and results; by default beside the ticket, named after it.
        sync_batch_norm: Under torchrun, BatchNorm over the images of all ranks instead of each rank's own.
        fast: bf16 and channels_last where this machine gains from them.
        compiled: Train by torch.compile, on a GPU as CUDA graphs: every training compiles first, which takes up to a minute.
    """
    if keep not in KEEPS:
        raise unknown("choice for --keep", keep, KEEPS)
    training = Training(epochs, batch_size, SGD(learning_rate, 0.9, weight_decay), StepDecay(), 0, sync_batch_norm)
    distributed.refuse_uneven(batch_size)
    found = distributed.from_main(lambda: ticket_file.read(ticket))
    record, data_record = found.provenance.get("network"), found.provenance.get("data", {})
    if record is None:
        raise WinsomeError(
            f"{ticket} does not say which network it was found with; plant it from Python: winsome.plant(ticket, model)"
        )
    plan = replace(_data_plan(ticket, data_record, data, data_dir, train_images, test_images), on_corrupt=on_corrupt)
    if keep == "phi":
        found = distributed.from_main(lambda: _with_trained_norms(found, ticket, record))
    device = default_device()
    images = plan.load().on(device)
    distributed.agree("the data set", images.digest, "give every rank the same files, and empty its $WINSOME_CACHE")
    _refuse_other_images(ticket, record, images)
    steps_per_epoch(images, batch_size)
    probe = models.from_record(record, 0)
    precision = precision_for(probe, device, fast=fast, compiled=compiled)
    plant_ticket(found, probe, keep=KEEPS[keep])  # a ticket that does not fit is refused before anything is written
    conditions = Conditions(images, precision, statistics_images=1000)
    folder = save_to or ticket.parent / f"{ticket.stem}-planted-{keep}"
    config = {"mask": found.mask.digest(), "network": record, "keep": keep, "training": training.record()}
    data_used = {"name": images.name, "digest": images.digest()}
    take_folder(folder, {**config, "data": data_used, "precision": precision.label, "citations": _citations(found)})
    console = open_console()
    console.print(
        f"{record['name']}, density {found.density:.4g}, {len(images.train):,} training images, {precision.label} on {device}"
    )
    with one_thread(on=can_stack(probe) and device.type == "cpu"):
        accuracies = [_plant_one(found, record, seed, keep, training, conditions, folder, console) for seed in seeds]
    if len(accuracies) > 1:
        console.print(
            f"accuracy {100 * np.mean(accuracies):.2f} +- {100 * np.std(accuracies, ddof=1):.2f} % over {len(seeds)} seeds"
        )
    console.print(f"results and weights: {folder}")


def _data_plan(
    ticket: Path,
    found_with: Mapping[str, Any],
    data: str | None,
    data_dir: Path | None,
    train_images: int | None,
    test_images: int | None,
) -> DataSpec:
    """What to train on: what was asked for, else the data that the ticket was found with, and as many images of it."""
    if data is not None:
        return DataSpec(data, data_dir, train_images, test_images)
    if "name" not in found_with:
        raise WinsomeError(f"{ticket} does not say which data it was found with; name it: --data cifar10, or a folder")
    return DataSpec(
        found_with["name"],
        data_dir,
        train_images or found_with.get("train_images"),
        test_images or found_with.get("test_images"),
        image_size=found_with.get("image_size"),
    )


def _refuse_other_images(ticket: Path, record: Mapping[str, Any], images: ImageData) -> None:
    if [list(images.image_shape), images.n_classes] != [record["image_shape"], record["n_classes"]]:
        raise WinsomeError(
            f"{ticket} is for images of shape {record['image_shape']} in {record['n_classes']} classes; "
            f"{images.name} has {list(images.image_shape)} in {images.n_classes}"
        )


def _plant_one(
    found: Ticket,
    record: dict[str, object],
    seed: int,
    keep: str,
    training: Training,
    conditions: Conditions,
    folder: Path,
    console: Console,
) -> float:
    result = folder / f"seed-{seed}.json"
    done = distributed.from_main(lambda: read_json(result) if result.exists() else None)
    if done is not None:
        console.print(f"seed {seed}: accuracy {100 * done['accuracy']:.2f} % (finished already)")
        return float(done["accuracy"])
    network = models.from_record(record, seed).to(conditions.device)
    if conditions.precision.channels_last:
        network = network.to(memory_format=torch.channels_last)
    mask = plant_ticket(found, network, keep=KEEPS[keep])
    checkpoint = folder / f"seed-{seed}.checkpoint"
    start, trained = (folder / f"seed-{seed}-{when}.safetensors" for when in ("start", "trained"))
    distributed.from_main(lambda: write_state(start, full_state(network)))
    order = stream_seed(seed, "scratch order")
    with console.status(f"seed {seed}") as status:
        metrics = train_from_scratch(
            [FreshStart(network, mask, order, f"seed {seed}", checkpoint)],
            conditions,
            training,
            on_fraction=lambda fraction: status.update(f"seed {seed}: {fraction:.0%}"),
        )[0]

    def write() -> None:
        write_state(trained, full_state(network))
        write_json(result, {"seed": seed, "accuracy": metrics["accuracy"], "loss": metrics["loss"]})
        checkpoint.unlink(missing_ok=True)

    distributed.from_main(write)
    console.print(f"seed {seed}: accuracy {100 * metrics['accuracy']:.2f} %")
    return float(metrics["accuracy"])


def _citations(found: Ticket) -> list[str]:
    return list(found.provenance.get("citations", []))


def _with_trained_norms(found: Ticket, path: Path, record: dict[str, object]) -> Ticket:
    if found.norms:
        return found
    weights = path.with_suffix(".safetensors")
    if not weights.exists():
        raise WinsomeError(f"--keep phi needs the trained normalisation parameters in {weights}, which is not there")
    state, _ = read_state(weights)
    names = norm_parameters(models.from_record(record, 0))
    return found.with_norms({name: state[name] for name in names})

"""`winsome study`: find tickets, plant them, and say what shows."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from pathlib import Path

from tyro.conf import Positional, UseAppendAction

from winsome import distributed
from winsome.cli import choices
from winsome.cli.display import Display, print_results
from winsome.data.image_store import OnCorrupt
from winsome.errors import WinsomeError
from winsome.evidence.gather import collect, is_gathered
from winsome.evidence.results import read
from winsome.methods import Method, aws, learning_rate_rewinding, lrr_with_frozen_norms
from winsome.study import presets
from winsome.study.conditions import conditions_of
from winsome.study.design import DataSpec, NetworkSpec, Study
from winsome.study.jobs import is_done, jobs_of
from winsome.study.run import jobs_at_once, run
from winsome.training.settings import Training


def study(
    data: Positional[str] = "digits",
    /,
    *,
    data_dir: Path | None = None,
    save_to: Path | None = None,
    network: str | None = None,
    network_option: UseAppendAction[tuple[str, ...]] = (),
    arms: tuple[str, ...] = (),
    more_arms: tuple[str, ...] = (),
    levels: int | None = None,
    rate: float | None = None,
    at_levels: tuple[int, ...] = (),
    seeds: int | None = None,
    starts: int | None = None,
    level_epochs: int | None = None,
    warmup_epochs: int | None = None,
    epochs: int | None = None,
    search_learning_rate: float | None = None,
    learning_rate: float | None = None,
    weight_decay: float | None = None,
    batch_size: int | None = None,
    train_images: int | None = None,
    test_images: int | None = None,
    validation: bool = False,
    image_size: int | None = None,
    on_corrupt: OnCorrupt = "stop",
    curve_at: tuple[int, ...] | None = None,
    workers: int = 0,
    sync_batch_norm: bool = False,
    fast: bool = True,
    compiled: bool = False,
    plan_only: bool = False,
) -> None:
    """Find winning tickets, plant them on fresh starts, and report which claims of the paper show.

    Searches with LRR and with AWS, puts each signed mask on fresh random initialisations, trains from scratch, and compares
    with the dense network, the mask alone and a random mask (arXiv:2504.05357). Ends with a table, one sentence for each
    claim, and report.html. Run it again to continue where it stopped; a finished study only says so.

    Args:
        data: digits (embedded, the default), digits-conv, cifar10, cifar100, tiny_imagenet, imagenet, or a folder of images.
        data_dir: Folder of local parquet files (imagenet: or shards, or images) with the data set, instead of a download.
        save_to: Folder of the study; by default runs/study-DATA.
        network: For example residual_mlp, small_conv, resnet20, resnet50, mobilenet_v2, mlp_mixer, or any torchvision name.
        network_option: An option of the network, name=value; may be given several times.
        arms: Arms to run instead of the default ones; an unknown name lists them all.
        more_arms: Arms to run beside these; a finished study takes them up in its folder, as it does seeds and starts.
        levels: Prune-train rounds after the dense level 0.
        rate: Fraction of the remaining weights removed per level, in (0, 1).
        at_levels: Levels at which tickets are planted; by default the preset's, or the middle and the last one.
        seeds: Search seeds: independent searches, the unit of every interval.
        starts: Fresh starts for every ticket.
        level_epochs: Epochs per level of a search.
        warmup_epochs: Epochs before level 0's own.
        epochs: Epochs from scratch.
        search_learning_rate: Learning rate of the searches (constant).
        learning_rate: Peak learning rate from scratch.
        weight_decay: Weight decay of all trainings.
        batch_size: Images per step.
        train_images: Train on a stratified part of this many images.
        test_images: Judge on a stratified part of this many images.
        validation: Judge on a fifth of the train split instead of the test split: for tuning.
        image_size: Pixels of a side to which every image is resized (imagenet: 224).
        on_corrupt: Whether an image of imagenet that cannot be decoded stops, or is left out, named and counted.
        curve_at: Epochs from scratch at which a learning curve is taken.
        workers: Processes side by side; 0 for one per core, 1 for this process.
        sync_batch_norm: Under torchrun, BatchNorm over the images of all ranks instead of each rank's own.
        fast: bf16 and channels_last where this machine gains from them.
        compiled: Train by torch.compile, on a GPU as CUDA graphs: every training compiles first, which takes up to a minute.
        plan_only: Print what would be run, and stop.
    """
    if data == "imagenet" and network is not None:
        base = presets.imagenet(network)
    else:
        base = presets.PRESETS[data]() if data in presets.PRESETS else presets.images(data)
    chosen = _with_methods(base, levels, rate)
    levels_at = at_levels or _levels_at(base, len(chosen.all_densities) - 1)
    plan = DataSpec(base.data.name, data_dir, train_images, test_images, validation, image_size, on_corrupt)
    options = choices.network_options(network_option)
    chosen = dataclasses.replace(
        chosen,
        data=plan,
        network=NetworkSpec(network, options) if network else dataclasses.replace(base.network, options=options),
        arms=tuple(dict.fromkeys((*(choices.arms(arms) if arms else base.arms), *choices.arms(more_arms)))),
        levels=tuple(sorted(set(levels_at))),
        search_seeds=base.search_seeds if seeds is None else tuple(range(seeds)),
        starts=base.starts if starts is None else tuple(range(starts)),
        warmup_epochs=base.warmup_epochs if warmup_epochs is None else warmup_epochs,
        search_training=_training(
            base.search_training, level_epochs, search_learning_rate, weight_decay, batch_size, sync_batch_norm
        ),
        training=_training(base.training, epochs, learning_rate, weight_decay, batch_size, sync_batch_norm),
        curve_at=base.curve_at if curve_at is None else curve_at,
        fast=fast,
        compiled=compiled,
    )
    folder = save_to or Path("runs") / f"study-{chosen.name.strip('/').replace('/', '-')}"
    if plan_only:
        _print_plan(chosen)
        return
    _run(chosen, folder, workers)


def _run(study: Study, folder: Path, workers: int) -> None:
    command = shlex.join(["winsome", *sys.argv[1:]])
    if not distributed.is_main():  # rank 0 alone shows, gathers and writes
        run(study, folder, workers=workers)
        return
    jobs = jobs_of(study, at_once=jobs_at_once(study))
    complete = is_gathered(study, folder) and all(is_done(job, study, folder) for job in jobs)
    with Display(study, folder) as display:
        run(study, folder, workers=workers, watch=display.watch)
    distributed.leave()
    if complete:
        display.say(f"{folder} is finished already; nothing was trained. Choose another --save-to to run it anew.")
        results = read(folder)
    else:
        results = collect(study, folder, command=command)
    from winsome import report  # here, for matplotlib takes seconds to import

    page = report.write(folder)
    print_results(results, page)


def _with_methods(base: Study, levels: int | None, rate: float | None) -> Study:
    deepest = len(base.all_densities) - 1 if levels is None else levels
    if levels is None and rate is None:
        return base
    old_rate = 1 - base.all_densities[1] if len(base.all_densities) > 1 else 0.2
    makers = {"lrr": learning_rate_rewinding, "aws": aws, "frozen": lrr_with_frozen_norms}
    share = old_rate if rate is None else rate
    searches: tuple[tuple[str, Method], ...] = tuple((name, makers[name](deepest, share)) for name, _ in base.searches)
    return dataclasses.replace(base, searches=searches, levels=(deepest,))


def _levels_at(base: Study, deepest: int) -> tuple[int, ...]:
    if deepest == len(base.all_densities) - 1:
        return base.levels
    return (deepest,) if deepest < 4 else (deepest // 2, deepest)


def _training(
    base: Training,
    epochs: int | None,
    learning_rate: float | None,
    weight_decay: float | None,
    batch_size: int | None,
    sync_batch_norm: bool,
) -> Training:
    optimizer = base.optimizer
    if learning_rate is not None:
        optimizer = dataclasses.replace(optimizer, learning_rate=learning_rate)
    if weight_decay is not None:
        optimizer = dataclasses.replace(optimizer, weight_decay=weight_decay)
    return dataclasses.replace(
        base,
        optimizer=optimizer,
        epochs=base.epochs if epochs is None else epochs,
        batch_size=base.batch_size if batch_size is None else batch_size,
        sync_batch_norm=sync_batch_norm,
    )


def _print_plan(study: Study) -> None:
    conditions = conditions_of(study)
    if study.training.batch_size > len(conditions.data.train):
        raise WinsomeError(f"batch_size {study.training.batch_size} exceeds the {len(conditions.data.train)} training images")
    for job in jobs_of(study, at_once=jobs_at_once(study)):
        print(job.label)

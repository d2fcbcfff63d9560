"""`winsome study`: find tickets, plant them, and say what shows."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from winsome import distributed
from winsome.cli import choices
from winsome.cli.display import Display, print_results
from winsome.cli.options import (
    ALL_DATA,
    USUAL_COMPUTE,
    USUAL_NETWORK,
    ComputeOptions,
    DataOptions,
    NetworkOptions,
    Unset,
)
from winsome.errors import WinsomeError
from winsome.evidence.gather import collect, is_gathered
from winsome.evidence.results import read
from winsome.study import presets
from winsome.study.conditions import conditions_of
from winsome.study.design import Study
from winsome.study.folder import StudyFolder
from winsome.study.jobs import is_done, jobs_of
from winsome.study.run import jobs_at_once, run
from winsome.training.settings import Training


@dataclass(frozen=True)
class ExtentOptions:
    """How many searches, how deep, judged where.

    Attributes:
        levels: Prune-train rounds after the dense level 0.
        rate: Fraction of the remaining weights removed per level, in (0, 1).
        at_levels: Levels at which tickets are planted; by default the preset's, or the middle and the last one.
        seeds: Search seeds: independent searches, the unit of every interval.
        starts: Fresh starts for every ticket.
    """

    levels: Annotated[int | None, Unset] = None
    rate: Annotated[float | None, Unset] = None
    at_levels: Annotated[tuple[int, ...], Unset] = ()
    seeds: Annotated[int | None, Unset] = None
    starts: Annotated[int | None, Unset] = None

    @property
    def searches(self) -> dict[str, Any]:
        """What a preset is asked for."""
        given = {"levels": self.levels, "rate": self.rate}
        return {name: value for name, value in given.items() if value is not None}

    def over(self, base: Study) -> dict[str, Any]:
        """Fields of a study."""
        return {
            "levels": tuple(sorted(set(self.at_levels or base.levels))),
            "search_seeds": base.search_seeds if self.seeds is None else tuple(range(self.seeds)),
            "starts": base.starts if self.starts is None else tuple(range(self.starts)),
        }


@dataclass(frozen=True)
class TrainingOptions:
    """How searches and planted networks train.

    Attributes:
        level_epochs: Epochs per level of a search.
        warmup_epochs: Epochs before level 0's own.
        epochs: Epochs from scratch.
        search_learning_rate: Learning rate of the searches (constant).
        learning_rate: Peak learning rate from scratch.
        weight_decay: Weight decay of all trainings.
        batch_size: Images per step.
        curve_at: Epochs from scratch at which a learning curve is taken.
    """

    level_epochs: Annotated[int | None, Unset] = None
    warmup_epochs: Annotated[int | None, Unset] = None
    epochs: Annotated[int | None, Unset] = None
    search_learning_rate: Annotated[float | None, Unset] = None
    learning_rate: Annotated[float | None, Unset] = None
    weight_decay: Annotated[float | None, Unset] = None
    batch_size: Annotated[int | None, Unset] = None
    curve_at: Annotated[tuple[int, ...] | None, arg(help_behavior_hint="", metavar="[INT [INT ...]]")] = None

    def over(self, base: Study, *, sync_batch_norm: bool) -> dict[str, Any]:
        """Fields of a study."""
        searched = self._changed(base.search_training, self.level_epochs, self.search_learning_rate)
        trained = self._changed(base.training, self.epochs, self.learning_rate)
        return {
            "warmup_epochs": base.warmup_epochs if self.warmup_epochs is None else self.warmup_epochs,
            "search_training": replace(searched, sync_batch_norm=sync_batch_norm),
            "training": replace(trained, sync_batch_norm=sync_batch_norm),
            "curve_at": base.curve_at if self.curve_at is None else self.curve_at,
        }

    def _changed(self, base: Training, epochs: int | None, learning_rate: float | None) -> Training:
        optimizer = base.optimizer
        if learning_rate is not None:
            optimizer = replace(optimizer, learning_rate=learning_rate)
        if self.weight_decay is not None:
            optimizer = replace(optimizer, weight_decay=self.weight_decay)
        batch_size = base.batch_size if self.batch_size is None else self.batch_size
        return replace(base, optimizer=optimizer, epochs=base.epochs if epochs is None else epochs, batch_size=batch_size)


AS_PRESET, AS_TRAINED = ExtentOptions(), TrainingOptions()


def study(
    data: Positional[str] = "digits",
    /,
    *,
    images: Annotated[DataOptions, arg(name="")] = ALL_DATA,
    validation: bool = False,
    save_to: Path | None = None,
    network: Annotated[NetworkOptions, arg(name="")] = USUAL_NETWORK,
    arms: tuple[str, ...] = (),
    more_arms: tuple[str, ...] = (),
    extent: Annotated[ExtentOptions, arg(name="")] = AS_PRESET,
    training: Annotated[TrainingOptions, arg(name="")] = AS_TRAINED,
    workers: int = 0,
    compute: Annotated[ComputeOptions, arg(name="")] = USUAL_COMPUTE,
    plan_only: bool = False,
) -> None:
    """Find winning tickets, plant them on fresh starts, and report which claims of the paper show.

    Searches with LRR and with AWS, puts each signed mask on fresh random initialisations, trains from scratch, and compares
    with the dense network, the mask alone and a random mask (arXiv:2504.05357). Ends with a table, one sentence for each
    claim, and report.html. Run it again to continue where it stopped; a finished study only says so.

    Args:
        data: digits (embedded, the default), digits-conv, cifar10, cifar100, tiny_imagenet, imagenet, or a folder of images.
        images: What is trained and judged on.
        validation: Judge on a fifth of the train split instead of the test split: for tuning.
        save_to: Folder of the study; by default runs/study-DATA.
        network: What is pruned.
        arms: Arms to run instead of the default ones; an unknown name lists them all.
        more_arms: Arms to run beside these; a finished study takes them up in its folder, as it does seeds and starts.
        extent: How many searches, how deep, judged where.
        training: How searches and planted networks train.
        workers: Processes side by side; 0 for one per core, 1 for this process.
        compute: How trainings use the machine.
        plan_only: Print what would be run, and stop.
    """
    base = _preset(data, network.network, extent)
    chosen = replace(
        base,
        data=images.of(base.data.name, validation=validation),
        network=network.of(base.network),
        arms=tuple(dict.fromkeys((*(choices.arms(arms) if arms else base.arms), *choices.arms(more_arms)))),
        fast=compute.fast,
        compiled=compute.compiled,
        **extent.over(base),
        **training.over(base, sync_batch_norm=compute.sync_batch_norm),
    )
    folder = save_to or Path("runs") / f"study-{chosen.name.strip('/').replace('/', '-')}"
    if plan_only:
        _print_plan(chosen)
        return
    _run(chosen, folder, workers)


def _preset(data: str, network: str | None, extent: ExtentOptions) -> Study:
    """The study that is usual for a data set."""
    if data == "imagenet" and network is not None:
        return presets.imagenet(network, **extent.searches)
    if data in presets.PRESETS:
        return presets.PRESETS[data](**extent.searches)
    return presets.images(data, **extent.searches)


def _run(study: Study, folder: Path, workers: int) -> None:
    command = shlex.join(["winsome", *sys.argv[1:]])
    conditions, place = conditions_of(study), StudyFolder(folder)
    jobs = jobs_of(study, at_once=jobs_at_once(conditions))
    complete = all(is_done(job, study, place) for job in jobs)
    if not distributed.is_main():  # rank 0 alone shows and gathers
        run(study, folder, conditions=conditions, workers=workers)
        return
    complete = complete and is_gathered(study, folder)
    with Display(study, folder, conditions) as display:
        run(study, folder, conditions=conditions, workers=workers, watch=display.watch)
    distributed.leave()
    if complete:
        display.say(f"{folder} is finished already; nothing was trained. Choose another --save-to to run it anew.")
        results = read(folder)
    else:
        results = collect(study, folder, conditions, command=command)
    from winsome import report  # here, for matplotlib takes seconds to import

    page = report.write(folder)
    print_results(results, page)


def _print_plan(study: Study) -> None:
    conditions = conditions_of(study)
    if study.training.batch_size > len(conditions.data.train):
        raise WinsomeError(f"batch_size {study.training.batch_size} exceeds the {len(conditions.data.train)} training images")
    for job in jobs_of(study, at_once=jobs_at_once(conditions)):
        print(job.label)

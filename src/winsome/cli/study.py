"""`winsome study`: find tickets, plant them, and say what shows."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from winsome.about import taken_by
from winsome.cli import choices
from winsome.cli.options import (
    ALL_DATA,
    USUAL_COMPUTE,
    USUAL_NETWORK,
    ComputeOptions,
    DataOptions,
    NetworkOptions,
    Unset,
)
from winsome.cli.study_options import AS_PRESET, AS_TRAINED, ExtentOptions, TrainingOptions
from winsome.errors import WinsomeError
from winsome.user_code import UserFile, by_name, load_files

if TYPE_CHECKING:
    from winsome.study.design import Study


def study(
    data: Positional[str] = "digits",
    /,
    *,
    images: Annotated[DataOptions, arg(name="")] = ALL_DATA,
    validation: bool = False,
    save_to: Path | None = None,
    network: Annotated[NetworkOptions, arg(name="")] = USUAL_NETWORK,
    methods: Annotated[tuple[str, ...], Unset] = (),
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
        data: digits (embedded, the default), digits-conv, cifar10, cifar100, tiny_imagenet, imagenet, or a folder of images;
            or a study of your own: FILE.py:NAME or PACKAGE.MODULE:NAME, a Study or a function that returns one.
        images: What is trained and judged on.
        validation: Judge on a fifth of the train split instead of the test split: for tuning.
        save_to: Folder of the study; by default runs/study-DATA.
        network: What is pruned.
        methods: Compare these methods instead, every two of them paired by search seed: names as of
            `winsome find --method`, yours too.
        arms: Arms to run instead of the default ones; an unknown name lists them all.
        more_arms: Arms to run beside these; a finished study takes them up in its folder, as it does seeds and starts.
        extent: How many searches, how deep, judged where.
        training: How searches and planted networks train.
        workers: Processes side by side; 0 for one per core, 1 for this process.
        compute: How trainings use the machine.
        plan_only: Print what would be run, and stop.
    """
    from winsome.study.compare import arms_of, compare

    base, file = _base(data, network.network, extent)
    if methods:
        base = compare(base, extent.methods(base, methods))
    elif extent.densities:
        raise WinsomeError("--densities are of the methods that are compared: name these with --methods lrr aws")
    known = arms_of(base)
    chosen = replace(
        base,
        data=images.of(base.data.name, validation=validation),
        network=network.of(base.network),
        arms=tuple(dict.fromkeys((*(choices.arms(arms, known) if arms else base.arms), *choices.arms(more_arms, known)))),
        fast=compute.fast,
        compiled=compute.compiled,
        **extent.over(base),
        **training.over(base, sync_batch_norm=compute.sync_batch_norm),
    )
    folder = save_to or Path("runs") / f"study-{chosen.name.strip('/').replace('/', '-')}"
    if plan_only:
        _print_plan(chosen)
        return
    _run(chosen, folder, workers, (file, *choices.files_of(methods)))


def _base(data: str, network: str | None, extent: ExtentOptions) -> tuple[Study, UserFile | None]:
    """The study that is usual for a data set, or one of the user's own, and the file that it is from."""
    from winsome.study import presets
    from winsome.study.design import Study

    options = extent.searches
    if ":" in data:
        found = by_name(data, {}, "study")
        made = found.value if isinstance(found.value, Study) else found.value(**taken_by(found.value, options))
        if not isinstance(made, Study):
            raise WinsomeError(
                f"{data} gives a {type(made).__name__}; a winsome Study is wanted, or a function that returns one"
            )
        return made, found.file
    if data == "imagenet" and network is not None:
        return presets.imagenet(network, **options), None
    make = presets.PRESETS.get(data)
    return (presets.images(data, **options) if make is None else make(**options)), None


def _run(study: Study, folder: Path, workers: int, files: Sequence[UserFile | None]) -> None:
    from winsome import distributed, report
    from winsome.cli.display import Display, print_results
    from winsome.evidence.gather import collect, is_gathered
    from winsome.evidence.results import read
    from winsome.study.conditions import conditions_of
    from winsome.study.folder import StudyFolder
    from winsome.study.jobs import is_done, jobs_of
    from winsome.study.run import jobs_at_once, run

    prepare = partial(load_files, tuple(file for file in files if file is not None))
    command = shlex.join(["winsome", *sys.argv[1:]])
    conditions, place = conditions_of(study), StudyFolder(folder)
    jobs = jobs_of(study, at_once=jobs_at_once(stacked=conditions.stacked))
    complete = all(is_done(job, study, place) for job in jobs)
    complete = complete and distributed.from_main(lambda: is_gathered(study, folder))
    if not distributed.is_main():  # rank 0 alone shows and gathers
        run(study, folder, conditions=conditions, workers=workers, prepare=prepare)
        return
    with Display(study, folder, conditions) as display:
        run(study, folder, conditions=conditions, workers=workers, watch=display.watch, prepare=prepare)
    distributed.leave()
    if complete:
        display.say(f"{folder} is finished already; nothing was trained. Choose another --save-to to run it anew.")
        results = read(folder)
    else:
        results = collect(study, folder, conditions, command=command)
    page = report.write(folder)
    print_results(results, page)


def _print_plan(study: Study) -> None:
    from winsome.study.conditions import will_stack
    from winsome.study.jobs import jobs_of
    from winsome.study.run import jobs_at_once

    for job in jobs_of(study, at_once=jobs_at_once(stacked=will_stack(study))):
        print(job.label)

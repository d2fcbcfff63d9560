"""`winsome study`: find tickets, plant them, and say what shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from winsome.about import made_with, parameters_of
from winsome.cli.options import (
    ALL_DATA,
    USUAL_COMPUTE,
    USUAL_NETWORK,
    ComputeOptions,
    DataOptions,
    NetworkOptions,
)
from winsome.cli.study_options import AS_PRESET, AS_TRAINED, USUAL_ARMS, ComparedOptions, ExtentOptions, TrainingOptions
from winsome.errors import WinsomeError
from winsome.user_code import UserFile, by_name, running

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
    compared: Annotated[ComparedOptions, arg(name="")] = USUAL_ARMS,
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
            or code of your own, FILE.py:NAME or PACKAGE.MODULE:NAME: images or a study, or a function that returns one.
        images: What is trained and judged on.
        validation: Judge on a fifth of the train split instead of the test split: for tuning.
        save_to: Folder of the study; by default runs/study-DATA.
        network: What is pruned.
        compared: Which methods and arms are compared.
        extent: How many searches, how deep, judged where.
        training: How searches and planted networks train.
        workers: Processes side by side; 0 for one per core, 1 for this process.
        compute: How trainings use the machine.
        plan_only: Print what would be run, and stop.
    """
    from winsome.cli.study_run import print_plan, run_study
    from winsome.study.compare import arms_of, compare

    base, file = _base(data, network.network, {} if compared.methods else extent.searches)
    if compared.methods:
        base = compare(base, extent.methods(base, compared.methods), levels=extent.at_levels)
    else:
        extent.refuse_without_methods()
    chosen = replace(
        base,
        data=images.over(base.data, validation=validation),
        network=network.of(base.network),
        arms=compared.arms_over(base, arms_of(base)),
        **compute.over(base),
        **extent.over(base),
        **training.over(base, sync_batch_norm=compute.sync_batch_norm),
    )
    folder = save_to or Path("runs") / f"study-{chosen.name.strip('/').replace('/', '-')}"
    if plan_only:
        print_plan(chosen)
        return
    run_study(chosen, folder, workers, (file, *compared.files), log=compute.log)


def _base(data: str, network: str | None, options: dict[str, Any]) -> tuple[Study, UserFile | None]:
    """The study that is usual for a data set, or one of the user's own, and the file that it is from.

    Raises:
        WinsomeError: code of the user's raises, gives something else, or takes none of the options that are given.
    """
    from winsome.data.data_set import DataSet
    from winsome.data.encoded import DecodedSet, EncodedSet
    from winsome.data.named import is_own, short_name
    from winsome.study import presets
    from winsome.study.design import Study

    if is_own(data):
        found = by_name(data, {}, "study")
        with running("function", data):
            made = made_with(found.value, options, f"the function {data!r}") if callable(found.value) else found.value
        if isinstance(made, Study):
            taken = parameters_of(found.value) if callable(found.value) else ()
            if ignored := next((name for name in options if name not in taken), None):
                raise WinsomeError(
                    f"{data} takes no {ignored}; leave --{ignored} out, or name a function of it that returns a Study"
                )
            return made, found.file
        if not isinstance(made, DataSet | DecodedSet | EncodedSet):
            raise WinsomeError(
                f"{data} gives a {type(made).__name__}; a winsome Study or images are wanted, or a function that returns one"
            )
        return replace(presets.images(data, **options), name=short_name(data)), found.file
    if data == "imagenet" and network is not None:
        return presets.imagenet(network, **options), None
    make = presets.PRESETS.get(data)
    return (presets.images(data, **options) if make is None else make(**options)), None

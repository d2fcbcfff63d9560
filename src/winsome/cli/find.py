"""`winsome find`: one search, level by level, each ending in a ticket file."""

from __future__ import annotations

import logging
import textwrap
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from winsome.cli import choices
from winsome.cli.method_options import AS_THE_METHOD_SAYS, PartOptions
from winsome.cli.options import (
    ALL_DATA,
    USUAL_COMPUTE,
    USUAL_NETWORK,
    USUAL_PROBE,
    ComputeOptions,
    DataOptions,
    NetworkOptions,
    ProbeOptions,
)
from winsome.cli.plan_options import AS_FOUND, PlanOptions
from winsome.cli.search_options import AS_IN_THE_PAPER, SearchOptions
from winsome.cli.variations import AS_IT_IS, Variations
from winsome.errors import WinsomeError

log = logging.getLogger("winsome")

_METHODS = "      (the methods)"


def find(
    data: Positional[str] = "digits",
    /,
    *,
    method: str = "aws",
    network: Annotated[NetworkOptions, arg(name="")] = USUAL_NETWORK,
    images: Annotated[DataOptions, arg(name="")] = ALL_DATA,
    save_to: Path | None = None,
    search: Annotated[SearchOptions, arg(name="")] = AS_IN_THE_PAPER,
    parts: Annotated[PartOptions, arg(name="")] = AS_THE_METHOD_SAYS,
    planned: Annotated[PlanOptions, arg(name="")] = AS_FOUND,
    probe: Annotated[ProbeOptions, arg(name="")] = USUAL_PROBE,
    seed: int = 0,
    compute: Annotated[ComputeOptions, arg(name="")] = USUAL_COMPUTE,
    vary: Annotated[Variations, arg(name="")] = AS_IT_IS,
) -> None:
    """Search for tickets: train, prune the smallest weights, restart, level by level.

    Every finished level leaves level-NN.ticket, which `winsome plant` puts on a fresh network. Run it again to continue a
    search that was stopped. Methods:
      (the methods)

    Args:
        data: digits (embedded), cifar10, cifar100, tiny_imagenet, imagenet, a folder of images, or a function of your own that
            gives them: FILE.py:NAME or PACKAGE.MODULE:NAME.
        method: How tickets are searched for; the list is above. One of your own: FILE.py:NAME or PACKAGE.MODULE:NAME.
        network: What is pruned.
        images: What it trains on.
        save_to: Folder of the run; by default runs/DATA-NETWORK-METHOD-seed-SEED.
        search: How deep it goes, and how its levels train.
        parts: What is other than the method says.
        planned: What is pruned and what is normalisation, where it is not what is found.
        probe: What a score that looks at data is shown.
        seed: Of everything random in the search.
        compute: How it uses the machine.
        vary: What else the search does.
    """
    from winsome.cli.search_display import show_plan, show_search
    from winsome.data.named import short_name
    from winsome.models.spec import NetworkSpec
    from winsome.study.conditions import conditions_of, fresh_network
    from winsome.study.one_search import OneSearch

    chosen = parts.method(method, levels=search.levels, rate=search.rate, step=search.rewind_step)
    _refuse_ignored(method, search, own=parts.rewind, goes_to=search.rewind_step if vary.rewind_norms else chosen.rewind.step)
    loaded = images.of(data).load() if vary.flip_signs or vary.sign_in else None
    training = search.training(lr_warmup_epochs=vary.lr_warmup_epochs, sync_batch_norm=compute.sync_batch_norm)
    per_epoch = training.epoch_steps(loaded) if loaded is not None else 0
    varied = vary.of(chosen, seed=seed, rewind_step=search.rewind_step, epochs=search.level_epochs, steps_per_epoch=per_epoch)
    one = OneSearch(
        name=choices.search_name(method),
        method=planned.of(varied),
        data=images.of(data),
        network=network.of(NetworkSpec("residual_mlp" if data == "digits" else "resnet20")),
        training=training,
        warmup_epochs=search.warmup_epochs,
        seed=seed,
        prune_classifier=planned.prune_classifier,
        classifier=planned.classifier,
        fast=compute.fast,
        compiled=compute.compiled,
        probe=probe.of(varied),
        warmup_ramp=search.schedule.warmup_ramp,
    )
    folder = save_to or Path("runs") / f"{short_name(data)}-{one.network.short_name}-{one.name}-seed-{seed}"
    conditions = conditions_of(one.study, loaded)
    if planned.plan_only:
        show_plan(one, fresh_network(one.study, conditions, seed=seed))
    else:
        show_search(one, conditions, folder, log=compute.log)


# The list that help shows is that of METHODS.
find.__doc__ = (find.__doc__ or "").replace(_METHODS, textwrap.indent(choices.method_lines(), "    "))


def _refuse_ignored(method: str, search: SearchOptions, *, own: str | None, goes_to: int) -> None:
    """Refuse --levels and --rate for a method of Winsome's that takes neither, and --rewind-step where nothing rewinds to it.

    Code of one's own may do without levels and rate, which is told.
    """
    rewinds = goes_to == search.rewind_step or (own is None and choices.takes(method, "step"))
    if search.rewind_step and not rewinds:
        said = f"goes back to step {goes_to}, which it says itself" if goes_to else "has no step to rewind to"
        raise WinsomeError(f"{own or method} {said}; leave --rewind-step out, or add --rewind-norms")
    for option in ("levels", "rate"):
        given = getattr(search, option) != getattr(AS_IN_THE_PAPER, option)
        if not given or choices.takes(method, option):
            continue
        if method in choices.method_names():
            raise WinsomeError(
                f"{method} has no {option}: leave --{option} out; the density of every level is --densities 0.5 0.1"
            )
        log.warning("%s takes no %s: --%s %g does not count", method, option, option, getattr(search, option))

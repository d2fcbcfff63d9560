"""`winsome find`: one search, level by level, each ending in a ticket file."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from winsome.cli import choices
from winsome.cli.console import open_console, say
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
from winsome.cli.variations import AS_IT_IS, Variations
from winsome.data.batches import steps_per_epoch
from winsome.errors import WinsomeError
from winsome.level import Level
from winsome.models.spec import NetworkSpec
from winsome.norms import norm_parameters
from winsome.prunable import format_plan, plan, prunable
from winsome.runs.search_folder import SearchFolder
from winsome.study.conditions import conditions_of
from winsome.study.one_search import OneSearch, open_search, run_search
from winsome.training.conditions import Conditions
from winsome.training.settings import SGD, Constant, Training


@dataclass(frozen=True)
class SearchOptions:
    """How deep a search goes, and how its levels train.

    Attributes:
        levels: Prune-train rounds after the dense level 0. More of them later go on from those that are there.
        rate: Fraction of the remaining weights removed per level, in (0, 1).
        rewind_step: Training step that rewinding methods go back to.
        level_epochs: Epochs per level.
        warmup_epochs: Epochs before level 0's own.
        learning_rate: Learning rate, constant within the search.
        weight_decay: Weight decay on all parameters.
        batch_size: Images per step.
    """

    levels: int = 15
    rate: float = 0.2
    rewind_step: int = 0
    level_epochs: int = 10
    warmup_epochs: int = 10
    learning_rate: float = 0.1
    weight_decay: float = 5e-4
    batch_size: int = 128

    def training(self, *, lr_warmup_epochs: int, sync_batch_norm: bool) -> Training:
        """The training of a level."""
        optimizer = SGD(self.learning_rate, 0.9, self.weight_decay)
        return Training(self.level_epochs, self.batch_size, optimizer, Constant(), lr_warmup_epochs, sync_batch_norm)


AS_IN_THE_PAPER = SearchOptions()
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
    prune_classifier: bool = False,
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
        data: digits (embedded), cifar10, cifar100, tiny_imagenet, imagenet, or a folder of images.
        method: How tickets are searched for; the list is above. One of your own: FILE.py:NAME or PACKAGE.MODULE:NAME.
        network: What is pruned.
        images: What it trains on.
        save_to: Folder of the run; by default runs/DATA-NETWORK-METHOD-seed-SEED.
        search: How deep it goes, and how its levels train.
        parts: What is other than the method says.
        prune_classifier: Prune the classifier too, as arXiv:2402.19262 does.
        probe: What a score that looks at data is shown.
        seed: Of everything random in the search.
        compute: How it uses the machine.
        vary: What else the search does.
    """
    chosen = parts.method(method, levels=search.levels, rate=search.rate, step=search.rewind_step)
    takes_step = choices.takes(method, "step") or parts.rewind is not None
    if search.rewind_step and not vary.rewind_norms and not takes_step:
        raise WinsomeError(f"{method} has no step to rewind to; leave --rewind-step out, or add --rewind-norms")
    for option in ("levels", "rate"):
        if getattr(search, option) != getattr(AS_IN_THE_PAPER, option) and not choices.takes(method, option):
            raise WinsomeError(
                f"{method} has no {option}: leave --{option} out; the density of every level is --densities 0.5 0.1"
            )
    spec = images.of(data)
    loaded = spec.load() if vary.flip_signs or vary.sign_in else None
    per_epoch = steps_per_epoch(loaded, search.batch_size) if loaded is not None else 0
    one = OneSearch(
        name=choices.search_name(method),
        method=vary.of(
            chosen, seed=seed, rewind_step=search.rewind_step, epochs=search.level_epochs, steps_per_epoch=per_epoch
        ),
        data=spec,
        network=network.of(NetworkSpec("residual_mlp" if data == "digits" else "resnet20")),
        training=search.training(lr_warmup_epochs=vary.lr_warmup_epochs, sync_batch_norm=compute.sync_batch_norm),
        warmup_epochs=search.warmup_epochs,
        seed=seed,
        prune_classifier=prune_classifier,
        fast=compute.fast,
        compiled=compute.compiled,
        probe=probe.spec(),
    )
    folder = save_to or Path("runs") / f"{Path(data).name}-{one.network.name}-{one.name}-seed-{seed}"
    _show(one, conditions_of(one.study, loaded), folder)


# The list that help shows is METHODS itself.
find.__doc__ = (find.__doc__ or "").replace(_METHODS, textwrap.indent(choices.method_lines(), "    "))


def _show(one: OneSearch, conditions: Conditions, folder: Path) -> None:
    console = open_console()
    search, place = open_search(one, folder, conditions), SearchFolder(folder)
    finished_already = place.is_finished(one.last_level)
    dense = [name for name in prunable(search.model, prune_classifier=one.prune_classifier) if name not in search.names]
    console.print(format_plan(plan(search.model, prune_classifier=one.prune_classifier, exclude=dense)))
    say(console, f"{one.study.title}: {one.network.name}, {conditions.precision.label} on {conditions.device}")
    if "norms" in one.method.needs and not norm_parameters(search.model):
        say(console, f"the network has no normalisation parameters: {one.name} is learning-rate rewinding here")

    def on_level(level: Level) -> None:
        metrics = level.metrics
        say(
            console,
            f"level {level.number:2d}  density {level.ticket.density:.4f}  accuracy {100 * metrics['accuracy']:.2f} %"
            f"  loss {metrics['loss']:.3f}  {level.seconds:.1f} s",
        )
        for name in level.ticket.mask.empty_layers():
            say(console, f"  warning: {name} has lost all its weights")

    with console.status("training") as status:
        run_search(
            one,
            search,
            conditions,
            on_fraction=lambda fraction: status.update(f"training: {fraction:.0%}"),
            on_level=on_level,
        )
    if finished_already:
        say(console, f"{folder} is finished already; nothing was trained. Choose another --save-to to run it anew.")
    say(console, f"ticket: {place.ticket_path(one.last_level)}")

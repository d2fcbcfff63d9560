"""`winsome find`: one search, level by level, each ending in a ticket file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, UseAppendAction, arg

from winsome.cli import choices
from winsome.cli.console import open_console
from winsome.cli.variations import AS_IT_IS, Variations
from winsome.data.batches import steps_per_epoch
from winsome.data.image_store import OnCorrupt
from winsome.errors import WinsomeError
from winsome.level import Level
from winsome.norms import norm_parameters
from winsome.prunable import format_plan, plan
from winsome.stacking import can_stack, one_thread
from winsome.study.conditions import conditions_of
from winsome.study.design import DataSpec, NetworkSpec, Study
from winsome.study.jobs import search_of
from winsome.training.settings import SGD, Constant, Training
from winsome.training.side_by_side import SAVE_EVERY, search_together


def find(
    data: Positional[str] = "digits",
    /,
    *,
    method: str = "aws",
    network: str | None = None,
    network_option: UseAppendAction[tuple[str, ...]] = (),
    data_dir: Path | None = None,
    save_to: Path | None = None,
    levels: int = 15,
    rate: float = 0.2,
    rewind_step: int = 0,
    level_epochs: int = 10,
    warmup_epochs: int = 10,
    learning_rate: float = 0.1,
    weight_decay: float = 5e-4,
    batch_size: int = 128,
    train_images: int | None = None,
    test_images: int | None = None,
    image_size: int | None = None,
    on_corrupt: OnCorrupt = "stop",
    prune_classifier: bool = False,
    seed: int = 0,
    sync_batch_norm: bool = False,
    fast: bool = True,
    compiled: bool = False,
    vary: Annotated[Variations, arg(name="")] = AS_IT_IS,
) -> None:
    """Search for tickets: train, prune the smallest weights, restart, level by level.

    Every finished level leaves level-NN.ticket, which `winsome plant` puts on a fresh network. Run it again to continue a
    search that was stopped. Methods:
      imp                      weights go back to initialisation at every level (arXiv:1803.03635)
      weight_rewinding         weights go back to training step --rewind-step; short: wr (arXiv:1912.05671)
      learning_rate_rewinding  weights stay, the schedule restarts; short: lrr (arXiv:2003.02389)
      lrr_with_norm_rewinding  LRR, normalisation goes back to --rewind-step (arXiv:2402.19262)
      aws                      LRR with randomly interpolated normalisation (arXiv:2504.05357)
      lrr_with_frozen_norms    LRR with normalisation fixed at its start; short: frozen

    Args:
        data: digits (embedded), cifar10, cifar100, tiny_imagenet, imagenet, or a folder of images.
        method: How tickets are searched for; the list is above.
        network: For example residual_mlp, small_conv, resnet20, resnet50, mobilenet_v2, mlp_mixer, or any torchvision name.
        network_option: An option of the network, name=value; may be given several times.
        data_dir: Folder of local parquet files (imagenet: or shards, or images) with the data set, instead of a download.
        save_to: Folder of the run; by default runs/DATA-NETWORK-METHOD-seed-SEED.
        levels: Prune-train rounds after the dense level 0. More of them later go on from those that are there.
        rate: Fraction of the remaining weights removed per level, in (0, 1).
        rewind_step: Training step that rewinding methods go back to.
        level_epochs: Epochs per level.
        warmup_epochs: Epochs before level 0's own.
        learning_rate: Learning rate, constant within the search.
        weight_decay: Weight decay on all parameters.
        batch_size: Images per step.
        train_images: Train on a stratified part of this many images.
        test_images: Judge on a stratified part of this many images.
        image_size: Pixels of a side to which every image is resized (imagenet: 224).
        on_corrupt: Whether an image of imagenet that cannot be decoded stops, or is left out, named and counted.
        prune_classifier: Prune the classifier too, as arXiv:2402.19262 does.
        seed: Of everything random in the search.
        sync_batch_norm: Under torchrun, BatchNorm over the images of all ranks instead of each rank's own.
        fast: bf16 and channels_last where this machine gains from them.
        compiled: Train by torch.compile, on a GPU as CUDA graphs: every training compiles first, which takes up to a minute.
        vary: What else the search does.
    """
    chosen = choices.method(method, levels=levels, rate=rate, rewind_step=rewind_step)
    if rewind_step and not vary.rewind_norms and not choices.rewinds_to_a_step(method):
        raise WinsomeError(f"{method} has no step to rewind to; leave --rewind-step out, or add --rewind-norms")
    if seed < 0:
        raise WinsomeError(f"the seed must be 0 or more, got {seed}")
    default = "residual_mlp" if data == "digits" else "resnet20"
    options = choices.network_options(network_option)
    study = Study(
        name=data,
        title=f"search by {method} on {data}",
        data=DataSpec(data, data_dir, train_images, test_images, image_size=image_size, on_corrupt=on_corrupt),
        network=NetworkSpec(network or default, options),
        searches=((method, chosen),),
        search_training=Training(
            level_epochs,
            batch_size,
            SGD(learning_rate, 0.9, weight_decay),
            Constant(),
            vary.lr_warmup_epochs,
            sync_batch_norm,
        ),
        warmup_epochs=warmup_epochs,
        training=Training(1, batch_size),
        arms=(),
        levels=(len(chosen.densities) - 1,),
        search_seeds=(seed,),
        fast=fast,
        compiled=compiled,
        prune_classifier=prune_classifier,
    )
    per_epoch = steps_per_epoch(conditions_of(study).data, batch_size) if vary.flip_signs else 0
    varied = vary.of(chosen, seed=seed, rewind_step=rewind_step, epochs=level_epochs, steps_per_epoch=per_epoch)
    study = replace(study, searches=((method, varied),))
    folder = save_to or Path("runs") / f"{Path(data).name}-{study.network.name}-{method}-seed-{seed}"
    _search(study, folder, method, seed)


def _search(study: Study, folder: Path, method: str, seed: int) -> None:
    console = open_console()
    conditions = conditions_of(study)
    search = search_of(study, conditions, folder, method, seed)
    finished_already = (folder / f"level-{study.deepest:02d}.json").exists()
    console.print(format_plan(plan(search.model, prune_classifier=study.prune_classifier)), markup=False)
    console.print(f"{study.title}: {study.network.name}, {conditions.precision.label} on {conditions.device}", markup=False)
    if method in ("aws", "lrr_with_frozen_norms", "frozen") and not norm_parameters(search.model):
        console.print(f"the network has no normalisation parameters: {method} is learning-rate rewinding here", markup=False)
    small = can_stack(search.model) and conditions.device.type == "cpu"
    with one_thread(on=small), console.status("training") as status:

        def on_level(level: Level) -> None:
            metrics = level.metrics
            console.print(
                f"level {level.number:2d}  density {level.ticket.density:.4f}  accuracy {100 * metrics['accuracy']:.2f} %"
                f"  loss {metrics['loss']:.3f}  {level.seconds:.1f} s"
            )
            for name in level.ticket.mask.empty_layers():
                console.print(f"  warning: {name} has lost all its weights")

        search_together(
            [search],
            conditions,
            lambda number: study.level_training(method, number),
            last_level=study.deepest,
            on_fraction=lambda fraction: status.update(f"training: {fraction:.0%}"),
            on_level=on_level,
            save_every=SAVE_EVERY,
        )
    if finished_already:
        console.print(f"{folder} is finished already; nothing was trained. Choose another --save-to to run it anew.")
    console.print(f"ticket: {folder / f'level-{study.deepest:02d}.ticket'}")

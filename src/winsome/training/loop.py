"""The training loop: one network, or a stack of networks of one shape, over batches that lie on the device.

Several ranks train one network: each takes its part of every batch, and the gradients' mean over ranks is the batch's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from winsome import distributed
from winsome.data.batches import Batches, only_member, stacked_batches, steps_per_epoch
from winsome.data.images import ImageData
from winsome.errors import Diverged
from winsome.training.batch_norm import batch_norms_of_all_ranks
from winsome.training.precision import FP32, Precision
from winsome.training.settings import Training


@dataclass(frozen=True, eq=False)
class Networks:
    """One network, or several of one shape that train together.

    Attributes:
        module: the network, or the stack of them (inputs [S, B, ...], logits [S, B, K]), on the data's device.
        seeds: one for each; order and augmentation of the data follow from it.
        names: of each, for errors; "seed N" if not given.
        stacked: whether the module is a stack, even of one.
    """

    module: nn.Module
    seeds: Sequence[int]
    names: Sequence[str] = ()
    stacked: bool = False

    @property
    def members(self) -> int | None:
        """The size of the stack; None for a network that is none."""
        return len(self.seeds) if self.stacked else None

    def name(self, place: int) -> str:
        """What the network at a place is called in an error."""
        return self.names[place] if self.names else f"seed {self.seeds[place]}"


OnFraction = Callable[[float], None]  # of a job's training done, in [0, 1]
OnEpoch = Callable[[int, Tensor], None]  # (epochs done, mean loss of the last one, by member)


def train(
    networks: Networks,
    data: ImageData,
    training: Training,
    optimizer: Optimizer,
    steps: Iterable[int],
    *,
    precision: Precision = FP32,
    on_epoch: OnEpoch | None = None,
) -> Tensor:
    """Train a network, or a stack of them, on the given steps; the host waits for the device once an epoch.

    Args:
        networks: what trains, with a seed for each.
        data: on the device.
        training: the settings; the optimizer is its own argument, for a checkpoint may have to restore it.
        optimizer: over the parameters of the module.
        steps: global step numbers, consecutive; a resumed training starts above 0 and sees the same batches.
        precision: bf16, channels_last, compiled; or none of these.
        on_epoch: called after every epoch.

    Returns:
        The mean training loss of the last whole epoch by member, [S]; of one that was resumed, over the steps since.

    Raises:
        Diverged: the loss became NaN or infinite; names the network, the step and the learning rate.
    """
    per_epoch = steps_per_epoch(data, training.batch_size)
    last = training.epochs * per_epoch
    device = data.train.labels.device
    network, seeds, stacked = networks.module, networks.seeds, networks.stacked
    losses = torch.zeros(per_epoch, len(seeds), device=device)
    mean_loss = losses[0]
    batches, begun = None, 0
    network.train()
    with batch_norms_of_all_ranks(network, on=training.sync_batch_norm):
        forward = precision.forward_of(distributed.replicated(network, compiled=precision.compiled), device)
        for step in steps:
            if batches is None:
                begun = step % per_epoch
                batches = _batches(networks, data, training, precision, first_step=step, last_step=last)
            inputs, labels = next(batches)
            for group in optimizer.param_groups:
                group["lr"] = training.rate(step, per_epoch)
            with precision.autocast(device):
                logits = forward(inputs)
            # The sum over a stack's members of each one's mean: every member gets the gradient that it would get alone. With
            # the classes on an inner axis the softmax of a stack is far faster than on the last.
            by_image = F.cross_entropy(logits.float().mT if stacked else logits.float(), labels, reduction="none")
            by_member = by_image.view(len(seeds), -1).mean(1)
            optimizer.zero_grad(set_to_none=True)
            by_member.sum().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses[step % per_epoch] = by_member.detach()
            if (step + 1) % per_epoch == 0:
                distributed.share_buffers(network)
                of_all = distributed.mean_over_ranks(losses)
                mean_loss = of_all[begun:].mean(0)  # a training that goes on in the midst of an epoch knows the rest of it
                begun = 0
                _refuse_nan(of_all, step + 1 - per_epoch, networks, training, per_epoch)
                if on_epoch is not None:
                    on_epoch((step + 1) // per_epoch, mean_loss)
    return mean_loss


def _batches(
    networks: Networks, data: ImageData, training: Training, precision: Precision, *, first_step: int, last_step: int
) -> Batches:
    distributed.refuse_uneven(training.batch_size)
    batches = stacked_batches(
        data,
        networks.seeds,
        batch_size=training.batch_size,
        first_step=first_step,
        last_step=last_step,
        channels_last=precision.channels_last,
        share=distributed.share_of(training.batch_size),
    )
    return batches if networks.stacked else only_member(batches)


def _refuse_nan(losses: Tensor, first_step: int, networks: Networks, training: Training, per_epoch: int) -> None:
    if math.isfinite(float(losses.double().sum())):  # large losses that are finite do not add up to infinity
        return
    step, member = (~torch.isfinite(losses)).nonzero()[0].tolist()
    rate = training.rate(first_step + step, per_epoch)
    raise Diverged(
        f"{networks.name(member)}: the loss became {float(losses[step, member])} at step {first_step + step} "
        f"(learning rate {rate:g}); try a lower learning rate, warm-up epochs, or training without bf16 (--no-fast)"
    )

"""How a network is judged: test accuracy and loss, with BatchNorm statistics re-estimated where the stored ones mislead."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from winsome import distributed
from winsome.data.batches import evaluation_batches, statistics_batches
from winsome.data.images import ImageData
from winsome.norms import re_estimate_batch_norm
from winsome.training.conditions import Conditions
from winsome.training.precision import FP32, Precision

Metrics = dict[str, Any]

# 250 images of 3x32x32: what a ResNet-18 makes of 1000 of them is more than its training step of 128 keeps for the backward.
_VALUES_ON_CPU = 250 * 3 * 32 * 32


@contextmanager
def _mode(network: nn.Module) -> Iterator[None]:
    """Give the network's modules back their training or evaluation mode afterwards."""
    modes = [(module, module.training) for module in network.modules()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@torch.no_grad()
def evaluate(
    network: nn.Module,
    data: ImageData,
    *,
    members: int | None = None,
    batch_size: int | None = None,
    precision: Precision = FP32,
) -> tuple[Tensor, Tensor]:
    """Accuracy in [0, 1] and mean cross-entropy on the test split, every image once; several ranks share it out.

    Args:
        network: a network, or a stack of `members` of them.
        data: on the network's device.
        members: S for a stack, None for a single network.
        batch_size: images at once; None for 1000, on a CPU fewer of large images, for evaluation should need no more memory
            than training.
        precision: bf16 and channels_last, or neither.

    Returns:
        Two float64 tensors on the CPU: [S], or [1] for a single network.
    """
    device = data.test.labels.device
    correct = torch.zeros(members or 1, dtype=torch.float64, device=device)
    loss = torch.zeros_like(correct)
    with _mode(network):
        network.eval()
        batches = evaluation_batches(
            data.test,
            data,
            batch_size=batch_size or _images_at_once(data),
            channels_last=precision.channels_last,
            share=distributed.share_of(len(data.test)),
        )
        for inputs, labels in batches:
            with precision.autocast(device):
                logits = network(inputs if members is None else inputs.expand(members, *inputs.shape)).float()
            logits = logits.view(len(correct), len(labels), -1)
            correct += (logits.argmax(-1) == labels).sum(1)
            everyone = labels.expand(len(correct), -1)
            loss += F.cross_entropy(logits.flatten(0, 1), everyone.flatten(), reduction="none").view(everyone.shape).sum(1)
    correct, loss = distributed.sum_over_ranks(torch.stack((correct, loss)))
    return (correct / len(data.test)).cpu(), (loss / len(data.test)).cpu()


def _images_at_once(data: ImageData) -> int:
    on_cpu = data.test.labels.device.type == "cpu"
    return max(1, min(1000, _VALUES_ON_CPU // math.prod(data.image_shape))) if on_cpu else 1000


@torch.no_grad()
def re_estimate_statistics(
    network: nn.Module,
    data: ImageData,
    *,
    members: int | None = None,
    images: int | None = 1000,
    batch_size: int = 250,
    augment: bool = True,
    seed: int = 0,
    precision: Precision = FP32,
) -> None:
    """Replace the running statistics of every BatchNorm, in place, by the mean over batches of training images.

    A search's stored statistics belong to the networks that it passed through: those of AWS average over alpha, and its
    networks read as chance with them. `images` None is one whole epoch. The images are augmented as in training, which
    the code of arXiv:2504.05357 does too: a network is tuned to these statistics, and on the digits those of plain images
    cost it several points. Of several ranks each goes through all of the batches. Only BatchNorm layers are in training mode
    meanwhile; nothing else is drawn or moved.
    """
    device = data.train.labels.device
    batches = statistics_batches(
        data, batch_size=batch_size, seed=seed, images=images, augment=augment, channels_last=precision.channels_last
    )

    def forward(inputs: Tensor) -> None:
        with precision.autocast(device):
            network(inputs if members is None else inputs.expand(members, *inputs.shape))

    re_estimate_batch_norm(network, (inputs for inputs, _ in batches), forward)


def judge(network: nn.Module, conditions: Conditions, *, members: int | None = None) -> list[Metrics]:
    """Accuracy and loss of every member with re-estimated BatchNorm statistics; the network itself is not changed."""
    judged = copy.deepcopy(network)
    re_estimate_statistics(
        judged,
        conditions.data,
        members=members,
        images=conditions.statistics_images,
        augment=conditions.statistics_augmented,
        precision=conditions.precision,
    )
    accuracy, loss = evaluate(judged, conditions.data, members=members, precision=conditions.precision)
    return [{"accuracy": a, "loss": b} for a, b in zip(accuracy.tolist(), loss.tolist(), strict=True)]

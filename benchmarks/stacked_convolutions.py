"""What a stack of convolutional networks would gain on this machine: one layer of several networks, forward and backward.

    uv run python benchmarks/stacked_convolutions.py [--members 8] [--rounds 7]

3x3 convolutions of batches of 128, of the widths that the medium scale's ResNet-20 has (8, 16, 32 channels on 16, 8, 4
pixels), as one member after another, as one grouped convolution over all members' channels, and as a batched product of
unfolded patches. Ratios are the time of the first over that of the others: above 1 a stack gains. One thread, as a worker of
a study has.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from measuring import Figure, interleaved, print_figures, print_machine, ratio
from winsome.threads import threads

BATCH = 128
LAYERS = ((8, 16), (16, 8), (32, 4))  # channels, pixels


def one_by_one(inputs_MBCHW: Tensor, weights_MOCkk: Tensor) -> Tensor:
    """Every member's convolution by itself: [M, B, O, H, W]."""
    return torch.stack([F.conv2d(one, weight, padding=1) for one, weight in zip(inputs_MBCHW, weights_MOCkk, strict=True)])


def grouped(inputs_MBCHW: Tensor, weights_MOCkk: Tensor) -> Tensor:
    """One convolution with a group for each member: [M, B, O, H, W]."""
    members, batch, _, height, width = inputs_MBCHW.shape
    side_by_side = inputs_MBCHW.transpose(0, 1).flatten(1, 2).contiguous(memory_format=torch.channels_last)
    out = F.conv2d(side_by_side, weights_MOCkk.flatten(0, 1), padding=1, groups=members)
    return out.view(batch, members, -1, height, width).transpose(0, 1)


def unfolded(inputs_MBCHW: Tensor, weights_MOCkk: Tensor) -> Tensor:
    """Patches [M, C k k, B H W] as a batched product with the weights: [M, B, O, H, W]."""
    members, batch, channels, height, width = inputs_MBCHW.shape
    patches = F.unfold(inputs_MBCHW.flatten(0, 1), 3, padding=1)
    columns = patches.view(members, batch, channels * 9, -1).transpose(1, 2).flatten(2)
    out = torch.bmm(weights_MOCkk.flatten(2), columns)
    return out.view(members, -1, batch, height, width).transpose(1, 2)


FORMS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "one by one": one_by_one,
    "grouped": grouped,
    "unfolded patches": unfolded,
}


def layer(members: int, channels: int, pixels: int) -> tuple[Tensor, Tensor]:
    """Inputs [M, B, C, H, W], each member's channels_last, and weights [M, C, C, 3, 3] that want gradients."""
    one = torch.randn(members * BATCH, channels, pixels, pixels).contiguous(memory_format=torch.channels_last)
    inputs = one.view(members, BATCH, channels, pixels, pixels).requires_grad_()
    return inputs, torch.randn(members, channels, channels, 3, 3, requires_grad=True)


def seconds(form: Callable[[Tensor, Tensor], Tensor], inputs: Tensor, weights: Tensor, repeats: int) -> float:
    """Of forward and backward of all members, over a few."""
    slopes = torch.ones_like(inputs)
    start = time.perf_counter()
    for _ in range(repeats):
        torch.autograd.grad(form(inputs, weights), (inputs, weights), slopes)
    return (time.perf_counter() - start) / repeats


def figures(rounds: int = 7, members: int = 8, layers: Sequence[tuple[int, int]] = LAYERS, repeats: int = 5) -> list[Figure]:
    """Milliseconds of every form, and how many times as fast as one member after another it is."""
    found = []
    with threads(1):
        for channels, pixels in layers:
            inputs, weights = layer(members, channels, pixels)
            subjects = {name: partial(seconds, form, inputs, weights, repeats) for name, form in FORMS.items()}
            times = interleaved(subjects, rounds=rounds)
            words = f"{members} x {channels} channels, {pixels}x{pixels}"
            found += [Figure(f"{words}, {name}: ms", tuple(1000 * t for t in values)) for name, values in times.items()]
            alone = times.pop("one by one")
            found += [ratio(f"{words}: one by one over {name}", alone, values) for name, values in times.items()]
    return found


def main() -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--members", type=int, default=8)
    options = parser.parse_args()
    print_machine()
    print_figures(figures(options.rounds, options.members))


if __name__ == "__main__":
    main()

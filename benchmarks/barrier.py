"""Seconds for a point of a line between two networks: statistics re-estimated from 1,000 images, 2,000 test images.

    uv run python benchmarks/barrier.py [--rounds 5] [--threads 2]

ResNet-20 on random images of CIFAR-10's shape, in fp32 (what `winsome barrier` does) and with --fast, and the residual MLP of
`winsome study` on the digits (1,000 and 500 images), whose 11 points are one stack, on one thread. Rounds are interleaved;
medians over rounds. The bar is 0.8 s a point for ResNet-20 on two cores. The two formats' errors are printed too: bf16's
rounding is noise that a barrier, being a maximum, adds up.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace

import torch

from noise import noise_images
from winsome import models
from winsome.analysis.connectivity import Statistics, network_profile
from winsome.analysis.line import Profile, points
from winsome.data import ImageData, load
from winsome.store import full_state
from winsome.training.precision import FP32, Precision, fast_precision

BAR = 0.8  # seconds
POINTS = 3


def seconds(name: str, data: ImageData, precision: Precision, count: int, *, stacked: bool) -> tuple[float, Profile]:
    """Seconds for each of `count` points, and what was measured at them."""
    networks = [models.build(name, image_shape=data.image_shape, n_classes=data.n_classes, seed=seed) for seed in range(2)]
    first, second = map(full_state, networks)
    start = time.perf_counter()
    found = network_profile(
        first, second, networks[0], data, alphas=points(count), statistics=Statistics(), precision=precision, stacked=stacked
    )
    return (time.perf_counter() - start) / count, found


def main() -> None:
    """Measure, print a table, and say whether the bar is met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    noise, digits = noise_images(1000, 2000), load("digits")
    shape = noise.image_shape
    network = models.build("resnet20", image_shape=shape, n_classes=10, seed=0)
    fast = fast_precision(network, torch.device("cpu"))
    full = replace(fast, bf16=False)
    taken: dict[str, list[float]] = {
        f"resnet20, {full.words}": [],
        f"resnet20, {fast.words}": [],
        "residual_mlp, 11 points at once": [],
    }
    errors: dict[str, Profile] = {}
    for _ in range(options.rounds + 1):
        torch.set_num_threads(options.threads)
        for words, precision in zip(list(taken)[:2], (full, fast), strict=True):
            took, errors[words] = seconds("resnet20", noise, precision, POINTS, stacked=False)
            taken[words].append(took)
        torch.set_num_threads(1)
        taken["residual_mlp, 11 points at once"].append(seconds("residual_mlp", digits, FP32, 11, stacked=True)[0])
    print(f"torch {torch.__version__}, {options.threads} threads; seconds a point, median (least, most)")
    for words, values in taken.items():
        measured = values[1:]  # the first round warms up
        print(f"  {words:36} {statistics.median(measured):7.4f}  ({min(measured):.4f}, {max(measured):.4f})")
    one, other = (profile.losses for profile in list(errors.values())[:2])
    print(f"  loss in the two formats differs by up to {max(abs(a - b) for a, b in zip(one, other, strict=True)):.4f}")
    for words, values in list(taken.items())[:2]:
        median = statistics.median(values[1:])
        print(f"bar of {BAR} s, {words}: {'met' if median <= BAR else 'missed'} ({median:.2f} s)")


if __name__ == "__main__":
    main()

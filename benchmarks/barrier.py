"""Seconds for a point of a line between two networks: statistics re-estimated from 1,000 images, 2,000 test images.

    uv run python benchmarks/barrier.py [--rounds 5]

ResNet-20 on random images of CIFAR-10's shape, in fp32 (what `winsome barrier` does) and with --fast, and the residual MLP of
`winsome study` on the digits (1,000 and 500 images), whose 11 points are one stack, on one thread. A point is 3,000 forward
passes: their FLOPs over its seconds stand beside what products of large square matrices reach, which is the machine's limit.
How far the losses in the two formats are apart is a figure too: bf16's rounding is noise that a barrier, being a maximum,
adds up.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch.utils.flop_counter import FlopCounterMode

from measuring import Figure, interleaved, print_figures, print_machine, ratio
from noise import noise_images
from winsome import models
from winsome.analysis.connectivity import Statistics, network_profile
from winsome.analysis.line import Profile, points
from winsome.data import ImageData, load
from winsome.state import full_state
from winsome.threads import threads
from winsome.training.precision import FP32, Precision, fast_precision

BAR = 0.8  # seconds
POINTS = 3
IMAGES = 1000, 2000  # for statistics, and of the test split


def profile(name: str, data: ImageData, precision: Precision, count: int, *, stacked: bool = False) -> Profile:
    """`count` points between two fresh networks."""
    networks = [models.build(name, image_shape=data.image_shape, n_classes=data.n_classes, seed=seed) for seed in range(2)]
    first, second = map(full_state, networks)
    line, statistics = points(count), Statistics(min(IMAGES[0], len(data.train)))
    return network_profile(
        first, second, networks[0], data, alphas=line, statistics=statistics, precision=precision, stacked=stacked
    )


def seconds_per_point(make: Callable[[], Profile], count: int) -> float:
    """Of a profile of `count` points."""
    start = time.perf_counter()
    make()
    return (time.perf_counter() - start) / count


def flops_per_point(name: str, data: ImageData) -> int:
    """Of the forward passes, a multiplication and an addition being two."""
    network = models.build(name, image_shape=data.image_shape, n_classes=data.n_classes, seed=0)
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(2, *data.image_shape))
    return int(counter.get_total_flops()) // 2 * (min(IMAGES[0], len(data.train)) + len(data.test))


def matrix_rate(dtype: torch.dtype, size: int) -> float:
    """FLOP per second of a product of square matrices."""
    left, right = (torch.ones(size, size, dtype=dtype) for _ in range(2))
    start = time.perf_counter()
    torch.mm(left, right)
    return 2 * size**3 / (time.perf_counter() - start)


def on_digits(digits: ImageData) -> float:
    """Seconds for each of 11 points of one stack, on one thread."""
    with threads(1):
        return seconds_per_point(partial(profile, "residual_mlp", digits, FP32, 11, stacked=True), 11)


def figures(rounds: int = 5, network: str = "resnet20", *, images: int = IMAGES[1], matrix: int = 2048) -> list[Figure]:
    """Seconds a point, its share of the machine's limit, and the distance between the formats."""
    noise, digits = noise_images(IMAGES[0], images), load("digits")
    fast = fast_precision(models.build(network, image_shape=noise.image_shape, n_classes=10, seed=0), torch.device("cpu"))
    formats = {precision.label: precision for precision in (replace(fast, bf16=False), fast)}
    subjects: dict[str, Callable[[], float]] = {
        words: partial(seconds_per_point, partial(profile, network, noise, precision, POINTS), POINTS)
        for words, precision in formats.items()
    }
    rates = {f"rate, {words}": torch.bfloat16 if precision.bf16 else torch.float32 for words, precision in formats.items()}
    subjects |= {words: partial(matrix_rate, dtype, matrix) for words, dtype in rates.items()}
    measured = interleaved({**subjects, "digits": partial(on_digits, digits)}, rounds=rounds)
    flops, found = flops_per_point(network, noise), []
    for words in formats:
        limit = [flops / rate for rate in measured[f"rate, {words}"]]
        found.append(Figure(f"{network}, {words}: s per point", tuple(measured[words]), BAR))
        found.append(Figure(f"{network}, {words}: s per point at the rate of matrix products", tuple(limit)))
        found.append(ratio(f"{network}, {words}: of the rate of matrix products", limit, measured[words]))
    one, other = (profile(network, noise, precision, POINTS).losses for precision in (FP32, fast))
    apart = max(abs(a - b) for a, b in zip(one, other, strict=True))
    found.append(Figure(f"{network}: greatest distance between the losses in fp32 and in {fast.label}", (apart,)))
    return [*found, Figure("residual_mlp, 11 points at once, one thread: s per point", tuple(measured["digits"]))]


def main() -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print_machine()
    print_figures(figures(options.rounds))


if __name__ == "__main__":
    main()

"""What stacking gains: member steps per second of residual MLPs on the digits, one by one and as stacks, on one thread.

    uv run python benchmarks/stacking.py [--sizes 4 16 32] [--rounds 5]

Rounds are interleaved; each figure is the median over rounds, the ratio the median of the ratios within one round.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from torch import nn

from winsome import models
from winsome.data import ImageData, load
from winsome.stacking import stack
from winsome.training.loop import train
from winsome.training.settings import SGD, Training

STEPS = 60


def member_steps_per_second(data: ImageData, network: nn.Module, members: int, *, stacked: bool) -> float:
    """The training loop as `winsome study` runs it, data path and all."""
    training = Training(epochs=STEPS, batch_size=128, optimizer=SGD(0.1, 0.9, 1e-3))
    start = time.perf_counter()
    seeds = list(range(members))
    train(
        network,
        data,
        training,
        training.optimizer(network.parameters(), stacked=stacked),
        range(STEPS),
        seeds=seeds,
        stacked=stacked,
    )
    return members * STEPS / (time.perf_counter() - start)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=int, default=[4, 16, 32])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = load("digits")

    def network(seed: int) -> nn.Module:
        return models.build("residual_mlp", image_shape=data.image_shape, n_classes=data.n_classes, seed=seed)

    stacks = {size: stack([network(seed) for seed in range(size)]) for size in options.sizes}
    single = network(0)
    speeds: dict[int, list[float]] = {0: [], **{size: [] for size in stacks}}
    for _ in range(options.rounds + 1):
        speeds[0].append(member_steps_per_second(data, single, 1, stacked=False))
        for size, together in stacks.items():
            speeds[size].append(member_steps_per_second(data, together, size, stacked=True))
    speeds = {size: values[1:] for size, values in speeds.items()}  # the first round warms up
    print(f"torch {torch.__version__}, one thread; member steps per second, median of {options.rounds} rounds")
    print(f"  one by one    {statistics.median(speeds[0]):8.0f}")
    for size in stacks:
        ratios = [a / b for a, b in zip(speeds[size], speeds[0], strict=True)]
        spread = f"({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"  stack of {size:<4d} {statistics.median(speeds[size]):8.0f}   x {statistics.median(ratios):.2f} {spread}")


if __name__ == "__main__":
    main()

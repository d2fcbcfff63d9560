"""What stacking gains: member steps per second of residual MLPs on the digits, one by one and as stacks, on one thread.

uv run python benchmarks/stacking.py [--sizes 4 16 32] [--rounds 5]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from functools import partial

from torch import nn

from measuring import Figure, interleaved, print_figures, print_machine, ratio
from winsome import models
from winsome.data import ImageData, load
from winsome.stacking import stack
from winsome.threads import threads
from winsome.training.loop import Networks, train
from winsome.training.settings import SGD, Training


def member_steps_per_second(data: ImageData, steps: int, network: nn.Module, members: int, *, stacked: bool) -> float:
    """The training loop as `winsome study` runs it, data path and all."""
    training = Training(epochs=steps, batch_size=128, optimizer=SGD(0.1, 0.9, 1e-3))
    start = time.perf_counter()
    seeds = list(range(members))
    train(
        Networks(network, seeds, stacked=stacked),
        data,
        training,
        training.optimizer(network.parameters(), stacked=stacked),
        range(steps),
    )
    return members * steps / (time.perf_counter() - start)


def figures(rounds: int = 5, sizes: Sequence[int] = (4, 16, 32), steps: int = 60) -> list[Figure]:
    """Member steps per second one by one and as stacks, and the ratios."""
    data = load("digits")

    def network(seed: int) -> nn.Module:
        return models.build("residual_mlp", image_shape=data.image_shape, n_classes=data.n_classes, seed=seed)

    speed = partial(member_steps_per_second, data, steps)
    subjects = {"one by one": partial(speed, network(0), 1, stacked=False)}
    subjects |= {
        f"stack of {size}": partial(speed, stack([network(seed) for seed in range(size)]), size, stacked=True) for size in sizes
    }
    with threads(1):
        speeds = interleaved(subjects, rounds=rounds)
    alone = speeds.pop("one by one")
    found = [Figure("one by one: member steps per second", tuple(alone))]
    for name, values in speeds.items():
        found.append(Figure(f"{name}: member steps per second", tuple(values)))
        found.append(ratio(f"{name}: rate over that of one by one", values, alone))
    return found


def main() -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=int, default=[4, 16, 32])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print_machine()
    print_figures(figures(options.rounds, options.sizes))


if __name__ == "__main__":
    main()

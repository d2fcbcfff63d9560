"""Peak memory of a search over plain training of the same network, and what a level takes on disk.

    uv run python benchmarks/memory.py [--network resnet18] [--batch 128] [--rounds 3]

Three processes of their own train the network on 32x32 images with the same loop, data and number format: plain, as a search by
`find_tickets` with AWS, and as a search by the study's engine, which also judges every level. The peak is the greatest resident
size of the whole process (Linux), torch and data included; what it peaked above its size before the network was made is a
figure of its own. The bar: a search's process peaks at most 1.3 times as high as plain training's.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from measuring import Figure, in_own_process, peak_bytes, print_figures, print_machine, ratio, reset_peak
from noise import noise_images
from winsome import Level, aws, find_tickets, models
from winsome.data import ImageData, steps_per_epoch
from winsome.search import Search
from winsome.training.conditions import Conditions
from winsome.training.loop import Networks, train
from winsome.training.precision import fast_precision
from winsome.training.searches import search_together
from winsome.training.settings import SGD, Constant, Training

OVER_PLAIN = 1.3
LEVELS = 2  # after level 0
STEPS = 3  # of one level
Way = Callable[[nn.Module, Conditions, Training, Path], None]


def plain(network: nn.Module, conditions: Conditions, training: Training, _folder: Path) -> None:
    """The training loop alone."""
    optimizer = training.optimizer(network.parameters())
    for _ in range(1 + LEVELS):
        train(Networks(network, [0]), conditions.data, training, optimizer, range(STEPS), precision=conditions.precision)


def by_find_tickets(network: nn.Module, conditions: Conditions, training: Training, folder: Path) -> None:
    """A search with the same loop inside, kept on disk."""

    def train_level(model: nn.Module, level: Level) -> None:
        optimizer = training.optimizer(model.parameters())
        steps = level.steps(STEPS, optimizer=optimizer, save_every=2)
        train(Networks(model, [level.own_seed]), conditions.data, training, optimizer, steps, precision=conditions.precision)

    for _ in find_tickets(network, aws(levels=LEVELS), train_level, save_to=folder):
        pass


def by_study(network: nn.Module, conditions: Conditions, training: Training, folder: Path) -> None:
    """What a job of `winsome study` does."""
    search = Search(network, aws(levels=LEVELS), save_to=folder)
    search_together([search], conditions, lambda _: training, last_level=LEVELS, on_fraction=lambda _: None, save_every=2)


WAYS: dict[str, Way] = {"plain training": plain, "find_tickets": by_find_tickets, "study engine": by_study}


def one_way(way: str, name: str, batch: int, threads: int) -> tuple[float, float, float]:
    """Peak of the process, the same above what was there before the network, and bytes on disk per level: MB each."""
    torch.set_num_threads(threads)
    data: ImageData = noise_images(STEPS * batch, 1000)
    before = reset_peak()
    network = models.build(name, image_shape=data.image_shape, n_classes=data.n_classes, seed=0)
    precision = fast_precision(network, torch.device("cpu"))
    if precision.channels_last:
        network = network.to(memory_format=torch.channels_last)
    training = Training(1, batch, SGD(), Constant())
    assert steps_per_epoch(data, batch) == STEPS
    with tempfile.TemporaryDirectory() as place:
        WAYS[way](network, Conditions(data, precision, statistics_images=1000), training, Path(place) / "run")
        peak = peak_bytes()
        size = sum(file.stat().st_size for file in Path(place).rglob("level-*.*")) / (1 + LEVELS)
    return peak / 1e6, (peak - before) / 1e6, size / 1e6


def figures(name: str = "resnet18", batch: int = 128, rounds: int = 3) -> list[Figure]:
    """Peaks in MB, their ratios, and MB of a level on disk."""
    measured: dict[str, list[tuple[float, float, float]]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way, values in measured.items():
            values.append(in_own_process(one_way, way, name, batch, torch.get_num_threads()))
    peaks, own, disk = ({way: [value[i] for value in values] for way, values in measured.items()} for i in range(3))
    found = []
    for way in WAYS:
        found.append(Figure(f"{name}, {way}: peak MB of the process", tuple(peaks[way])))
        found.append(Figure(f"{name}, {way}: peak MB above imports and data", tuple(own[way])))
        if way != "plain training":
            bar = OVER_PLAIN
            found.append(ratio(f"{name}, {way}: peak over plain training's", peaks[way], peaks["plain training"], bar=bar))
            words = f"{name}, {way}: the same above imports and data"
            found.append(ratio(words, own[way], own["plain training"]))
            found.append(Figure(f"{name}, {way}: MB on disk per level", tuple(disk[way])))
    return found


def main() -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="resnet18")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print_machine()
    print_figures(figures(options.network, options.batch, options.rounds))


if __name__ == "__main__":
    main()

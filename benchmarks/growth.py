"""How the cost of a study grows: with levels, seeds, arms and width.

    uv run python benchmarks/growth.py [--rounds 3] [--epochs 4]

Small whole studies of the residual MLP on the digits, in this process, everything included; one thing is doubled at a time, the
rest stays. The figures are seconds, and seconds for each further unit: a level of the search, a search seed (seeds train
as stacks), an arm, a unit of width. The width is measured on the small convolutional network too, which does not stack.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from measuring import Figure, interleaved, print_figures, print_machine
from winsome.data.spec import DataSpec
from winsome.methods import aws
from winsome.models.spec import NetworkSpec
from winsome.study import presets
from winsome.study.arms import ARMS
from winsome.study.design import Study
from winsome.study.run import run

PLANTED = ("planted_aws", "mask_only", "random_mask", "planted_aws_phi")
UNITS: dict[str, Sequence[int]] = {
    "levels": (2, 4, 8, 16),
    "seeds": (1, 2, 4, 8, 16),
    "arms": (1, 2, 4),
    "width": (32, 64, 128, 256),
    "width, convolutions": (4, 8, 16, 32),
}


def study_of(axis: str, units: int, *, epochs: int, network: str = "residual_mlp", train_images: int | None = None) -> Study:
    """A small study with this many units of one thing: 4 levels, 2 seeds, 1 arm and the preset's width otherwise."""
    levels = units if axis == "levels" else 4
    arms = PLANTED[: units if axis == "arms" else 1]
    width: tuple[tuple[str, int], ...] = (("width", units),) if axis.startswith("width") else ()
    whole = presets.digits()
    return replace(
        whole,
        data=DataSpec("digits", train_images=train_images),
        network=NetworkSpec("small_conv" if axis == "width, convolutions" else network, width),
        searches=(("aws", aws(levels, 0.2)),),
        search_training=replace(whole.search_training, epochs=epochs),
        warmup_epochs=0,
        training=replace(whole.training, epochs=4 * epochs),
        arms=tuple(ARMS[name] for name in arms),
        levels=(levels,),
        search_seeds=tuple(range(units if axis == "seeds" else 2)),
        curve_at=(),
    )


def seconds(study: Study) -> float:
    """Of the whole study in this process."""
    with tempfile.TemporaryDirectory() as place:
        start = time.perf_counter()
        run(study, Path(place) / "study", workers=1)
        return time.perf_counter() - start


def figures(
    rounds: int = 3, epochs: int = 4, units: Mapping[str, Sequence[int]] = UNITS, *, train_images: int | None = None
) -> list[Figure]:
    """Seconds at every size, and the seconds of a further unit between each size and the next."""
    found = []
    for axis, sizes in units.items():
        studies = {str(size): study_of(axis, size, epochs=epochs, train_images=train_images) for size in sizes}
        times = interleaved({size: partial(seconds, study) for size, study in studies.items()}, rounds=rounds)
        for place, size in enumerate(sizes):
            here = times[str(size)]
            found.append(Figure(f"{axis} {size}: s", tuple(here)))
            if place:
                before = sizes[place - 1]
                further = [(a - b) / (size - before) for a, b in zip(here, times[str(before)], strict=True)]
                found.append(Figure(f"{axis} {before} to {size}: s for each further one", tuple(further)))
    return found


def main() -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=4, help="of a level; a network from scratch takes four times as many")
    options = parser.parse_args()
    print_machine()
    print_figures(figures(options.rounds, options.epochs))


if __name__ == "__main__":
    main()

"""How much of a whole study is training: time in the steps over total time, and where the rest goes.

    uv run python benchmarks/study_share.py [--images 1280] [--scratch-epochs 100] [--workers]

A study of ResNet-20 on CIFAR-10-shaped images of noise, read from parquet files: AWS with two levels and its signed mask
planted on a fresh start, with the epochs, the batch size and the proportion of train, test and statistics images of `winsome
study cifar10`. It runs in this process, from the call to the last result, loading included. "Training steps" are the loop with
its batches, without what the loop calls between epochs. With fewer images the parts that do not grow with them (saving,
pruning, start-up) weigh more than in the real study: the share is a lower end. `--workers` adds the study as it really runs, in
one one-thread process for each core: its share is the time in jobs over the processes' whole time, start-up and last jobs
included, times the share of a one-thread job.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

from measuring import Figure, in_own_process, print_figures, print_machine
from noise import noise_folder
from winsome import search
from winsome.data.spec import DataSpec
from winsome.methods import aws
from winsome.models.spec import NetworkSpec
from winsome.runs import checkpoint
from winsome.runs import search_folder as run_folder
from winsome.study import presets
from winsome.study.design import Study
from winsome.study.folder import StudyFolder
from winsome.study.run import run
from winsome.threads import threads
from winsome.training import evaluation, from_scratch, searches, settings

SHARE = 0.9
LEVELS = 2


@dataclass
class Clock:
    """Seconds by part of the work, each without the parts that it calls."""

    seconds: dict[str, float] = field(default_factory=dict)
    _open: list[str] = field(default_factory=list)
    _since: float = 0.0

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count the block for this part, and not for the one around it."""
        self._pass_on()
        self._open.append(name)
        try:
            yield
        finally:
            self._pass_on()
            self._open.pop()

    def _pass_on(self) -> None:
        now = time.perf_counter()
        if self._open:
            self.seconds[self._open[-1]] = self.seconds.get(self._open[-1], 0.0) + now - self._since
        self._since = now

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, counted for a part."""

        def counted(*args: Any, **kwargs: Any) -> Any:
            with self.part(name):
                return function(*args, **kwargs)

        return counted


PARTS: tuple[tuple[str, Any, str], ...] = (
    ("training steps", searches, "train"),
    ("training steps", from_scratch, "train"),
    ("evaluation", searches, "evaluate"),
    ("evaluation", evaluation, "evaluate"),
    ("BatchNorm statistics", evaluation, "re_estimate_statistics"),
    ("saving levels and networks", run_folder.SearchFolder, "write_level"),
    ("saving levels and networks", run_folder.SearchFolder, "write_named"),
    ("saving levels and networks", StudyFolder, "write_runs"),
    ("checkpoints", run_folder.SearchFolder, "write_checkpoint"),
    ("checkpoints", from_scratch, "write_checkpoint"),
    ("checkpoints", checkpoint, "take"),
    ("reading levels", run_folder.SearchFolder, "read_level"),
    ("reading levels", StudyFolder, "found"),
    ("pruning and restarting", search.Search, "open"),
    ("closing levels", search.Search, "close"),
    ("loading data", DataSpec, "load"),
    ("making optimizers (torch imports its compiler once)", settings.SGD, "__call__"),
)


def small_study(folder: Path, images: int, scratch_epochs: int, *, seeds: int = 1, network: str = "resnet20") -> Study:
    """The preset for colour images with fewer images, levels and arms; everything else in its proportions."""
    whole = presets.images("cifar10")
    arms = tuple(arm for arm in whole.arms if arm.name in ("network_aws", "planted_aws"))
    return replace(
        whole,
        name="share",
        data=DataSpec(str(noise_folder(folder / "images", images, images // 5))),
        network=NetworkSpec(network),
        searches=(("aws", aws(LEVELS)),),
        training=replace(whole.training, epochs=scratch_epochs),
        arms=arms,
        levels=(LEVELS,),
        search_seeds=tuple(range(seeds)),
        starts=(0,),
        statistics_images=max(32, images * whole.statistics_images // 50_000),
    )


@contextmanager
def own_cache(folder: Path) -> Iterator[None]:
    """Decoded images are kept in the folder, and nothing is left in the user's cache."""
    with mock.patch.dict(os.environ, {"WINSOME_CACHE": str(folder / "cache")}):
        yield


def seconds_by_part(images: int, scratch_epochs: int, network: str = "resnet20") -> dict[str, float]:
    """Run the study in this process and say where its time went; "everything else" is the study's own code."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        study = small_study(Path(place), images, scratch_epochs, network=network)
        stack.enter_context(own_cache(Path(place)))
        for name, owner, attribute in PARTS:
            stack.enter_context(mock.patch.object(owner, attribute, clock.timed(name, getattr(owner, attribute))))
        with clock.part("everything else"):
            run(study, Path(place) / "study", workers=1)
    return clock.seconds


def _on_one_thread(images: int, scratch_epochs: int, network: str) -> dict[str, float]:
    with threads(1):
        return seconds_by_part(images, scratch_epochs, network)


def share_of_jobs(images: int, scratch_epochs: int, network: str = "resnet20") -> float:
    """Time in jobs over the time of all worker processes, one for each core, with two search seeds for each."""
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as place, own_cache(Path(place)):
        study = small_study(Path(place), images, scratch_epochs, seeds=2 * cores, network=network)
        start = time.perf_counter()
        in_jobs = run(study, Path(place) / "study", workers=cores)
        total = time.perf_counter() - start
    return in_jobs / (cores * total)


def figures(images: int = 1280, scratch_epochs: int = 100, *, workers: bool = False, network: str = "resnet20") -> list[Figure]:
    """The share of the steps, and the seconds of every part, most first.

    In a process of its own, for what a process does once, such as torch's import of its compiler, is a part of a study's time.
    """
    seconds = in_own_process(seconds_by_part, images, scratch_epochs, network)
    total = sum(seconds.values())
    words = f"{network}, {images:,} images"
    found = [Figure(f"{words}: steps over the whole study", (seconds["training steps"] / total,), SHARE, at_least=True)]
    by_size = sorted(seconds.items(), key=lambda entry: -entry[1])
    found += [Figure(f"  {name}: seconds", (took,)) for name, took in by_size]
    if workers:
        alone = in_own_process(_on_one_thread, images, scratch_epochs, network)
        in_a_job = alone["training steps"] / sum(alone.values())
        in_jobs = share_of_jobs(images, scratch_epochs, network)
        found += [
            Figure(f"{words}: jobs over all worker processes' time", (in_jobs,)),
            Figure(f"{words}: steps over the study in worker processes", (in_jobs * in_a_job,)),
        ]
    return found


def main() -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1280, help="training images; CIFAR-10 has 50,000")
    parser.add_argument("--scratch-epochs", type=int, default=100, help="of the training of the planted network")
    parser.add_argument("--network", default="resnet20")
    parser.add_argument("--workers", action="store_true", help="also as one process for each core")
    options = parser.parse_args()
    print_machine()
    print_figures(figures(options.images, options.scratch_epochs, workers=options.workers, network=options.network))


if __name__ == "__main__":
    main()

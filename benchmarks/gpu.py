"""What the engine reaches on a GPU: images per second, fraction of the matrix peak, masking, compilation, epochs, a study.

    uv run python benchmarks/gpu.py                # at most 10 minutes; writes benchmarks/results/gpu.json
    uv run python benchmarks/gpu.py --dry-run      # tiny sizes, on a CPU too; writes nothing

- The matrix peak is what bf16 products of square matrices reach on this device; a step's FLOPs are counted by
  `torch.utils.flop_counter` (a multiplication and an addition are two), forward and backward.
- Steps on a fixed batch, interleaved: dense, masked, masked with AWS, each eager; AWS with forward and loss compiled in mode
  "reduce-overhead", which captures CUDA graphs; and the whole eager step of AWS (forward, backward, optimizer) captured as one
  CUDA graph. From these follows whether the engine should compile on a GPU.
- An epoch of ResNet-18 with the training loop of `winsome study`, batches and metrics included. The goal: 1.0 s on an H200.
- Levels of a study with AWS and LRR of ResNet-20, and what the whole preset takes at that rate, which is an extrapolation.
- That no step waits for the device: one epoch under `torch.cuda.set_sync_debug_mode("error")`.

Each part is a process of its own: one that fails, or for which the time is over, leaves the others as they are and is listed at
the end, with exit status 1. Steps that do not fit into the GPU's memory are measured with half the batch.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from masking import Step, built, random_mask, seconds, step_function
from measuring import RESULTS, Figure, in_own_process, interleaved, machine, print_figures, print_machine, ratio
from noise import noise_folder, noise_images
from study_share import own_cache
from winsome.data import steps_per_epoch
from winsome.data.spec import DataSpec
from winsome.methods import aws, learning_rate_rewinding
from winsome.norms import interpolated_norms
from winsome.study import presets
from winsome.study.run import run
from winsome.training.loop import Networks, train
from winsome.training.precision import FP32, default_device, fast_precision
from winsome.training.settings import SGD, Constant, Training

EPOCH_GOAL = 1.0  # seconds
TIME = 570.0  # seconds for all parts
LEAST_BATCH = 32  # steps that do not fit with so few images are given up
ON_GPU = torch.cuda.is_available()


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    steps: tuple[tuple[str, int, int], ...] = (("resnet18", 32, 512), ("resnet50", 32, 512), ("resnet50", 224, 256))
    matrix: int = 8192
    rounds: int = 5
    repeats: int = 5
    images: int = 50_000
    epoch_network: str = "resnet18"
    batches: tuple[int, ...] = (128, 512)
    epochs: int = 4
    study_levels: int = 2
    study_epochs: int = 3


TINY = Sizes((("resnet8", 32, 4),), 64, 1, 1, 64, "resnet8", (16,), 2, 1, 1)


def matrix_peak(size: int, rounds: int) -> float:
    """FLOP per second of bf16 products of square matrices: the best round."""
    left, right = (torch.randn(size, size, device=default_device(), dtype=torch.bfloat16) for _ in range(2))
    product = nullcontext(lambda: torch.mm(left, right))
    return max(2 * size**3 / seconds(lambda: product, 20) for _ in range(rounds))


def flops_of(opened: Step) -> int:
    """Of one step, forward and backward."""
    with opened() as step, FlopCounterMode(display=False) as counter:
        step()
    return int(counter.get_total_flops())


def as_cuda_graph(opened: Step) -> Step:
    """The step captured whole each time that it is opened: a replay launches nothing from Python."""

    @contextmanager
    def captured() -> Iterator[Callable[[], object]]:
        with opened() as step:
            stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(3):
                    step()
            torch.cuda.current_stream().wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            # Weights that autocast cast and cached before would be taken from outside the graph.
            torch.set_autocast_cache_enabled(False)
            try:
                with torch.cuda.graph(graph):
                    step()
            finally:
                torch.set_autocast_cache_enabled(True)
            yield graph.replay

    return captured


def step_figures(name: str, size: int, batch: int, peak: float, sizes: Sizes) -> list[Figure]:
    """Images per second, fraction of the peak, and the ratios between kinds of step."""
    # Else a network of another size, the second of a process to be compiled, would be compiled for every size at once.
    torch.compiler.reset()
    precision = fast_precision(built(name, FP32, size), default_device())
    options: dict[str, Any] = {"mode": "reduce-overhead"} if ON_GPU else {"backend": "aot_eager"}
    with ExitStack() as stack:
        make = partial(step_function, name, precision, stack, batch=batch, size=size)
        steps = {
            "dense": make(),
            "masked": make(masked=True),
            "AWS": make(masked=True, aws=True),
            "AWS compiled": make(masked=True, aws=True, compiled=options),
        }
        flops = flops_of(steps["dense"])
        start = time.perf_counter()
        seconds(steps["AWS compiled"], 1)
        compilation = time.perf_counter() - start
        if ON_GPU:
            steps["AWS as one CUDA graph"] = as_cuda_graph(make(masked=True, aws=True))
        times = interleaved({kind: partial(seconds, step, sizes.repeats) for kind, step in steps.items()}, rounds=sizes.rounds)
    words = f"{name} {size}x{size}, batches of {batch}"
    found = [Figure(f"{words}, compilation: s", (compilation,))]
    for kind, taken in times.items():
        found.append(Figure(f"{words}, {kind}: images per second", tuple(batch / value for value in taken)))
        found.append(Figure(f"{words}, {kind}: of the matrix peak", tuple(flops / value / peak for value in taken)))
        if kind not in ("dense", "AWS"):
            other = "dense" if kind == "masked" else "AWS"
            found.append(ratio(f"{words}: {kind} over {other}", taken, times[other], bar=1.03 if kind == "masked" else None))
    found.append(ratio(f"{words}: AWS over LRR", times["AWS"], times["masked"], bar=1.05))
    return found


def epoch_figures(batch: int, sizes: Sizes) -> list[Figure]:
    """Seconds of an epoch of the training loop, AWS under a mask, the first epoch left out; then one that may not wait."""
    device = default_device()
    data = noise_images(sizes.images).on(device)
    precision = fast_precision(built(sizes.epoch_network, FP32), device)
    network = built(sizes.epoch_network, precision)
    training = Training(sizes.epochs, batch, SGD(), Constant())
    per_epoch = steps_per_epoch(data, batch)
    ends: list[float] = []

    def on_epoch(_epoch: int, _loss: torch.Tensor) -> None:
        ends.append(time.perf_counter())  # the loop has waited for the device: it looked at the losses

    with ExitStack() as stack:
        stack.enter_context(random_mask(network).enforced_on(network))
        stack.enter_context(interpolated_norms(network, 0))
        optimizer = training.optimizer(network.parameters())
        go = partial(train, Networks(network, [0]), data, training, optimizer, precision=precision)
        go(range(sizes.epochs * per_epoch), on_epoch=on_epoch)
        waited = _waits(go, per_epoch) if ON_GPU else []
    epochs = tuple(b - a for a, b in pairwise(ends))
    goal = EPOCH_GOAL if sizes.images == 50_000 else None
    words = f"{sizes.epoch_network}, batches of {batch}"
    return [Figure(f"{words}: s per epoch of {sizes.images:,} images", epochs, goal), *waited]


def _waits(go: Callable[..., object], per_epoch: int) -> list[Figure]:
    """Whether any step of an epoch waits for the device, its last one left out, after which the losses are looked at."""
    try:
        go(_after_the_first_batch(per_epoch - 1))
        return [Figure("steps that waited for the device", (0.0,), 0)]
    except RuntimeError as error:
        print(f"a step waited for the device: {error}")
        return [Figure("steps that waited for the device", (1.0,), 0)]
    finally:
        torch.cuda.set_sync_debug_mode("default")


def _after_the_first_batch(steps: int) -> Iterator[int]:
    """The step numbers 0 to steps - 1; the first step, with which the epoch's order goes to the device, may wait."""
    for step in range(steps):
        yield step
        torch.cuda.set_sync_debug_mode("error")


def study_figures(sizes: Sizes) -> list[Figure]:
    """Seconds of a study of ResNet-20 with few levels, and of the whole preset at the same seconds per epoch."""
    whole = presets.images("cifar10")
    names = ("network_lrr", "network_aws", "planted_aws", "planted_lrr")
    with tempfile.TemporaryDirectory() as place, own_cache(Path(place)):
        folder = noise_folder(Path(place) / "images", sizes.images, max(10, sizes.images // 5))
        study = replace(
            whole,
            data=DataSpec(str(folder)),
            searches=(("lrr", learning_rate_rewinding(sizes.study_levels)), ("aws", aws(sizes.study_levels))),
            search_training=replace(whole.search_training, epochs=sizes.study_epochs, batch_size=min(128, sizes.images)),
            warmup_epochs=0,
            training=replace(whole.training, epochs=sizes.study_epochs, batch_size=min(128, sizes.images)),
            arms=tuple(arm for arm in whole.arms if arm.name in names),
            levels=(sizes.study_levels,),
            search_seeds=(0,),
            starts=(0,),
        )
        start = time.perf_counter()
        run(study, Path(place) / "study", workers=1)
        took = time.perf_counter() - start
    epochs = sizes.study_epochs * (2 * (1 + sizes.study_levels) + 2)
    searches = 2 * sum(whole.level_training("aws", level).epochs for level in range(16))
    words = f"AWS + LRR study of ResNet-20, {epochs} epochs of {sizes.images:,} images"
    return [
        Figure(f"{words}: s", (took,)),
        Figure(f"{words}: s per epoch, everything included", (took / epochs,)),
        Figure(f"the preset's AWS + LRR searches, {searches} epochs, extrapolated: s", (searches * took / epochs,)),
    ]


@dataclass
class Run:
    """What is measured so far, what is not and why, and when the time is over."""

    end: float  # of the clock `time.monotonic`
    found: list[Figure] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def measure(self, words: str, function: Callable[..., list[Figure]], *arguments: Any) -> None:
        """Add the figures of a part, or the reason why there are none: whatever ends it, the others are still measured."""
        if reason := self._failed(function, *arguments):
            self._miss(words, reason)

    def measure_steps(self, name: str, size: int, batch: int, peak: float, sizes: Sizes) -> None:
        """The same of a network's steps, with half the batch as long as the GPU's memory is full."""
        while reason := self._failed(step_figures, name, size, batch, peak, sizes):
            if "out of memory" not in reason.lower() or batch // 2 < LEAST_BATCH:
                self._miss(f"{name} {size}x{size}, batches of {batch}", reason)
                return
            batch //= 2
            print(f"{name} {size}x{size} does not fit into the GPU's memory; batches of {batch} now", flush=True)

    def _failed(self, function: Callable[..., list[Figure]], *arguments: Any) -> str | None:
        try:
            more = in_own_process(function, *arguments, seconds=max(0.0, self.end - time.monotonic()))
        except TimeoutError:
            return "the time is over"
        except Exception as error:
            return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        print_figures(more)
        self.found += more
        return None

    def _miss(self, words: str, reason: str) -> None:
        self.missing.append(f"{words}: {reason}")
        print(f"not measured: {self.missing[-1]}", flush=True)


def figures(sizes: Sizes, keep: Callable[[Run], None] = lambda _: None, *, seconds: float = TIME) -> Run:
    """Everything, the peak first; what is measured so far is kept after every part."""
    run = Run(time.monotonic() + seconds)
    peak = in_own_process(matrix_peak, sizes.matrix, sizes.rounds, seconds=seconds)
    run.found.append(Figure(f"bf16 matrix peak, {sizes.matrix} squared: TFLOP/s", (peak / 1e12,)))
    print_figures(run.found)
    for step in sizes.steps:
        run.measure_steps(*step, peak, sizes)
        keep(run)
    for batch in sizes.batches:
        run.measure(f"epochs, batches of {batch}", epoch_figures, batch, sizes)
        keep(run)
    run.measure("the study", study_figures, sizes)
    keep(run)
    assert all(math.isfinite(figure.median) for figure in run.found)
    return run


def main() -> None:
    """Print every figure; on a GPU keep them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry-run", action="store_true", help="tiny sizes, to see that everything works; nothing is kept")
    parser.add_argument("--seconds", type=float, default=TIME, help="for all parts; what they do not suffice for is listed")
    options = parser.parse_args()
    if not ON_GPU and not options.dry_run:
        parser.error("no GPU is here; --dry-run goes through everything with tiny sizes on the CPU")
    print_machine()
    where = machine()

    def keep(run: Run) -> None:
        RESULTS.mkdir(exist_ok=True)
        record = {"machine": where, "figures": [figure.record() for figure in run.found], "not measured": run.missing}
        (RESULTS / "gpu.json").write_text(json.dumps(record, indent=1) + "\n")

    run = figures(TINY) if options.dry_run else figures(Sizes(), keep, seconds=options.seconds)
    if not options.dry_run:
        print(f"wrote {RESULTS / 'gpu.json'}")
    for missing in run.missing:
        print(f"not measured: {missing}")
    sys.exit(1 if run.missing else 0)


if __name__ == "__main__":
    main()

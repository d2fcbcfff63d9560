"""What masking and bf16 cost or gain: steps of ResNet-18 and ResNet-20 on 32x32 images, interleaved, as ratios.

    uv run python benchmarks/masking.py [--networks resnet18 resnet20] [--rounds 7]

Prints masked step / dense step, AWS step / masked step, and the bf16 + channels_last step / plain fp32 step, each the median
of ratios within one round, with the least and greatest round. And the global threshold at 25 million weights: time, peak memory
beyond the scores, against `torch.sort` and `torch.nn.utils.prune`.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import prune

from winsome import SignedMask, globally, interpolated_norms, models, prunable
from winsome.training.precision import FP32, Precision, default_device, fast_precision

BATCH = 128
WEIGHTS = 25_000_000
LAYERS = 50


def step_function(name: str, precision: Precision, *, masked: bool, aws: bool, stack: ExitStack) -> Callable[[], None]:
    """One training step of a network on a fixed batch."""
    device = default_device()
    network = models.build(name, image_shape=(3, 32, 32), n_classes=10, seed=0).to(device)
    layout = torch.channels_last if precision.channels_last else torch.contiguous_format
    network = network.to(memory_format=layout)
    inputs = torch.randn(BATCH, 3, 32, 32, device=device).contiguous(memory_format=layout)
    labels = torch.randint(10, (BATCH,), device=device)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, fused=precision.bf16)
    if masked:
        weights = {name: network.get_parameter(name) for name in prunable(network)}
        kept = {name: torch.rand(w.shape) < 0.1 for name, w in weights.items()}
        stack.enter_context(SignedMask.of(weights, kept).enforced_on(network))
    if aws:
        stack.enter_context(interpolated_norms(network, 0))

    def step() -> None:
        with precision.autocast(device):
            logits = network(inputs)
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(logits.float(), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def seconds(step: Callable[[], None], repeats: int) -> float:
    """Of one step, over a few."""
    step()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(repeats):
        step()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / repeats


def ratios(name: str, rounds: int, repeats: int) -> None:
    """Print the ratios of one network."""
    with ExitStack() as stack:
        fast = fast_precision(models.build(name, image_shape=(3, 32, 32), n_classes=10, seed=0), default_device())
        steps = {
            "plain fp32": step_function(name, FP32, masked=False, aws=False, stack=stack),
            "dense": step_function(name, fast, masked=False, aws=False, stack=stack),
            "masked": step_function(name, fast, masked=True, aws=False, stack=stack),
            "AWS": step_function(name, fast, masked=True, aws=True, stack=stack),
        }
        times: dict[str, list[float]] = {kind: [] for kind in steps}
        for _ in range(rounds):
            for kind, step in steps.items():
                times[kind].append(seconds(step, repeats))
    print(f"{name}: {fast.words}; milliseconds per step of {BATCH} images, median of {rounds} rounds:")
    print("  " + ", ".join(f"{kind} {1000 * statistics.median(values):.1f}" for kind, values in times.items()))
    for top, bottom in (("masked", "dense"), ("AWS", "masked"), ("dense", "plain fp32"), ("AWS", "plain fp32")):
        found = [a / b for a, b in zip(times[top], times[bottom], strict=True)]
        print(f"  {top} / {bottom}: {statistics.median(found):.3f} ({min(found):.3f} to {max(found):.3f})")


@contextmanager
def timed(words: str) -> Iterator[None]:
    """Print how long the block took, and by how much the process's memory peaked above its start, per weight (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak to what is resident now
    before = peak_bytes()
    start = time.perf_counter()
    yield
    took = time.perf_counter() - start
    print(f"  {words}: {1000 * took:.0f} ms, {(peak_bytes() - before) / WEIGHTS:.1f} bytes per weight")


def peak_bytes() -> int:
    """The greatest resident size of this process since the last reset."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def threshold(kind: str) -> None:
    """One way to keep the 10 % largest of 25 million weights, in a process of its own so that its peak memory is its own."""
    torch.manual_seed(0)
    weights = {f"layer{i}": torch.randn(WEIGHTS // LAYERS) for i in range(LAYERS)}
    kept = {name: torch.ones(w.shape, dtype=torch.bool) for name, w in weights.items()}
    scores = {name: w.abs() for name, w in weights.items()}
    if kind == "winsome":
        globally({"warm": torch.rand(10)}, 0.5, {"warm": torch.ones(10, dtype=torch.bool)})
        with timed("winsome.globally"):
            found = globally(scores, 0.1, kept)
        assert sum(int(keep.sum()) for keep in found.values()) == round(0.1 * WEIGHTS)
    elif kind == "sort":
        with timed("torch.sort of all scores"):
            flat = torch.cat(list(scores.values()))
            _ = flat >= flat.sort().values[-WEIGHTS // 10]
    else:
        modules = [nn.Linear(1, 1) for _ in range(LAYERS)]
        for module, weight in zip(modules, weights.values(), strict=True):
            module.weight = nn.Parameter(weight)
        with timed("torch.nn.utils.prune.global_unstructured"):
            prune.global_unstructured([(m, "weight") for m in modules], prune.L1Unstructured, amount=0.9)


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["resnet18", "resnet20"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threshold", choices=["winsome", "sort", "prune"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.threshold:
        threshold(options.threshold)
        return
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {default_device()}")
    for name in options.networks:
        ratios(name, options.rounds, options.repeats)
    print(f"the 10 % largest of {WEIGHTS:,} weights in {LAYERS} layers (peak memory beyond weights, scores and masks):")
    for kind in ("winsome", "sort", "prune"):
        subprocess.run([sys.executable, __file__, "--threshold", kind], check=True)


if __name__ == "__main__":
    main()

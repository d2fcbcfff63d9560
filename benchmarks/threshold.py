"""Keeping the 10 % largest of 25 and 100 million weights: time and peak memory, against what PyTorch offers.

    uv run python benchmarks/threshold.py [--millions 25 100] [--rounds 3]

`winsome.globally` against a threshold by `torch.topk`, by `torch.sort`, and `torch.nn.utils.prune.global_unstructured`, on
normal weights in 50 layers. Every measurement is a process of its own, so that its peak memory is its own: what the process
peaked above weights, scores and masks. Rounds are interleaved. The bars: at most 10 ms and 10 bytes for a million weights,
that is 250 ms at 25 million.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from measuring import Figure, in_own_process, peak_bytes, print_figures, print_machine, ratio, reset_peak
from winsome import globally

LAYERS = 50
DENSITY = 0.1
MILLISECONDS_PER_MILLION = 10
BYTES_PER_WEIGHT = 10


def by_winsome(scores: dict[str, Tensor]) -> Callable[[], object]:
    """The exact count, ties broken by place."""
    kept = {name: torch.ones(score.shape, dtype=torch.bool) for name, score in scores.items()}
    globally({"warm": torch.rand(10)}, 0.5, {"warm": torch.ones(10, dtype=torch.bool)})
    return partial(globally, scores, DENSITY, kept)


def by_topk(scores: dict[str, Tensor]) -> Callable[[], object]:
    """The least of the kept scores is the threshold."""

    def masks() -> list[Tensor]:
        flat = torch.cat(list(scores.values()))
        threshold = flat.topk(round(DENSITY * flat.numel()), sorted=False).values.min()
        return [score >= threshold for score in scores.values()]

    return masks


def by_sort(scores: dict[str, Tensor]) -> Callable[[], object]:
    """As the papers' own code does it."""

    def masks() -> list[Tensor]:
        flat = torch.cat(list(scores.values()))
        threshold = flat.sort().values[-round(DENSITY * flat.numel())]
        return [score >= threshold for score in scores.values()]

    return masks


def by_prune(scores: dict[str, Tensor]) -> Callable[[], object]:
    """PyTorch's own pruning of parameters."""
    modules = [nn.Linear(1, 1) for _ in scores]
    for module, score in zip(modules, scores.values(), strict=True):
        module.weight = nn.Parameter(score)
    names = [(module, "weight") for module in modules]
    return partial(prune.global_unstructured, names, prune.L1Unstructured, amount=1 - DENSITY)


WAYS = {"winsome.globally": by_winsome, "torch.topk": by_topk, "torch.sort": by_sort, "torch.nn.utils.prune": by_prune}


def one_way(name: str, weights: int) -> tuple[float, float]:
    """Milliseconds and bytes per weight of one way, to be called in a process of its own."""
    torch.manual_seed(0)
    scores = {f"layer{i}": torch.randn(weights // LAYERS).abs_() for i in range(LAYERS)}
    masks = WAYS[name](scores)
    before = reset_peak()
    start = time.perf_counter()
    found = masks()
    milliseconds = 1000 * (time.perf_counter() - start)
    if name == "winsome.globally":
        assert isinstance(found, dict)
        assert sum(int(keep.sum()) for keep in found.values()) == round(DENSITY * (weights // LAYERS * LAYERS))
    return milliseconds, (peak_bytes() - before) / weights


def figures(millions: Sequence[float] = (25, 100), rounds: int = 3) -> list[Figure]:
    """Time and memory of every way at every size, and the time of the others over ours."""
    found = []
    for million in millions:
        measured: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
        for _ in range(rounds):
            for name, values in measured.items():
                values.append(in_own_process(one_way, name, int(million * 1e6)))
        times = {name: [took for took, _ in values] for name, values in measured.items()}
        for name, values in measured.items():
            ours = name == "winsome.globally"
            words = f"{name}, {million:g} million weights"
            time_bar, memory_bar = (MILLISECONDS_PER_MILLION * million, BYTES_PER_WEIGHT) if ours else (None, None)
            found.append(Figure(f"{words}: ms", tuple(times[name]), time_bar))
            found.append(Figure(f"{words}: peak bytes per weight", tuple(size for _, size in values), memory_bar))
            if not ours:
                found.append(ratio(f"{words}: time over winsome.globally", times[name], times["winsome.globally"]))
    return found


def main() -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--millions", nargs="+", type=float, default=[25, 100])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print_machine()
    print_figures(figures(options.millions, options.rounds))


if __name__ == "__main__":
    main()

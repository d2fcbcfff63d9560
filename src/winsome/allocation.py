"""How many weights each layer keeps, and which: exact counts, deterministic ties, nested in what is still kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from winsome.about import described
from winsome.densities import check_density
from winsome.errors import WinsomeError
from winsome.scores import Scores, check_scores

Kept = dict[str, Tensor]
Allocate = Callable[[Scores, float, Mapping[str, Tensor]], Kept]
Keys = Callable[[NDArray[Any]], NDArray[Any]]

CHUNK = 1 << 20  # weights ranked at once: what a search for the threshold needs beside the scores stays a few megabytes


@described("globally", "The highest scores over all layers together are kept, so that layers end up with different densities.")
def globally(scores: Scores, density: float, kept: Mapping[str, Tensor]) -> Kept:
    """Keep the round(density * total) weights of highest score over all layers together.

    Args:
        scores: by parameter name, any shape and floating dtype.
        density: fraction of *all* prunable weights kept, in (0, 1].
        kept: which weights are still kept (bool, same shapes); the result is nested in it.

    Returns:
        Which weights are kept now. Of equal scores the earlier weight (parameter order, then flat index) is kept.

    Raises:
        WinsomeError: the density is out of range or above what is still kept, or a kept weight's score is NaN.

    Example:
        >>> scores = {"wide": torch.tensor([0.9, 0.1, 0.5]), "narrow": torch.tensor([0.7])}
        >>> kept = globally(scores, 0.5, {name: torch.ones_like(s, dtype=torch.bool) for name, s in scores.items()})
        >>> {name: keep.tolist() for name, keep in kept.items()}
        {'wide': [True, False, False], 'narrow': [True]}
    """
    count = _count(scores, density, kept)
    return _keep_highest(scores, kept, count)


@described("uniformly", "Every layer keeps the same fraction of its weights.")
def uniformly(scores: Scores, density: float, kept: Mapping[str, Tensor]) -> Kept:
    """Every layer keeps the same fraction of its weights; arguments, result and errors as `globally`.

    Example:
        >>> scores = {"a": torch.tensor([0.9, 0.8]), "b": torch.tensor([0.1, 0.2])}
        >>> kept = uniformly(scores, 0.5, {name: torch.ones(2, dtype=torch.bool) for name in scores})
        >>> {name: keep.tolist() for name, keep in kept.items()}
        {'a': [True, False], 'b': [False, True]}
    """
    return _by_layer(scores, density, kept, {name: float(score.numel()) for name, score in scores.items()})


@described(
    "ERK",
    "Layer densities in proportion to the sum of a weight's sides over their product: small layers stay denser.",
    citations=("evci2020rigl",),
)
def erdos_renyi_kernel(scores: Scores, density: float, kept: Mapping[str, Tensor]) -> Kept:
    """Layer densities proportional to (sum of the weight's sides) / (their product), capped at 1 (arXiv:1911.11134, section 3).

    Arguments, result and errors as `globally`.

    Example:
        >>> scores = {"narrow": torch.rand(4, 4), "wide": torch.rand(40, 40)}
        >>> kept = erdos_renyi_kernel(scores, 0.1, {name: torch.ones(s.shape, dtype=torch.bool) for name, s in scores.items()})
        >>> {name: int(keep.sum()) for name, keep in kept.items()}
        {'narrow': 15, 'wide': 147}
    """
    return _by_layer(scores, density, kept, {name: float(sum(score.shape)) for name, score in scores.items()})


@described(
    "balanced",
    "Every layer keeps the same number of weights, small layers all of theirs.",
    citations=("gadhikar2023random", "gadhikar2024masks"),
)
def balanced(scores: Scores, density: float, kept: Mapping[str, Tensor]) -> Kept:
    """Every layer keeps the same *number* of weights, small layers all of theirs (arXiv:2402.19262, section 4).

    Arguments, result and errors as `globally`.

    Example:
        >>> scores = {"small": torch.rand(10), "large": torch.rand(90)}
        >>> kept = balanced(scores, 0.4, {name: torch.ones(s.shape, dtype=torch.bool) for name, s in scores.items()})
        >>> {name: int(keep.sum()) for name, keep in kept.items()}
        {'small': 10, 'large': 30}
    """
    return _by_layer(scores, density, kept, dict.fromkeys(scores, 1.0))


def keep_in_layers(scores: Scores, counts: Mapping[str, int], kept: Mapping[str, Tensor]) -> Kept:
    """Every layer keeps the given number of its weights, those of highest score; the result is nested in `kept`.

    Raises:
        WinsomeError: a layer has fewer weights left than it is to keep, or a kept weight's score is NaN.
    """
    check_scores(scores, kept)
    result: Kept = {}
    for name, score in scores.items():
        left = int(torch.count_nonzero(kept[name]))
        if counts[name] > left:
            raise WinsomeError(f"{name!r} is to keep {counts[name]} weights, only {left} are left")
        result.update(_keep_highest({name: score}, {name: kept[name]}, counts[name]))
    return result


def shares(weights: Sequence[float], caps: Sequence[int], count: int) -> list[int]:
    """Split `count` over layers in proportion to `weights`, none above its cap; the parts add up to `count` exactly.

    Layers at their cap give what is left over to the others in proportion, and fractions go to the largest remainders,
    the earlier layer first.

    Raises:
        WinsomeError: more weights are to be kept than there are left.
    """
    if count > sum(caps):
        raise WinsomeError(f"{count} weights are to be kept, only {sum(caps)} are left")
    full = [cap == 0 for cap in caps]
    while True:
        rest = count - sum(cap for cap, is_full in zip(caps, full, strict=True) if is_full)
        weight = sum(w for w, is_full in zip(weights, full, strict=True) if not is_full)
        ideal = [
            float(cap) if is_full else (rest * w / weight if weight else 0.0)
            for w, cap, is_full in zip(weights, caps, full, strict=True)
        ]
        over = [not is_full and part >= cap for part, cap, is_full in zip(ideal, caps, full, strict=True)]
        if not any(over):
            break
        full = [a or b for a, b in zip(full, over, strict=True)]
    parts = [int(part) for part in ideal]
    by_remainder = sorted(range(len(parts)), key=lambda layer: parts[layer] - ideal[layer])
    while (missing := count - sum(parts)) > 0:
        for layer in [layer for layer in by_remainder if parts[layer] < caps[layer]][:missing]:
            parts[layer] += 1
    return parts


def _count(scores: Scores, density: float, kept: Mapping[str, Tensor]) -> int:
    check_density(density)
    check_scores(scores, kept)
    count = round(density * sum(score.numel() for score in scores.values()))
    left = sum(int(torch.count_nonzero(keep)) for keep in kept.values())
    if count > left:
        raise WinsomeError(f"density {density:g} keeps {count} weights, only {left} are left: densities must not grow")
    return count


def _by_layer(scores: Scores, density: float, kept: Mapping[str, Tensor], weights: Mapping[str, float]) -> Kept:
    count = _count(scores, density, kept)
    caps = [int(torch.count_nonzero(kept[name])) for name in scores]
    parts = shares([weights[name] for name in scores], caps, count)
    return keep_in_layers(scores, dict(zip(scores, parts, strict=True)), kept)


def _keep_highest(scores: Scores, kept: Mapping[str, Tensor], count: int) -> Kept:
    """Exactly the `count` highest scores among the kept weights; ties go to the earlier weight."""
    keys_of = _key_function(scores)
    result = {name: kept[name].detach().to("cpu", torch.bool, copy=True).contiguous() for name in scores}
    if count == sum(int(torch.count_nonzero(keep)) for keep in result.values()):
        return result
    if count == 0:
        return {name: torch.zeros_like(keep) for name, keep in result.items()}
    threshold, ties, all_ties = _threshold(scores, result, count, keys_of)
    for name, score in scores.items():
        flat = result[name].view(-1).numpy()
        for start, keys in _chunks(score, keys_of):
            alive = flat[start : start + len(keys)]  # a view: the result is written in place
            alive &= keys >= threshold
            if ties < all_ties:
                at_threshold = np.flatnonzero(alive & (keys == threshold))
                alive[at_threshold[ties:]] = False
                ties = max(ties - len(at_threshold), 0)
    return result


def _threshold(scores: Scores, kept: Mapping[str, Tensor], count: int, keys_of: Keys) -> tuple[int, int, int]:
    """The key of the lowest score that is kept, how many weights with exactly this key are kept, and how many have it.

    A radix select: keys are counted by their upper 16 bits, then by the next 16 among those in the bin that holds the
    threshold, until none is left. It is exact, needs no copy of the scores, and equal scores do not slow it down.
    """
    flat = {name: None if bool(keep.all()) else keep.view(-1).numpy() for name, keep in kept.items()}
    bits = 64 if _is_wide(scores) else 32
    prefix, wanted, in_bin = 0, count, 0
    for shift in range(bits - 16, -1, -16):
        histogram = np.zeros(1 << 16, dtype=np.int64)
        for name, score in scores.items():
            alive = flat[name]
            for start, keys in _chunks(score, keys_of):
                if alive is not None:
                    keys = keys[alive[start : start + len(keys)]]
                digits = keys >> shift
                if shift < bits - 16:
                    digits = digits[(digits >> 16) == prefix] & 0xFFFF
                # bincount takes no uint64, but the digits fit any integer type
                histogram += np.bincount(digits.view(np.int64) if bits == 64 else digits, minlength=1 << 16)
        from_top = np.cumsum(histogram[::-1])
        place = int(np.searchsorted(from_top, wanted))
        wanted -= int(from_top[place - 1]) if place else 0
        in_bin = int(histogram[0xFFFF - place])
        prefix = (prefix << 16) | (0xFFFF - place)
    return prefix, wanted, in_bin


def _is_wide(scores: Scores) -> bool:
    return any(score.dtype == torch.float64 for score in scores.values())


def _key_function(scores: Scores) -> Keys:
    """How a chunk of scores becomes unsigned integers of the same order, alike for all layers.

    The bits of non-negative floats are in order as they stand; only where a sign bit is set are they rearranged.
    """
    dtype, unsigned = (np.float64, np.uint64) if _is_wide(scores) else (np.float32, np.uint32)
    top = unsigned(1) << unsigned(np.dtype(unsigned).itemsize * 8 - 1)

    def plain(values: NDArray[Any]) -> NDArray[Any]:
        return values.astype(dtype, copy=False).view(unsigned)

    def rearranged(values: NDArray[Any]) -> NDArray[Any]:
        bits: NDArray[Any] = np.add(values, 0, dtype=dtype).view(unsigned)  # -0 + 0 is +0: both zeros are equal
        return np.asarray(np.where(bits & top, ~bits, bits | top))

    signed = any(bool(np.signbit(values).any()) for score in scores.values() for _, values in _chunks(score, lambda v: v))
    return rearranged if signed else plain


def _chunks(score: Tensor, keys_of: Keys) -> Iterator[tuple[int, NDArray[Any]]]:
    """The score's values in flat order, `CHUNK` at a time: (start, keys)."""
    flat = score.detach().reshape(-1)
    for start in range(0, flat.numel(), CHUNK):
        part = flat[start : start + CHUNK].to("cpu")
        yield start, keys_of((part if part.dtype in (torch.float32, torch.float64) else part.float()).numpy())


ALLOCATIONS: dict[str, Allocate] = {f.__name__: f for f in (globally, uniformly, erdos_renyi_kernel, balanced)}

"""The highest of many scores: exactly as many as are asked for, of equal ones the earlier, in little memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from winsome.errors import WinsomeError

Kept = dict[str, Tensor]
Keys = Callable[[NDArray[Any]], NDArray[Any]]

CHUNK = 1 << 20  # weights ranked at once: what a search for the threshold needs beside the scores stays a few megabytes


def keep_highest(scores: Mapping[str, Tensor], kept: Mapping[str, Tensor], count: int) -> Kept:
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


def _threshold(scores: Mapping[str, Tensor], kept: Mapping[str, Tensor], count: int, keys_of: Keys) -> tuple[int, int, int]:
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


def _is_wide(scores: Mapping[str, Tensor]) -> bool:
    return any(score.dtype == torch.float64 for score in scores.values())


def _key_function(scores: Mapping[str, Tensor]) -> Keys:
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


def check_scores(scores: Mapping[str, Tensor], kept: Mapping[str, Tensor]) -> None:
    """Refuse scores that cannot be ordered.

    Raises:
        WinsomeError: a kept weight's score is NaN; the parameter is named.
    """
    for name, score in scores.items():
        nan = torch.isnan(score)
        if bool(nan.any()) and (count := int((nan.cpu() & kept[name]).sum())):
            raise WinsomeError(
                f"{count} of the scores of {name!r} are NaN: the network diverged before this level was pruned; "
                "try a lower learning rate or gradient clipping"
            )

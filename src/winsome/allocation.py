"""How many weights each layer keeps, and which: exact counts, deterministic ties, nested in what is still kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from winsome.about import described
from winsome.densities import check_density
from winsome.errors import WinsomeError
from winsome.ranking import Kept, check_scores, keep_highest
from winsome.scores import Scores

Allocate = Callable[[Scores, float, Mapping[str, Tensor]], Kept]


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
    return keep_highest(scores, kept, count)


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
    needs=("experts",),
)
def erdos_renyi_kernel(
    scores: Scores, density: float, kept: Mapping[str, Tensor], *, experts: Mapping[str, int] | None = None
) -> Kept:
    """Layer densities proportional to (sum of the weight's sides) / (their product), capped at 1 (arXiv:1911.11134, section 3).

    Several matrices in one weight, as tensors of experts are, have the density of one of them. Result and errors as `globally`.

    Args:
        scores: as `globally`.
        density: as `globally`.
        kept: as `globally`.
        experts: how many matrices a weight holds that is several along its first axis, by name; a search says it.

    Example:
        >>> scores = {"narrow": torch.rand(4, 4), "wide": torch.rand(40, 40)}
        >>> kept = erdos_renyi_kernel(scores, 0.1, {name: torch.ones(s.shape, dtype=torch.bool) for name, s in scores.items()})
        >>> {name: int(keep.sum()) for name, keep in kept.items()}
        {'narrow': 15, 'wide': 147}
    """
    several = experts or {}
    sides = {
        name: float(several[name] * sum(score.shape[1:]) if name in several else sum(score.shape))
        for name, score in scores.items()
    }
    return _by_layer(scores, density, kept, sides)


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


@described(
    "N:M",
    "Of every M consecutive inputs of a unit N are kept, the pattern that sparse matrix products of hardware take.",
    citations=("zhou2021learning",),
    example={"n": 2, "m": 4},
)
@dataclass(frozen=True)
class NOfM:
    """In every group of M consecutive inputs N weights are kept, exactly, at density N / M (arXiv:2102.04010).

    Groups run along the inputs: of a linear layer and of attention's projections within a row, of a convolution over the input
    channels at one place of the kernel. In a group the highest scores are kept, of equal ones the earlier. A weight whose
    inputs are no multiple of M cannot be cut into groups: a search leaves it dense and does not count it (`takes`).

    Attributes:
        n: weights kept of a group, 1 to m.
        m: weights of a group.
        even: at other densities d, too, every group keeps d * M weights, or one more or less where that is no whole number: a
            search of densities 1, 3/4, 2/4 goes through 4:4, 3:4 and 2:4. Otherwise the highest scores over all groups are
            kept, but never fewer than N of a group above density N / M nor more than N below it: it *ends* in N:M.

    Raises:
        WinsomeError: n is not in 1 to m.
    """

    n: int
    m: int
    even: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.n <= self.m:
            raise WinsomeError(f"N:M keeps 1 to M of every M weights, got {self.n}:{self.m}")

    def takes(self, shape: Sequence[int]) -> bool:
        """Whether a weight of this shape can be cut into groups."""
        return len(shape) > 1 and shape[input_axis(shape)] % self.m == 0

    def groups(self, values: Tensor) -> Tensor:
        """The values by group, [groups, m]; a view where possible."""
        return values.movedim(input_axis(values.shape), -1).reshape(-1, self.m)

    def __call__(self, scores: Scores, density: float, kept: Mapping[str, Tensor]) -> Kept:
        """Arguments, result and errors as `globally`.

        Raises:
            WinsomeError: also where a weight cannot be cut into groups; it is named.
        """
        for name, score in scores.items():
            if not self.takes(score.shape):
                raise WinsomeError(
                    f"{name!r} of shape {'x'.join(map(str, score.shape))} cannot be cut into groups of {self.m} inputs: leave "
                    "it out of what is pruned"
                )
        wanted = _count(scores, density, kept)
        places = {name: self._places(score, kept[name]) for name, score in scores.items()}
        result: Kept = {name: torch.zeros(score.shape, dtype=torch.bool, device="cpu") for name, score in scores.items()}
        for turn in range(self.m if self.even else 2):
            among = {name: (place == turn) & kept[name].cpu() for name, place in places.items()}
            chosen = keep_highest(scores, among, min(wanted, sum(int(torch.count_nonzero(one)) for one in among.values())))
            wanted -= sum(int(torch.count_nonzero(one)) for one in chosen.values())
            result = {name: keep | chosen[name] for name, keep in result.items()}
        return result

    def _places(self, score: Tensor, kept: Tensor) -> Tensor:
        """In which turn every weight is kept: by its place in its group, the highest score first; pruned ones are last."""
        grouped = self.groups(score.detach().to("cpu", torch.float64).masked_fill(~kept.cpu(), -torch.inf))
        order = grouped.argsort(dim=1, descending=True, stable=True)
        place = torch.empty_like(order).scatter_(1, order, torch.arange(self.m).expand_as(order))
        turns = place if self.even else (place >= self.n).to(place.dtype)
        axis = input_axis(score.shape)
        return turns.view(score.movedim(axis, -1).shape).movedim(-1, axis)


def n_of_m(n: int, m: int, *, even: bool = True) -> NOfM:
    """The allocation N:M; see `NOfM`.

    Example:
        >>> scores = {"w": torch.tensor([[1.0, 4.0, 3.0, 2.0]])}
        >>> n_of_m(2, 4)(scores, 0.5, {"w": torch.ones(1, 4, dtype=torch.bool)})["w"].tolist()
        [[False, True, True, False]]
    """
    return NOfM(n, m, even)


def input_axis(shape: Sequence[int]) -> int:
    """The axis of a weight along which its inputs lie: 1 of linear layers, convolutions and attention's projections."""
    del shape
    return 1


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
        result.update(keep_highest({name: score}, {name: kept[name]}, counts[name]))
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


ALLOCATIONS: dict[str, Callable[..., Any]] = {  # allocations, and classes whose instances are
    **{f.__name__: f for f in (globally, uniformly, erdos_renyi_kernel, balanced)},
    "n_of_m": NOfM,
}

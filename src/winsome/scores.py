"""What matters: a score for every prunable weight; the higher it is, the longer the weight is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from winsome.errors import WinsomeError

Scores = dict[str, Tensor]


@dataclass(frozen=True)
class Probe:
    """One batch and a loss, for scores that look at data.

    Attributes:
        inputs: what the network is called with, on its device.
        labels: what the loss compares its output with.
        loss: `loss(outputs, labels)`, a scalar.
    """

    inputs: Tensor
    labels: Tensor
    loss: Callable[[Tensor, Tensor], Tensor] = nn.functional.cross_entropy


Score = Callable[[Mapping[str, nn.Parameter], nn.Module, Probe | None, torch.Generator], Scores]


def magnitude(weights: Mapping[str, nn.Parameter], _model: nn.Module, _probe: Probe | None, _random: torch.Generator) -> Scores:
    """|w|: the smallest weights go first (Han et al., arXiv:1506.02626)."""
    return {name: weight.detach().abs() for name, weight in weights.items()}


def random(weights: Mapping[str, nn.Parameter], _model: nn.Module, _probe: Probe | None, random: torch.Generator) -> Scores:
    """Uniform in [0, 1): which weights go is chance alone; the control of every criterion."""
    return {name: torch.rand(weight.shape, generator=random, dtype=torch.float64) for name, weight in weights.items()}


def check_scores(scores: Scores, kept: Mapping[str, Tensor]) -> None:
    """Refuse scores that cannot be ordered.

    Raises:
        WinsomeError: a kept weight's score is NaN; the parameter is named.
    """
    for name, score in scores.items():
        nan = torch.isnan(score)
        if bool(nan.any()):
            count = int((nan.cpu() & kept[name]).sum())
            if count:
                raise WinsomeError(
                    f"{count} of the scores of {name!r} are NaN: the network diverged before this level was pruned; "
                    "try a lower learning rate or gradient clipping"
                )


SCORES: dict[str, Score] = {score.__name__: score for score in (magnitude, random)}

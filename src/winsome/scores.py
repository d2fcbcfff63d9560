"""What matters: a score for every prunable weight; the higher it is, the longer the weight is kept."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from winsome.about import described
from winsome.errors import WinsomeError
from winsome.identity import identity
from winsome.state import state_digest

log = logging.getLogger("winsome")

Scores = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Probe:
    """Batches and a loss, for scores that look at data.

    A search calls a score with the network in the probe's mode and without gradients; the network's own mode, gradients and
    running statistics are given back.

    Attributes:
        inputs: what the network is called with, on its device.
        labels: what the loss compares its output with.
        loss: `loss(outputs, labels)`, a scalar.
        more: further batches, each (inputs, labels); `batches` has all of them.
        training: whether the network is in training mode, in which BatchNorm takes the batch's statistics and dropout is on.

    Example:
        >>> probe = Probe(torch.rand(8, 4), torch.zeros(8, dtype=torch.int64))
        >>> probe.loss.__name__
        'cross_entropy'
    """

    inputs: Tensor
    labels: Tensor
    loss: Callable[[Tensor, Tensor], Tensor] = nn.functional.cross_entropy
    more: tuple[tuple[Tensor, Tensor], ...] = ()
    training: bool = True

    @property
    def batches(self) -> tuple[tuple[Tensor, Tensor], ...]:
        """All batches, each (inputs, labels)."""
        return ((self.inputs, self.labels), *self.more)

    def record(self) -> dict[str, object]:
        """What scores follow from, as JSON values: a run folder refuses another probe."""
        tensors = {f"{number}/{kind}": t for number, batch in enumerate(self.batches) for kind, t in enumerate(batch)}
        digest = state_digest({name: tensor.detach().to("cpu") for name, tensor in tensors.items()})
        made = {"batches": len(self.batches), "examples": sum(len(labels) for _, labels in self.batches), "digest": digest[:16]}
        return {**made, "training": self.training, "loss": identity(self.loss)}


Score = Callable[[Mapping[str, nn.Parameter], nn.Module, Probe | None, torch.Generator], Scores]


@described("magnitude", "The smallest weights go first.", citations=("han2015learning",))
def magnitude(weights: Mapping[str, nn.Parameter], _model: nn.Module, _probe: Probe | None, _random: torch.Generator) -> Scores:
    """|w|: the smallest weights go first (Han et al., arXiv:1506.02626).

    Example:
        >>> layer = nn.Linear(2, 1, bias=False)
        >>> _ = layer.weight.data.copy_(torch.tensor([[-3.0, 2.0]]))
        >>> magnitude({"weight": layer.weight}, layer, None, torch.Generator())["weight"].tolist()
        [[3.0, 2.0]]
    """
    return {name: weight.detach().abs() for name, weight in weights.items()}


@described(
    "magnitude times gamma",
    "The weights go first whose magnitude times their channel's |gamma| is smallest.",
    citations=("gadhikar2024masks",),
)
def magnitude_times_gamma(
    weights: Mapping[str, nn.Parameter], model: nn.Module, _probe: Probe | None, _random: torch.Generator
) -> Scores:
    """|w * gamma|, with gamma of the BatchNorm behind a weight's layer (arXiv:2402.19262's code).

    As in that code a layer's BatchNorm is the next one in the order of the model's modules, here only if it comes before the
    next layer of weights and has as many channels. Weights of other layers score |w|; a model without any is named in the log.
    """
    gammas = _gammas(model)
    if not gammas.keys() & weights.keys():
        log.warning("no pruned layer of the model has a BatchNorm behind it: magnitude_times_gamma is the magnitude alone")
    scores = {}
    for name, weight in weights.items():
        score = weight.detach().abs()
        if name in gammas:
            score = score * gammas[name].detach().abs().view(-1, *[1] * (score.ndim - 1))
        scores[name] = score
    return scores


def _gammas(model: nn.Module) -> dict[str, Tensor]:
    """The gamma that scales each weight's outputs, by the weight's name."""
    found: dict[str, Tensor] = {}
    layer = ""
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
            layer = f"{name}.weight" if name else "weight"
        elif layer and isinstance(module, _BatchNorm):
            if module.weight is not None and len(model.get_parameter(layer)) == len(module.weight):
                found[layer] = module.weight
            layer = ""
    return found


@described("random", "Which weights go is chance alone.", citations=("gadhikar2023random",))
def random(weights: Mapping[str, nn.Parameter], _model: nn.Module, _probe: Probe | None, random: torch.Generator) -> Scores:
    """Uniform in [0, 1): which weights go is chance alone; the control of every criterion.

    Example:
        >>> layer = nn.Linear(2, 3)
        >>> scores = random({"weight": layer.weight}, layer, None, torch.Generator().manual_seed(0))
        >>> scores["weight"].shape
        torch.Size([3, 2])
    """
    return {
        name: torch.rand(weight.shape, generator=random, device=random.device, dtype=torch.float64)
        for name, weight in weights.items()
    }


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


SCORES: dict[str, Score] = {score.__name__: score for score in (magnitude, magnitude_times_gamma, random)}

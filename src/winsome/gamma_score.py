"""Magnitude times the scale of the BatchNorm behind a layer, as a score."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from winsome.about import described

log = logging.getLogger("winsome")


@described(
    "magnitude times gamma",
    "The weights go first whose magnitude times their channel's |gamma| is smallest.",
    citations=("gadhikar2024masks",),
)
def magnitude_times_gamma(
    weights: Mapping[str, nn.Parameter], model: nn.Module, _probe: object, _random: torch.Generator
) -> dict[str, Tensor]:
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

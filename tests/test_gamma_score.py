"""|w * gamma| as a score: against loops over channels, on chains, residual networks, and layers without a BatchNorm."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import Tensor, nn

import winsome
from winsome.gamma_score import magnitude_times_gamma
from winsome.models import build


def scores_of(model: nn.Module) -> dict[str, Tensor]:
    weights = {name: model.get_parameter(name) for name in winsome.prunable(model, prune_classifier=True)}
    return magnitude_times_gamma(weights, model, None, torch.Generator())


def draw_gammas(model: nn.Module) -> None:
    torch.manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(module.weight)


@pytest.mark.parametrize(
    ("name", "shape", "pairs"),
    [
        (
            "small_conv",
            (1, 8, 8),
            {"0.weight": "1", "3.conv1.weight": "3.norm1", "4.conv2.weight": "4.norm2", "4.shortcut.0.weight": "4.shortcut.1"},
        ),
        ("mobilenet_v2", (3, 32, 32), {"features.0.0.weight": "features.0.1", "features.2.conv.2.weight": "features.2.conv.3"}),
    ],
)
def test_a_weight_counts_by_its_channels_gamma(name: str, shape: tuple[int, int, int], pairs: dict[str, str]) -> None:
    model = build(name, image_shape=shape, n_classes=10, seed=0)
    draw_gammas(model)
    scores = scores_of(model)
    for weight, norm in pairs.items():
        for channel, gamma in enumerate(model.get_submodule(norm).get_parameter("weight")):
            assert torch.equal(scores[weight][channel], (model.get_parameter(weight)[channel]).abs() * gamma.abs())
    (classifier,) = (name for name in scores if len(scores[name]) == 10 and scores[name].ndim == 2)
    assert torch.equal(scores[classifier], model.get_parameter(classifier).abs()), "nothing scales a classifier"


def test_every_layer_with_a_norm_behind_it_is_scaled() -> None:
    model = build("resnet20", image_shape=(3, 32, 32), n_classes=10, seed=0)
    draw_gammas(model)
    scores = scores_of(model)
    plain = [name for name, score in scores.items() if torch.equal(score, model.get_parameter(name).abs())]
    assert plain == [list(scores)[-1]]


def test_a_network_without_batch_norm_is_told_so(caplog: pytest.LogCaptureFixture) -> None:
    model = nn.Sequential(nn.Linear(4, 5), nn.LayerNorm(5), nn.Linear(5, 3))
    with caplog.at_level(logging.WARNING, logger="winsome"):
        scores = scores_of(model)
    assert torch.equal(scores["0.weight"], model.get_parameter("0.weight").abs())
    assert "magnitude_times_gamma is the magnitude alone" in caplog.text

"""AWS on a network of somebody else's that has no normalisation: timm's nf_resnet26, untrained."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import winsome
from winsome import Level


@pytest.mark.slow
@pytest.mark.parametrize(("which", "toward"), [("*.conv*.bias", 0.0), ("*.gain", 1.0)])
def test_biases_or_gains_are_interpolated_where_there_is_no_norm(which: str, toward: float) -> None:
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    model: nn.Module = timm.create_model("nf_resnet26", num_classes=10)
    inputs, labels = torch.randn(4, 3, 32, 32), torch.tensor([0, 1, 2, 3])
    apart: list[float] = []

    def train(network: nn.Module, _level: Level) -> None:
        optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
        network.train()
        for _ in range(3):
            logits = network(inputs)
            with torch.no_grad():
                apart.append(float((logits - copy.deepcopy(network)(inputs)).abs().max()))  # a copy interpolates nothing
            optimizer.zero_grad()
            F.cross_entropy(logits, labels).backward()  # type: ignore[no-untyped-call]
            optimizer.step()

    method = winsome.aws(1, 0.5, norms=which, toward=toward)
    for level in winsome.find_tickets(model, method, train):
        mask = level.ticket.mask
        weights = dict(model.named_parameters())
        assert all(not weights[name][~mask.kept(name)].any() for name in mask)
    assert mask.density == pytest.approx(0.5, abs=1e-6)
    assert all(distance > 1e-4 for distance in (apart[1], apart[2], apart[4], apart[5])), "from the second step on they differ"

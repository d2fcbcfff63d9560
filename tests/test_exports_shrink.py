"""Shrinking: the same outputs in float64 to 1e-10, whatever is pruned, on networks with residuals, groups and padding."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from winsome.errors import WinsomeError
from winsome.exports import read_shrunk, shrink
from winsome.exports.shrink import Shrunk, write_shrunk

EXACT = 1e-10


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Block(nn.Module):
    """A residual block with what a drawn network is made of."""

    def __init__(self, width: int, groups: int, padding: str, act: nn.Module, gated: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=0 if padding == "none" else 1, groups=groups, bias=gated,
                               padding_mode="zeros" if padding == "none" else padding)  # fmt: skip
        self.norm1 = nn.BatchNorm2d(width)
        self.act = act
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, groups=width if groups > 1 else 1)
        self.norm2 = nn.BatchNorm2d(width)
        self.gate = nn.Conv2d(width, width, 1) if gated else None

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.act(self.norm1(self.conv1(images)))
        hidden = self.norm2(self.conv2(hidden))
        if self.gate is not None:
            hidden = hidden * torch.sigmoid(self.gate(F.adaptive_avg_pool2d(hidden, 1)))
        if hidden.shape != images.shape:
            images = images[..., 1:-1, 1:-1]
        return self.act(images + hidden)


def pruned(network: nn.Module, seed: int, density: float, dead: float) -> nn.Module:
    """A network in float64 whose rows and columns are empty with probability `dead`, other weights kept with `density`."""
    draw = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=draw, dtype=torch.float64)

    network = network.double().eval()
    with torch.no_grad():
        for name, value in (*network.named_parameters(), *network.named_buffers()):
            if not value.is_floating_point():
                continue
            fresh = random(*value.shape) * 2 - 1
            if value.ndim > 1:
                fresh = fresh * (random(*value.shape) < density) * (random(len(value), *[1] * (value.ndim - 1)) >= dead)
                fresh = fresh * (random(1, value.shape[1], *[1] * (value.ndim - 2)) >= dead)
            elif name.endswith("running_var"):
                fresh = fresh.abs() + 0.5
            elif "norm" in name and name.endswith("weight"):
                fresh = (fresh + 1) * (random(len(value)) >= dead / 2)  # a scale of exactly zero makes a channel constant
            value.copy_(fresh)
    return network


def assert_the_same(network: nn.Module, example: Any, done: Shrunk) -> None:
    """Outputs of the smaller network on other inputs too, and what it says of itself."""
    for inputs in (example, torch.randn_like(example) * 3):
        with torch.no_grad():
            expected, got = network(inputs), done.network(inputs)
        scale = expected.abs().max().clamp_min(1e-30)
        assert (expected - got).abs().max() <= EXACT * scale
    assert done.difference <= EXACT
    assert done.parameters[1] == sum(p.numel() for p in done.network.parameters()) < done.parameters[0]
    assert all(after < before for before, after in done.channels.values())
    for name, (_, after) in done.channels.items():
        assert len(done.network.get_submodule(name).weight) == after  # type: ignore[arg-type]


ACTS: dict[str, Callable[[], nn.Module]] = {
    "relu": lambda: nn.ReLU(inplace=True),
    "gelu": nn.GELU,
    "sigmoid": nn.Sigmoid,  # nothing becomes 1/2: constants everywhere
    "hardswish": nn.Hardswish,
}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(
    seed=st.integers(0, 10_000),
    groups=st.sampled_from([1, 2, 6]),
    padding=st.sampled_from(["zeros", "reflect", "circular", "none"]),
    act=st.sampled_from(list(ACTS)),
    gated=st.booleans(),
    flat=st.booleans(),
    dead=st.sampled_from([0.0, 0.3, 0.6, 0.9]),
)
def test_a_smaller_network_gives_the_same(
    seed: int, groups: int, padding: str, act: str, gated: bool, flat: bool, dead: float
) -> None:
    end: list[nn.Module] = [nn.AvgPool2d(2, padding=1)] if flat else [nn.AdaptiveAvgPool2d(1)]
    network = nn.Sequential(
        nn.Conv2d(3, 12, 3, padding=1),
        nn.BatchNorm2d(12),
        ACTS[act](),
        Block(12, groups, padding, ACTS[act](), gated),
        nn.Conv2d(12, 6, 1),
        nn.MaxPool2d(2, padding=1),
        *end,
        nn.Flatten(),
        nn.LazyLinear(5),
        ACTS[act](),
        nn.Linear(5, 3),
    )
    example = torch.randn(2, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    network(example.float())
    network = pruned(network, seed, 0.6, dead)
    before = copy.deepcopy(network.state_dict())
    try:
        done = shrink(network, example)
    except WinsomeError as error:
        assert "no channel of Sequential is dead or constant" in str(error)
        return
    assert_the_same(network, example, done)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items()), "the network is not changed"

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
from winsome.exports.shrinking import Shrunk, write_shrunk

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
        mode: Any = "zeros" if padding == "none" else padding
        around = 0 if padding == "none" else 1
        self.conv1 = nn.Conv2d(width, width, 3, padding=around, groups=groups, bias=gated, padding_mode=mode)
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
        out: Tensor = self.act(images + hidden)
        return out


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


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(
    seed=st.integers(0, 10_000),
    groups=st.sampled_from([1, 2, 6]),
    padding=st.sampled_from(["zeros", "reflect", "circular", "none"]),
    act=st.sampled_from(list(ACTS)),
    gated=st.booleans(),
    flat=st.booleans(),
    dead=st.sampled_from([0.3, 0.6, 0.9]),
)
def test_a_smaller_network_gives_the_same(
    seed: int, groups: int, padding: str, act: str, gated: bool, flat: bool, dead: float
) -> None:
    end: list[nn.Module] = [nn.AvgPool2d(2, padding=1)] if flat else [nn.AdaptiveAvgPool2d(1)]
    network: nn.Module = nn.Sequential(
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
    done = shrink(network, example)
    assert_the_same(network, example, done)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items()), "the network is not changed"


def dead_rows(network: nn.Module, layer: str, rows: list[int]) -> None:
    with torch.no_grad():
        network.get_parameter(f"{layer}.weight")[rows] = 0


def drawn(network: nn.Module) -> nn.Module:
    """The network in float64 with statistics and norms that are not the identity."""
    return pruned(network, 3, 1.0, 0.0)


def test_a_constant_goes_through_norm_and_activation_into_the_bias_of_what_is_not_padded() -> None:
    network = drawn(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Sigmoid(), nn.Conv2d(4, 2, 3, bias=False)))
    dead_rows(network, "0", [1])
    network[1].weight.data[2] = 0  # type: ignore[index]
    network[1].running_mean[1] = -0.7  # type: ignore[index]
    example = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    done = shrink(network, example)
    assert_the_same(network, example, done)
    assert dict(done.channels) == {"0": (4, 2)}
    norm, bias = network[1], done.network.get_parameter("3.bias")  # type: ignore[index]
    by_hand = torch.stack(
        [
            torch.sigmoid((network[0].bias[1] - norm.running_mean[1]) / (norm.running_var[1] + norm.eps).sqrt() * norm.weight[1] + norm.bias[1]),  # type: ignore[index]  # noqa: E501
            torch.sigmoid(norm.bias[2]),
        ]
    )  # fmt: skip
    torch.testing.assert_close(bias, network[3].weight[:, 1:3].sum((2, 3)) @ by_hand, rtol=1e-12, atol=1e-12)  # type: ignore[index]


def test_of_constants_before_padding_one_stands_for_all() -> None:
    """At the border a padded convolution sees zeros, not the constant: no bias can say that, another constant channel can."""
    network = drawn(nn.Sequential(nn.Conv2d(3, 6, 1), nn.Sigmoid(), nn.Conv2d(6, 2, 3, padding=1)))
    dead_rows(network, "0", [0, 2, 3])
    example = torch.randn(2, 3, 5, 5, dtype=torch.float64)
    done = shrink(network, example)
    assert_the_same(network, example, done)
    assert dict(done.channels) == {"0": (6, 4)}


def test_what_nobody_reads_goes_with_all_that_only_it_reads() -> None:
    network = drawn(nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3)))
    with torch.no_grad():
        network.get_parameter("4.weight")[:, [1, 4]] = 0
        network.get_parameter("2.weight")[[0, 2, 3, 5], :3] = 0  # the first three are read by what is not read alone
    example = torch.randn(4, 5, dtype=torch.float64)
    done = shrink(network, example)
    assert_the_same(network, example, done)
    assert dict(done.channels) == {"0": (8, 5), "2": (6, 4)}


class Literal(nn.Module):
    """A forward pass that names how many numbers an image has."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2, self.fc = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 4, 3), nn.Linear(64, 2)

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.fc(F.relu(self.conv2(F.relu(self.conv1(images)))).view(-1, 64))
        return out


def test_channels_whose_number_the_forward_pass_names_stay() -> None:
    network = drawn(Literal())
    network.conv1.bias.data[:] = -1  # type: ignore[operator,union-attr]
    dead_rows(network, "conv1", [0, 5])
    dead_rows(network, "conv2", [1])
    example = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    done = shrink(network, example)
    assert_the_same(network, example, done)
    assert dict(done.channels) == {"conv1": (6, 4)}


class Attends(nn.Module):
    """A transformer's block: only what is inside of the MLP can go."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(8), nn.MultiheadAttention(8, 2, batch_first=True)
        self.up, self.down = nn.Linear(8, 16), nn.Linear(16, 8)

    def forward(self, words: Tensor) -> Tensor:
        words = words + self.attention(self.norm(words), words, words, need_weights=False)[0]
        out: Tensor = words + self.down(F.gelu(self.up(self.norm(words))))
        return out


def test_hidden_units_of_a_transformer_go_and_its_stream_stays() -> None:
    network = drawn(Attends())
    dead_rows(network, "up", [1, 2, 9])
    dead_rows(network, "down", [0])
    example = torch.randn(2, 5, 8, dtype=torch.float64)
    done = shrink(network, example)
    assert_the_same(network, example, done)
    assert dict(done.channels) == {"up": (16, 13)}


def test_a_layer_with_a_fast_path_of_its_own_is_shrunk_inside() -> None:
    network = drawn(nn.TransformerEncoderLayer(8, 2, 12, dropout=0.5, batch_first=True))
    dead_rows(network, "linear1", [0, 4, 7])
    example = torch.randn(2, 5, 8, dtype=torch.float64)
    done = shrink(network, example)
    assert_the_same(network, example, done)
    assert dict(done.channels) == {"linear1": (12, 9)}


class Tied(nn.Module):
    """Two layers of one weight, whose channels stay, and others between them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.up, self.down, self.last = nn.Linear(4, 4), nn.Linear(4, 6), nn.Linear(6, 4), nn.Linear(4, 4)
        self.last.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(self.down(torch.relu(self.up(self.first(x)))))
        return out


def test_a_shared_parameter_stays_shared_and_whole() -> None:
    network = drawn(Tied())
    dead_rows(network, "first", [1])
    dead_rows(network, "up", [2, 3])
    example = torch.randn(3, 4, dtype=torch.float64)
    done = shrink(network, example)
    assert_the_same(network, example, done)
    assert dict(done.channels) == {"up": (6, 4)}
    assert done.network.get_parameter("last.weight") is done.network.get_parameter("first.weight")


class Joined(nn.Module):
    """Branches joined one behind another (DenseNet), then normalised together."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 5, 1)
        self.norm, self.last = nn.BatchNorm2d(9), nn.Conv2d(9, 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.last(F.relu(self.norm(torch.cat([self.a(images), self.b(images)], 1))))
        return out


def test_joined_branches_lose_channels_each() -> None:
    network = drawn(Joined())
    dead_rows(network, "a", [0])
    dead_rows(network, "b", [2, 4])
    example = torch.randn(2, 3, 5, 5, dtype=torch.float64)
    done = shrink(network, example)
    assert_the_same(network, example, done)
    assert dict(done.channels) == {"a": (4, 3), "b": (5, 3)}
    assert len(done.network.norm.running_mean) == 6  # type: ignore[arg-type,union-attr]


def test_layers_that_lost_all_weights_keep_one_channel() -> None:
    network = drawn(nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 2)))
    dead_rows(network, "2", list(range(6)))
    example = torch.randn(3, 4, dtype=torch.float64)
    done = shrink(network, example)
    assert dict(done.channels) == {"0": (6, 1), "2": (6, 1)}
    torch.testing.assert_close(done.network(example), network(example), rtol=EXACT, atol=0)


class Decides(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class WritesInto(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        x = x * 1
        part = x[:, :2]
        part.mul_(2)
        return x


@pytest.mark.parametrize(
    ("network", "says"),
    [
        (nn.Sequential(nn.Linear(4, 4), Decides()), "Sequential cannot be traced"),
        (nn.Sequential(nn.Linear(4, 4), WritesInto()), "mul_ writes into memory that is read again"),
        (nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2)), "no channel of Sequential is dead or constant"),
    ],
)
def test_what_cannot_be_shrunk_is_refused(network: nn.Module, says: str) -> None:
    with pytest.raises(WinsomeError, match=says):
        shrink(network, torch.randn(2, 4))


def test_a_shrunk_file_is_the_smaller_network(tmp_path: Path) -> None:
    def make() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, groups=4),
            nn.Flatten(),
            nn.Linear(32, 2),
        )

    network = drawn(make()).float()
    dead_rows(network, "0", [0, 1])
    dead_rows(network, "3", [0, 1])
    example = torch.randn(2, 3, 6, 6)
    done = shrink(network, example)
    assert done.groups == {"3": 3}
    assert write_shrunk(done, tmp_path / "a.safetensors") == (tmp_path / "a.safetensors").stat().st_size
    loaded = read_shrunk(tmp_path / "a.safetensors", make())
    assert torch.equal(loaded(example), done.network(example))
    assert loaded[3].in_channels == loaded[3].out_channels == 6  # type: ignore[index]
    assert "groups=3" in repr(loaded)
    with pytest.raises(WinsomeError, match="does not say which network it is of"):
        read_shrunk(tmp_path / "a.safetensors")
    with pytest.raises(WinsomeError, match="not the one that this file was made from"):
        read_shrunk(tmp_path / "a.safetensors", nn.Sequential(nn.Linear(2, 2)))

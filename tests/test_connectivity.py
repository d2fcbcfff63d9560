"""Linear mode connectivity: lines, barriers, and errors between networks against brute force and closed forms."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import update_bn

import made_study
from winsome.analysis.agreement import agree, intersection, masked, nonzero, union
from winsome.analysis.connectivity import Statistics, network_profile, one_epoch
from winsome.analysis.line import BASE_LINES, barrier, interpolate, mean, points, profile, straight
from winsome.data import ImageData, evaluation_batches, load, statistics_batches, subset
from winsome.errors import WinsomeError
from winsome.evidence.barriers import barriers, line_record
from winsome.seeding import seeded
from winsome.state import State, full_state
from winsome.training.precision import Precision

FINITE = st.floats(-10, 10)
STATISTICS = Statistics(100, 50)


class Mixer(nn.Module):
    """Every kind of layer that code A's script leaves at random, and BatchNorm: Conv1d, LayerNorm, embeddings, tied weights."""

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Embedding(8, 6)
        self.tokens = nn.Conv1d(8, 6, 3, padding=1)
        self.norm = nn.LayerNorm(8)
        self.mix = nn.Linear(8, 8)
        self.again = nn.Linear(8, 8)
        self.again.weight = self.mix.weight
        self.batch_norm = nn.BatchNorm1d(6)
        self.head = nn.Linear(48, 10)

    def forward(self, images: Tensor) -> Tensor:
        """[B, 1, 8, 8] to [B, 10]; rows are channels."""
        hidden = self.tokens(images[:, 0]) + self.place.weight.mT[..., :8]
        hidden = hidden + self.again(F.gelu(self.mix(self.norm(hidden))))
        logits: Tensor = self.head(self.batch_norm(hidden).flatten(1))
        return logits


def mixer(seed: int) -> Mixer:
    with seeded(seed, "mixer"):
        made = Mixer()
        for value in made.parameters():
            nn.init.normal_(value, 0.2, 0.5)
        nn.init.uniform_(made.batch_norm.running_var, 0.5, 2)  # type: ignore[arg-type]
        return made


@pytest.fixture(scope="module")
def data() -> ImageData:
    return subset(load("digits"), train_images=230, test_images=90)


def brute_force(
    a: nn.Module, b: nn.Module, alpha: float, data: ImageData, statistics: Statistics | None
) -> tuple[float, float]:
    """Error and loss at a point of the line: every tensor of the whole state by hand, statistics by torch's `update_bn`."""
    between = copy.deepcopy(a)
    first, second = a.state_dict(), b.state_dict()
    with torch.no_grad():
        for name, value in between.state_dict().items():
            value.copy_((1 - alpha) * first[name].double() + alpha * second[name].double())
        if statistics is not None:
            batches = statistics_batches(
                data, batch_size=statistics.batch_size, seed=0, images=statistics.images, augment=statistics.augment
            )
            update_bn((inputs for inputs, _ in batches), between)
        inputs, labels = next(evaluation_batches(data.test, data, batch_size=len(data.test)))
        logits = between.eval()(inputs)
    return float((logits.argmax(1) != labels).double().mean()), float(F.cross_entropy(logits, labels))


# Lines and barriers.


@given(st.lists(st.tuples(FINITE, FINITE, FINITE), min_size=1, max_size=4), st.integers(1, 20))
def test_barrier_between_two_points_of_a_quadratic(axes: list[tuple[float, float, float]], half: int) -> None:
    """q(x) = sum c x^2 rises above the chord by -alpha (1 - alpha) q(b - a): convex never, concave most in the middle."""
    a, b, curvature = (torch.tensor(column, dtype=torch.float64) for column in zip(*axes, strict=True))

    def quadratic(state: State) -> tuple[float, float]:
        value = float((curvature * state["x"].square()).sum())
        return value, -value

    line = profile({"x": a}, {"x": b}, quadratic, alphas=points(2 * half + 1))
    span = float((curvature * (b - a).square()).sum())
    assert barrier(line.errors, line.alphas).height == pytest.approx(max(0.0, -span / 4), abs=1e-9)
    assert barrier(line.losses, line.alphas).height == pytest.approx(max(0.0, span / 4), abs=1e-9)
    if span < -1e-6:
        assert barrier(line.errors, line.alphas).alpha == 0.5
    ends = line.errors[0], line.errors[-1]
    above_mean = max(value - sum(ends) / 2 for value in line.errors)
    assert barrier(line.errors, line.alphas, mean).height == pytest.approx(above_mean, abs=1e-12)


@given(FINITE, FINITE, st.integers(3, 40))
def test_unequal_ends_alone_are_a_barrier_above_their_mean_only(first: float, last: float, count: int) -> None:
    values = [straight(first, last, alpha) for alpha in points(count)]
    assert barrier(values, points(count)).height == 0
    assert barrier(values, points(count), mean).height == pytest.approx(abs(first - last) / 2, abs=1e-12)


def test_barrier_names_its_place_and_refuses_what_has_none() -> None:
    found = barrier([0.0, 3.0, 1.0, 2.0], points(4))
    assert (found.height, found.alpha) == (3 - 2 / 3, 1 / 3)
    assert math.isnan(barrier([0.0, math.nan, 1.0], points(3)).height)
    assert points(11)[3] == 0.3
    for wrong in (lambda: points(2), lambda: barrier([1.0], [0.0]), lambda: barrier([1.0, 2.0], points(3))):
        with pytest.raises(WinsomeError):
            wrong()


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.bfloat16])
def test_interpolation_is_exact_at_the_ends_and_with_itself(kind: torch.dtype) -> None:
    a = {"w": torch.randn(50, generator=torch.Generator().manual_seed(0)).to(kind), "count": torch.tensor(7)}
    b = {"w": torch.randn(50, generator=torch.Generator().manual_seed(1)).to(kind), "count": torch.tensor(9)}
    assert torch.equal(interpolate(a, b, 0.0)["w"], a["w"])
    assert torch.equal(interpolate(a, b, 1.0)["w"], b["w"])
    for alpha in points(7):
        assert torch.equal(interpolate(a, a, alpha)["w"], a["w"])
        between = interpolate(a, b, alpha)
        expected = (1 - alpha) * a["w"].double() + alpha * b["w"].double()
        torch.testing.assert_close(between["w"].double(), expected, rtol=torch.finfo(kind).eps, atol=4 * torch.finfo(kind).eps)
        assert between["w"].dtype == kind
        assert between["count"] == 7  # an integer has no point between: the first end's


def test_networks_of_other_shapes_have_no_line() -> None:
    a = {"w": torch.zeros(3), "x": torch.zeros(1)}
    with pytest.raises(WinsomeError, match=r"the second lacks x; the first lacks y; w is \(3,\) in the first"):
        interpolate(a, {"w": torch.zeros(2), "y": torch.zeros(1)}, 0.5)


# Networks.


def small_conv(seed: int) -> nn.Module:
    return made_study.network(seed, "small_conv", width=4)


def residual_mlp(seed: int) -> nn.Module:
    return made_study.network(seed, "residual_mlp", width=12, blocks=2)


def mlp_mixer(seed: int) -> nn.Module:
    return made_study.network(seed, "mlp_mixer", patch=2, dim=8, depth=2)


NETWORKS: list[Callable[[int], nn.Module]] = [mixer, mlp_mixer, small_conv, residual_mlp]


@pytest.mark.parametrize("make", NETWORKS)
@pytest.mark.parametrize("statistics", [STATISTICS, one_epoch(64), None])
def test_line_between_networks_is_that_of_brute_force(
    make: Callable[[int], nn.Module], statistics: Statistics | None, data: ImageData
) -> None:
    a, b, other = make(0), make(1), make(2)
    before = full_state(other)
    found = network_profile(full_state(a), full_state(b), other, data, alphas=points(5), statistics=statistics)
    expected = [brute_force(a, b, alpha, data, statistics) for alpha in points(5)]
    assert found.errors == pytest.approx([error for error, _ in expected], abs=1e-9)
    assert found.losses == pytest.approx([loss for _, loss in expected], rel=1e-4)
    for name in BASE_LINES:
        height = barrier(found.errors, found.alphas, BASE_LINES[name]).height
        assert height == pytest.approx(barrier([e for e, _ in expected], points(5), BASE_LINES[name]).height, abs=1e-9)
    assert all(torch.equal(value, before[name]) for name, value in other.state_dict().items())


@pytest.mark.parametrize("make", NETWORKS)
def test_network_has_no_barrier_to_itself(make: Callable[[int], nn.Module], data: ImageData) -> None:
    state = full_state(make(0))
    found = network_profile(state, state, make(1), data, alphas=points(5), statistics=STATISTICS)
    for base_line in BASE_LINES.values():
        assert barrier(found.errors, found.alphas, base_line).height == 0
        assert barrier(found.losses, found.alphas, base_line).height == 0


@pytest.mark.parametrize("name", [name for name, _ in mixer(0).named_parameters()])
def test_every_parameter_moves_along_the_line(name: str, data: ImageData) -> None:
    """Code A's script leaves Conv1d and LayerNorm behind."""
    a = full_state(mixer(0))
    tied = {"mix.weight": "again.weight"}.get(name, name)
    other = full_state(mixer(1))
    b = {**a, name: other[name], tied: other[name]}
    found = network_profile(a, b, mixer(2), data, alphas=points(3), statistics=None)
    assert len(set(found.losses)) == 3


def test_stack_is_one_by_one(data: ImageData) -> None:
    a, b = full_state(residual_mlp(0)), full_state(residual_mlp(1))
    done: list[int] = []
    for statistics in (STATISTICS, one_epoch(64), None):
        alone = network_profile(a, b, residual_mlp(2), data, statistics=statistics, on_point=done.append)
        together = network_profile(a, b, residual_mlp(2), data, statistics=statistics, stacked=True)
        assert together.errors == pytest.approx(alone.errors, abs=1e-9)
        assert together.losses == pytest.approx(alone.losses, rel=1e-5)
    assert done == [*range(1, 12)] * 3


def test_memory_layout_changes_nothing_but_rounding(data: ImageData) -> None:
    a, b = full_state(small_conv(0)), full_state(small_conv(1))
    plain = network_profile(a, b, small_conv(2), data, alphas=points(3), statistics=STATISTICS)
    other = network_profile(
        a, b, small_conv(2), data, alphas=points(3), statistics=STATISTICS, precision=Precision(channels_last=True)
    )
    assert other.errors == pytest.approx(plain.errors, abs=1e-9)
    assert other.losses == pytest.approx(plain.losses, rel=1e-5)


def test_states_that_do_not_fit_the_network_are_refused(data: ImageData) -> None:
    a = full_state(mixer(0))
    without = {name: value for name, value in a.items() if name != "norm.bias"}
    with pytest.raises(WinsomeError, match=r"the second state does not fit the network: the second state lacks norm\.bias"):
        network_profile(a, without, mixer(0), data)
    with pytest.raises(WinsomeError, match=r"mix\.bias of the first state holds NaN"):
        network_profile({**a, "mix.bias": torch.full((8,), math.nan)}, a, mixer(0), data)


def test_impossible_statistics_are_refused() -> None:
    with pytest.raises(WinsomeError, match="1 or more images, got 0"):
        Statistics(0)
    with pytest.raises(WinsomeError, match="batches of 2 or more images, got 1"):
        Statistics(10, 1)


# Masks.


def bits(values: str) -> dict[str, Tensor]:
    return {"w": torch.tensor([value == "1" for value in values])}


def test_unequal_masks_need_a_choice() -> None:
    a, b = bits("1100"), bits("1010")
    with pytest.raises(
        WinsomeError, match=r"1 of 1 layers: w keeps 2 and 2 of 4, 1 in both.*--masks union.*--masks intersection"
    ):
        agree(a, b)
    assert torch.equal(agree(a, a)["w"], a["w"])
    assert torch.equal(union(a, b)["w"], bits("1110")["w"])
    assert torch.equal(intersection(a, b)["w"], bits("1000")["w"])


def test_masked_state_is_zero_outside_the_mask_and_itself_inside() -> None:
    state = {"w": torch.tensor([1.0, -2.0, 3.0, 4.0]), "bias": torch.tensor([5.0]), "count": torch.tensor(3)}
    found = masked(state, bits("1010"))
    assert found["w"].tolist() == [1, 0, 3, 0]
    assert found["bias"] is state["bias"]
    assert nonzero(found, ["w"])["w"].tolist() == [True, False, True, False]


def test_intersection_prunes_the_ends_and_union_leaves_them() -> None:
    a, b = full_state(residual_mlp(0)), full_state(residual_mlp(1))
    names = ["1.weight", "4.linear.weight"]
    random = torch.Generator().manual_seed(0)
    masks = [{name: torch.rand(a[name].shape, generator=random) < 0.5 for name in names} for _ in range(2)]
    a, b = masked(a, masks[0]), masked(b, masks[1])
    for agreement in (union, intersection):
        kept = agreement(*masks)
        ends = masked(a, kept), masked(b, kept)
        middle = interpolate(*ends, 0.5)
        assert all(torch.equal(middle[name] != 0, kept[name]) for name in names)
        assert all(torch.equal(ends[0][name], a[name]) for name in names) == (agreement is union)


# Seeds.


def test_starts_are_averaged_before_seeds() -> None:
    """Barriers of one seed's starts are .2 and .4, of the other's .1 and .1: two values, .3 and .1."""
    heights = {(0, 0): 0.2, (0, 1): 0.4, (1, 0): 0.1, (1, 1): 0.1}
    lines = [
        line_record("p", profile({}, {}, arch(height), alphas=points(3)), search_seed=seed, start=start)
        for (seed, start), height in heights.items()
    ]
    above_line, above_mean = barriers(lines)
    assert (above_line["base_line"], above_mean["base_line"]) == ("straight", "mean")
    assert above_line["error"] == pytest.approx(0.2)
    assert above_line["std"] == pytest.approx(math.sqrt(0.02))
    assert above_line["high"] == pytest.approx(0.2 + 12.7062 * 0.1, abs=1e-4)  # Student's t of one degree of freedom
    assert (above_line["n"], above_line["first_error"], above_line["last_error"]) == (2, 0.5, 0.5)
    assert above_line["loss"] == pytest.approx(0.4)


def arch(height: float) -> Callable[[State], tuple[float, float]]:
    """Ends of error .5 with a middle that is higher by `height`."""
    values = iter([(0.5, 1.0), (0.5 + height, 1 + 2 * height), (0.5, 1.0)])
    return lambda _: next(values)

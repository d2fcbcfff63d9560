"""Counts are exact and ties deterministic, in the cases in which every peer miscounts."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import winsome
from contract import check_allocation, check_score, everything, made, network, prunable, search
from winsome import KeepWeights, Method, WinsomeError
from winsome.allocation import ALLOCATIONS, Allocate, balanced, erdos_renyi_kernel, globally, n_of_m, shares, uniformly
from winsome.checks import taken_by
from winsome.matrices import experts
from winsome.scores import SCORES, magnitude

Shapes = {"a": (8, 4, 3, 3), "b": (16, 8), "c": (2, 2), "d": (1,)}


def brute_force(scores: dict[str, Tensor], count: int, kept: dict[str, Tensor]) -> set[tuple[str, int]]:
    """Sort all kept weights by falling score; Python's sort is stable, so ties keep parameter and flat order."""
    entries = [
        (float(value), name, index)
        for name, score in scores.items()
        for index, (value, alive) in enumerate(zip(score.flatten(), kept[name].flatten(), strict=True))
        if alive
    ]
    return {(name, index) for _, name, index in sorted(entries, key=lambda entry: -entry[0])[:count]}


def as_set(kept: dict[str, Tensor]) -> set[tuple[str, int]]:
    return {(name, int(index)) for name, keep in kept.items() for index in keep.flatten().nonzero().flatten()}


def draws(kind: str, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(0)
    weights = {name: torch.randn(shape, generator=draw) for name, shape in Shapes.items()}
    if kind == "bf16 grid":
        weights = {name: w.bfloat16().float() for name, w in weights.items()}
    if kind == "int8 grid":
        weights = {name: (w * 20).round() / 20 for name, w in weights.items()}
    if kind == "30 % zero":
        weights = {name: w * (torch.rand(w.shape, generator=draw) > 0.3) for name, w in weights.items()}
    if kind == "all equal":
        weights = {name: torch.full_like(w, 0.7) for name, w in weights.items()}
    if kind == "all zero":
        weights = {name: torch.zeros_like(w) for name, w in weights.items()}
    if kind == "signed scores":
        return {name: w.to(dtype) for name, w in weights.items()}
    return {name: w.abs().to(dtype) for name, w in weights.items()}


def shuffled(scores: dict[str, Tensor], seed: int) -> dict[str, Tensor]:
    order = torch.Generator().manual_seed(seed)
    return {n: s.flatten()[torch.randperm(s.numel(), generator=order)].view(s.shape) for n, s in scores.items()}


KINDS = ["normal", "bf16 grid", "int8 grid", "30 % zero", "all equal", "all zero", "signed scores"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", KINDS)
def test_global_choice_against_sorting_level_by_level(kind: str, dtype: torch.dtype) -> None:
    scores = draws(kind, dtype)
    total = sum(score.numel() for score in scores.values())
    kept = everything(scores)
    for density in (1.0, 0.8, 0.512, 0.1, 4 / total, 1 / total):
        expected = brute_force(scores, round(density * total), kept)
        kept = globally(scores, density, kept)
        assert as_set(kept) == expected


def test_pruned_zeros_beside_kept_zeros_stay_pruned() -> None:
    scores = {"w": torch.tensor([0.0, 0.0, 3.0, 0.0, 0.0, 2.0])}
    kept = {"w": torch.tensor([True, False, True, False, True, True])}
    assert globally(scores, 0.5, kept)["w"].tolist() == [True, False, True, False, False, True]
    assert globally(scores, 4 / 6, kept)["w"].tolist() == kept["w"].tolist()


@pytest.mark.parametrize("name", ALLOCATIONS)
@settings(max_examples=40, deadline=None)
@given(first=st.floats(0.01, 1), second=st.floats(0.01, 1), seed=st.integers(0, 9), kind=st.sampled_from(KINDS))
def test_every_allocation_keeps_the_contract(name: str, first: float, second: float, seed: int, kind: str) -> None:
    check_allocation(made(ALLOCATIONS[name]), shuffled(draws(kind), seed), first, second)


@settings(max_examples=20, deadline=None)
@given(first=st.floats(0.01, 1), second=st.floats(0.01, 1), seed=st.integers(0, 9), kind=st.sampled_from(KINDS))
def test_n_of_m_that_only_ends_so_keeps_it_too(first: float, second: float, seed: int, kind: str) -> None:
    check_allocation(n_of_m(2, 4, even=False), shuffled(draws(kind), seed), first, second)


def counts_in_groups(keep: Tensor, m: int) -> set[int]:
    """By hand: over every run of M inputs that follow each other, at every place of the kernel."""
    rows = keep.transpose(1, -1).reshape(-1, keep.shape[1])
    return {int(row[start : start + m].sum()) for row in rows for start in range(0, keep.shape[1], m)}


@given(seed=st.integers(0, 99), kind=st.sampled_from(KINDS), n=st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_n_of_m_keeps_exactly_the_n_highest_of_every_group(seed: int, kind: str, n: int) -> None:
    scores = {name: score for name, score in shuffled(draws(kind), seed).items() if name in ("a", "b")}
    kept = n_of_m(n, 4)(scores, n / 4, everything(scores))
    for keep in kept.values():
        assert counts_in_groups(keep, 4) == {n}
        assert keep.float().mean() == n / 4
    row, group = scores["a"][3, :, 1, 2], kept["a"][3, :, 1, 2]  # channels at one place of one kernel
    wanted = brute_force({"w": row}, n, {"w": torch.ones(4, dtype=torch.bool)})
    assert as_set({"w": group}) == wanted


def test_n_of_m_goes_down_one_by_one_or_ends_so() -> None:
    scores = {name: score for name, score in draws("normal").items() if name in ("a", "b")}
    kept = everything(scores)
    for n in (4, 3, 2, 1):
        kept = n_of_m(1, 4)(scores, n / 4, kept)
        assert {n} == counts_in_groups(kept["a"], 4) == counts_in_groups(kept["b"], 4)
    kept = everything(scores)
    for density, allowed in ((0.8, {2, 3, 4}), (0.64, {2, 3, 4}), (0.5, {2}), (0.3, {0, 1, 2})):
        kept = n_of_m(2, 4, even=False)(scores, density, kept)
        found = counts_in_groups(kept["a"], 4) | counts_in_groups(kept["b"], 4)
        assert found <= allowed
        assert len(found) == 1 or density != 0.5
    assert sum(int(keep.sum()) for keep in kept.values()) == round(0.3 * (8 * 4 * 9 + 16 * 8))


def test_what_cannot_be_cut_into_groups_is_refused_by_name_and_left_dense_by_a_search(caplog: pytest.LogCaptureFixture) -> None:
    scores = {"wide": torch.rand(3, 8), "odd": torch.rand(3, 6)}
    with pytest.raises(WinsomeError, match="'odd' of shape 3x6 cannot be cut into groups of 4 inputs: leave it out"):
        n_of_m(2, 4)(scores, 0.5, everything(scores))
    for n, m in ((0, 4), (5, 4)):
        with pytest.raises(WinsomeError, match=f"keeps 1 to M of every M weights, got {n}:{m}"):
            n_of_m(n, m)
    method = Method((1.0, 0.75, 0.5), KeepWeights(), allocate=n_of_m(2, 4))
    levels = search(method)
    assert list(levels[-1].ticket.mask) == ["3.weight"]
    assert "NOfM(n=2, m=4, even=True) leaves dense what it cannot take, and does not count it: 0.weight (8x6)" in caplog.text
    assert [counts_in_groups(level.ticket.mask.kept("3.weight"), 4) for level in levels] == [{4}, {3}, {2}]
    assert "0.weight" in levels[-1].ticket.signs, "the signs of what stays dense travel with the ticket"
    assert bool(levels[-1].state["0.weight"].all())
    with pytest.raises(WinsomeError, match=r"can take none of the network's weights: 0\.weight \(8x6\), 3\.weight \(7x8\)"):
        search(Method((0.5,), allocate=n_of_m(2, 5)))


def test_a_pattern_takes_no_weight_whose_inputs_lie_elsewhere(caplog: pytest.LogCaptureFixture) -> None:
    model = nn.Sequential(nn.ConvTranspose2d(8, 8, 1), nn.Conv2d(8, 8, 1), nn.Flatten(), nn.Linear(8, 2))
    assert taken_by(n_of_m(2, 4), ("0.weight", "1.weight"), model) == ("1.weight",)
    assert "does not count it: 0.weight (8x8x1x1, inputs along axis 0)" in caplog.text
    assert taken_by(globally, ("0.weight", "1.weight"), model) == ("0.weight", "1.weight")


@pytest.mark.parametrize("allocate", [globally, uniformly, erdos_renyi_kernel, balanced])
@settings(max_examples=20, deadline=None)
@given(first=st.floats(0.01, 1), second=st.floats(0.01, 1), seed=st.integers(0, 9), kind=st.sampled_from(KINDS))
def test_of_equal_scores_the_earlier_weight_is_kept(
    allocate: Allocate, first: float, second: float, seed: int, kind: str
) -> None:
    high, low = max(first, second), min(first, second)
    scores = shuffled(draws(kind), seed)
    one = allocate(scores, high, everything(scores))
    two = allocate(scores, low, one)
    for layer in scores:  # inside a layer the highest scores are kept, whatever the allocation
        inside = brute_force({layer: scores[layer]}, int(two[layer].sum()), {layer: one[layer]})
        assert as_set({layer: two[layer]}) == inside


def test_layer_counts_against_their_definitions() -> None:
    scores = {"a": torch.rand(40, 10), "b": torch.rand(10, 10), "c": torch.rand(2, 5)}
    counts = {
        name: {layer: int(keep.sum()) for layer, keep in allocate(scores, 0.2, everything(scores)).items()}
        for name, allocate in (("uniformly", uniformly), ("balanced", balanced), ("erdos_renyi_kernel", erdos_renyi_kernel))
    }
    assert counts["uniformly"] == {"a": 80, "b": 20, "c": 2}
    assert counts["balanced"] == {"a": 46, "b": 46, "c": 10}  # 102 kept: c is full, the rest is shared
    # densities proportional to 50/400, 20/100, 7/10: of 102 weights 66.2, 26.5 and 9.3
    assert counts["erdos_renyi_kernel"] == {"a": 66, "b": 27, "c": 9}


# The 22 prunable tensors of ResNet-20: how many layers have each shape, and what RigL's own code keeps at these densities.
DENSITIES = (0.5, 0.2, 0.1, 0.05, 0.02)
RIGL = {
    (16, 3, 3, 3): (1, (432, 432, 425, 206, 83)),
    (16, 16, 3, 3): (6, (2304, 1369, 646, 313, 126)),
    (32, 16, 3, 3): (1, (4608, 1945, 918, 444, 178)),
    (32, 32, 3, 3): (5, (7074, 2521, 1190, 575, 231)),
    (32, 16, 1, 1): (1, (512, 512, 512, 411, 165)),
    (64, 32, 3, 3): (1, (10308, 3673, 1734, 838, 336)),
    (64, 64, 3, 3): (5, (13542, 4826, 2278, 1101, 441)),
    (64, 32, 1, 1): (1, (2048, 2048, 1666, 805, 323)),
    (10, 64): (1, (640, 640, 640, 608, 244)),
}


@pytest.mark.parametrize("place", range(5))
def test_erk_on_resnet20_is_rigls_but_for_its_rounding(place: int) -> None:
    shapes = {f"{shape} {i}": shape for shape, (count, _) in RIGL.items() for i in range(count)}
    scores = {name: torch.zeros(shape) for name, shape in shapes.items()}
    counts = {name: int(keep.sum()) for name, keep in erdos_renyi_kernel(scores, DENSITIES[place], everything(scores)).items()}
    assert sum(counts.values()) == round(DENSITIES[place] * 270_896)
    for name, shape in shapes.items():
        assert abs(counts[name] - RIGL[shape][1][place]) <= 3


@given(st.lists(st.tuples(st.floats(0.01, 10), st.integers(0, 50)), min_size=1, max_size=8), st.floats(0, 1))
def test_shares_add_up_and_respect_caps(layers: list[tuple[float, int]], fraction: float) -> None:
    weights, caps = [w for w, _ in layers], [cap for _, cap in layers]
    count = math.floor(fraction * sum(caps))
    parts = shares(weights, caps, count)
    assert sum(parts) == count
    assert all(0 <= part <= cap for part, cap in zip(parts, caps, strict=True))


def test_nan_scores_are_refused_by_name_unless_pruned_already() -> None:
    scores = {"good": torch.rand(4), "bad": torch.tensor([1.0, float("nan"), 2.0])}
    with pytest.raises(WinsomeError, match="1 of the scores of 'bad' are NaN"):
        globally(scores, 0.5, everything(scores))
    kept = {"good": torch.ones(4, dtype=torch.bool), "bad": torch.tensor([True, False, True])}
    assert globally(scores, 6 / 7, kept)["bad"].tolist() == [True, False, True]


def test_densities_that_cannot_be_are_refused() -> None:
    scores = {"w": torch.rand(10)}
    with pytest.raises(WinsomeError, match=r"90 % sparsity is density 0\.1"):
        globally(scores, 90, everything(scores))
    half = globally(scores, 0.5, everything(scores))
    with pytest.raises(WinsomeError, match="only 5 are left"):
        globally(scores, 0.6, half)


def test_chunks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = draws("int8 grid")
    expected = as_set(globally(scores, 0.3, everything(scores)))
    monkeypatch.setattr("winsome.ranking.CHUNK", 7)
    assert as_set(globally(scores, 0.3, everything(scores))) == expected


@pytest.mark.parametrize("name", SCORES)
def test_every_score_keeps_the_contract(name: str) -> None:
    check_score(SCORES[name])


def test_magnitude_is_the_absolute_value() -> None:
    model = network()
    for name, score in magnitude(prunable(model), model, None, torch.Generator()).items():
        assert torch.equal(score, model.get_parameter(name).detach().abs())


def test_erk_gives_experts_in_one_tensor_what_it_gives_them_one_by_one() -> None:
    """By hand: a layer of E matrices keeps E times what each of them would, in proportion to its own two sides."""
    draw = torch.Generator().manual_seed(0)
    one = {"experts": torch.rand(4, 30, 20, generator=draw), "linear": torch.rand(50, 40, generator=draw)}
    alone = {f"expert {n}": matrix for n, matrix in enumerate(one["experts"])} | {"linear": one["linear"]}
    together = erdos_renyi_kernel(one, 0.1, everything(one), experts={"experts": 4})
    apart = erdos_renyi_kernel(alone, 0.1, everything(alone))
    # One fraction of a weight is rounded in the place of four.
    assert abs(int(together["linear"].sum()) - int(apart["linear"].sum())) <= 2
    assert int(erdos_renyi_kernel(one, 0.1, everything(one))["linear"].sum()) > int(together["linear"].sum()) + 2


def test_a_search_tells_erk_which_weights_are_experts() -> None:
    class Experts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up_proj = nn.Parameter(torch.randn(3, 8, 6))

    model = nn.Sequential(Experts(), nn.Linear(8, 10, bias=False), nn.Linear(10, 2))
    assert experts(model) == {"0.up_proj": 3}
    method = winsome.random_at_initialisation(0.3)
    (level,) = winsome.find_tickets(model, method, lambda _model, _level: None, classifier="2")
    weights = {"0.up_proj": torch.rand(3, 8, 6), "1.weight": torch.rand(10, 8)}
    expected = erdos_renyi_kernel(weights, 0.3, everything(weights), experts={"0.up_proj": 3})
    assert {name: int(level.ticket.mask.kept(name).sum()) for name in weights} == {
        name: int(keep.sum()) for name, keep in expected.items()
    }


class Conv1D(nn.Module):
    """A linear layer with its inputs first, as transformers has it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(8, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.weight


def test_what_has_its_inputs_along_another_axis_stays_dense_and_is_said(caplog: pytest.LogCaptureFixture) -> None:
    model = nn.Sequential(nn.Linear(8, 8, bias=False), Conv1D(), nn.ConvTranspose2d(4, 4, 2))
    names = ("0.weight", "1.weight", "2.weight")
    with caplog.at_level("WARNING", "winsome"):
        assert taken_by(n_of_m(2, 4), names, model) == ("0.weight",)
    assert "1.weight (8x8, inputs along axis 0), 2.weight (4x4x2x2, inputs along axis 0)" in caplog.text
    assert taken_by(globally, names, model) == names
    with pytest.raises(WinsomeError, match=r"can take none of the network's weights: 1\.weight \(8x8, inputs along axis 0\)"):
        taken_by(n_of_m(2, 4), names[1:], model)

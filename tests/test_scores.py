"""Scores against the authors' own code, autograd, finite differences and closed forms; what they leave of a network."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import winsome
from contract import INPUTS, LABELS, PROBE, everything, network, prunable, search
from winsome import KeepWeights, Method, Probe, WinsomeError, globally
from winsome.checks import checked_kept
from winsome.scores import SCORES, Scores, gradient_magnitude, grasp, snip, synflow
from winsome.scoring import Rounds
from winsome.state import full_state

ORACLES: dict[str, dict[str, dict[str, list[float]]]] = json.loads(
    (Path(__file__).parent / "samples" / "scores.json").read_text()
)
NO_DRAW = torch.Generator()


def fill(shape: tuple[int, ...], layer: int, scale: float) -> Tensor:
    count = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return (scale * torch.sin(0.9 * count + layer + 0.5)).view(shape)


class Known(nn.Module):
    """The network on which the authors' code was run: every value follows from a formula."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 3, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(3)
        self.conv2 = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.fc = nn.Linear(4, 3)
        self.double()
        c = torch.arange(3, dtype=torch.float64)
        values = {
            "conv1.weight": fill((3, 2, 3, 3), 0, 0.6),
            "bn1.weight": 1 + 0.2 * c,
            "bn1.bias": 0.1 * (c - 1),
            "bn1.running_mean": 0.05 * c - 0.05,
            "bn1.running_var": 0.5 + 0.25 * c,
            "conv2.weight": fill((4, 3, 3, 3), 1, 0.5),
            "conv2.bias": 0.05 * torch.tensor([1.0, -1, 1, -1]),
            "fc.weight": fill((3, 4), 2, 0.8),
            "fc.bias": 0.1 * torch.tensor([1.0, -1, 0.5]),
        }
        self.load_state_dict(values, strict=False)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.conv2(self.bn1(self.conv1(x)).relu()).relu()
        logits: Tensor = self.fc(hidden.mean((2, 3)))
        return logits


X = torch.cos(0.37 * torch.arange(200, dtype=torch.float64) + 0.2).view(4, 2, 5, 5)
Y = torch.tensor([0, 2, 1, 0])
NAMES = ("conv1.weight", "conv2.weight", "fc.weight")


def scored(score: Callable[..., Scores], model: nn.Module, probe: Probe) -> Scores:
    weights = {name: model.get_parameter(name) for name in NAMES}
    return score(weights, model, probe, NO_DRAW)


def test_the_known_network_is_the_one_of_the_oracles() -> None:
    model = Known().eval()
    assert model(X)[0].tolist() == pytest.approx([-1.921286, 2.564601, -2.707722], abs=1e-6)
    assert float(F.cross_entropy(model(X), Y).detach()) == pytest.approx(4.233034, abs=1e-6)
    assert float(F.cross_entropy(model.train()(X), Y).detach()) == pytest.approx(1.900411, abs=1e-6)


@pytest.mark.parametrize("case", ORACLES["scores"])
def test_scores_are_those_of_the_authors_code(case: str) -> None:
    name, mode = case.split()
    found = scored(SCORES[name], Known(), Probe(X, Y, training=mode == "train"))
    flat = torch.cat([found[layer].flatten() for layer in NAMES])
    wanted = torch.tensor([value for layer in NAMES for value in ORACLES["scores"][case][layer]], dtype=torch.float64)
    if name == "grasp":
        flat = flat / (flat.sum().abs() + 1e-10)
    assert flat.dtype == torch.float64
    assert torch.allclose(flat, wanted, rtol=2e-5, atol=1e-5 * float(wanted.abs().max()))


def places(kept: dict[str, Tensor]) -> dict[str, list[int]]:
    return {name: keep.flatten().nonzero().flatten().tolist() for name, keep in kept.items()}


@pytest.mark.parametrize("case", [case for case in ORACLES["masks"] if " 1 " in case])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_masks_of_one_round_are_those_of_the_authors_code_in_both_precisions(case: str, dtype: torch.dtype) -> None:
    name, mode, _, density = case.split()
    found = scored(SCORES[name], Known().to(dtype), Probe(X.to(dtype), Y, training=mode == "train"))
    if case.startswith("synflow train"):  # exact zeros but for rounding: their order is chance
        found = {layer: score.round(decimals=9) for layer, score in found.items()}
    kept = places(globally(found, float(density), everything(found)))
    assert sum(map(len, kept.values())) == round(float(density) * 174)
    assert kept == ORACLES["masks"][case]


def in_rounds(score: Callable[..., Scores], density: float, rounds: int) -> dict[str, Tensor]:
    method = Method((density,), score=score, scoring=Rounds(rounds))
    searched = winsome.find_tickets(Known(), method, lambda *_: None, Probe(X, Y, training=False), prunable=NAMES)
    mask = next(iter(searched)).ticket.mask
    return {name: mask.kept(name) for name in NAMES}


@pytest.mark.parametrize("density", ["0.5", "0.2"])
def test_synflow_in_100_rounds_is_that_of_the_authors_code(density: str) -> None:
    assert places(in_rounds(synflow, float(density), 100)) == ORACLES["masks"][f"synflow eval 100 {density}"]


def test_rounds_written_out_are_nested_and_another_mask_than_one_round() -> None:
    model, kept, counts = Known(), everything({name: Known().get_parameter(name) for name in NAMES}), []
    for number in range(1, 11):
        density, before = 0.2 ** (number / 10) if number < 10 else 0.2, kept
        found = scored(snip, model, Probe(X, Y, training=False))
        kept = checked_kept(globally(found, density, before), density, before, snip)  # refuses what comes back
        counts.append(sum(int(keep.sum()) for keep in kept.values()))
        for name in NAMES:
            model.get_parameter(name).data.mul_(kept[name])
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == 35
    assert places(in_rounds(snip, 0.2, 10)) == places(kept) != ORACLES["masks"]["snip eval 1 0.2"]


def their_rounds(name: str, density: float) -> tuple[dict[str, list[int]], int]:
    """100 rounds as Synaptic-Flow has them: every round ranks all weights, as large as they were; how often one came back.

    SNIP differentiates by masks, GraSP by masked weights: there the score of what is pruned is 0, above negative ones.
    """
    whole = {name: Known().get_parameter(name).detach().clone() for name in NAMES}
    model, kept, back = Known().eval(), everything(whole), 0
    weights = [model.get_parameter(name) for name in NAMES]
    for number in range(1, 101):
        for layer, weight in zip(NAMES, weights, strict=True):
            weight.data.copy_(whole[layer] * kept[layer])
        scale = 200 if name == "grasp" else 1
        slopes = torch.autograd.grad(F.cross_entropy(model(X) / scale, Y), weights, create_graph=True)
        if name == "grasp":
            masked = [slope.detach() * kept[layer] for layer, slope in zip(NAMES, slopes, strict=True)]
            along = torch.stack([(a * b).sum() for a, b in zip(masked, slopes, strict=True)]).sum()
            products = torch.autograd.grad(along, weights)
            scores = [whole[layer] * kept[layer] * one for layer, one in zip(NAMES, products, strict=True)]
        else:
            scores = [(whole[layer] * slope.detach()).abs() for layer, slope in zip(NAMES, slopes, strict=True)]
        if gone := int((1 - density ** (number / 100)) * 174):
            threshold = torch.cat([score.flatten() for score in scores]).kthvalue(gone).values
            before, kept = kept, {layer: score > threshold for layer, score in zip(NAMES, scores, strict=True)}
            back += sum(int((kept[layer] & ~before[layer]).sum()) for layer in NAMES)
    return places(kept), back


@pytest.mark.parametrize(
    ("case", "back"),
    [("snip eval 100 0.2", 869), ("snip eval 100 0.5", 1165), ("grasp eval 100 0.2", 199), ("grasp eval 100 0.5", 574)],
)
def test_in_the_authors_rounds_pruned_weights_come_back_and_in_ours_none(case: str, back: int) -> None:
    name, _, _, density = case.split()
    assert their_rounds(name, float(density)) == (ORACLES["masks"][case], back)
    ours = places(in_rounds(SCORES[name], float(density), 100))  # nested: the search refuses what comes back
    assert sum(map(len, ours.values())) == round(float(density) * 174)
    assert ours != ORACLES["masks"][case]


def test_gradient_magnitude_is_snip_in_training_mode() -> None:
    train = scored(gradient_magnitude, Known(), Probe(X, Y))
    assert all(torch.equal(train[n], s) for n, s in scored(snip, Known(), Probe(X, Y, training=True)).items())
    stored = scored(snip, Known(), Probe(X, Y))
    assert all(torch.equal(stored[n], s) for n, s in scored(snip, Known(), Probe(X, Y, training=False)).items())
    assert not torch.equal(train["fc.weight"], stored["fc.weight"])


@pytest.mark.parametrize("score", [snip, grasp, gradient_magnitude])
def test_batches_of_any_sizes_score_as_all_their_examples_together(score: Any) -> None:
    """In evaluation mode, in which no image sees another."""
    whole = scored(score, Known(), Probe(X, Y, training=False))
    parts = scored(score, Known(), Probe(X[:1], Y[:1], more=((X[1:3], Y[1:3]), (X[3:], Y[3:])), training=False))
    for name in NAMES:
        assert torch.allclose(whole[name], parts[name], rtol=1e-9, atol=1e-12 * float(whole[name].abs().max()))


def test_grasp_against_the_whole_hessian() -> None:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    weights = {"0.weight": model.get_parameter("0.weight"), "2.weight": model.get_parameter("2.weight")}
    inputs, labels = torch.randn(5, 3, dtype=torch.float64), torch.randint(3, (5,))
    flat = torch.cat([weight.detach().flatten() for weight in weights.values()])

    def loss(values: Tensor) -> Tensor:
        first, second = values[:12].view(4, 3), values[12:].view(3, 4)
        given = {"0.weight": first, "2.weight": second}
        return F.cross_entropy(torch.func.functional_call(model, given, inputs) / 7, labels)

    hessian = torch.autograd.functional.hessian(loss, flat)  # type: ignore[no-untyped-call]
    gradient = torch.autograd.functional.jacobian(loss, flat)  # type: ignore[no-untyped-call]
    wanted = flat * (hessian @ gradient)
    found = functools.partial(grasp, temperature=7.0)(weights, model, Probe(inputs, labels), NO_DRAW)
    assert torch.allclose(torch.cat([score.flatten() for score in found.values()]), wanted, rtol=1e-9)
    assert bool((wanted < 0).any()), "scores are signed"


def test_synflow_is_conserved_from_layer_to_layer() -> None:
    """Without biases every layer's scores add up to the network's output (arXiv:2006.05467, theorem 2)."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 8, bias=False), nn.ReLU(), nn.Linear(8, 6, bias=False), nn.Linear(6, 2, bias=False))
    weights = dict(model.named_parameters())
    totals = [float(score.sum()) for score in synflow(weights, model, Probe(torch.randn(3, 5), None), NO_DRAW).values()]
    flow = torch.ones(5, dtype=torch.float64)
    for weight in weights.values():
        flow = weight.detach().double().abs() @ flow
    assert totals == pytest.approx([float(flow.sum())] * 3, rel=1e-12)


class Tied(nn.Module):
    """One weight in two places."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.second(self.first(x).tanh()))
        return logits


@pytest.mark.parametrize("score", [snip, synflow])
def test_a_tied_weight_counts_once_with_both_its_uses(score: Any) -> None:
    torch.manual_seed(0)
    model = Tied().double()
    inputs, labels = torch.randn(6, 4, dtype=torch.float64), torch.randint(3, (6,))
    names = winsome.prunable(model)
    assert names == ("first.weight",)
    found = score({"first.weight": model.first.weight}, model, Probe(inputs, labels), NO_DRAW)["first.weight"]
    effects = torch.zeros_like(found)
    judged = copy.deepcopy(model)
    for parameter in judged.parameters() if score is synflow else ():
        parameter.data.abs_()
    weight = judged.first.weight.data
    for place in range(16):
        values = []
        for factor in (1 + 1e-6, 1 - 1e-6):
            before = float(weight.view(-1)[place])
            weight.view(-1)[place] = before * factor
            with torch.no_grad():
                if score is snip:
                    values.append(float(F.cross_entropy(judged(inputs), labels)))
                else:
                    flow = judged.second(judged.first(torch.ones(1, 4, dtype=torch.float64)).tanh())
                    values.append(float(judged.head(flow).sum()))
            weight.view(-1)[place] = before
        effects.view(-1)[place] = abs(values[0] - values[1]) / 2e-6
    assert torch.allclose(found, effects, rtol=1e-5, atol=1e-8)


class Odd(nn.Module):
    """Several inputs by name, dropout of two kinds, attention, and an output that is no tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.lift = nn.Linear(6, 8)
        self.norm = nn.BatchNorm1d(8)
        self.drop = nn.Dropout(0.5)
        self.attention = nn.MultiheadAttention(8, 2, dropout=0.5, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, values: Tensor, gate: Tensor) -> Any:
        hidden = F.dropout(self.drop(self.norm(self.lift(values))) * gate, 0.5, self.training)
        mixed, _ = self.attention(hidden[:, None], hidden[:, None], hidden[:, None], need_weights=False)
        return Output(self.head(mixed[:, 0]))


class Output:
    def __init__(self, logits: Tensor) -> None:
        self.logits = logits


def odd_loss(outputs: Any, labels: Tensor) -> Tensor:
    return F.cross_entropy(outputs if isinstance(outputs, Tensor) else outputs.logits, labels)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", [name for name, score in SCORES.items() if "gradient" in winsome.about.about(score).needs])
def test_a_network_of_any_inputs_is_left_as_it_was_and_dropout_is_off(name: str, training: bool) -> None:
    torch.manual_seed(0)
    model = Odd()
    model.attention.train(False)
    gate = torch.rand(24, 1)
    keyword = Probe({"values": INPUTS, "gate": gate}, LABELS, odd_loss, training=training)
    several = Probe((INPUTS, gate), LABELS, odd_loss, training=training)
    weights = {n: model.get_parameter(n) for n in ("lift.weight", "attention.in_proj_weight")}
    weights["lift.weight"].requires_grad_(False)
    model.head.weight.grad = torch.full((3, 8), 7.0)
    if training and name == "synflow":
        with pytest.raises(ValueError, match="more than 1 value per channel"):  # BatchNorm of a single row of ones
            SCORES[name](weights, model, keyword, NO_DRAW)
        return
    before, modes, random = full_state(model), [m.training for m in model.modules()], torch.get_rng_state()
    one, two = (SCORES[name](weights, model, probe, NO_DRAW) for probe in (keyword, several))
    assert all(torch.equal(one[n], two[n]) for n in weights), "nothing is drawn"
    assert torch.equal(random, torch.get_rng_state())
    after = full_state(model)
    assert all(torch.equal(after[n], value) for n, value in before.items()), "running statistics too"
    assert [m.training for m in model.modules()] == modes
    assert [p.requires_grad for p in weights.values()] == [False, True]
    assert torch.equal(model.head.weight.grad, torch.full((3, 8), 7.0))
    assert all(bool(score.any()) for score in one.values())


def test_what_cannot_be_scored_is_refused_with_the_remedy() -> None:
    model = network()
    for score in (snip, grasp, synflow, gradient_magnitude):
        with pytest.raises(WinsomeError, match=f"the score '{score.__name__}' looks at data: hand it a winsome.Probe"):
            score(prunable(model), model, None, NO_DRAW)
    with pytest.raises(WinsomeError, match="SynFlow's input of ones is not defined for whole numbers such as tokens"):
        synflow(prunable(model), model, Probe(torch.arange(6), None), NO_DRAW)

    class Pair(nn.Sequential):
        def forward(self, x: Tensor) -> Any:
            return (self[0](x), x)

    pair = Pair(nn.Linear(6, 3), nn.Linear(3, 3))
    with pytest.raises(WinsomeError, match="'grasp' needs the network's logits, which gives a tuple"):
        grasp(prunable(pair), pair, PROBE, NO_DRAW)
    with pytest.raises(WinsomeError, match="in 1 round or more, got 0"):
        Rounds(0)


def test_the_mode_that_a_score_is_usually_taken_in_is_its_authors() -> None:
    probe = Probe(INPUTS, LABELS)
    modes = {name: probe.mode(score) for name, score in SCORES.items()}
    assert {name for name, training in modes.items() if not training} == {"snip", "synflow"}
    assert Probe(INPUTS, LABELS, training=True).mode(snip)
    assert not Probe(INPUTS, LABELS, training=False).mode(functools.partial(grasp, temperature=1.0))
    assert probe.record(snip)["training"] is False
    assert probe.record()["training"] is True


def test_a_layer_that_collapses_is_named_before_anything_trains(caplog: pytest.LogCaptureFixture) -> None:
    said: list[str] = []
    method = Method((0.2,), score=synflow)
    probe = Probe(X, Y, training=True)
    list(winsome.find_tickets(Known(), method, lambda *_: said.extend(caplog.messages), probe, prunable=NAMES))
    assert any("conv1.weight has lost all its weights by 'synflow' at density 0.2" in message for message in said)
    caplog.clear()
    balanced = Method((0.2,), score=synflow, allocate=winsome.balanced)
    list(winsome.find_tickets(Known(), balanced, lambda *_: None, probe, prunable=NAMES))
    assert not any("has lost all" in message for message in caplog.messages)


@pytest.mark.parametrize("name", ["snip", "grasp", "synflow", "random_at_initialisation"])
def test_a_ticket_found_before_training_has_the_signs_of_the_start(name: str) -> None:
    start = full_state(network())
    starts: list[dict[str, Tensor]] = []

    def loop(model: nn.Module, _level: Any) -> None:
        starts.append(full_state(model))
        for parameter in model.parameters():
            parameter.data.mul_(-1)

    (level,) = winsome.find_tickets(network(), winsome.methods.METHODS[name](0.3), loop, PROBE)
    for layer, sign in level.ticket.mask.items():
        kept = level.ticket.mask.kept(layer)
        assert torch.equal(starts[0][layer], start[layer] * kept), "pruned weights alone are at zero"
        assert torch.equal(sign[kept], (1 - 2 * (start[layer] < 0).to(torch.int8))[kept])
        assert torch.equal(level.state[layer], -start[layer] * kept)
    assert torch.equal(level.ticket.signs["6.weight"], 1 - 2 * (start["6.weight"] < 0).to(torch.int8))


def test_at_several_densities_each_mask_before_training_is_the_one_of_its_density_alone() -> None:
    deep = Method((1.0, 0.6, 0.3), score=snip, scoring=Rounds(before_training=True))
    alone = [search(winsome.snip(density))[0].ticket.mask for density in (0.6, 0.3)]
    assert [level.ticket.mask for level in search(deep)][1:] == alone
    trained = [level.ticket.mask for level in search(Method((1.0, 0.6, 0.3), KeepWeights(), score=snip))][1:]
    assert trained != alone, "scores of trained networks are others"

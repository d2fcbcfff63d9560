"""What a part of a stranger's returns is checked, by the name of the part and of the parameter."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import winsome
from contract import LABELS, PROBE, everything, network, prunable, search, train
from winsome import KeepWeights, Level, Method, Probe, SignedMask, WinsomeError
from winsome.about import described
from winsome.checks import checked_scores, checked_transplant
from winsome.while_training import AllOf, OnLevels

Layer = Callable[[Tensor], Any]


def scored(of_layer: Layer, *, layers: Callable[[Any], Any] = dict) -> Method:
    """A method whose score gives this for every layer."""

    def mine(weights: Any, _model: Any, _probe: Any, _random: Any) -> Any:
        return layers({name: of_layer(weight.detach().abs()) for name, weight in weights.items()})

    return Method((0.5,), KeepWeights(), score=mine)


@pytest.mark.parametrize(
    ("of_layer", "said"),
    [
        (lambda w: w.sum(1), r"gives 8 numbers for '0\.weight', whose weights are 8x6: every weight takes one"),
        (lambda w: w.sum(), r"gives 0-dimensional numbers for '0\.weight'"),
        (lambda w: w.sum(1, keepdim=True), r"gives 8x1 numbers for '0\.weight'.*expand_as\(weight\)"),
        (lambda w: w.sum(0, keepdim=True), r"gives 1x6 numbers for '0\.weight'"),
        (lambda w: w.T, r"gives 6x8 numbers for '0\.weight'"),
        (lambda w: w.flatten(), r"gives 48 numbers for '0\.weight'"),
        (lambda w: w.numpy(), r"gives a ndarray for '0\.weight'; a tensor is wanted"),
        (lambda _: None, r"gives a NoneType for '0\.weight'"),
        (lambda w: w + 0j, r"gives complex numbers for '0\.weight'"),
        (lambda w: w.to("meta"), r"gives no values for '0\.weight'"),
        (lambda w: w.to_sparse(), r"gives a torch.sparse_coo tensor for '0\.weight'"),
        (lambda w: torch.full_like(w, float("nan")), r"gives NaN or infinity for 48 kept weights of '0\.weight'"),
        (lambda w: torch.full_like(w, float("inf")), r"gives NaN or infinity for 48 kept weights of '0\.weight'"),
        (lambda w: torch.full(w.shape, 2**53 + 1), r"gives integers beyond 2\^53 for '0\.weight'"),
    ],
)
def test_scores_of_a_layer_that_cannot_be_used(of_layer: Layer, said: str) -> None:
    with pytest.raises(WinsomeError, match=f"the score 'mine' {said}"):
        search(scored(of_layer))


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        (lambda scores: {"0.weight": scores["0.weight"]}, r"gives nothing for '3\.weight'"),
        (lambda scores: {**scores, "6.weight": torch.ones(3, 7)}, r"gives '6\.weight', which it was not asked for"),
        (lambda _: {"a": torch.ones(1)}, r"gives nothing for '0\.weight', '3\.weight' and gives 'a'"),
        (lambda scores: list(scores.values()), r"gives a list; a dict by parameter name is wanted"),
        (lambda _: None, r"gives a NoneType; a dict"),
    ],
)
def test_scores_of_other_layers_than_asked_for(layers: Callable[[Any], Any], said: str) -> None:
    with pytest.raises(WinsomeError, match=f"the score 'mine' {said}"):
        search(scored(lambda w: w, layers=layers))


@given(st.sampled_from([torch.int8, torch.int32, torch.int64, torch.uint8, torch.bool]), st.integers(0, 99))
def test_integers_are_scores_in_the_same_order(dtype: torch.dtype, seed: int) -> None:
    values = torch.randint(0, 2 if dtype == torch.bool else 100, (40,), generator=torch.Generator().manual_seed(seed))
    values = (values * (1 << 45) if dtype == torch.int64 else values).to(dtype)  # beyond what float32 tells apart
    kept = {"w": torch.ones(40, dtype=torch.bool)}
    checked = checked_scores({"w": values}, {"w": torch.zeros(40)}, kept, scored)["w"]
    assert checked.is_floating_point()
    assert checked.tolist() == [int(value) for value in values]


def test_scores_come_in_the_order_of_the_parameters_whatever_order_they_are_given_in() -> None:
    levels = [
        search(Method((0.5,), KeepWeights(), score=score))[0].ticket.mask
        for score in (
            lambda weights, *_: {name: torch.ones_like(w) for name, w in weights.items()},
            lambda weights, *_: {name: torch.ones_like(weights[name]) for name in reversed(list(weights))},
        )
    ]
    assert levels[0] == levels[1], "of equal scores the earlier weight is kept"


def test_a_pruned_weights_score_may_be_anything() -> None:
    def pruned_is_lowest(weights: Any, *_: Any) -> dict[str, Tensor]:
        return {name: w.detach().abs().log() for name, w in weights.items()}  # log 0 is -inf

    levels = search(Method((0.8, 0.4), KeepWeights(), score=pruned_is_lowest))
    assert levels[-1].ticket.density == pytest.approx(0.4, abs=0.01)


def allocated(change: Callable[[dict[str, Tensor]], Any]) -> Method:
    def mine(scores: Any, density: float, kept: Any) -> Any:
        return change(winsome.globally(scores, density, kept))

    return Method((0.8, 0.5), KeepWeights(), allocate=mine)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda kept: {"0.weight": kept["0.weight"]}, r"gives nothing for '3\.weight'"),
        (lambda kept: {n: k.float() for n, k in kept.items()}, r"gives 8x6 float32 for '0\.weight'; 8x6 bool is wanted"),
        (lambda kept: {n: k.any(1) for n, k in kept.items()}, r"gives 8 bool for '0\.weight'; 8x6 bool"),
        (lambda kept: {n: torch.ones_like(k) for n, k in kept.items()}, r"keeps 104 of 104 .* round\(density \* total\) = 83"),
        (lambda kept: {n: k & (torch.arange(k.shape[1]) > 0) for n, k in kept.items()}, "keeps .* of 104 weights, but density"),
        (list, "gives a list"),
        (
            lambda kept: {n: k.to("meta") for n, k in kept.items()},
            r"gives no values for '0\.weight', a tensor on the",
        ),
        (lambda kept: {n: k.to_sparse() for n, k in kept.items()}, r"gives a torch.sparse_coo tensor for '0\.weight'"),
    ],
)
def test_an_allocation_that_cannot_be_used(change: Callable[[dict[str, Tensor]], Any], said: str) -> None:
    with pytest.raises(WinsomeError, match=f"the allocation 'mine' {said}"):
        search(allocated(change))


def test_an_allocation_that_brings_pruned_weights_back() -> None:
    def anew(scores: Any, density: float, kept: Any) -> Any:
        return winsome.globally({n: -s for n, s in scores.items()}, density, everything(kept))

    with pytest.raises(WinsomeError, match=r"the allocation 'anew' brings back weights of '0\.weight' that are pruned already"):
        search(Method((0.8, 0.5), KeepWeights(), allocate=anew))

    def makes_room(scores: Any, density: float, kept: Any) -> Any:
        for keep in kept.values():
            keep.fill_(True)
        return anew(scores, density, kept)

    with pytest.raises(WinsomeError, match=r"'makes_room' brings back weights of '0\.weight' that are pruned already"):
        search(Method((0.8, 0.5), KeepWeights(), allocate=makes_room))


class Rewound:
    """A rewind that gives what it is told to."""

    step = 0

    def __init__(self, change: Callable[[dict[str, Tensor]], Any]) -> None:
        self.change = change

    def __call__(self, early: Any, trained: Any, restart: Any) -> Any:
        del early, restart
        return self.change(dict(trained))

    def __repr__(self) -> str:
        return "mine"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state, r"gives a dict; \(state, first step\) is wanted"),
        (lambda state: (state, 1.0), r"starts the schedule at step 1\.0; a whole number"),
        (lambda state: (state, -1), "starts the schedule at step -1"),
        (lambda state: (state, True), "starts the schedule at step True"),
        (lambda state: ({k: v for k, v in state.items() if k != "1.bias"}, 0), r"gives nothing for '1\.bias'"),
        (lambda state: ({**state, "mine": torch.ones(1)}, 0), "gives 'mine', which it was not asked for"),
        (lambda state: ({**state, "0.weight": state["0.weight"].T}, 0), r"gives 6x8 float32 for '0\.weight', which is 8x6"),
        (
            lambda state: ({**state, "0.bias": state["0.bias"].double()}, 0),
            r"gives 8 float64 for '0\.bias', which is 8 float32",
        ),
        (lambda state: ({**state, "0.bias": state["0.bias"] / 0}, 0), r"gives NaN or infinity for '0\.bias'"),
        (lambda state: ({**state, "0.bias": state["0.bias"].to("meta")}, 0), r"gives no values for '0\.bias'"),
    ],
)
def test_a_rewind_that_cannot_be_used(change: Callable[[dict[str, Tensor]], Any], said: str) -> None:
    with pytest.raises(WinsomeError, match=f"the rewind 'mine' {said}"):
        search(Method((1.0, 0.5), Rewound(change)))


@pytest.mark.parametrize("of", ["early", "trained"])
def test_a_rewind_changes_no_state_that_it_is_shown(of: str) -> None:
    def mine(early: dict[str, Tensor], trained: dict[str, Tensor], in_place: bool) -> Any:
        state = {"early": early, "trained": trained}[of]
        state["0.bias"] = state["0.bias"].zero_() if in_place else torch.zeros_like(state["0.bias"])
        return state, 0

    class Mine:
        step = 0

        def __init__(self, in_place: bool) -> None:
            self.in_place = in_place

        def __call__(self, early: Any, trained: Any, restart: Any) -> Any:
            del restart
            return mine(early, trained, self.in_place)

    levels = search(Method((1.0, 0.5, 0.25), Mine(in_place=False)))
    assert levels[0].state["0.bias"].count_nonzero() == 8, "what was handed out stays"
    with pytest.raises(WinsomeError, match=rf"changes '0\.bias' of the {of} network in place.*{of}\['0\.bias'\]\.clone\(\)"):
        search(Method((1.0, 0.5, 0.25), Mine(in_place=True)))


def test_a_transplant_that_cannot_be_used() -> None:
    weights = prunable(network())
    whole = SignedMask.of(weights, everything(weights))

    def mine() -> None: ...

    assert checked_transplant(whole, weights, mine) is whole
    first = SignedMask({"0.weight": whole["0.weight"]})
    turned = SignedMask({name: whole[name].T for name in whole})
    for given_, said in (
        (None, "gives a NoneType; a SignedMask"),
        (dict(whole), "gives a dict; a SignedMask"),
        (first, r"gives nothing for '3\.weight'"),
        (turned, r"gives a mask of 6x8 for '0\.weight', whose weights are 8x6"),
    ):
        with pytest.raises(WinsomeError, match=f"the transplant 'mine' {said}"):
            checked_transplant(given_, weights, mine)
    with torch.no_grad():
        weights["3.weight"][0, 0] = float("nan")
    with pytest.raises(WinsomeError, match=r"left NaN or infinity in the weights of '3\.weight'"):
        checked_transplant(whole, weights, mine)


def yielding(value: Any) -> Any:
    @contextmanager
    def mine(_model: nn.Module, _seed: Any, _mask: Any) -> Iterator[Any]:
        yield value

    return mine


@pytest.mark.parametrize("inside", [lambda part: part, lambda part: AllOf((part,)), lambda part: OnLevels((0,), part)])
def test_what_a_part_yields_is_checked_wherever_it_stands(inside: Callable[[Any], Any]) -> None:
    for value, said in (([torch.ones(1)], "yields a list"), ({"count": 1}, "yields 'count': int")):
        with pytest.raises(WinsomeError, match=rf"'mine' \(while_training\) {said}; what a checkpoint"):
            search(Method((1.0,), while_training=inside(yielding(value))))
    assert search(Method((1.0,), while_training=inside(yielding(None)))), "nothing is fine"

    def mine(_model: nn.Module, _seed: Any, _mask: Any) -> Any:
        yield {}

    with pytest.raises(WinsomeError, match=r"'mine' \(while_training\) gives a generator and no context manager"):
        search(Method((1.0,), while_training=inside(mine)))


@described("loss gradient", "The larger the loss's gradient, the longer a weight stays.", needs=("probe", "gradient"))
def gradient(weights: Any, model: nn.Module, probe: Probe | None, _random: Any) -> Any:
    assert probe is not None
    for inputs, labels in probe.batches:
        probe.loss(model(inputs), labels).backward()  # type: ignore[no-untyped-call]
    return {name: weight.grad.abs() for name, weight in weights.items()}


def gradient_of(probe: Probe) -> dict[str, Tensor]:
    model = network().eval()
    scores: dict[str, Tensor] = gradient(prunable(model), model, probe, None)
    return scores


def test_a_score_that_looks_at_data_without_a_probe_is_refused_before_anything_is_written(tmp_path: Any) -> None:
    with pytest.raises(
        WinsomeError, match=r"'gradient' \(score\) looks at data: give the search a probe, find_tickets\(\.\.\., probe"
    ):
        next(winsome.find_tickets(network(), Method((0.5,), score=gradient), train, save_to=tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_score_finds_the_probes_mode_and_no_gradients_and_leaves_neither() -> None:
    seen: list[tuple[bool, bool]] = []

    def looking(weights: Any, model: nn.Module, probe: Any, random: Any) -> Any:
        seen.append((model.training, all(p.grad is None for p in model.parameters())))
        model.get_parameter("1.weight").requires_grad_(False)
        return gradient(weights, model, probe, random)

    gradients: list[Tensor] = []

    def loop(model: nn.Module, level: Level) -> None:
        gradients.append(torch.zeros(()) if (g := model.get_parameter("0.weight").grad) is None else g.clone())
        train(model, level)
        model.eval()
        model.get_parameter("0.weight").grad = torch.full((8, 6), 7.0)

    probe = Probe(PROBE.inputs, PROBE.labels, training=False)
    method = Method((1.0, 0.5), KeepWeights(), score=looking)
    model = network()
    for _ in winsome.find_tickets(model, method, loop, probe):
        assert not model.training, "the user's own mode is given back"
    assert seen == [(False, True)]
    assert torch.equal(gradients[1], torch.full((8, 6), 7.0))
    assert all(parameter.requires_grad for parameter in model.parameters()), "a layer that it froze trains on"


def test_the_score_of_several_batches_is_that_of_all_their_images_and_repeats(tmp_path: Any) -> None:
    """Of summed losses, with BatchNorm in evaluation mode, in which no image sees another."""
    inputs, labels = PROBE.inputs[:16], LABELS[:16]
    one = Probe(inputs, labels, loss=nn.CrossEntropyLoss(reduction="sum"), training=False)
    two = Probe(inputs[:8], labels[:8], one.loss, ((inputs[8:], labels[8:]),), training=False)
    whole, halves = ({name: g.clone() for name, g in gradient_of(probe).items()} for probe in (one, two))
    assert all(torch.allclose(whole[name], halves[name], rtol=1e-4, atol=1e-5) for name in whole)
    method = Method((0.5,), score=gradient)
    folder = tmp_path / "run"
    first = next(iter(winsome.find_tickets(network(), method, train, one, save_to=folder)))
    assert first.ticket.provenance["probe"]["batches"] == 1
    with pytest.raises(WinsomeError, match=r"probe\.batches was 1, is now 2"):
        next(winsome.find_tickets(network(), method, train, two, save_to=folder))
    other = Probe(inputs, (labels + 1) % 3, one.loss, training=False)
    with pytest.raises(WinsomeError, match=r"probe\.digest was"):
        next(winsome.find_tickets(network(), method, train, other, save_to=folder))
    assert "probe" not in search(winsome.imp(0))[0].ticket.provenance, "what does not look at it does not depend on it"


def test_a_level_that_trains_has_no_ticket_yet() -> None:
    said: list[str] = []

    def loop(_model: nn.Module, level: Level) -> None:
        assert (level.finished, level.state, level.metrics, level.seconds) == (False, {}, {}, 0.0)
        try:
            _ = level.ticket
        except WinsomeError as error:
            said.append(str(error))

    (level,) = winsome.find_tickets(network(), winsome.imp(0), loop)
    assert re.search(r"level 0 has no ticket while it trains, only the mask .* \(level\.mask\)", said[0])
    assert level.finished
    assert level.ticket.density == 1.0

"""Parts of a stranger's that raise, slip, write into what they are shown or leave something behind: each is named."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import winsome
from contract import LABELS, PROBE, Killed, network, same, search, train
from winsome import KeepWeights, Level, Method, Probe, Rounds, WinsomeError
from winsome.while_training import AllOf, OnLevels


@contextmanager
def plain(_model: nn.Module, _seed: Any, _mask: Any) -> Iterator[Any]:
    yield {}


@contextmanager
def twice(_model: nn.Module, _seed: Any, _mask: Any) -> Iterator[Any]:
    yield {}
    yield {}


@contextmanager
def twice_after_an_error(_model: nn.Module, _seed: Any, _mask: Any) -> Iterator[Any]:
    try:
        yield {}
    finally:
        yield {}


@contextmanager
def never(model: nn.Module, _seed: Any, _mask: Any) -> Iterator[Any]:
    if model is None:
        yield {}


@contextmanager
def without_yield(_model: nn.Module, _seed: Any, _mask: Any) -> Any:
    return None


def one_for_all() -> Any:
    ready = plain(network(), 0, None)
    return lambda *_: ready


ONCE_EACH = [
    (twice, r"'twice' \(while_training\) yields more than once: one `yield`"),
    (twice_after_an_error, r"'twice_after_an_error' \(while_training\) yields more than once"),
    (never, r"'never' \(while_training\) never yields: one `yield \{\}`"),
    (without_yield, r"'without_yield' \(while_training\) never yields"),
    (one_for_all(), r"\(while_training\) gives one context manager for several levels"),
]


@pytest.mark.parametrize(("part", "said"), ONCE_EACH)
@pytest.mark.parametrize("inside", [lambda part: part, lambda part: AllOf((plain, part))])
def test_a_part_yields_just_once(part: Any, said: str, inside: Callable[[Any], Any]) -> None:
    with pytest.raises(WinsomeError, match=said) as refused:
        search(Method((1.0, 0.5), while_training=inside(part)))
    assert refused.value.__cause__ is not None, "what contextlib says is not hidden"


@pytest.mark.parametrize("part", [twice, twice_after_an_error])
def test_what_ended_a_training_comes_before_the_slips_of_a_part(part: Any) -> None:
    def loop(_model: nn.Module, _level: Level) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        list(winsome.find_tickets(network(), Method((1.0,), while_training=part), loop))


def raising(*_: Any, **__: Any) -> Any:
    nothing: dict[str, Any] = {}
    return nothing["nothing there"]


@contextmanager
def raising_at_entry(_model: nn.Module, _seed: Any, _mask: Any) -> Iterator[Any]:
    raising()
    yield {}


@contextmanager
def raising_at_exit(_model: nn.Module, _seed: Any, _mask: Any) -> Iterator[Any]:
    try:
        yield {}
    finally:
        raising()


class RaisingRewind:
    """A rewind."""

    step = 0

    def __call__(self, early: Any, trained: Any, restart: Any) -> Any:
        return raising(early, trained, restart)


@pytest.mark.parametrize(
    ("parts", "who"),
    [
        ({"score": lambda *_: raising()}, "the score '<lambda>', before level 1"),
        ({"allocate": lambda *_: raising()}, "the allocation '<lambda>', before level 1"),
        ({"rewind": RaisingRewind()}, "the rewind 'RaisingRewind()', before level 1"),
        ({"while_training": lambda *_: raising()}, "'<lambda>' (while_training)"),
        ({"while_training": raising_at_entry}, "'raising_at_entry' (while_training)"),
        ({"while_training": OnLevels((0,), raising_at_exit)}, "'raising_at_exit' (while_training)"),
        ({"while_training": AllOf((plain, raising_at_exit))}, "'raising_at_exit' (while_training)"),
    ],
)
def test_an_error_in_a_part_stays_what_it_is_and_notes_the_part_and_its_lines(parts: dict[str, Any], who: str) -> None:
    with pytest.raises(KeyError, match="nothing there") as raised:
        search(Method((1.0, 0.5), **parts))
    (note,) = raised.value.__notes__
    assert note.startswith(f"raised by {who}\n")
    assert re.search(r'test_parts_that_slip\.py, line \d+, in raising: return nothing\["nothing there"\]$', note)
    assert "src/winsome" not in note


def test_an_error_of_the_loop_is_no_parts() -> None:
    def loop(_model: nn.Module, _level: Level) -> None:
        raising()

    with pytest.raises(KeyError) as raised:
        list(winsome.find_tickets(network(), Method((1.0,), while_training=AllOf((plain,))), loop))
    assert not hasattr(raised.value, "__notes__")


def in_rounds(score: Any, rounds: int = 3, **probe: Any) -> list[Tensor]:
    (level,) = winsome.find_tickets(
        network(),
        Method((0.3,), KeepWeights(), score=score, scoring=Rounds(rounds)),
        train,
        Probe(PROBE.inputs, LABELS[:16], **probe),
    )
    return [level.ticket.mask[name] for name in level.ticket.mask]


def with_data(weights: Any, model: nn.Module, probe: Any, _random: Any) -> Any:
    loss = probe.loss(model(probe.inputs), probe.labels)
    return {
        name: (w * g).abs().detach()
        for (name, w), g in zip(weights.items(), torch.autograd.grad(loss, list(weights.values())), strict=True)
    }


def writing(what: str) -> Any:
    """The same score, which changes what it is shown once it has looked."""

    def mine(weights: Any, model: Any, probe: Any, random: Any) -> Any:
        if what == "gradients":
            probe.loss(model(probe.inputs), probe.labels).backward()
            return {name: (w * w.grad).abs().detach() for name, w in weights.items()}
        scores = with_data(weights, model, probe, random)
        with torch.no_grad():
            if what == "weights":
                weights["0.weight"].mul_(-3).add_(1)
            elif what == "data":
                weights["3.weight"].data.fill_(2)
            elif what == "others":
                model[0].bias.add_(1)
            elif what == "buffers":
                model[1].running_mean.add_(5)
            elif what == "another buffer":
                model[1].running_var = torch.full((8,), 9.0)
        if what == "mode":
            model.train(not model.training)
        return scores

    return mine


@pytest.mark.parametrize("what", ["weights", "data", "others", "buffers", "another buffer", "mode", "gradients"])
def test_what_a_score_writes_does_not_count_in_the_next_round(what: str) -> None:
    expected = in_rounds(with_data, training=False)
    assert all(map(torch.equal, in_rounds(writing(what), training=False), expected))


def test_rounds_are_not_those_of_one_look() -> None:
    once, thrice = (in_rounds(with_data, rounds, training=False) for rounds in (1, 3))
    assert not all(map(torch.equal, once, thrice)), "else the test above says nothing"


def _hooked(model: Any) -> None:
    model[0].register_forward_hook(lambda *_: None)


def _swapped(model: Any) -> None:
    model[2] = nn.Softplus()


def _another_parameter(model: Any) -> None:
    model[3].register_parameter("mask", nn.Parameter(torch.ones(7, 8)))


def _replaced(model: Any) -> None:
    model[3].weight = nn.Parameter(model[3].weight.detach().clone())


def _patched(model: Any) -> None:
    model[3].forward = lambda x: x @ model[3].weight.T


@pytest.mark.parametrize(
    ("leave", "said"),
    [
        (_hooked, "a hook on '0'"),
        (_swapped, "another layer as '2'"),
        (_another_parameter, "another parameter '3.mask'"),
        (_replaced, "another parameter '3.weight'"),
        (_patched, "another forward of '3'"),
    ],
)
def test_what_a_score_leaves_behind_is_refused_by_name(leave: Any, said: str) -> None:
    def mine(weights: Any, model: Any, _probe: Any, _random: Any) -> Any:
        leave(model)
        return {name: w.detach().abs() for name, w in weights.items()}

    with pytest.raises(WinsomeError, match=rf"the score 'mine' leaves behind {said}: take out .*copy\.deepcopy"):
        search(Method((1.0, 0.5), KeepWeights(), score=mine))


def test_a_forward_that_a_part_leaves_behind_is_refused() -> None:
    @contextmanager
    def mine(model: Any, _seed: Any, _mask: Any) -> Iterator[Any]:
        _patched(model)
        yield {}

    with pytest.raises(WinsomeError, match=r"'mine' .* leaves behind another forward of '3'"):
        search(Method((1.0,), while_training=mine))


@dataclass(frozen=True)
class Shaken:
    """A rewind that draws numbers for one value after another."""

    step: int = 2

    def __call__(self, early: Any, trained: Any, restart: Any) -> Any:
        def between(name: str) -> Tensor:
            value: Tensor = trained[name]
            drawn = torch.rand(value.shape, generator=restart.random)
            return (early[name] + value) / 2 + drawn if value.is_floating_point() else value

        assert list(early) == list(trained) == list(network().state_dict())
        return {name: between(name) for name in trained}, 0


@pytest.mark.parametrize("kill_at", [(0, 1), (0, 4), (1, 0), (1, 4), (2, 0)])
def test_a_rewind_that_draws_gives_the_same_bits_wherever_a_search_was_killed(kill_at: tuple[int, int], tmp_path: Path) -> None:
    """What is read back from files has the names in the order of the network, as what was in memory has."""
    method = Method((1.0, 0.5, 0.3), Shaken())
    whole = search(method)
    with pytest.raises(Killed):
        search(method, tmp_path, kill_at=kill_at)
    resumed = search(method, tmp_path)
    assert all(
        same(one.state, two.state) and list(one.state) == list(two.state) for one, two in zip(whole, resumed, strict=True)
    )
    assert [one.ticket.mask.digest() for one in whole] == [two.ticket.mask.digest() for two in resumed]


class Counting:
    """A score with a state of its own, of which a folder knows nothing."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, weights: Any, *_: Any) -> Any:
        self.calls += 1
        return {name: weight.detach().abs() for name, weight in weights.items()}


def test_a_part_that_changes_itself_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    search(Method((1.0, 0.5, 0.3), KeepWeights(), score=Counting()), tmp_path)
    said = [line for line in caplog.messages if "changes itself" in line]
    assert said == [
        "a part of the method changes itself, which a search that is resumed in another process would not know: "
        "method.score.Counting.calls was 0, is now 1"
    ]

"""One contract for every named method, and what a run folder remembers of one."""

from __future__ import annotations

import functools
import json

import pytest

import winsome
from winsome import Method, WinsomeError
from winsome.allocation import globally
from winsome.methods import METHODS, rewind_norms
from winsome.norms import frozen_norms, interpolated_norms
from winsome.rewinding import KeepWeights, KeepWeightsRewindNorms, Rewind, RewindSigns, RewindTo
from winsome.scores import magnitude
from winsome.while_training import WhileTraining, plain

# From the papers: where a level restarts, and what holds while it trains.
EXPECTED: dict[str, tuple[Rewind, WhileTraining]] = {
    "imp": (RewindTo(0), plain),
    "weight_rewinding": (RewindTo(3), plain),
    "learning_rate_rewinding": (KeepWeights(), plain),
    "lrr_with_norm_rewinding": (KeepWeightsRewindNorms(3), plain),
    "aws": (KeepWeights(), interpolated_norms),
    "lrr_with_frozen_norms": (KeepWeights(), frozen_norms),
}


def make(name: str, levels: int = 4, rate: float = 0.2) -> Method:
    step = {"step": 3} if "step" in METHODS[name].__code__.co_varnames else {}
    return METHODS[name](levels, rate, **step)


def test_the_expected_methods_are_all_methods() -> None:
    assert set(METHODS) == set(EXPECTED)
    assert all(getattr(winsome, name) is method for name, method in METHODS.items())


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_what_its_paper_says(name: str) -> None:
    method = make(name)
    assert method.densities == pytest.approx([1, 0.8, 0.64, 0.512, 0.4096])
    assert (method.rewind, method.while_training) == EXPECTED[name]
    assert method.score is magnitude
    assert method.allocate is globally
    assert method.citations, "a method names the paper it comes from"
    assert make(name) == method
    assert hash(make(name)) == hash(method)
    assert METHODS[name].__doc__


@pytest.mark.parametrize("name", METHODS)
def test_a_record_is_json_and_tells_methods_apart(name: str) -> None:
    record = make(name).record()
    assert json.loads(json.dumps(record)) == record
    others = [make(other).record() for other in METHODS if other != name] + [
        make(name, 5).record(),
        make(name, 4, 0.3).record(),
    ]
    assert record not in others


@pytest.mark.parametrize("name", METHODS)
def test_levels_and_rates_out_of_range_are_refused(name: str) -> None:
    with pytest.raises(WinsomeError, match="levels must be 0 or more, got -1"):
        make(name, -1)
    for rate in (0.0, 1.0, 20.0):
        with pytest.raises(WinsomeError, match="rate is the fraction removed"):
            make(name, 2, rate)


def test_a_record_holds_no_address_of_this_process() -> None:
    for part in (functools.partial(magnitude), object.__new__(type("Score", (), {"__call__": lambda *_: {}}))):
        record = json.dumps(Method((1.0, 0.5), score=part).record())
        assert "0x" not in record
    assert "magnitude" in json.dumps(Method((1.0, 0.5), score=functools.partial(magnitude)).record())


def test_densities_are_checked_and_kept_as_floats() -> None:
    assert Method((1, 0.5)).densities == (1.0, 0.5)
    assert Method([1.0, 0.5]).densities == (1.0, 0.5)  # type: ignore[arg-type]
    with pytest.raises(WinsomeError, match=r"got 90; 90 % kept is density 0\.9"):
        Method((1.0, 90))


def test_normalisation_is_rewound_as_a_switch() -> None:
    lrr, aws = rewind_norms(winsome.learning_rate_rewinding(2), step=4), rewind_norms(winsome.aws(2))
    assert lrr.record() == winsome.lrr_with_norm_rewinding(2, step=4).record()
    assert (aws.rewind, aws.while_training) == (KeepWeightsRewindNorms(0), interpolated_norms)
    assert "gadhikar2024masks" in aws.citations
    assert rewind_norms(winsome.imp(2)) == winsome.imp(2), "its norms go back with everything else"
    with pytest.raises(WinsomeError, match=r"RewindSigns\(step=0\) does not keep the weights"):
        rewind_norms(Method((1.0,), RewindSigns()))

"""Every named method keeps the contract, is what its paper says, and what a run folder remembers of one."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from pathlib import Path

import pytest

import winsome
from contract import check_method, check_while_training, example_of, made
from winsome import Method, WinsomeError
from winsome.about import about
from winsome.allocation import balanced, globally
from winsome.mask_swap import same_masks
from winsome.method import make_method, named_method
from winsome.methods import METHODS, WHILE_TRAINING, rewind_norms
from winsome.norms import frozen_norms, interpolated_norms
from winsome.perturbation import SignFlips
from winsome.rewinding import KeepWeights, KeepWeightsRewindNorms, Rewind, RewindSigns, RewindTo
from winsome.scores import magnitude, random
from winsome.while_training import AllOf, OnLevels, WhileTraining, plain


@pytest.mark.parametrize("name", METHODS)
def test_every_method_keeps_the_contract(name: str, tmp_path: Path) -> None:
    check_method(METHODS[name], tmp_path)


@pytest.mark.parametrize("name", WHILE_TRAINING)
def test_every_part_that_holds_while_training_keeps_the_contract(name: str, tmp_path: Path) -> None:
    check_while_training(made(WHILE_TRAINING[name]), tmp_path)


# From the papers: where a level restarts, and what holds while it trains.
@pytest.mark.parametrize(
    ("method", "rewind", "while_training"),
    [
        (winsome.imp(4), RewindTo(0), plain),
        (winsome.weight_rewinding(4, step=3), RewindTo(3), plain),
        (winsome.learning_rate_rewinding(4), KeepWeights(), plain),
        (winsome.lrr_with_norm_rewinding(4, step=3), KeepWeightsRewindNorms(3), plain),
        (winsome.aws(4), KeepWeights(), interpolated_norms),
        (winsome.lrr_with_frozen_norms(4), KeepWeights(), frozen_norms),
    ],
)
def test_the_papers_methods_are_what_they_say(method: Method, rewind: Rewind, while_training: WhileTraining) -> None:
    assert method.densities == pytest.approx([1, 0.8, 0.64, 0.512, 0.4096])
    assert (method.rewind, method.while_training) == (rewind, while_training)
    assert (method.score, method.allocate) == (magnitude, globally)


def test_methods_have_names_of_their_own() -> None:
    shorts = [about(make).short for make in METHODS.values() if about(make).short]
    names = [*METHODS, *shorts]
    labels = [about(make).label for make in METHODS.values()]
    assert len(set(labels)) == len(labels)
    assert {"lrr", "frozen", "wr", "imp", "aws"} <= set(shorts)
    assert len(set(names)) >= len(names) - sum(name in METHODS for name in shorts), "a short name stands for one method"
    records = [json.dumps(example_of(make).record(), sort_keys=True) for make in METHODS.values()]
    assert len(set(records)) == len(records), "no two methods have one record"


def test_levels_and_rates_out_of_range_are_refused() -> None:
    with pytest.raises(WinsomeError, match="levels must be 0 or more, got -1"):
        winsome.imp(-1)
    for rate in (0.0, 1.0, 20.0):
        with pytest.raises(WinsomeError, match="rate is the fraction removed"):
            winsome.aws(2, rate)


def test_what_a_record_holds_of_a_method_tells_levels_and_rates_apart() -> None:
    records = [json.dumps(method.record()) for method in (winsome.aws(4), winsome.aws(5), winsome.aws(4, 0.3))]
    assert len(set(records)) == 3


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
    assert "gadhikar2024masks" in aws.cited
    assert rewind_norms(winsome.imp(2)) == winsome.imp(2), "its norms go back with everything else"
    with pytest.raises(WinsomeError, match=r"RewindSigns\(step=0\) does not keep the weights"):
        rewind_norms(Method((1.0,), RewindSigns()))


def test_a_method_cites_itself_and_all_its_parts_each_once() -> None:
    assert winsome.aws(2).cited == ("oh2025sign", "renda2020comparing", "han2015learning")
    attacked = AllOf((interpolated_norms, OnLevels((0,), SignFlips(0.3, at=(1,)))))
    method = replace(winsome.aws(2), score=random, allocate=balanced, while_training=attacked)
    assert method.cited == ("oh2025sign", "renda2020comparing", "gadhikar2023random", "gadhikar2024masks")
    own = "@misc{mine2026, title = {Mine}}"

    @named_method("mine", "A method of one's own.", citations=(own,), short="m")
    def mine(levels: int = 2) -> Method:
        """Mine."""
        return winsome.imp(levels)

    assert mine().cited == (own, "frankle2019lottery", "han2015learning")
    assert (mine().label, mine().sentence) == ("mine", "A method of one's own."), "not those of what it is made of"
    assert same_masks(winsome.imp(2), [winsome.SignedMask({})]).cited[-1] == "gadhikar2024masks"


def test_what_a_part_needs_and_whether_it_stacks_follows_from_what_it_is_made_of() -> None:
    def unknown(model, seed, mask):  # type: ignore[no-untyped-def]
        """Says nothing of itself."""

    assert not about(unknown).stacks
    assert about(AllOf((interpolated_norms, SignFlips(0.3, at=(1,))))).stacks
    assert not about(AllOf((interpolated_norms, unknown))).stacks
    assert not about(OnLevels((1,), plain, otherwise=unknown)).stacks
    assert about(OnLevels((1,), AllOf((frozen_norms,)))).needs == {"norms"}
    assert winsome.aws(2).needs == {"norms"}
    assert winsome.imp(2).needs == frozenset()


def test_a_methods_function_is_called_with_the_options_that_it_takes() -> None:
    options = {"levels": 2, "rate": 0.5, "step": 4}
    assert make_method(winsome.aws, **options) == winsome.aws(2, 0.5)
    assert make_method(winsome.weight_rewinding, **options) == winsome.weight_rewinding(2, 0.5, step=4)

    def at_density(density: float) -> Method:
        return Method((density,))

    assert make_method(at_density, density=0.3).densities == (0.3,)
    with pytest.raises(WinsomeError, match="the method 'at_density' needs 'density', which is not given here"):
        make_method(at_density, **options)
    with pytest.raises(WinsomeError, match="'geometric' returns a tuple; a method's function returns"):
        make_method(winsome.geometric, levels=2)  # type: ignore[arg-type]

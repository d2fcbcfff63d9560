"""Studies and recipes of one's own on the command line: what is not asked for stays as they have it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import commands
from winsome.cli import main
from winsome.cli.options import KnownDataOptions
from winsome.data.spec import DataSpec
from winsome.study.design import Study

MINE = """
from dataclasses import replace
from pathlib import Path

from winsome.recipes.accuracy import accuracy_evidence
from winsome.recipes.recipe import Recipe
from winsome.study import presets
from winsome.study.design import Study
from winsome.training.settings import SGD, Constant, Training


def small():
    base = presets.digits()
    once = Training(1, 40, SGD(0.1), Constant(), sync_batch_norm=True)
    data = replace(base.data, train_images=120, test_images=60, image_size=6, validation=True)
    return replace(
        base, name="mine", data=data, levels=(1,), search_seeds=(5,), starts=(3,), curve_at=(), warmup_epochs=0,
        search_training=once, training=once, fast=False, compiled=True, prune_classifier=True, statistics_images=50,
    )


def elsewhere():
    return replace(small(), data=replace(small().data, name="cifar10", data_dir=Path("there"), on_corrupt="skip"))


def recipe(scale):
    two = replace(small(), data=replace(small().data, image_size=None), compiled=False, search_seeds=(0, 1))
    return Recipe("Mine", "arXiv:0000.00000", "None.", {"one": two}, analyse=accuracy_evidence)
"""


@pytest.fixture(autouse=True)
def at_hand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder with mine.py, which is where commands run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MINE)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[Study]:
    """The studies that the command line would have run."""
    found: list[Study] = []
    monkeypatch.setattr("winsome.cli.study_run.run_study", lambda study, *_, **__: found.append(study))
    return found


def test_a_study_of_ones_own_runs_as_it_is(ran: list[Study]) -> None:
    main(["study", "mine.py:small"])
    (study,) = ran
    data = study.data
    assert (data.train_images, data.test_images, data.image_size, data.validation) == (120, 60, 6, True)
    assert (study.fast, study.compiled) == (False, True)
    assert study.training.sync_batch_norm
    assert study.search_training.sync_batch_norm
    assert (study.levels, study.search_seeds, study.starts, study.curve_at) == ((1,), (5,), (3,), ())
    assert (study.prune_classifier, study.statistics_images) == (True, 50)


def test_a_preset_keeps_its_part_of_the_images_too(ran: list[Study]) -> None:
    main(["study", "photographs"])
    main(["study", "photographs", "--train-images", "400"])
    assert [(study.data.train_images, study.data.image_size) for study in ran] == [(5000, 16), (400, 16)]


@pytest.mark.parametrize(
    ("words", "changed"),
    [
        ("--train-images 80", {"train_images": 80}),
        ("--test-images 40 --image-size 8", {"test_images": 40, "image_size": 8}),
        ("--data-dir here", {"data_dir": Path("here")}),
    ],
)
def test_what_is_asked_for_is_all_that_changes(ran: list[Study], words: str, changed: dict[str, Any]) -> None:
    main(["study", "mine.py:elsewhere"])
    main(["study", "mine.py:elsewhere", *words.split()])
    own, other = ran
    assert own.data.data_dir == Path("there")
    assert other.data == replace(own.data, **changed)
    assert replace(other, data=own.data) == own


def test_what_is_asked_for_of_known_images_is_all_that_changes() -> None:
    known = DataSpec("imagenet", Path("there"), 100, 50, image_size=32, on_corrupt="skip", config="a")
    assert KnownDataOptions().over(known) == known
    assert KnownDataOptions(train_images=20, config="b").over(known) == replace(known, train_images=20, config="b")


@pytest.mark.parametrize("words", ["mine.py:small --levels 3", "mine.py:one --rate 0.4", "mine.py:one --levels 2"])
def test_depth_that_a_study_of_ones_own_does_not_take_is_refused(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with Path("mine.py").open("a") as file:
        file.write("\none = small()\n")
    name, option, _ = words.split()
    said = commands.said(["study", *words.split(), "--plan-only"], capsys)
    assert f"{name} takes no {option[2:]}; leave {option} out" in said


@pytest.mark.slow
def test_a_recipe_of_ones_own_runs_in_several_processes(tmp_path: Path) -> None:
    for workers in ("1", "2"):
        main(["reproduce", "mine.py:recipe", "--workers", workers, "--save-to", workers])
    rows = [json.loads((tmp_path / workers / "recipe/one/results.json").read_text())["rows"] for workers in ("1", "2")]
    accuracies = [[(row["arm"], row["search_seed"], row["accuracy"]) for row in found] for found in rows]
    assert accuracies[0] == accuracies[1]
    assert {seed for _, seed, _ in accuracies[0]} == {0, 1}


# Code that raises.

BROKEN = """
import torch
from dataclasses import replace
from torch import nn

import beside
from mine import recipe as whole, small
from winsome import KeepWeights, Method, geometric


def method(levels=2):
    return beside.deep(levels)


def too_much(levels=2):
    return Method(geometric(levels, 20), KeepWeights())


def needs(levels, colour):
    return levels, colour


def study():
    return beside.deep(1)


def recipe(scale):
    return beside.deep(scale)


def none(*given, **named):
    return None


def network(image_shape, n_classes):
    return beside.deep(n_classes)


class Forward(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.layer, self.last = nn.Linear(64, 8), nn.Linear(8, n_classes)

    def forward(self, images):
        return self.last(self.layer(beside.deep(images)))


def forward(image_shape, n_classes):
    return Forward(n_classes)


def images():
    return beside.deep(0)


def score(weights, model, probe, random):
    return beside.deep(weights)


def analysed(scale):
    return replace(whole(scale), studies={}, analyse=beside.deep)


class Rewind:
    step = 0

    def __init__(self, step):
        beside.deep(step)
"""
BESIDE = "def deep(x):\n    return {}['nothing there']\n"
THERE, BELOW = r"\S+/broken\.py, line \d+, in \w+: .*beside\.deep.*", r"\S+/beside\.py, line 2, in deep: return"
DEEP = rf"raises KeyError: 'nothing there' {THERE} {BELOW}"
RAISED = "KeyError: 'nothing there' raised by"
FIND = ["find", "digits", "--levels", "1", "--level-epochs", "1", "--warmup-epochs", "0", "--train-images", "130"]


@pytest.fixture
def broken(tmp_path: Path) -> None:
    """Beside mine.py two files with mistakes."""
    (tmp_path / "broken.py").write_text(BROKEN)
    (tmp_path / "beside.py").write_text(BESIDE)


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["find", "--method", "broken.py:method"], rf"the method 'broken\.py:method' {DEEP}"),
        (["find", "--method", "broken:method"], rf"the method 'broken:method' {DEEP}"),
        (["find", "--method", "broken.py:too_much"], r"'broken\.py:too_much': \S+/broken\.py, line 16: rate is the fraction"),
        (["study", "--methods", "lrr", "broken.py:method"], rf"the method 'broken\.py:method' {DEEP}"),
        (["study", "broken.py:study"], rf"the function 'broken\.py:study' {DEEP}"),
        (["study", "broken.py:needs"], r"the function 'broken\.py:needs' needs 'levels', which is not given here"),
        (["study", "broken.py:none"], "broken.py:none gives a NoneType; a winsome Study or images"),
        (["study", "broken.py:images"], rf"the function 'broken\.py:images' {DEEP}"),
        (["find", "broken.py:images"], rf"the data set 'broken\.py:images' {DEEP}"),
        (["find", "--network", "broken.py:network"], rf"the network 'broken\.py:network' {DEEP}"),
        (["find", "--network", "broken.py:forward"], rf"the network 'broken\.py:forward' {DEEP}"),
        (["find", "--rewind", "broken.py:Rewind"], rf"the rewind 'broken\.py:Rewind' {DEEP}"),
        (["reproduce", "broken.py:recipe"], rf"the recipe 'broken\.py:recipe' {DEEP}"),
        (["reproduce", "broken.py:none"], "broken.py:none gives a NoneType; a function"),
        (["reproduce", "mine.py:recipe", "broken.py:recipe"], "two of the recipes are called recipe"),
    ],
)
def test_code_of_ones_own_that_raises_is_named_with_its_lines(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert re.search(said, commands.said(words, capsys))
    assert not (tmp_path / "runs").exists()


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            [*FIND, "--score", "broken.py:score"],
            rf"{RAISED} the score 'score', before level 1 {THERE} {BELOW}",
        ),
        (
            ["reproduce", "broken.py:analysed"],
            rf"{RAISED} the analysis of the recipe 'analysed' {BELOW}",
        ),
    ],
)
def test_code_of_ones_own_that_raises_in_the_midst_ends_with_1(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert re.search(said, commands.said(words, capsys, code=1))


# Recipes.


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("mine.py:fixed --scale medium", "mine.py:fixed is the same at every scale: it takes none; leave --scale medium out"),
        ("mine.py:ready --scale paper", "mine.py:ready is the same at every scale"),
        ("mine.py:without --seeds 2", "--seeds are of searches, and what is asked for has none"),
        ("mine.py:recipe --data-dir .", "--data-dir is where data sets of a name lie, and what is asked for reads none"),
    ],
)
def test_options_that_a_recipe_does_not_look_at(words: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with Path("mine.py").open("a") as file:
        file.write("\n\ndef fixed():\n    return recipe('small')\n\n\nready = fixed()\n")
        file.write("\n\ndef without(scale):\n    return replace(ready, studies={})\n")
    assert said in commands.said(["reproduce", *words.split()], capsys)


def test_a_recipe_that_is_the_same_at_another_scale_is_told(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("winsome.cli.reproduce._reproduce", lambda *_: None)
    main(["reproduce", "mine.py:recipe"])
    assert not caplog.messages
    monkeypatch.setattr("winsome.cli.recipe_display.print_estimate", lambda *_: None)
    main(["reproduce", "mine.py:recipe", "--scale", "medium"])
    assert caplog.messages == ["mine.py:recipe has the same studies at the scales small and medium"]

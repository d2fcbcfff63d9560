"""Studies and recipes of one's own on the command line: what is not asked for stays as they have it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

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


@pytest.mark.slow
def test_a_recipe_of_ones_own_runs_in_several_processes(tmp_path: Path) -> None:
    for workers in ("1", "2"):
        main(["reproduce", "mine.py:recipe", "--workers", workers, "--save-to", workers])
    rows = [json.loads((tmp_path / workers / "recipe/one/results.json").read_text())["rows"] for workers in ("1", "2")]
    accuracies = [[(row["arm"], row["search_seed"], row["accuracy"]) for row in found] for found in rows]
    assert accuracies[0] == accuracies[1]
    assert {seed for _, seed, _ in accuracies[0]} == {0, 1}

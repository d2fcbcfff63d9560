"""What a recipe's cost is estimated from: epochs counted once, and steps of a real training timed on this machine."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from winsome.data import ImageData
from winsome.data.spec import DataSpec, Outline
from winsome.models.spec import NetworkSpec
from winsome.recipes import estimate
from winsome.recipes.catalogue import RECIPES
from winsome.recipes.step_time import StepTime, step_time
from winsome.recipes.timed_training import BegunTraining, TimedTraining
from winsome.training.loop import Networks, train
from winsome.training.settings import SGD, Training


def test_an_estimate_counts_every_epoch_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "step_time", lambda *_, **__: StepTime(0.5, 3e12, 128, 128))
    study = RECIPES["lrr_mask_swap"]("small").studies["residual-mlp-digits"]
    own = replace(study, data=DataSpec("my photographs"))
    found = estimate.estimates({"one": study, "own": own}, workers=2)
    assert list(found) == ["one"], "what a folder holds is not known before it is read"
    searches = 3 * 16 * 7 * 32  # methods, seeds, levels, epochs
    judging = 0.3 * 3 * 4 * 16  # arms, densities, seeds
    assert found["one"].epochs == pytest.approx(searches + judging)
    assert found["one"].steps_per_epoch == 10
    judged = 3 * 16 * 7 * (2 * 500 + 1000)  # every level with stored and with new statistics, and the images of these
    assert found["one"].judged == pytest.approx(judged)
    assert found["one"].seconds == pytest.approx(((searches + judging) * 10 + judged / 128 / 3) * 0.5 / 2), "two processes"
    assert "500 ms a step here in stacks of 16: about " in found["one"].label
    assert " in 2 processes, or " in found["one"].label
    assert found["one"].gpu_hours == pytest.approx((searches + judging) * 10 * 3e12 / estimate.GPU_FLOPS / 3600)
    assert f"or {found['one'].gpu_hours:,.1f} GPU-hours at 20 TFLOP/s" in found["one"].label


def test_an_estimate_of_what_is_all_there_says_so() -> None:
    step = StepTime(0.5, 3e12, 128, 128)
    assert estimate.Estimate(1e-13, step, 10, there=7210.0).label == "all of its 7,210 epochs are there already"
    assert "epochs of 10 steps" in estimate.Estimate(0.3, step, 10).label, "a small one that is to be done is no finished one"


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder that holds no times of steps, in memory neither, on a machine without other work."""
    step_time.cache_clear()
    monkeypatch.setenv("WINSOME_CACHE", str(tmp_path))
    monkeypatch.setattr("os.getloadavg", lambda: (0.1, 0.1, 0.1))
    return tmp_path


def test_a_step_is_really_timed_once_and_its_operations_are_those_by_hand(empty_cache: Path) -> None:
    network = NetworkSpec("mlp", (("widths", (30, 20)),), (1, 8, 8), 10)
    before = torch.get_num_threads()
    found = step_time(network, SGD(), 40, fast=True, n_threads=1)
    assert torch.get_num_threads() == before
    assert 0 < found.seconds < 60
    assert found.images == found.timed_images == 40, "quick steps are timed whole"
    assert found.flops == 3 * 40 * 2 * (64 * 30 + 30 * 20 + 20 * 10)
    assert step_time(network, SGD(), 40, fast=True, n_threads=1) is found
    step_time.cache_clear()
    assert step_time(network, SGD(), 40, fast=True, n_threads=1) == found, "kept on this machine"
    step_time.cache_clear()
    (kept,) = (empty_cache / "step-times").iterdir()
    kept.write_text("{")
    assert step_time(network, SGD(), 40, fast=True, n_threads=1).flops == found.flops, "what cannot be read is timed anew"


def test_what_was_timed_beside_other_work_is_not_kept(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (500.0, 500.0, 500.0))
    step_time(NetworkSpec("mlp", (("widths", (30, 20)),), (1, 8, 8), 10), SGD(), 40, fast=True, n_threads=1)
    assert not (empty_cache / "step-times").exists()


@pytest.mark.usefixtures("empty_cache")
def test_a_long_step_is_timed_on_few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    timed: list[int] = []

    def seconds(_training: object, images: int) -> float:
        timed.append(images)
        return 0.2 + 0.015 * images

    monkeypatch.setattr(BegunTraining, "seconds", seconds)
    network = NetworkSpec("mlp", (("widths", (31,)),), (1, 8, 8), 10)
    found = step_time(network, SGD(), 256, fast=False, n_threads=1)
    assert timed == [4, 16, 64]
    assert found.timed_images == 64
    assert found.seconds == pytest.approx(0.2 + 0.015 * 256), "only what an image costs grows with the batch"
    stacked = step_time(network, SGD(), 256, fast=False, n_threads=1, members=4)
    assert stacked.seconds == pytest.approx(found.seconds / 4), "every network of a stack has its share"
    assert stacked.flops == found.flops


@pytest.mark.parametrize("members", [0, 3])
def test_a_timed_training_trains_masked_networks_on_batches_of_a_size(members: int, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[tuple[Any, ...]] = []

    def watched(networks: Networks, data: ImageData, training: Training, *rest: Any, **how: Any) -> Tensor:
        taken.append((len(networks.seeds), networks.stacked, training.batch_size, data.image_shape, data.n_classes))
        return train(networks, data, training, *rest, **how)

    monkeypatch.setattr("winsome.recipes.timed_training.train", watched)
    network = NetworkSpec("mlp", (("widths", (30, 20)),), (1, 8, 8), 7)
    begun = TimedTraining(network, SGD(), fast=False, members=members).begin(torch.device("cpu"))
    assert 0 < begun.seconds(8) < 10
    assert taken == [(max(members, 1), members > 0, 8, (1, 8, 8), 7)]
    weights = dict(begun.module.named_parameters())
    assert begun.mask.density == pytest.approx(0.5, abs=0.01)
    assert all(bool(((weights[name] != 0) == begun.mask.kept(name)).all()) for name in begun.mask)


def test_the_first_step_does_not_count_and_long_ones_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = TimedTraining(NetworkSpec("mlp", (("widths", (5,)),), (1, 8, 8), 7), SGD(), fast=False).begin(torch.device("cpu"))
    for each, count in ((0.01, 8), (0.2, 4), (9.0, 2)):
        clock = itertools.count(0.0, each)
        monkeypatch.setattr(
            "winsome.recipes.timed_training.time", SimpleNamespace(perf_counter=lambda clock=clock: next(clock))
        )
        assert begun.seconds(8) == pytest.approx(each)
        assert next(clock) == pytest.approx(each * (count + 1)), "as many ends of steps as begun ones, and one"


@pytest.mark.usefixtures("empty_cache")
@pytest.mark.parametrize("times", [{4: 1.0, 8: 0.9}, {4: 0.1, 16: 0.9}])
def test_times_that_give_no_line_are_taken_in_proportion(times: dict[int, float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BegunTraining, "seconds", lambda _, images: times[images])
    network = NetworkSpec("mlp", (("widths", (32 + int(10 * times[4]),)),), (1, 8, 8), 10)
    assert step_time(network, SGD(), 160, fast=False, n_threads=1).seconds == pytest.approx(160 * 0.9 / max(times))


def test_what_a_data_set_is_like_is_known_without_its_images() -> None:
    digits = DataSpec("digits", train_images=300, validation=True)
    loaded, outline = digits.load(), digits.outline()
    assert outline is not None
    assert outline == Outline(loaded.image_shape, 10, len(loaded.train), len(loaded.test))
    few = DataSpec("digits", test_images=100)
    assert few.outline() == Outline((1, 8, 8), 10, 1297, len(few.load().test))
    assert DataSpec("imagenet", image_size=64).outline() == Outline((3, 64, 64), 1000, 1_281_167, 50_000)
    assert DataSpec("my photographs").outline() is None


@pytest.mark.parametrize("name", [name for name in RECIPES if RECIPES[name]("paper").studies])
def test_an_estimate_reads_no_images(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_images(_: DataSpec) -> None:
        raise AssertionError("an estimate must not load data")

    monkeypatch.setattr(DataSpec, "load", no_images)
    monkeypatch.setattr(estimate, "step_time", lambda *_, **__: StepTime(0.5, 3e12, 128, 8))
    heard: list[str] = []
    studies = RECIPES[name]("paper").studies
    found = estimate.estimates(studies, watch=heard.append)
    assert list(found) == list(studies)
    assert len(heard) == len(studies)

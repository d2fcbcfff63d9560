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
from winsome.hyperbolic import SignIn
from winsome.level import Level
from winsome.models.spec import NetworkSpec
from winsome.norms import interpolated_norms
from winsome.recipes import estimate, training_kinds
from winsome.recipes.catalogue import RECIPES
from winsome.recipes.estimate import seeds_in_a_sitting
from winsome.recipes.kept_times import forget
from winsome.recipes.level_time import level_time
from winsome.recipes.step_time import StepTime, step_time
from winsome.recipes.timed_training import BegunTraining, TimedTraining
from winsome.search import Search
from winsome.training.loop import Networks, train
from winsome.training.settings import SGD, Training
from winsome.while_training import WhileTraining, plain


def test_an_estimate_counts_every_epoch_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_kinds, "step_time", lambda *_, **__: StepTime(0.5, 3e12, 128, 128))
    monkeypatch.setattr(estimate, "level_time", lambda _: 0.25)
    study = RECIPES["lrr_mask_swap"]("small").studies["residual-mlp-digits"]
    own = replace(study, data=DataSpec("my photographs"))
    found = estimate.estimates({"one": study, "own": own}, workers=2)
    assert list(found) == ["one"], "what a folder holds is not known before it is read"
    searches = 3 * 16 * 7 * 32  # methods, seeds, levels, epochs
    judging = 0.3 * 3 * 4 * 16  # arms, densities, seeds
    assert found["one"].epochs == pytest.approx(searches + judging)
    assert [one.steps_per_epoch for one in found["one"].trained] == [10], "all of one kind"
    judged = 3 * 16 * 7 * (2 * 500 + 1000)  # every level with stored and with new statistics, and the images of these
    assert found["one"].judged == pytest.approx(judged)
    steps, levels = (searches + judging) * 10 + judged / 128 / 3, 3 * 16 * 7
    assert found["one"].seconds == pytest.approx((steps * 0.5 + levels * 0.25) / 2 + estimate.AROUND), "two processes"
    assert "500 ms a step here in stacks of 16: about " in found["one"].label
    assert " in 2 processes, or " in found["one"].label
    assert found["one"].gpu_hours == pytest.approx((searches + judging) * 10 * 3e12 / estimate.GPU_FLOPS / 3600)
    assert f"or {found['one'].gpu_hours:,.1f} GPU-hours at 20 TFLOP/s" in found["one"].label


def test_what_trains_under_a_part_is_timed_under_it(monkeypatch: pytest.MonkeyPatch) -> None:
    timed: list[TimedTraining] = []

    def watched(plan: TimedTraining, batch_size: int, **_: int) -> StepTime:
        timed.append(plan)
        return StepTime(0.5 if plan.part is plain else 2.0, 3e12, batch_size, batch_size)

    monkeypatch.setattr(training_kinds, "step_time", watched)
    monkeypatch.setattr(estimate, "level_time", lambda _: 0.0)
    study = RECIPES["accuracy_over_density"]("small").studies["residual-mlp-digits"]
    found = estimate.estimates({"one": study}, workers=1)["one"]
    parts: list[WhileTraining] = [plain, interpolated_norms]
    assert [plan.part for plan in timed] == parts
    assert all(plan.members == 16 for plan in timed)
    interpolated = 16 * 114  # AWS's search of every seed
    assert [one.epochs for one in found.trained] == pytest.approx([found.epochs - interpolated, interpolated])
    seconds = (found.epochs - interpolated) * 10 * 0.5 + interpolated * 10 * 2.0
    assert found.step_seconds == pytest.approx(seconds / found.epochs / 10)
    judging = found.judged / 128 / 3 * 0.5  # under what holds most
    assert found.seconds == pytest.approx(seconds + judging + estimate.AROUND)


def test_an_estimate_of_what_is_all_there_says_so() -> None:
    step = StepTime(0.5, 3e12, 128, 128)
    done = estimate.Estimate((), there=7210.0)
    assert done.label == "all of its 7,210 epochs are there already"
    assert done.seconds == done.gpu_hours == 0
    few = estimate.Estimate((training_kinds.Trained(0.3, 10, step),))
    assert "epochs of 10 steps" in few.label, "a small one that is to be done is no finished one"


def test_seeds_that_fit_a_sitting_are_proposed_where_all_do_not() -> None:
    step = StepTime(1.0, 3e12, 128, 128)

    def hours(count: float) -> estimate.Estimate:
        return estimate.Estimate((training_kinds.Trained(360 * count, 10, step),))

    assert seeds_in_a_sitting([hours(1.0)], 8) == 5, "an hour for 8 seeds, and 20 s around"
    assert seeds_in_a_sitting([hours(0.5), hours(0.5)], 8) == 5
    assert seeds_in_a_sitting([hours(0.7)], 8) is None, "all of them fit"
    assert seeds_in_a_sitting([hours(7.0)], 8) is None, "not even one does"
    assert seeds_in_a_sitting([estimate.Estimate((), there=100.0)], 8) is None


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder that holds no times of steps, in memory neither, on a machine without other work."""
    forget()
    monkeypatch.setenv("WINSOME_CACHE", str(tmp_path))
    monkeypatch.setattr("os.getloadavg", lambda: (0.1, 0.1, 0.1))
    return tmp_path


def test_a_step_is_really_timed_once_and_its_operations_are_those_by_hand(empty_cache: Path) -> None:
    network = NetworkSpec("mlp", (("widths", (30, 20)),), (1, 8, 8), 10)
    before = torch.get_num_threads()
    plan = TimedTraining(network, SGD(), fast=True)
    found = step_time(plan, 40, n_threads=1)
    assert torch.get_num_threads() == before
    assert 0 < found.seconds < 60
    assert found.images == found.timed_images == 40, "quick steps are timed whole"
    assert found.flops == 3 * 40 * 2 * (64 * 30 + 30 * 20 + 20 * 10)
    assert step_time(plan, 40, n_threads=1) == found
    forget()
    assert step_time(plan, 40, n_threads=1) == found, "kept on this machine"
    forget()
    (kept,) = (empty_cache / "step-times").iterdir()
    kept.write_text("{")
    assert step_time(plan, 40, n_threads=1).flops == found.flops, "what cannot be read is timed anew"


def test_what_was_timed_beside_other_work_is_not_kept(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (500.0, 500.0, 500.0))
    step_time(TimedTraining(NetworkSpec("mlp", (("widths", (30, 20)),), (1, 8, 8), 10), SGD(), fast=True), 40, n_threads=1)
    assert not (empty_cache / "step-times").exists()


@pytest.mark.usefixtures("empty_cache")
def test_a_long_step_is_timed_on_few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    timed: list[int] = []

    def seconds(_training: object, images: int) -> float:
        timed.append(images)
        return 0.2 + 0.015 * images

    monkeypatch.setattr(BegunTraining, "seconds", seconds)
    network = NetworkSpec("mlp", (("widths", (31,)),), (1, 8, 8), 10)
    found = step_time(TimedTraining(network, SGD(), fast=False), 256, n_threads=1)
    assert timed == [4, 16, 64]
    assert found.timed_images == 64
    assert found.seconds == pytest.approx(0.2 + 0.015 * 256), "only what an image costs grows with the batch"
    stacked = step_time(TimedTraining(network, SGD(), fast=False, members=4), 256, n_threads=1)
    assert stacked.seconds == pytest.approx(found.seconds / 4), "every network of a stack has its share"
    assert stacked.flops == found.flops


@pytest.mark.usefixtures("empty_cache")
def test_a_level_is_timed_by_a_real_search_that_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory, caplog: pytest.LogCaptureFixture
) -> None:
    elsewhere = tmp_path_factory.mktemp("search")
    monkeypatch.setattr("tempfile.tempdir", str(elsewhere))
    network = NetworkSpec("mlp", (("widths", (30, 20)),), (1, 8, 8), 10)
    opened: list[tuple[int, bool]] = []
    whole = Search.open

    def watched(search: Search, number: int) -> Level:
        level = whole(search, number)
        opened.append((number, level.finished))
        return level

    monkeypatch.setattr(Search, "open", watched)
    found = level_time(network)
    assert 0 < found < 60
    assert opened == [(0, False), (1, False), (2, False), (0, True), (1, True), (2, True)]
    assert not [*elsewhere.iterdir()]
    assert not caplog.records
    forget()
    assert level_time(network) == found, "kept on this machine"


@pytest.mark.parametrize("part", [SignIn(every=1), interpolated_norms])
@pytest.mark.parametrize("members", [0, 2])
def test_a_part_holds_while_a_training_is_timed(part: WhileTraining, members: int) -> None:
    network = NetworkSpec("residual_mlp", (), (1, 8, 8), 10)
    begun = TimedTraining(network, SGD(), fast=False, members=members, part=part).begin(torch.device("cpu"))
    names = list(begun.module.state_dict())
    assert 0 < begun.seconds(8) < 10
    assert list(begun.module.state_dict()) == names


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
    plan = TimedTraining(network, SGD(), fast=False)
    assert step_time(plan, 160, n_threads=1).seconds == pytest.approx(160 * 0.9 / max(times))


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
    monkeypatch.setattr(training_kinds, "step_time", lambda *_, **__: StepTime(0.5, 3e12, 128, 8))
    monkeypatch.setattr(estimate, "level_time", lambda _: 0.1)
    heard: list[str] = []
    studies = RECIPES[name]("paper").studies
    found = estimate.estimates(studies, watch=heard.append)
    assert list(found) == list(studies)
    assert len(heard) == len(studies)

"""The papers' own schedules, warm-ups and batches, by their codes' formulas; the same as options of `winsome find`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from winsome.cli import main, study_run
from winsome.cli import search_display as command
from winsome.cli.schedule_options import ScheduleOptions
from winsome.cli.study_options import TrainingOptions
from winsome.cli.study_schedules import StudySchedules
from winsome.data.batches import training_batches
from winsome.data.catalogue import load
from winsome.data.images import ImageData, subset
from winsome.errors import WinsomeError
from winsome.evidence.description import design_of
from winsome.perturbation import SignFlips
from winsome.recipes.catalogue import RECIPES
from winsome.recipes.set_ups import paper_set_ups
from winsome.rewinding import KeepWeights, KeepWeightsRewindNorms, RewindAndRestart
from winsome.study import presets
from winsome.study.design import Study
from winsome.study.one_search import OneSearch
from winsome.training.loop import Networks, train
from winsome.training.settings import SGD, Constant, Cosine, StepDecay, Training
from winsome.while_training import on_level


def epoch_of_code_b(epoch: int) -> float:
    """The rate of an epoch of a level: 10 of warm-up, then a tenth after every 60."""
    return 0.1 * (epoch + 1) / 10 if epoch < 10 else 0.1 * 0.1 ** ((epoch - 10) // 60)


@pytest.mark.parametrize("set_up", paper_set_ups(), ids=lambda set_up: set_up.name)
def test_every_step_of_a_level_has_the_rate_of_code_b(set_up: Any) -> None:
    steps = set_up.steps_per_epoch
    assert steps == -(-50_000 // 256) == 196
    some = range(0, 150 * steps, steps // 4)
    rates = [set_up.training.rate(step, steps) for step in some]
    assert rates == pytest.approx([epoch_of_code_b(step // steps) for step in some], rel=1e-12)
    assert sum(rates) / 4 == pytest.approx(7.17)


@pytest.mark.parametrize(
    "recipe", ["lrr_mask_swap", "norm_rewinding", "sign_perturbation", "sign_transplants", "sign_dynamics"]
)
def test_at_paper_scale_searches_are_those_of_code_b(recipe: str) -> None:
    """Level 0 comes after a warm-up of its own; LRR keeps the optimizer's state, what goes back takes it back."""
    for study in RECIPES[recipe]("paper").studies.values():
        first, second = study.level_training("lrr", 0), study.level_training("lrr", 1)
        assert (first.all_epochs, second.all_epochs) == (160, 150)
        assert [first.rate(196 * epoch, 196) for epoch in range(160)] == pytest.approx(
            [epoch_of_code_b(epoch) for epoch in (*range(10), *range(150))]
        )
        for name, spec in study.search_specs.items():
            rewind, state = spec.method.rewind, spec.method.optimizer_state
            assert state == ("rewound" if rewind.step else "kept"), name
            assert rewind.step in (0, 1960)
            assert study.level_training(name, 1).all_epochs == 150
        assert isinstance(study.search_specs["lrr"].method.rewind, KeepWeights)
        if "imp" in study.search_specs:
            assert study.search_specs["imp"].method.rewind == RewindAndRestart(1960)
        if "norms" in study.search_specs:
            assert study.search_specs["norms"].method.rewind == KeepWeightsRewindNorms(1960)
            cold = study.level_training("cold", 1)  # its "step" schedule: a tenth every 60 epochs
            assert [cold.rate(196 * epoch, 196) for epoch in range(150)] == pytest.approx(
                [0.1 * 0.1 ** (epoch // 60) for epoch in range(150)]
            )


def test_a_study_says_what_becomes_of_the_optimizer() -> None:
    base = presets.digits()
    assert TrainingOptions().over(base, sync_batch_norm=False)["searches"] == base.searches
    kept = replace(base, **TrainingOptions(optimizer_state="kept").over(base, sync_batch_norm=False))
    assert {search["optimizer_state"] for search in kept.record()["searches"].values()} == {"kept"}
    assert {search["rewinding"] for search in design_of(kept)["searches"]} == {"KeepWeights(step=0), optimizer's state kept"}


def test_signs_flip_before_the_epochs_of_code_b() -> None:
    (study, _) = RECIPES["sign_perturbation"]("paper").studies.values()
    part = study.search_specs["lrr_flips"].method.while_training
    for level, before in ((0, 10), (1, 0), (15, 0)):
        flips = on_level(part, level)
        assert isinstance(flips, SignFlips)
        assert flips.at == tuple(196 * (before + epoch) for epoch in range(150) if epoch % 30 == 29)
    early = study.search_specs["lrr_early"].method.while_training
    assert on_level(early, 0) == on_level(part, 0)
    assert not isinstance(on_level(early, 12), SignFlips)


def test_small_set_ups_are_as_they_were_measured() -> None:
    (study, *_) = RECIPES["sign_transplants"]("small").studies.values()
    assert {spec.method.optimizer_state for spec in study.search_specs.values()} == {"fresh"}
    assert study.level_training("lrr", 0) == study.level_training("lrr", 1) == study.search_training


def test_a_record_says_how_batches_and_warm_ups_are() -> None:
    usual = Training(3)
    assert usual.record() | {"warmup_by": "step", "ramp_epochs": 0, "drop_last": True} == usual.record()
    assert Training.from_record(usual.record()) == usual
    other = Training(3, 64, SGD(0.2), Cosine(0.1), 2, warmup_by="epoch", ramp_epochs=1, drop_last=False)
    assert Training.from_record(other.record()) == other
    assert other.record() | {"warmup_by": "epoch", "ramp_epochs": 1, "drop_last": False} == other.record()
    for wrong, said in (
        ({"warmup_by": "month"}, "unknown warm-up 'month'; known: epoch, step"),
        ({"ramp_epochs": -1}, "got -1"),
    ):
        with pytest.raises(WinsomeError, match=said):
            Training(3, **wrong)


def digits(images: int) -> ImageData:
    return subset(load("digits"), train_images=images, test_images=50)


def test_a_last_batch_that_is_not_full_is_trained_on() -> None:
    """Against the same steps written out: 70 images in batches of 32 are three steps, the last one of 6 images."""
    data, training = digits(70), Training(2, 32, SGD(0.1), Constant(), drop_last=False)
    assert (training.epoch_steps(data), training.steps(data), Training(2, 32).steps(data)) == (3, 6, 4)

    def mlp() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 10))

    network, by_hand = mlp(), mlp()
    train(Networks(network, [7]), data, training, training.optimizer(network.parameters()), range(6))
    optimizer = training.optimizer(by_hand.parameters())
    sizes = []
    for inputs, labels in training_batches(data, batch_size=32, seed=7, last_step=6, drop_last=False):
        sizes.append(len(labels))
        optimizer.zero_grad()
        F.cross_entropy(by_hand(inputs), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert sizes == [32, 32, 6, 32, 32, 6]
    for name, value in by_hand.state_dict().items():
        torch.testing.assert_close(network.state_dict()[name], value)


def test_a_last_batch_of_one_image_is_refused() -> None:
    with pytest.raises(WinsomeError, match="the last batch of 65 training images in batches of 32 holds a single one"):
        Training(1, 32, drop_last=False).epoch_steps(digits(65))
    assert Training(1, 32).epoch_steps(digits(65)) == 2
    assert Training(1, 128, drop_last=False).epoch_steps(digits(65)) == 1


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[OneSearch]:
    """What `winsome find` would search, without a search."""
    seen: list[OneSearch] = []
    monkeypatch.setattr(command, "show_search", lambda one, _conditions, _folder, **_: seen.append(one))
    return seen


def test_find_takes_the_set_up_of_code_b(searches: list[OneSearch]) -> None:
    words = (
        "find digits --method wr --rewind RewindAndRestart --rewind-step 100 --optimizer-state rewound --prune-classifier "
        "--level-epochs 150 --weight-decay 1e-4 --schedule step --drop-at 70 130 --lr-warmup-epochs 10 --lr-warmup-by epoch "
        "--warmup-epochs 10 --warmup-ramp --no-drop-last"
    )
    main(words.split())
    (one,) = searches
    expected = Training(150, 128, SGD(0.1, 0.9, 1e-4), StepDecay((70 / 150, 130 / 150)), 10, warmup_by="epoch", drop_last=False)
    assert one.training == expected
    assert one.method.rewind == RewindAndRestart(100)
    assert one.method.optimizer_state == "rewound"
    rates = [one.study.level_training(one.name, 0).rate(epoch, 1) for epoch in range(160)]
    assert rates == pytest.approx([epoch_of_code_b(epoch) for epoch in (*range(10), *range(150))])
    assert one.study.record()["search_training"]["warmup_ramp"] is True


def test_schedules_by_their_names() -> None:
    assert ScheduleOptions().of(10) == Constant()
    assert ScheduleOptions("cosine", final_rate=0.01).of(10) == Cosine(0.01)
    assert ScheduleOptions("step", drop_factor=0.2).of(10) == StepDecay((0.5, 0.75), 0.2)
    with pytest.raises(WinsomeError, match="--drop-at is of --schedule step"):
        ScheduleOptions(drop_at=(3,)).of(10)
    with pytest.raises(WinsomeError, match="--drop-at 10: the epochs of a level go from 1 to 9"):
        ScheduleOptions("step", drop_at=(3, 10)).of(10)


def test_a_study_takes_schedules_for_its_searches_and_from_scratch(monkeypatch: pytest.MonkeyPatch) -> None:
    studies: list[Study] = []
    monkeypatch.setattr(study_run, "print_plan", studies.append)
    main(
        [
            *(
                "study",
                "digits",
                "--plan-only",
                "--level-epochs",
                "150",
                "--epochs",
                "30",
                "--warmup-epochs",
                "10",
                "--warmup-ramp",
            ),
            *("--search-learning-rate", "0.1", "--search-schedule", "step", "--search-drop-at", "70", "130"),
            *("--search-lr-warmup-epochs", "10", "--lr-warmup-by", "epoch", "--no-drop-last"),
            *("--schedule", "cosine", "--final-rate", "0.01", "--lr-warmup-epochs", "2"),
        ]
    )
    (study,) = studies
    rates = [study.level_training("lrr", 0).rate(epoch, 1) for epoch in range(160)]
    assert rates == pytest.approx([epoch_of_code_b(epoch) for epoch in (*range(10), *range(150))])
    assert study.training.schedule == Cosine(0.01)
    assert (study.training.warmup_epochs, study.training.warmup_by) == (2, "epoch")
    assert not study.training.drop_last
    assert not study.search_training.drop_last
    assert study.record()["search_training"]["warmup_ramp"] is True


def test_a_study_keeps_of_its_schedules_what_is_not_asked_for() -> None:
    base = presets.digits()
    assert StudySchedules().of_searches(base.search_training) == base.search_training
    assert StudySchedules().from_scratch(base.training) == base.training
    assert StudySchedules(drop_factor=0.3).from_scratch(base.training).schedule == StepDecay((0.5, 0.75), 0.3)
    assert StudySchedules(drop_at=(10,)).from_scratch(base.training).schedule == StepDecay((10 / 40,), 0.1)
    with pytest.raises(WinsomeError, match="--search-drop-at is of --search-schedule step"):
        StudySchedules(search_drop_at=(3,)).of_searches(base.search_training)
    with pytest.raises(WinsomeError, match="--final-rate is of --schedule cosine"):
        StudySchedules(final_rate=0.1).from_scratch(base.training)

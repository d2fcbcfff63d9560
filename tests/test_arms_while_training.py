"""What holds while dense and planted networks train, alone and as stacks; and the data that scores of a study look at."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from test_study import tiny
from winsome.about import described
from winsome.data import load, subset
from winsome.errors import WinsomeError
from winsome.files import read_json, read_state
from winsome.methods import imp
from winsome.norms import interpolated_norms
from winsome.perturbation import fixed_signs
from winsome.scores import Probe
from winsome.signed_mask import SignedMask
from winsome.study.arms import Dense, FoundNetwork, Planted
from winsome.study.conditions import conditions_of, fresh_network
from winsome.study.design import Study
from winsome.study.folder import ArmRun, Run, StudyFolder
from winsome.study.run import run
from winsome.study.transplants import Found
from winsome.training.conditions import Conditions
from winsome.training.from_scratch import FreshStart, train_from_scratch
from winsome.training.precision import FP32
from winsome.training.probe import ProbeSpec
from winsome.training.settings import SGD, Constant, Training
from winsome.while_training import AllOf, Progress, WhileTraining

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def planting(*, seeds: int = 2, **arm: object) -> Study:
    """Searches of one level, their signed masks planted as they are and under something."""
    plain = Planted("as_is", "as is", "", "imp")
    arms = (plain, dataclasses.replace(plain, name="held", **arm))  # type: ignore[arg-type]
    return dataclasses.replace(
        tiny(),
        searches=(("imp", imp(1, 0.5)),),
        arms=arms,
        levels=(1,),
        search_seeds=tuple(range(seeds)),
        starts=(0,),
        curve_at=(),
        training=Training(3, 64, SGD(0.3)),
    )


@pytest.mark.parametrize("seeds", [1, 2], ids=["alone", "as a stack"])
def test_an_arm_trains_under_what_it_says(seeds: int, tmp_path: Path) -> None:
    study = planting(seeds=seeds, while_training=fixed_signs)
    assert conditions_of(study).stacked == (seeds > 1)
    run(study, tmp_path, workers=1)
    folder = StudyFolder(tmp_path)
    changed = {}
    for arm in ("as_is", "held"):
        state, _ = read_state(folder.weights_path(ArmRun(arm, 1, Run(0, 0))))
        mask = folder.found("imp", 0, 1).ticket.mask
        # A weight that would change its sign is held at zero, which has none.
        changed[arm] = sum(int((state[name].sign() * mask[name] < 0).sum()) for name in mask)
    assert changed["as_is"] > 0
    assert changed["held"] == 0
    settings = read_json(tmp_path / "config.json")["arm_settings"]
    assert [settings[arm]["while_training"] for arm in ("as_is", "held")] == ["plain", "fixed_signs"]
    with pytest.raises(WinsomeError, match=r"arm_settings\.held\.while_training was"):
        run(planting(seeds=seeds), tmp_path, workers=1)


def test_dense_networks_too(tmp_path: Path) -> None:
    arms = (Dense(), Dense("interpolated", "interpolated", "", while_training=interpolated_norms))
    study = dataclasses.replace(planting(), arms=arms, levels=(1,))
    run(study, tmp_path, workers=1)
    first, second = (StudyFolder(tmp_path).results([ArmRun(arm.name, None, Run(0, 0))])[0] for arm in arms)
    assert first["loss"] != second["loss"]


@contextmanager
def mine(_model: nn.Module, _seed: int | Sequence[int], _mask: SignedMask) -> Iterator[Progress]:
    yield {}


@described("mine", "Does nothing, to a stack too.", stacks=True)
@contextmanager
def on_stacks(_model: nn.Module, _seed: int | Sequence[int], _mask: SignedMask) -> Iterator[Progress]:
    yield {}


@pytest.mark.parametrize(
    ("part", "stacked"),
    [(fixed_signs, True), (mine, False), (on_stacks, True), (AllOf((fixed_signs, mine)), False), (AllOf((on_stacks,)), True)],
)
def test_a_study_trains_as_stacks_only_if_all_its_parts_can(part: WhileTraining, stacked: bool) -> None:
    assert conditions_of(planting(while_training=part)).stacked == stacked
    method = dataclasses.replace(imp(1, 0.5), while_training=part)
    assert conditions_of(dataclasses.replace(planting(), searches=(("imp", method),))).stacked == stacked


@pytest.fixture(scope="module")
def conditions() -> Conditions:
    return Conditions(subset(load("digits"), train_images=192, test_images=100), FP32, statistics_images=64)


def starts_of(numbers: Sequence[int], conditions: Conditions) -> list[FreshStart]:
    made = []
    for number in numbers:
        network = fresh_network(tiny(), conditions, seed=number)
        weights = {name: weight for name, weight in network.named_parameters() if weight.ndim == 2}
        kept = {name: torch.arange(weight.numel()).view(weight.shape) % 3 > 0 for name, weight in weights.items()}
        mask = SignedMask.of(weights, kept)
        with torch.no_grad():
            for name, weight in weights.items():
                weight.mul_(kept[name])
        made.append(FreshStart(network, mask, 10 + number, f"start {number}"))
    return made


@pytest.mark.parametrize("stacked", [False, True])
def test_a_learning_curve_is_that_of_the_bare_network(stacked: bool, conditions: Conditions) -> None:
    """At a constant rate a training of two epochs passes through what one of one epoch ends in."""
    setting = dataclasses.replace(conditions, stacked=stacked)
    found = []
    for epochs in (1, 2):
        training = Training(epochs, 32, SGD(0.1), Constant())
        found.append(
            train_from_scratch(starts_of((1, 2), setting), setting, training, while_training=interpolated_norms, curve_at=(1,))
        )
    for short, long in zip(*found, strict=True):
        assert long["curve"][0] == short["curve"][0] == (1, short["accuracy"])


class Halved(nn.Module):
    """The weight is twice its parameter."""

    def forward(self, half: Tensor) -> Tensor:
        return 2 * half

    def right_inverse(self, weight: Tensor) -> Tensor:
        return weight / 2


@contextmanager
def halved(model: nn.Module, _seed: int | Sequence[int], _mask: SignedMask) -> Iterator[Progress]:
    """Train half of every weight of the first layer."""
    layer = model.get_submodule("1")
    parametrize.register_parametrization(layer, "weight", Halved())
    try:
        yield {}
    finally:
        parametrize.remove_parametrizations(layer, "weight")


def test_a_re_parametrisation_trains_from_scratch_with_its_curve_and_leaves_the_network_as_it_was(
    conditions: Conditions,
) -> None:
    (start,) = starts_of((1,), conditions)
    names = list(start.module.state_dict())
    before = start.module.get_parameter("1.weight").detach().clone()
    training = Training(2, 32, SGD(0.1, 0.0, 0.0), Constant())
    (found,) = train_from_scratch([start], conditions, training, while_training=halved, curve_at=(1,))
    assert list(start.module.state_dict()) == names
    after = start.module.get_parameter("1.weight")
    assert torch.equal(after != 0, start.mask.kept("1.weight"))
    assert not torch.equal(after, before)
    assert [epoch for epoch, _ in found["curve"]] == [1, 2]


# Data that scores look at


@described("gradient", "|w g|.", needs=("probe",))
def by_gradient(
    weights: Mapping[str, nn.Parameter], model: nn.Module, probe: Probe | None, _random: torch.Generator
) -> dict[str, Tensor]:
    assert probe is not None
    with torch.enable_grad():
        loss = torch.stack([probe.loss(model(inputs), labels) for inputs, labels in probe.batches]).mean()
        gradients = torch.autograd.grad(loss, list(weights.values()))
    return {name: (w.detach() * g).abs() for (name, w), g in zip(weights.items(), gradients, strict=True)}


def at_initialisation(seeds: int, **changes: object) -> Study:
    method = dataclasses.replace(imp(0), densities=(0.5,), score=by_gradient)
    arms = (FoundNetwork("found", "found", "", "snip"),)
    fields = {"searches": (("snip", method),), "arms": arms, "levels": (0,), "search_seeds": tuple(range(seeds)), **changes}
    return dataclasses.replace(tiny(), starts=(0,), curve_at=(), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("seeds", [1, 2], ids=["alone", "as a stack"])
def test_a_score_that_looks_at_data_sees_the_training_images_of_its_seed(seeds: int, tmp_path: Path) -> None:
    study = at_initialisation(seeds, probe=ProbeSpec(96, 32))
    run(study, tmp_path, workers=1)
    conditions, folder = conditions_of(study), StudyFolder(tmp_path)
    probe = study.probe.of(conditions, seed=0)
    assert [inputs.shape for inputs, _ in probe.batches] == [(32, 1, 8, 8)] * 3
    # Computed by itself, from the network that the search began with.
    network = fresh_network(study, conditions, seed=0)
    initial = folder.search("snip", 0).read_named("initial")
    assert initial is not None
    network.load_state_dict(initial)
    mask = folder.found("snip", 0, 0).ticket.mask
    scores = by_gradient({name: network.get_parameter(name) for name in mask}, network.train(), probe, torch.Generator())
    kept = torch.cat([scores[name][mask.kept(name)] for name in mask])
    pruned = torch.cat([scores[name][~mask.kept(name)] for name in mask])
    assert kept.min() >= pruned.max()
    config = folder.search("snip", 0).config()
    assert config["probe"]["examples"] == 96
    assert folder.config()["probe"] == {"images": 96, "batch_size": 32, "augmented": False, "training": True}
    with pytest.raises(WinsomeError, match=r"probe\.augmented was false, is now true"):
        run(dataclasses.replace(study, probe=ProbeSpec(96, 32, augmented=True)), tmp_path, workers=1)


def test_a_probe_is_drawn_by_the_searchs_seed(conditions: Conditions) -> None:
    spec = ProbeSpec(64, 32)
    first, again, other = (spec.of(conditions, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.inputs, again.inputs)
    assert first.record() == again.record() != other.record()
    rows = {tuple(image.flatten().tolist()) for inputs, _ in first.batches for image in inputs}
    assert len(first.batches) == 2
    assert len(rows) > 60, "no image twice, but for those that look alike"


@pytest.mark.parametrize(
    ("images", "batch", "sentence"),
    [(0, 1, "one image or more"), (8, 9, "got 8 images in batches of 9"), (193, 64, "exceeds the 192 training images")],
)
def test_a_probe_that_cannot_be_is_refused(images: int, batch: int, sentence: str, conditions: Conditions) -> None:
    with pytest.raises(WinsomeError, match=sentence):
        ProbeSpec(images, batch).of(conditions, seed=0)


def no_mask(_found: Found, _network: nn.Module, _random: torch.Generator) -> None:
    """A transplant that forgets to return its mask."""


def other_mask(found: Found, _network: nn.Module, _random: torch.Generator) -> SignedMask:
    """A transplant that returns the mask of another network."""
    return SignedMask({f"{name}x": found.ticket.mask[name] for name in found.ticket.mask})


@pytest.mark.parametrize(
    ("transplant", "sentence"),
    [(no_mask, "'no_mask' .* a NoneType and no SignedMask"), (other_mask, "'other_mask' .* other weights")],
)
def test_what_a_transplant_returns_is_checked(transplant: object, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(WinsomeError, match=sentence):
        run(planting(transplant=transplant), tmp_path, workers=1)

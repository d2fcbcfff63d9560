"""The ten lines of the README: a search in a user's own loop, on a model with every kind of layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import winsome
from winsome.level import Level


class UserModel(nn.Module):
    """BatchNorm, LayerNorm, a tied parameter and biases."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 4, 3)
        self.batch_norm = nn.BatchNorm2d(4)
        self.first = nn.Linear(4 * 36, 24)
        self.layer_norm = nn.LayerNorm(24)
        self.second = nn.Linear(24, 24)
        self.third = nn.Linear(24, 24)
        self.third.weight = self.second.weight
        self.classifier = nn.Linear(24, 10)

    def forward(self, images: Tensor) -> Tensor:
        hidden = F.relu(self.batch_norm(self.convolution(images))).flatten(1)
        hidden = F.relu(self.layer_norm(self.first(hidden)))
        hidden = F.relu(self.third(F.relu(self.second(hidden))))
        logits: Tensor = self.classifier(hidden)
        return logits


def fresh_model(seed: int) -> UserModel:
    torch.manual_seed(seed)
    return UserModel()


torch.manual_seed(0)
IMAGES, LABELS = torch.randn(64, 1, 8, 8), torch.randint(10, (64,))


def accuracy(model: nn.Module) -> float:
    return float((model(IMAGES).argmax(1) == LABELS).float().mean())


def train(model: nn.Module, level: Level) -> dict[str, Any]:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for _ in level.steps(total=12):
        loss = F.cross_entropy(model(IMAGES), LABELS)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return {"accuracy": accuracy(model)}


METHODS = {
    "imp": winsome.imp(3),
    "weight_rewinding": winsome.weight_rewinding(3, step=4),
    "learning_rate_rewinding": winsome.learning_rate_rewinding(3),
    "lrr_with_norm_rewinding": winsome.lrr_with_norm_rewinding(3, step=4),
    "aws": winsome.aws(3),
    "lrr_with_frozen_norms": winsome.lrr_with_frozen_norms(3),
}


@pytest.mark.parametrize("name", METHODS)
def test_every_method_finds_exact_nested_tickets_in_a_users_loop(name: str, tmp_path: Path) -> None:
    model = fresh_model(1)
    keys = list(model.state_dict())
    total = sum(p.numel() for n, p in model.named_parameters() if n in winsome.prunable(model))
    assert total == 4 * 9 + 144 * 24 + 24 * 24  # the tied weight counts once
    before: dict[str, Tensor] = {}
    levels = list(winsome.find_tickets(model, METHODS[name], train, save_to=tmp_path / "run"))
    assert [level.number for level in levels] == [0, 1, 2, 3]
    assert len({level.seed for level in levels}) == 4, "every level draws anew"
    for level in levels:
        mask = level.ticket.mask
        assert mask.n_kept == round(0.8**level.number * total)
        for parameter in mask:
            kept = mask.kept(parameter)
            assert not bool(level.state[parameter][~kept].any())
            if before:
                assert not bool((kept & ~before[parameter]).any()), "masks are nested"
        before = {parameter: mask.kept(parameter) for parameter in mask}
    parents = [None, *(level.ticket.mask.digest() for level in levels[:-1])]
    assert [level.ticket.provenance["parent"] for level in levels] == parents
    assert list(model.state_dict()) == keys, "the model stays the user's model"
    assert model.third.weight is model.second.weight
    fresh = fresh_model(2)
    start = {n: p.detach().clone() for n, p in fresh.named_parameters()}
    planted = winsome.plant(levels[-1].ticket, fresh)
    assert planted == levels[-1].ticket.mask
    for parameter in planted:
        assert torch.equal(fresh.get_parameter(parameter), start[parameter].abs() * levels[-1].ticket.mask[parameter])
    head = levels[-1].state["classifier.weight"]
    assert torch.equal(torch.sign(fresh.classifier.weight), torch.sign(head))
    assert torch.equal(fresh.batch_norm.weight, torch.ones(4)), "normalisation starts fresh"


@pytest.mark.parametrize("name", METHODS)
def test_a_search_read_back_is_bit_identical_and_trains_nothing(name: str, tmp_path: Path) -> None:
    first = list(winsome.find_tickets(fresh_model(1), METHODS[name], train, save_to=tmp_path))

    def never(_model: nn.Module, _level: Level) -> dict[str, Any]:
        raise AssertionError("a finished level was trained again")

    again = list(winsome.find_tickets(fresh_model(7), METHODS[name], never, save_to=tmp_path))
    for one, other in zip(first, again, strict=True):
        assert one.ticket.mask == other.ticket.mask
        assert one.metrics == other.metrics
        assert all(torch.equal(value, other.state[key]) for key, value in one.state.items())


def test_where_a_level_starts_from() -> None:
    starts: dict[str, list[dict[str, Tensor]]] = {}
    for name, method in METHODS.items():
        seen: list[dict[str, Tensor]] = []

        def watching(model: nn.Module, level: Level, seen: list[dict[str, Tensor]] = seen) -> dict[str, Any]:
            seen.append({key: value.clone() for key, value in model.state_dict().items()})
            return train(model, level)

        levels = list(winsome.find_tickets(fresh_model(1), method, watching))
        starts[name] = seen
        kept = levels[1].ticket.mask.kept("first.weight")
        start, trained = seen[1], levels[0].state
        same_as_trained = torch.equal(start["first.weight"], trained["first.weight"] * kept)
        assert same_as_trained == (name not in ("imp", "weight_rewinding"))
        assert levels[1].first_step == (4 if name == "weight_rewinding" else 0)
    initial = fresh_model(1).state_dict()
    assert torch.equal(starts["imp"][1]["classifier.weight"], initial["classifier.weight"])
    assert torch.equal(starts["imp"][1]["batch_norm.running_mean"], initial["batch_norm.running_mean"])
    rewound = starts["lrr_with_norm_rewinding"][1]
    assert torch.equal(rewound["batch_norm.weight"], starts["weight_rewinding"][1]["batch_norm.weight"])
    assert int(rewound["batch_norm.num_batches_tracked"]) == 4
    for key in ("batch_norm.weight", "layer_norm.weight"):
        assert torch.equal(starts["lrr_with_frozen_norms"][1][key], torch.ones_like(initial[key]))


def test_a_search_does_not_shift_the_users_random_streams() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    list(winsome.find_tickets(UserModelWithoutDraws(), winsome.imp(1), train))
    assert torch.equal(torch.rand(3), expected)


class UserModelWithoutDraws(UserModel):
    """Built without moving the global stream."""

    def __init__(self) -> None:
        with torch.random.fork_rng():
            super().__init__()


def test_metrics_of_any_kind_do_not_cost_a_trained_level(tmp_path: Path) -> None:
    def with_tensors(model: nn.Module, level: Level) -> dict[str, Any]:
        train(model, level)
        return {"scalar": torch.tensor(0.5), "numpy": np.float32(0.25), "vector": torch.ones(2), "list": [1, torch.tensor(2)]}

    (level,) = winsome.find_tickets(fresh_model(1), winsome.imp(0), with_tensors, save_to=tmp_path)
    expected = {"scalar": 0.5, "numpy": 0.25, "vector": [1.0, 1.0], "list": [1, 2]}
    assert level.metrics == expected
    (again,) = winsome.find_tickets(fresh_model(1), winsome.imp(0), with_tensors, save_to=tmp_path)
    assert again.metrics == expected


@pytest.mark.parametrize(
    ("returned", "kept"),
    [
        (0.93, {"value": 0.93}),  # an easy slip: the accuracy itself
        (torch.tensor(0.0), {"value": 0.0}),
        ({("a", 1): 2}, {"('a', 1)": 2}),
        ({"deep": {("a", 1): 2, "b": 3}}, {"deep": {"('a', 1)": 2, "b": 3}}),
        ({"f1": torch.ones(2), "n": [np.float32(0.5), np.arange(2)]}, {"f1": [1.0, 1.0], "n": [0.5, [0, 1]]}),
        (None, {}),
    ],
)
def test_whatever_a_loop_returns_does_not_cost_a_trained_level(tmp_path: Path, returned: Any, kept: dict[str, Any]) -> None:
    def with_a_slip(model: nn.Module, level: Level) -> Any:
        train(model, level)
        return returned

    (level,) = winsome.find_tickets(fresh_model(1), winsome.imp(0), with_a_slip, save_to=tmp_path)
    assert level.metrics == kept


@pytest.mark.parametrize("name", METHODS)
def test_a_level_read_back_is_the_level_that_was_trained(name: str, tmp_path: Path) -> None:
    """The start's mask, and a model that holds the level's network: what a caller's loop sees, resumed or not."""

    def opposed(model: nn.Module, level: Level) -> dict[str, Any]:  # training that turns many signs
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        for _ in level.steps(total=5):
            loss = sum((p + p.detach().sign()).square().sum() for p in model.parameters())
            optimizer.zero_grad()
            torch.as_tensor(loss).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        return {}

    seen = []
    for seed in (1, 7):
        model = fresh_model(seed)
        levels = []
        for level in winsome.find_tickets(model, METHODS[name], opposed, save_to=tmp_path):
            for key, value in model.state_dict().items():
                assert torch.equal(value, level.state[key]), (seed, level.number, key)
            levels.append(level)
        seen.append([level.mask for level in levels])
    assert seen[0] == seen[1]
    assert seen[0][0] != levels[0].ticket.mask, "signs turned, or nothing is shown"


def test_every_level_starts_in_the_modes_that_the_model_was_given_in() -> None:
    """A loop that ends in evaluation must not train its next level there, where AWS does nothing."""
    modes: list[list[bool]] = []

    def ends_in_evaluation(model: nn.Module, level: Level) -> dict[str, Any]:
        modes.append([module.training for module in model.modules()])
        metrics = train(model, level)
        model.eval()
        return metrics

    model = fresh_model(1)
    model.layer_norm.eval()
    before = [module.training for module in model.modules()]
    list(winsome.find_tickets(model, winsome.aws(2), ends_in_evaluation))
    assert modes == [before] * 3
    assert not all(before)


@pytest.mark.parametrize("kind", ["torch.compile", "DataParallel"])
def test_a_wrapped_model_is_refused_before_anything_is_written(tmp_path: Path, kind: str) -> None:
    model = fresh_model(0)
    wrapped = torch.compile(model) if kind == "torch.compile" else nn.DataParallel(model)
    assert isinstance(wrapped, nn.Module)
    prefix = "_orig_mod" if kind == "torch.compile" else "module"
    with pytest.raises(
        winsome.WinsomeError, match=rf"{kind}\(model\) .* \('{prefix}\.convolution\.weight'\): hand over the bare model"
    ):
        next(winsome.find_tickets(wrapped, winsome.aws(1), lambda *_: None, save_to=tmp_path / "run"))
    assert not (tmp_path / "run").exists()

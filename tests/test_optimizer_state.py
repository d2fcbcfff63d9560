"""What becomes of an optimizer's state between levels: against loops written out by hand, resumed, and in stacks."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

import winsome
from contract import STEPS, Killed, check_described, check_levels, check_resumes, example_of, network, same, search
from winsome import KeepWeights, KeepWeightsRewindNorms, Level, Method, RewindTo, WinsomeError
from winsome.data.catalogue import load
from winsome.data.images import subset
from winsome.methods import METHODS, learning_rate_rewinding, weight_rewinding
from winsome.methods_in_phases import gradual
from winsome.optimizer_state import OPTIMIZER_STATES, member_of, put, saved_state, stacked_state
from winsome.rewinding import Rewind, RewindAndRestart
from winsome.search import Search
from winsome.stacking import one_thread, stack
from winsome.training.conditions import Conditions
from winsome.training.precision import FP32
from winsome.training.searches import search_together
from winsome.training.settings import SGD, Adam, Constant, Training

DENSITIES, EARLY, N_STEPS = (1.0, 0.6, 0.36), 3, 8
INPUTS = torch.randn(64, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
LABELS = torch.randint(3, (64,), generator=torch.Generator().manual_seed(1))


def rate(step: int) -> float:
    return 0.1 if step < 5 else 0.02


def batch(level: int, step: int) -> Tensor:
    return torch.randint(64, (16,), generator=torch.Generator().manual_seed(100 * level + step))


def optimizer_of(model: nn.Module, kind: str = "sgd") -> torch.optim.Optimizer:
    if kind == "adamw":
        return torch.optim.AdamW(model.parameters(), lr=0.01)
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)


def by_hand(kind: str, early_of: str, first_step: int) -> list[dict[str, Tensor]]:
    """Prune and train with masks in the forward, as the code of arXiv:2402.19262 does: one optimizer, its state_dict put back.

    `early_of` is what goes back to step `EARLY` at every level: "weights" (all of them), "norms" or "nothing".
    """
    model = network().double()
    names, states = winsome.prunable(model), []
    masks = {name: torch.ones_like(model.get_parameter(name)) for name in names}
    optimizer = optimizer_of(model)
    early, early_optimizer = model.state_dict(), optimizer.state_dict()
    for number, density in enumerate(DENSITIES):
        if number:
            scores = torch.cat([(model.get_parameter(name) * masks[name]).detach().abs().flatten() for name in names])
            kept = round(density * scores.numel())
            threshold = scores.sort(descending=True).values[kept - 1]
            masks = {name: ((model.get_parameter(name) * masks[name]).abs() >= threshold).double() for name in names}
            back = {"weights": early, "norms": {n: v for n, v in early.items() if n[0] in "14"}, "nothing": {}}[early_of]
            model.load_state_dict({**model.state_dict(), **back})
            if kind == "fresh":
                optimizer = optimizer_of(model)
            elif kind == "rewound":
                optimizer.load_state_dict(copy.deepcopy(early_optimizer))  # a file is read anew every time
        model.train()
        for step in range(first_step if number else 0, N_STEPS):
            if (number, step) == (0, EARLY):
                early = {n: v.clone() for n, v in model.state_dict().items()}
                early_optimizer = copy.deepcopy(optimizer.state_dict())
            for group in optimizer.param_groups:
                group["lr"] = rate(step)
            chosen = batch(number, step)
            masked = {name: model.get_parameter(name) * masks[name] for name in names}
            loss = F.cross_entropy(functional_call(model, masked, (INPUTS[chosen],)), LABELS[chosen])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        masked = {name: (model.get_parameter(name) * masks[name]).detach() for name in names}
        states.append({n: v.clone() for n, v in {**model.state_dict(), **masked}.items()})
    return states


def train(model: nn.Module, level: Level, kind: str = "sgd") -> None:
    optimizer = optimizer_of(model, kind)
    model.train()
    for step in level.steps(N_STEPS, optimizer=optimizer, save_every=3):
        for group in optimizer.param_groups:
            group["lr"] = rate(step) if kind == "sgd" else 0.01
        chosen = batch(level.number, step)
        loss = F.cross_entropy(model(INPUTS[chosen]), LABELS[chosen])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


@pytest.mark.parametrize(
    ("kind", "rewind", "early_of", "first_step"),
    [
        ("fresh", KeepWeights(), "nothing", 0),
        ("kept", KeepWeights(), "nothing", 0),
        ("rewound", KeepWeightsRewindNorms(EARLY), "norms", 0),
        ("rewound", RewindAndRestart(EARLY), "weights", 0),
        ("rewound", RewindTo(EARLY), "weights", EARLY),
        ("kept", RewindTo(EARLY), "weights", EARLY),
        ("fresh", RewindTo(EARLY), "weights", EARLY),
    ],
)
def test_levels_are_those_of_a_loop_written_out(kind: Any, rewind: Rewind, early_of: str, first_step: int) -> None:
    """Bit for bit, weights, norms and statistics: that the momentum of pruned weights lives on does no harm."""
    method = Method(DENSITIES, rewind, optimizer_state=kind)
    levels = list(winsome.find_tickets(network().double(), method, train))
    for level, state in zip(levels, by_hand(kind, early_of, first_step), strict=True):
        assert same(level.state, state), f"level {level.number}"


@pytest.mark.parametrize(("kind", "optimizer"), [("kept", "adamw"), ("rewound", "sgd")])
def test_a_killed_search_goes_on_to_the_same_bits(kind: Any, optimizer: str, tmp_path: Path) -> None:
    """Killed between levels, and inside one before and after its first checkpoint; then deeper than it was first asked for."""
    method = Method(DENSITIES, RewindAndRestart(EARLY) if kind == "rewound" else KeepWeights(), optimizer_state=kind)
    model = network().double()
    whole = list(winsome.find_tickets(network().double(), method, lambda m, level: train(m, level, optimizer)))
    for number, step in ((0, 7), (1, 1), (2, 4)):

        def killed(model: nn.Module, level: Level, at: tuple[int, int] = (number, step)) -> None:
            steps = level.steps

            def dying(*args: Any, **options: Any) -> Iterator[int]:
                for now in steps(*args, **options):
                    if (level.number, now) == at:
                        raise Killed
                    yield now

            level.steps = dying  # type: ignore[method-assign]
            train(model, level, optimizer)

        with pytest.raises(Killed):
            list(winsome.find_tickets(network().double(), method, killed, save_to=tmp_path / "run"))
    resumed = list(winsome.find_tickets(model, method, lambda m, level: train(m, level, optimizer), save_to=tmp_path / "run"))
    assert same(resumed[-1].state, whole[-1].state)
    for shallow in (1, 2):
        first = dataclasses.replace(method, densities=DENSITIES[: shallow + 1])
        grown = winsome.find_tickets(
            network().double(), first, lambda m, level: train(m, level, optimizer), save_to=tmp_path / "grown"
        )
        assert same(list(grown)[-1].state, whole[shallow].state)
    left = sorted(path.name for path in (tmp_path / "grown").glob("optimizer-*"))
    assert left == [{"kept": "optimizer-02.safetensors", "rewound": "optimizer-early.safetensors"}[kind]]


@pytest.mark.parametrize("kind", OPTIMIZER_STATES)
def test_every_optimizer_state_keeps_the_contract(kind: Any, tmp_path: Path) -> None:
    check_described(OPTIMIZER_STATES[kind])
    method = Method((1.0, 0.5, 0.25), RewindTo(2), optimizer_state=kind)
    levels = search(method)
    check_levels(method, levels)
    check_resumes(method, levels, tmp_path)
    others: list[Any] = [other for other in OPTIMIZER_STATES if other != kind]
    ends = [search(dataclasses.replace(method, optimizer_state=other))[-1].state for other in others]
    assert not any(same(levels[-1].state, end) for end in ends)


def test_it_is_part_of_what_a_method_is() -> None:
    lrr = learning_rate_rewinding(2)
    kept = dataclasses.replace(lrr, optimizer_state="kept")
    assert kept.record() == {**lrr.record(), "optimizer_state": "kept"}
    assert lrr.record()["optimizer_state"] == "fresh"
    assert set(kept.cited) - set(lrr.cited) == {"gadhikar2024masks"}
    for make in METHODS.values():
        assert example_of(make).optimizer_state == ("kept" if make is gradual else "fresh"), "it is one training"
    with pytest.raises(WinsomeError, match="unknown optimizer_state 'keep'; did you mean kept"):
        dataclasses.replace(lrr, optimizer_state="keep")  # type: ignore[arg-type]


def test_before_step_0_there_is_no_state_to_go_back_to() -> None:
    fresh = search(Method((1.0, 0.5), RewindTo(0)))
    rewound = search(Method((1.0, 0.5), RewindTo(0), optimizer_state="rewound"))
    assert same(fresh[-1].state, rewound[-1].state)


def test_a_loop_that_hands_over_no_optimizer_is_told_so() -> None:
    method = dataclasses.replace(learning_rate_rewinding(1), optimizer_state="kept")

    def without(_model: nn.Module, level: Level) -> None:
        for _ in level.steps(STEPS):
            pass

    with pytest.raises(
        WinsomeError, match=r'optimizer_state="kept" takes the optimizer of every level: level\.steps\(total, opt'
    ):
        list(winsome.find_tickets(network(), method, without))
    with pytest.raises(WinsomeError, match="level 0: the training loop handed over no optimizer"):
        list(winsome.find_tickets(network(), method, lambda *_: None))


def test_several_optimizers_are_refused_by_name_where_one_is_carried() -> None:
    def of_two(model: nn.Module, level: Level) -> None:
        for _ in level.steps(STEPS, optimizer=[optimizer_of(model), optimizer_of(model, "adamw")]):
            pass

    method = dataclasses.replace(learning_rate_rewinding(1), optimizer_state="kept")
    with pytest.raises(WinsomeError, match="it carries one, not SGD and AdamW"):
        list(winsome.find_tickets(network(), method, of_two))


def test_a_state_that_is_nested_goes_on_from_level_to_level(tmp_path: Path) -> None:
    def by_line_search(model: nn.Module, level: Level) -> None:
        optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=2)
        for _ in level.steps(2, optimizer=optimizer):
            optimizer.step(lambda: closure(model))  # type: ignore[no-untyped-call]

    def closure(model: nn.Module) -> Tensor:
        model.zero_grad()
        loss = F.cross_entropy(model(INPUTS), LABELS)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    def search_to(deepest: int, folder: Path | None) -> dict[str, Tensor]:
        method = Method(DENSITIES[: deepest + 1], KeepWeights(), optimizer_state="kept")
        return list(winsome.find_tickets(network().double(), method, by_line_search, save_to=folder))[-1].state

    search_to(1, tmp_path)
    assert same(search_to(2, tmp_path), search_to(2, None))


def test_another_optimizer_at_the_next_level_is_refused() -> None:
    method = dataclasses.replace(learning_rate_rewinding(1), optimizer_state="kept")
    with pytest.raises(WinsomeError, match="the state of SGD over 9 parameters does not fit AdamW over 9"):
        list(
            winsome.find_tickets(
                network().double(), method, lambda m, level: train(m, level, "adamw" if level.number else "sgd")
            )
        )


def test_a_state_that_has_gone_is_said(tmp_path: Path) -> None:
    method = dataclasses.replace(learning_rate_rewinding(1), optimizer_state="kept")
    list(winsome.find_tickets(network().double(), method, train, save_to=tmp_path))
    (tmp_path / "optimizer-01.safetensors").unlink()
    deeper = dataclasses.replace(learning_rate_rewinding(2), optimizer_state="kept")
    with pytest.raises(WinsomeError, match="state at the end of level 1 is gone"):
        list(winsome.find_tickets(network().double(), deeper, train, save_to=tmp_path))


def test_settings_stay_the_optimizers_own() -> None:
    model = network()
    first = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    model(torch.randn(8, 6)).sum().backward()
    first.step()
    second = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.8)
    put(second, saved_state(first))
    assert [(group["lr"], group["momentum"]) for group in second.param_groups] == [(0.1, 0.8)]
    weight = model.get_parameter("0.weight")
    assert torch.equal(second.state[weight]["momentum_buffer"], first.state[weight]["momentum_buffer"])


@pytest.mark.parametrize(("kind", "settings"), [("kept", Adam(0.01)), ("rewound", SGD(0.1, 0.9, 1e-3))])
def test_members_of_a_stack_carry_what_they_carry_alone(kind: Any, settings: SGD | Adam, tmp_path: Path) -> None:
    conditions = Conditions(subset(load("digits"), train_images=64, test_images=50), FP32, statistics_images=64, stacked=True)
    method = dataclasses.replace(weight_rewinding(2, 0.5, step=2), optimizer_state=kind)
    training = Training(2, 32, settings, Constant())

    def mlp(seed: int) -> nn.Module:
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 10))

    def run(seeds: tuple[int, ...], place: str, last: int = 2, how: Method = method) -> list[Search]:
        searches = [Search(mlp(seed), how, seed=seed, save_to=tmp_path / place / str(seed)) for seed in seeds]
        with one_thread(on=True):
            search_together(searches, conditions, lambda _: training, last_level=last, on_fraction=lambda _: None)
        return searches

    together, alone = run((0, 1), "together"), run((1,), "alone")
    assert same(dict(together[1].model.state_dict()), dict(alone[0].model.state_dict()))
    run((0, 1), "resumed", last=1)  # and another process goes on
    assert same(dict(run((0, 1), "resumed")[1].model.state_dict()), dict(alone[0].model.state_dict()))
    fresh = run((1,), "fresh", how=weight_rewinding(2, 0.5, step=2))
    assert not same(dict(fresh[0].model.state_dict()), dict(alone[0].model.state_dict()))


def test_a_stacks_state_taken_apart_and_put_together_is_itself() -> None:
    models = [nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)) for _ in range(3)]
    together = stack(models)
    optimizer = torch.optim.Adam(together.parameters())
    together(torch.randn(3, 8, 3)).square().sum().backward()
    optimizer.step()
    saved = saved_state(optimizer)
    again = stacked_state([member_of(saved, member) for member in range(3)])
    assert same(again.tensors, saved.tensors)
    assert again.record == saved.record
    assert member_of(saved, 1).tensors["0/exp_avg"].shape == (4, 3)

"""Weights that come back between levels, levels that are stretches of one training, and cycles on one mask."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

import winsome
from contract import INPUTS, LABELS, everything, network, prunable, same, search, train
from winsome import KeepWeights, Level, Method, SignedMask, WinsomeError, ac_dc, cubic, gradual, sculpt
from winsome.analysis.sign_history import search_runs, sign_history
from winsome.mask_swap import same_masks, same_signs
from winsome.scoring import FirstBy
from winsome.stacking import one_thread
from winsome.trainers.counted import Counted

AT = (2, 5, 6)


def largest(state: dict[str, torch.Tensor], density: float) -> dict[str, torch.Tensor]:
    """The largest weights of a network, by sorting all of them."""
    names = list(prunable(network()))
    flat = torch.cat([state[name].abs().flatten() for name in names])
    threshold = flat.sort(descending=True).values[round(density * len(flat)) - 1]
    return {name: state[name].abs() >= threshold for name in names}


def test_after_a_dense_phase_the_largest_of_all_weights_are_kept() -> None:
    levels = search(ac_dc(5, 0.3))
    assert [level.density for level in levels] == [1, 0.3, 1, 0.3, 1, 0.3]
    came_back = 0
    for before, level in pairwise(levels):
        kept = {name: level.ticket.mask.kept(name) for name in level.ticket.mask}
        if level.density < 1:
            assert same(kept, largest(dict(before.state), level.density))
        else:
            assert all(bool(keep.all()) for keep in kept.values())
    for one, two in ((levels[1], levels[3]), (levels[3], levels[5])):
        came_back += sum(int((two.ticket.mask.kept(n) & ~one.ticket.mask.kept(n)).sum()) for n in one.ticket.mask)
    assert came_back > 0, "otherwise nothing was tested"


def test_what_comes_back_starts_at_zero_or_at_its_early_value() -> None:
    starts: dict[int, dict[str, torch.Tensor]] = {}

    def loop(model: torch.nn.Module, level: Level) -> dict[str, float]:
        starts[level.number] = {name: weight.detach().clone() for name, weight in prunable(model).items()}
        return train(model, level)

    list(winsome.find_tickets(network(), ac_dc(3, 0.3), loop))
    list_of = dict(starts)
    pruned = {name: weight == 0 for name, weight in list_of[1].items()}
    assert all(bool((list_of[2][name][gone] == 0).all()) for name, gone in pruned.items())
    list(winsome.find_tickets(network(), replace(ac_dc(3, 0.3), rewind=winsome.RewindTo(0)), loop))
    assert same(starts[2], starts[0])


def test_densities_rise_only_where_the_method_says_so() -> None:
    with pytest.raises(
        WinsomeError, match=r"got 0\.1 then 1; a method whose weights come back says so: Method\(\.\.\., nested"
    ):
        Method((1.0, 0.1, 1.0))
    assert Method((1.0, 0.1, 1.0), nested=False).record()["nested"] is False
    assert not {"nested", "prune_at"} & set(winsome.aws(3).record()), "folders of other methods know nothing of it"
    assert ac_dc(4, 0.2).densities == (1.0, 1.0, 0.2, 1.0, 0.2)
    for make in (ac_dc, sculpt):
        with pytest.raises(WinsomeError, match="levels"):
            make(0, 0.2)


def test_masks_of_one_density_that_differ_are_lent_to_nobody() -> None:
    masks = [level.ticket.mask for level in search(ac_dc(5, 0.3))]
    for borrow in (same_masks, same_signs):
        with pytest.raises(WinsomeError, match=r"3 levels of density 0\.\d+ that differ, of which none can be told"):
            search(borrow(Method((1.0, 0.3), KeepWeights()), masks))
    cycles = [level.ticket.mask for level in search(sculpt(3, 0.1))]  # one mask, other signs
    assert [level.ticket.mask.n_kept for level in search(same_masks(sculpt(3, 0.1), cycles))] == [m.n_kept for m in cycles]


def test_pruning_within_a_training_is_that_training_by_hand(tmp_path: Path) -> None:
    def batch(step: int) -> torch.Tensor:
        return torch.arange(step, step + 12) % len(INPUTS)

    def step_of(model: torch.nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
        for group in optimizer.param_groups:
            group["lr"] = 0.2 / (1 + step)  # a schedule that goes on
        optimizer.zero_grad()
        F.cross_entropy(model(INPUTS[batch(step)]), LABELS[batch(step)]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    def sgd(model: torch.nn.Module) -> torch.optim.Optimizer:
        return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-2)

    def loop(model: torch.nn.Module, level: Level) -> dict[str, int]:
        optimizer = sgd(model)
        steps = list[int]()
        for step in level.steps(9, optimizer=optimizer):
            step_of(model, optimizer, step)
            steps.append(step)
        return {"first": steps[0], "steps": len(steps)}

    with one_thread(on=True):
        levels = list(winsome.find_tickets(network(), gradual(density=0.2, prune_at=AT), loop, save_to=tmp_path))
        model = network()
        optimizer, kept = sgd(model), everything(prunable(model))
        for step in range(9):
            if step in AT:
                kept = largest(dict(model.state_dict()), cubic(3, 0.2)[1 + AT.index(step)])
            with torch.no_grad():
                for name, weight in prunable(model).items():
                    weight.mul_(kept[name])
            step_of(model, optimizer, step)
        with torch.no_grad():
            for name, weight in prunable(model).items():
                weight.mul_(kept[name])
    assert [level.metrics for level in levels] == [
        {"first": first, "steps": last - first} for first, last in zip((0, *AT), (*AT, 9), strict=True)
    ]
    assert same(dict(levels[-1].state), dict(model.state_dict()))


def test_steps_of_pruning_that_cannot_be_are_refused() -> None:
    for at in ((), (3, 2), (0, 4), (3, 3), (2,), (1, 2, 3)):
        if at:
            with pytest.raises(WinsomeError, match="prune_at is the training step at which each level but the first begins"):
                Method((1.0, 0.5, 0.2), KeepWeights(), prune_at=at)
    assert gradual(7, 0.2, prune_at=AT).densities == cubic(3, 0.2), "as often as there are steps"
    with pytest.raises(WinsomeError, match=r"prunes at step 9 \(prune_at\), but the training has 5 steps"):
        search(gradual(density=0.2, prune_at=(2, 9)))
    (level, *_) = search(gradual(density=0.2, prune_at=(2, 4)))
    with pytest.raises(WinsomeError, match="where this trainer would not stop"):
        Counted(level).begin(5, [], save_every=0, also={})


def test_cycles_are_on_one_random_mask_and_the_last_on_the_largest_of_its_weights() -> None:
    levels = search(sculpt(3, 0.1, first=0.4))
    chance = search(Method((0.4,), KeepWeights(), score=winsome.random))
    masks = [{name: level.ticket.mask.kept(name) for name in level.ticket.mask} for level in levels]
    assert same(masks[0], {name: chance[0].ticket.mask.kept(name) for name in masks[0]})
    assert same(masks[0], masks[1])
    assert same(masks[0], masks[2])
    assert same(masks[3], largest(dict(levels[2].state), 0.1))
    assert {"gadhikar2024cyclic", "gadhikar2023random", "han2015learning"} <= set(sculpt(3, 0.1).cited)
    assert repr(FirstBy(winsome.random, then=winsome.magnitude)) == "FirstBy(random, then=magnitude)"
    assert Method((0.4, 0.1), score=FirstBy(winsome.random, then=winsome.scores.snip)).needs == {"probe", "gradient"}


def test_a_mask_is_known_by_its_places_alone_where_only_these_are_lent() -> None:
    mask = SignedMask({"w": torch.tensor([1, 0, -1, 0])})
    other = SignedMask({"w": torch.tensor([-1, 0, 1, 0])})
    method = same_masks(Method((0.5,)), (mask, other))
    kept = method.allocate({"w": torch.rand(4)}, 0.5, {"w": torch.ones(4, dtype=torch.bool)})
    assert kept["w"].tolist() == [True, False, True, False]


@pytest.mark.parametrize("method", [ac_dc(3, 0.3), gradual(density=0.2, prune_at=(2, 4)), winsome.learning_rate_rewinding(2)])
def test_a_search_is_known_again_by_its_phases(method: Method, tmp_path: Path) -> None:
    search(replace(method, optimizer_state="kept"), tmp_path / "kept")
    search(method, tmp_path / "own")
    names = {"AC/DC": "ac_dc", "GMP": "gradual", "LRR": "learning_rate_rewinding"}
    (own,) = search_runs([tmp_path / "own"])
    (kept,) = search_runs([tmp_path / "kept"])
    assert own.method == names[method.label]
    assert kept.method == ("gradual" if method.label == "GMP" else "KeepWeights(step=0)")
    if not method.nested:
        with pytest.raises(WinsomeError, match="so the masks must be nested"):
            sign_history(own)

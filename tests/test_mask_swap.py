"""Searches in borrowed masks: the places are the other run's, level by level, and everything else is the method's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor, nn

import winsome
from winsome import Level, Method, SignedMask, WinsomeError
from winsome.mask_swap import (
    BORROWS,
    Borrow,
    permuted,
    permuted_masks,
    random_masks_of_the_same_counts,
    same_masks,
    same_masks_and_signs,
    same_signs,
)


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 3))


def train(model: nn.Module, level: Level) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    for _ in level.steps(5):
        optimizer.zero_grad()
        model(torch.randn(16, 10)).square().mean().backward()
        optimizer.step()


def levels_of(method: Method, *, model_seed: int = 0) -> list[Level]:
    return list(winsome.find_tickets(network(model_seed), method, train))


def kept(mask: SignedMask) -> dict[str, Tensor]:
    return {name: mask.kept(name) for name in mask}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(("mine", "others"), [(winsome.imp, winsome.aws), (winsome.learning_rate_rewinding, winsome.imp)])
def test_a_swapped_search_has_the_other_runs_masks_at_every_level(
    mine: Callable[..., Method], others: Callable[..., Method]
) -> None:
    masks = [level.ticket.mask for level in levels_of(others(3, 0.4), model_seed=5)]
    own = levels_of(mine(3, 0.4))
    swapped = levels_of(same_masks(mine(3, 0.4), masks))
    for number, (level, mask) in enumerate(zip(swapped, masks, strict=True)):
        assert same(kept(level.ticket.mask), kept(mask))
        assert number == 0 or not same(kept(level.ticket.mask), kept(own[number].ticket.mask)), "its own masks would differ"


def test_imp_in_borrowed_masks_still_starts_every_level_from_initialisation() -> None:
    masks = [level.ticket.mask for level in levels_of(winsome.learning_rate_rewinding(2, 0.4), model_seed=5)]
    starts: list[dict[str, Tensor]] = []

    def look(model: nn.Module, level: Level) -> None:
        starts.append({name: value.detach().clone() for name, value in model.named_parameters()})
        train(model, level)

    list(winsome.find_tickets(network(), same_masks(winsome.imp(2, 0.4), masks), look))
    initial = dict(network().named_parameters())
    for start, mask in zip(starts, masks, strict=True):
        for name, value in start.items():
            expected = initial[name] * mask.kept(name) if name in mask else initial[name]
            assert torch.equal(value, expected)


@pytest.mark.parametrize("borrow", [same_signs, same_masks_and_signs])
def test_a_search_restarts_with_the_other_runs_signs(borrow: Borrow) -> None:
    """IMP: the magnitudes of its own initialisation, the signs that the other had learned; its own where the other pruned."""
    masks = fixed_masks()
    starts: list[dict[str, Tensor]] = []

    def look(model: nn.Module, level: Level) -> None:
        starts.append({name: value.detach().clone() for name, value in model.named_parameters()})
        train(model, level)

    levels = list(winsome.find_tickets(network(), borrow(winsome.imp(3, 0.4), masks, 0), look))
    initial = {name: value.detach() for name, value in network().named_parameters()}
    assert torch.equal(starts[0]["0.weight"], initial["0.weight"]), "level 0 starts as it is"
    turned = 0
    for level, start, mask in list(zip(levels, starts, masks, strict=True))[1:]:
        for name in level.mask:
            sign = torch.where(mask[name] == 0, initial[name].sign(), mask[name].float())
            assert torch.equal(start[name], initial[name].abs() * sign * level.mask.kept(name))
            turned += int((start[name] * initial[name] < 0).sum())
        assert same(kept(level.ticket.mask), kept(mask)) == (borrow is same_masks_and_signs)
        assert torch.equal(start["4.bias"], initial["4.bias"])
    assert turned


def test_signs_may_be_borrowed_onto_trained_magnitudes() -> None:
    masks = fixed_masks()
    trained: list[Tensor] = []
    starts: list[Tensor] = []

    def look(model: nn.Module, level: Level) -> None:
        starts.append(model.get_parameter("0.weight").detach().clone())
        train(model, level)
        trained.append(model.get_parameter("0.weight").detach().clone())

    list(winsome.find_tickets(network(), same_masks_and_signs(winsome.learning_rate_rewinding(3, 0.4), masks), look))
    for start, before, mask in zip(starts[1:], trained, masks[1:], strict=False):
        assert torch.equal(start, before.abs() * mask["0.weight"])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), borrow=st.sampled_from([permuted_masks, random_masks_of_the_same_counts]))
def test_randomised_masks_keep_layer_counts_and_are_nested(seed: int, borrow: object) -> None:
    masks = fixed_masks()
    method = BORROWS[borrow.__name__](winsome.imp(3, 0.4), masks, seed)  # type: ignore[attr-defined]
    found = [level.ticket.mask for level in winsome.find_tickets(network(), method, lambda _model, _level: None, seed=seed)]
    for level, (mine, other) in enumerate(zip(found, masks, strict=True)):
        assert {n: c.kept for n, c in mine.layers().items()} == {n: c.kept for n, c in other.layers().items()}
        if level:
            assert all(bool((mine.kept(name) <= found[level - 1].kept(name)).all()) for name in mine)
            assert not same(kept(mine), kept(other))


def fixed_masks() -> list[SignedMask]:
    return [level.ticket.mask for level in levels_of(winsome.imp(3, 0.4), model_seed=3)]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_a_permutation_is_the_same_at_every_level(seed: int) -> None:
    masks = fixed_masks()
    numbered = {name: torch.arange(masks[0][name].numel()) for name in masks[0]}
    shuffled = permuted(masks, seed)
    for name, places in numbered.items():
        # Where each weight went, by brute force: the order in which the survivors of the last level appear must be consistent.
        order = [int(i) for i in places[torch.randperm(len(places), generator=winsome_generator(seed, name))]]
        for mask, moved in zip(masks, shuffled, strict=True):
            flat, flat_moved = mask[name].view(-1).tolist(), moved[name].view(-1).tolist()
            assert flat_moved == [flat[i] for i in order]


def winsome_generator(seed: int, name: str) -> torch.Generator:
    from winsome.seeding import generator

    return generator(seed, f"permutation of {name}")


def test_masks_of_other_densities_or_networks_are_refused_by_name() -> None:
    masks = fixed_masks()
    with pytest.raises(WinsomeError, match=r"no mask of density 0\.3 .* it has 1, 0\.5"):
        levels_of(same_masks(winsome.imp(1, 0.7), masks))
    other = [
        level.ticket.mask
        for level in winsome.find_tickets(
            nn.Sequential(nn.Linear(9, 9), nn.Linear(9, 2)), winsome.imp(3, 0.4), lambda _m, _l: None
        )
    ]
    with pytest.raises(WinsomeError, match="same network"):
        levels_of(same_masks(winsome.imp(3, 0.4), other))


@pytest.mark.parametrize("name", BORROWS)
def test_a_folder_knows_which_masks_a_search_borrowed(name: str, tmp_path: Path) -> None:
    masks = fixed_masks()
    others = [level.ticket.mask for level in levels_of(winsome.imp(3, 0.4), model_seed=4)]
    for borrowed in (masks, masks):  # the same masks again: the folder is taken up
        list(winsome.find_tickets(network(), BORROWS[name](winsome.imp(3, 0.4), borrowed, 1), train, save_to=tmp_path))
    with pytest.raises(WinsomeError, match=r"(allocate|rewind) was"):
        list(winsome.find_tickets(network(), BORROWS[name](winsome.imp(3, 0.4), others, 1), train, save_to=tmp_path))

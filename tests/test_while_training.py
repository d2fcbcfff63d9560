"""Contexts around training: putting them together, sign flips, fixed signs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from scipy import stats
from torch import nn

import winsome
from winsome import Method, SignedMask, WinsomeError
from winsome.norms import interpolated_norms
from winsome.perturbation import SignFlips, fixed_signs, flip_steps
from winsome.signed_mask import stack_masks
from winsome.stacking import stack
from winsome.while_training import AllOf, OnLevels, Progress, on_level, plain


def network(width: int = 40) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, 3))


def half_mask(model: nn.Module, seed: int = 1) -> SignedMask:
    weight = model.get_parameter("0.weight")
    kept = torch.rand(weight.shape, generator=torch.Generator().manual_seed(seed)) < 0.5
    return SignedMask.of({"0.weight": weight}, {"0.weight": kept})


def one_step(model: nn.Module, optimizer: torch.optim.Optimizer, width: int = 40) -> None:
    optimizer.zero_grad()
    model(torch.randn(16, width)).square().mean().backward()
    optimizer.step()


def test_sign_flips_hit_a_binomial_number_of_surviving_weights_and_nothing_else() -> None:
    model = network()
    mask = half_mask(model)
    with mask.enforced_on(model):
        before = {name: value.clone() for name, value in model.state_dict().items()}
        with SignFlips(0.3, at=(1, 2))(model, 7, mask), torch.no_grad():
            model(torch.randn(4, 40))  # step 0: nothing
            assert torch.equal(model.get_parameter("0.weight"), before["0.weight"])
            model(torch.randn(4, 40))
            once = model.get_parameter("0.weight").detach().clone()
            model(torch.randn(4, 40))
            twice = model.get_parameter("0.weight").detach().clone()
    for earlier, later in ((before["0.weight"], once), (once, twice)):
        assert torch.equal(earlier.abs(), later.abs()), "magnitudes stay"
        flipped = int((earlier != later).sum())
        # Independent answer: the binomial law of flips among survivors, at a two-sided level of one in a million.
        low, high = stats.binom.interval(1 - 1e-6, mask.n_kept, 0.3)
        assert low <= flipped <= high
    assert not torch.equal(before["0.weight"] != once, once != twice), "each time is a draw of its own"
    others = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert others <= {"0.weight", "1.running_mean", "1.running_var", "1.num_batches_tracked"}


def test_probabilities_of_zero_and_one_are_exact_and_evaluation_is_no_step() -> None:
    model = network()
    mask = half_mask(model)
    weight = model.get_parameter("0.weight")
    with mask.enforced_on(model), torch.no_grad():
        start = weight.clone()
        with SignFlips(1.0, at=(0,))(model, 0, mask) as progress:
            model.eval()(torch.randn(2, 40))
            assert torch.equal(weight, start)
            model.train()(torch.randn(2, 40))
            assert torch.equal(weight, -start)
            assert int(progress["forward_passes"]) == 1
        with SignFlips(0.0, at=(0,))(model, 0, mask):
            model(torch.randn(2, 40))
        assert torch.equal(weight, -start)


def test_a_member_of_a_stack_flips_as_it_would_alone() -> None:
    models = [network(8), network(8), network(8)]
    masks = [half_mask(model, seed) for seed, model in enumerate(models)]
    together = stack(models)
    flips = SignFlips(0.4, at=(0,))
    with stack_masks(masks).enforced_on(together), flips(together, [5, 6, 7], stack_masks(masks)):
        together(torch.randn(3, 4, 8))
    for place, (model, mask, seed) in enumerate(zip(models, masks, (5, 6, 7), strict=True)):
        with mask.enforced_on(model), flips(model, seed, mask):
            model(torch.randn(4, 8))
        assert torch.equal(together.get_parameter("0.weight")[place], model.get_parameter("0.weight"))


def test_the_papers_schedule_of_flips() -> None:
    assert flip_steps(every=30, epochs=150, steps_per_epoch=10) == (290, 590, 890, 1190, 1490)
    assert flip_steps(every=1, epochs=3, steps_per_epoch=2) == (0, 2, 4)
    for every in (0, 31, -1):
        with pytest.raises(WinsomeError, match=f"signs flip every {every} epochs, but a level trains 10"):
            flip_steps(every=every, epochs=10, steps_per_epoch=5)


def test_impossible_flips_are_refused() -> None:
    with pytest.raises(WinsomeError, match=r"must be in \[0, 1\], got 30"):
        SignFlips(30, at=(0,))
    for at in ((), (-1,)):
        with pytest.raises(WinsomeError, match="at least one; got"):
            SignFlips(0.3, at=at)


@pytest.mark.parametrize("make", [torch.optim.SGD, torch.optim.AdamW])
def test_fixed_signs_never_change_and_are_a_projection_after_every_step(make: type[torch.optim.Optimizer]) -> None:
    model, reference = network(), network()
    mask = half_mask(model)
    signs = mask["0.weight"].float()
    optimizer, other = make(model.parameters(), lr=0.3), make(reference.parameters(), lr=0.3)  # type: ignore[call-arg]
    wanted_to_flip = 0
    with mask.enforced_on(model), fixed_signs(model, 0, mask):
        for step in range(20):
            torch.manual_seed(step)
            one_step(model, optimizer)
            assert torch.equal(model.get_parameter("0.weight").sign() * signs.abs(), model.get_parameter("0.weight").sign())
            assert bool((model.get_parameter("0.weight") * signs >= 0).all())
    for step in range(20):  # the independent answer: the same loop with the projection written out
        torch.manual_seed(step)
        if step == 0:
            reference.get_parameter("0.weight").data.mul_(signs.abs())
        other.zero_grad()
        reference(torch.randn(16, 40)).square().mean().backward()
        reference.get_parameter("0.weight").grad.mul_(signs.abs())  # type: ignore[union-attr]
        other.step()
        weight = reference.get_parameter("0.weight").data
        wanted_to_flip += int((weight * signs < 0).sum())
        weight.copy_(weight.abs() * signs)
    assert wanted_to_flip, "without the projection some sign would have changed"
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), reference.parameters(), strict=True))


def test_several_contexts_hold_at_once_and_each_keeps_its_progress() -> None:
    model = network(8)
    mask = half_mask(model)
    both = AllOf((interpolated_norms, SignFlips(1.0, at=(0,))))
    start = model.get_parameter("0.weight").detach() * mask["0.weight"].abs()
    with mask.enforced_on(model), both(model, 3, mask) as progress:
        model(torch.randn(4, 8))
        assert {name: int(value) for name, value in progress.items()} == {"0.forward_passes": 1, "1.forward_passes": 1}
        assert torch.equal(model.get_parameter("0.weight"), -start)
    assert not model._forward_pre_hooks, "nothing stays on the model"


def test_a_part_on_some_levels_of_a_search_holds_there_only() -> None:
    entered: list[tuple[str, float]] = []

    @contextmanager
    def note(model: nn.Module, _seed: int | Sequence[int], mask: SignedMask) -> Iterator[Progress]:
        entered.append((type(model).__name__, round(mask.density, 3)))
        yield {}

    part = OnLevels((1, 3), note)
    method = replace(winsome.learning_rate_rewinding(3, 0.5), while_training=part)
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 2))
    for _ in winsome.find_tickets(model, method, lambda _model, _level: None):
        pass
    assert entered == [("Sequential", 0.5), ("Sequential", 0.125)]
    assert on_level(part, 0) is plain
    assert on_level(AllOf((part, interpolated_norms)), 0) == AllOf((plain, interpolated_norms))
    assert on_level(OnLevels((0,), OnLevels((1,), note, interpolated_norms)), 0) is interpolated_norms
    with pytest.raises(WinsomeError, match="at least one; got"):
        OnLevels((), note)


def test_a_killed_level_with_flips_ends_in_the_same_bits(tmp_path: object) -> None:
    """A user's loop under flips and a checkpoint between two of them."""
    from pathlib import Path

    assert isinstance(tmp_path, Path)

    class Killed(Exception):
        pass

    def run(folder: Path, kill_at: int | None) -> dict[str, torch.Tensor]:
        model = network(8)
        method = Method((1.0, 0.5), winsome.KeepWeights(), while_training=SignFlips(0.5, at=(3, 7)))

        def train(model: nn.Module, level: winsome.Level) -> None:
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
            for step in level.steps(10, optimizer=optimizer, save_every=5):
                if (level.number, step) == (1, kill_at):
                    raise Killed
                optimizer.zero_grad()
                model(torch.randn(4, 8)).square().mean().backward()
                optimizer.step()

        for level in winsome.find_tickets(model, method, train, save_to=folder):
            state = level.state
        return state

    whole = run(tmp_path / "whole", None)
    with pytest.raises(Killed):
        run(tmp_path / "killed", 6)
    resumed = run(tmp_path / "killed", None)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)

"""The signed mask: exact signs and counts, and pruned weights that stay zero in any loop."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn
from torch.nn import functional as F

from winsome import SignedMask, WinsomeError

ANY_OPTIMIZER: dict[str, Callable[[Iterator[nn.Parameter]], torch.optim.Optimizer]] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=1e-2),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, foreach=True),
    "fused sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=1e-2, fused=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=1e-2),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
    "fused adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1, fused=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.9),
}


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 16), nn.ReLU(), nn.Linear(16, 10)
    )


def random_mask(model: nn.Module, names: tuple[str, ...] = ("0.weight", "4.weight")) -> SignedMask:
    draw = torch.Generator().manual_seed(1)
    weights = {name: model.get_parameter(name) for name in names}
    return SignedMask.of(weights, {name: torch.rand(w.shape, generator=draw) < 0.3 for name, w in weights.items()})


def batches(steps: int) -> list[tuple[Tensor, Tensor]]:
    draw = torch.Generator().manual_seed(2)
    return [(torch.randn(32, 1, 8, 8, generator=draw), torch.randint(10, (32,), generator=draw)) for _ in range(steps)]


def assert_pruned_are_zero(model: nn.Module, mask: SignedMask) -> None:
    for name in mask:
        weight = model.get_parameter(name)
        assert not bool(weight[~mask.kept(name)].any())
        assert bool(weight[mask.kept(name)].any())


@pytest.mark.parametrize("name", ANY_OPTIMIZER)
def test_pruned_weights_are_zero_after_every_step(name: str) -> None:
    model = network()
    mask = random_mask(model)
    with mask.enforced_on(model):
        optimizer = ANY_OPTIMIZER[name](model.parameters())
        for images, labels in batches(6):
            optimizer.zero_grad()
            F.cross_entropy(model(images), labels).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            assert_pruned_are_zero(model, mask)


@pytest.mark.parametrize("name", ANY_OPTIMIZER)
def test_a_stale_optimizer_cannot_revive_a_pruned_weight(name: str) -> None:
    model = network()
    optimizer = ANY_OPTIMIZER[name](model.parameters())
    for images, labels in batches(3):  # dense steps fill its momentum
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    mask = random_mask(model)
    with mask.enforced_on(model):
        for images, labels in batches(3):
            optimizer.zero_grad()
            F.cross_entropy(model(images), labels).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            assert_pruned_are_zero(model, mask)


def masked_forward_trajectory(steps: int, *, clip: float | None = None) -> tuple[nn.Module, list[dict[str, Tensor]]]:
    """The other formulation: weight * mask in the forward, through torch.func."""
    model = network()
    mask = random_mask(model)
    factors = {name: mask.kept(name).float() for name in mask}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
    states = []
    for images, labels in batches(steps):
        masked = {name: model.get_parameter(name) * factor for name, factor in factors.items()}
        optimizer.zero_grad()
        F.cross_entropy(torch.func.functional_call(model, masked, (images,)), labels).backward()  # type: ignore[no-untyped-call]
        if clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        states.append({k: v.detach() * factors[k] if k in factors else v.clone() for k, v in model.state_dict().items()})
    return model, states


@pytest.mark.parametrize("clip", [None, 0.5])
def test_twenty_steps_are_bit_identical_to_weight_times_mask_in_the_forward(clip: float | None) -> None:
    _, expected = masked_forward_trajectory(20, clip=clip)
    model = network()
    mask = random_mask(model)
    with mask.enforced_on(model):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
        for (images, labels), state in zip(batches(20), expected, strict=True):
            optimizer.zero_grad()
            F.cross_entropy(model(images), labels).backward()  # type: ignore[no-untyped-call]
            if clip is not None:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            for key, value in model.state_dict().items():
                assert torch.equal(value, state[key]), key


def test_a_clipped_norm_counts_kept_weights_only() -> None:
    model = network()
    mask = random_mask(model)
    images, labels = batches(1)[0]
    with mask.enforced_on(model):
        F.cross_entropy(model(images), labels).backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1e9)
    by_hand = 0.0
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        chosen = parameter.grad[mask.kept(name)] if name in mask else parameter.grad
        by_hand += float(chosen.double().square().sum())
    assert float(norm) == pytest.approx(by_hand**0.5, rel=1e-6)


def test_frozen_weights_are_masked_and_unfrozen_ones_have_masked_gradients() -> None:
    model = network()
    mask = random_mask(model)
    model[0].requires_grad_(False)
    with mask.enforced_on(model):
        assert not model[0].weight.requires_grad, "it stays frozen"
        assert_pruned_are_zero(model, mask)
        model[0].requires_grad_(True)
        ((images, labels),) = batches(1)
        F.cross_entropy(model(images), labels).backward()  # type: ignore[no-untyped-call]
        for name in mask:
            gradient = model.get_parameter(name).grad
            assert gradient is not None
            assert not bool(gradient[~mask.kept(name)].any())
            assert bool(gradient[mask.kept(name)].any())


def test_gradient_accumulation_and_grad_scaler() -> None:
    model = network()
    mask = random_mask(model)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    with mask.enforced_on(model):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-2)
        for index, (images, labels) in enumerate(batches(8)):
            with torch.autocast("cpu", torch.bfloat16):
                loss = F.cross_entropy(model(images), labels)
            scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            if index % 2:
                scaler.unscale_(optimizer)
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                scaler.step(optimizer)
                scaler.update()
                optimizer.zero_grad()
                assert_pruned_are_zero(model, mask)


def test_a_compiled_model_is_masked_alike() -> None:
    model, compiled = network(), network()
    mask = random_mask(model)
    forward: Any = torch.compile(compiled, backend="aot_eager")
    plain: Any = model
    with mask.enforced_on(model), mask.enforced_on(compiled):
        pairs = [(m, torch.optim.SGD(m.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-2)) for m in (model, compiled)]
        for images, labels in batches(4):
            for (m, optimizer), call in zip(pairs, (plain, forward), strict=True):
                optimizer.zero_grad()
                F.cross_entropy(call(images), labels).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                assert_pruned_are_zero(m, mask)
    assert torch.allclose(model.get_parameter("0.weight"), compiled.get_parameter("0.weight"), atol=1e-6)


def _ddp_worker(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    model = network()
    mask = random_mask(model)
    replicated = nn.parallel.DistributedDataParallel(model)
    with mask.enforced_on(model):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-2)
        for images, labels in batches(4):
            optimizer.zero_grad()
            F.cross_entropy(replicated(images[rank::2]), labels[rank::2]).backward()  # type: ignore[no-untyped-call]
            norm = nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
            assert_pruned_are_zero(model, mask)
    torch.save({"norm": norm, "state": model.state_dict()}, f"{folder}/rank{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_processes_of_ddp_keep_the_mask_and_agree(tmp_path: Path) -> None:
    spawn(_ddp_worker, args=(str(tmp_path),), nprocs=2)  # type: ignore[no-untyped-call]
    first, second = (torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in (0, 1))
    assert torch.equal(first["norm"], second["norm"])
    for key, value in first["state"].items():
        if "running" not in key:  # BatchNorm statistics are each rank's own
            assert torch.equal(value, second["state"][key]), key


def test_the_model_is_as_before_after_the_block_and_pickles_inside_it() -> None:
    model = network()
    keys = list(model.state_dict())
    mask = random_mask(model)
    with mask.enforced_on(model):
        copied, pickled = copy.deepcopy(model), pickle.loads(pickle.dumps(model))
        assert list(model.state_dict()) == list(copied.state_dict()) == list(pickled.state_dict()) == keys
    images, labels = batches(1)[0]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    F.cross_entropy(model(images), labels).backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    assert bool(model.get_parameter("0.weight")[~mask.kept("0.weight")].any()), "the mask is off after the block"


def test_a_mask_for_another_architecture_is_refused_with_everything_that_differs() -> None:
    model = network()
    mask = SignedMask({"0.weight": torch.ones(4, 1, 5, 5), "9.weight": torch.ones(2)})
    with pytest.raises(WinsomeError, match=r"lacks 9\.weight.*0\.weight is \(4, 1, 3, 3\) in the model, \(4, 1, 5, 5\)"):
        mask.enforced_on(model).__enter__()


@given(st.lists(st.sampled_from([-2.0, -0.0, 0.0, 1.5]), min_size=1), st.randoms(use_true_random=False))
def test_signs_and_counts_against_brute_force(values: list[float], random: object) -> None:
    kept = [random.random() < 0.5 for _ in values]  # type: ignore[attr-defined]
    mask = SignedMask.of({"w": torch.tensor(values)}, {"w": torch.tensor(kept)})
    expected = [0 if not keep else (-1 if value < 0 else 1) for value, keep in zip(values, kept, strict=True)]
    assert mask["w"].tolist() == expected
    assert mask.n_kept == sum(kept)
    assert mask.density == sum(kept) / len(values)
    count = mask.layers()["w"]
    assert (count.total, count.kept, count.positive) == (len(values), sum(kept), expected.count(1))


def test_it_is_immutable_and_compares_by_content() -> None:
    signs = torch.tensor([1, 0, -1], dtype=torch.int8)
    mask = SignedMask({"w": signs})
    signs[0] = 0
    mask["w"][1] = 1
    assert mask["w"].tolist() == [1, 0, -1]
    same = SignedMask({"w": torch.tensor([1.0, 0.0, -1.0])})
    assert mask == same
    assert mask.digest() == same.digest()
    assert mask != SignedMask({"w": torch.tensor([1, 0, 1])})
    with pytest.raises(WinsomeError, match="values other than"):
        SignedMask({"w": torch.tensor([0.5])})
    with pytest.raises(WinsomeError, match="values other than"):
        SignedMask({"w": torch.tensor([3], dtype=torch.int8)})
    assert SignedMask({"a": torch.zeros(3), "b": torch.ones(1)}).empty_layers() == ("a",)


ANY_DTYPE = (torch.int8, torch.int16, torch.int64, torch.float16, torch.float32, torch.float64)


@given(st.integers(-300, 300), st.sampled_from(ANY_DTYPE))
def test_only_signs_are_taken(value: int, dtype: torch.dtype) -> None:
    if dtype is torch.int8 and not -128 <= value <= 127:
        return
    given = torch.tensor([1, value, -1]).to(dtype)
    if abs(value) <= 1:
        assert SignedMask({"w": given})["w"].tolist() == [1, value, -1]
    else:
        with pytest.raises(WinsomeError, match="'w' holds values other than"):  # -128 is its own absolute value in int8
            SignedMask({"w": given})


def test_a_mask_takes_no_nan() -> None:
    with pytest.raises(WinsomeError, match="values other than"):
        SignedMask({"w": torch.tensor([1.0, float("nan")])})


def test_equality_hash_and_digest_do_not_depend_on_the_order_of_names() -> None:
    one = SignedMask({"a": torch.tensor([1, 0]), "b": torch.tensor([-1])})
    other = SignedMask({"b": torch.tensor([-1]), "a": torch.tensor([1, 0])})
    assert one == other
    assert hash(one) == hash(other)
    assert one.digest() == other.digest()
    assert list(one) == ["a", "b"]
    for different in ({"a": torch.tensor([1, 0])}, {"a": torch.tensor([[1, 0]]), "b": torch.tensor([-1])}):
        assert SignedMask(different) != one
        assert SignedMask(different).digest() != one.digest()


def test_shapes_counts_and_digest_are_computed_once_and_from_no_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = SignedMask({"w": torch.tensor([[1, 0, -1]]), "v": torch.zeros(2)})
    copies: list[str] = []
    monkeypatch.setattr(SignedMask, "__getitem__", lambda _self, name: copies.append(name))
    before = (mask.shapes, mask.density, mask.layers(), mask.empty_layers(), mask.digest(), mask.n_kept, repr(mask))
    assert before[:2] == ({"w": (1, 3), "v": (2,)}, 2 / 5)
    assert before[3] == ("v",)
    with monkeypatch.context() as counting:
        counting.setattr(torch, "count_nonzero", lambda *_: pytest.fail("counted again"))
        again = (mask.shapes, mask.density, mask.layers(), mask.empty_layers(), mask.digest(), mask.n_kept, repr(mask))
    assert again == before
    assert copies == []
    with pytest.raises(TypeError):
        mask.shapes["w"] = (3,)  # type: ignore[index]


def test_a_mask_that_was_looked_at_pickles_and_copies() -> None:
    mask = SignedMask({"w": torch.tensor([1, 0, -1])})
    assert mask.density
    assert mask.digest()
    assert mask.shapes
    for again in (pickle.loads(pickle.dumps(mask)), copy.deepcopy(mask)):
        assert again == mask
        assert again.shapes == mask.shapes

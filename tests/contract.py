"""What every method and every part has to keep, whoever wrote it: checked on a tiny network with the example that it gives."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import winsome
from winsome import KeepWeights, Level, Method, Probe, SignedMask
from winsome.about import about
from winsome.allocation import Allocate
from winsome.checks import checked_kept, checked_restart, checked_scores
from winsome.citation import bibtex
from winsome.method import make_method
from winsome.own_names import holding
from winsome.rewinding import Restart, Rewind
from winsome.scores import Score
from winsome.stacking import one_thread
from winsome.state import State, full_state
from winsome.while_training import WhileTraining

DRAW = torch.Generator().manual_seed(0)
INPUTS, LABELS = torch.randn(24, 6, generator=DRAW), torch.randint(3, (24,), generator=DRAW)
PROBE = Probe(INPUTS[:16], LABELS[:16], more=((INPUTS[16:], LABELS[16:]),))
STEPS = 5


class Killed(Exception):
    """The process is gone."""


def network(seed: int = 0) -> nn.Sequential:
    """Three layers to prune, one of them without a bias, with normalisation and a classifier."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 7, bias=False), nn.LayerNorm(7), nn.ReLU(), nn.Linear(7, 3)
    )


def prunable(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: model.get_parameter(name) for name in winsome.prunable(model)}


def everything(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: torch.ones(weight.shape, dtype=torch.bool) for name, weight in weights.items()}


def half_mask(model: nn.Module) -> SignedMask:
    weights, draw = prunable(model), torch.Generator().manual_seed(1)
    return SignedMask.of(weights, {name: torch.rand(w.shape, generator=draw) < 0.5 for name, w in weights.items()})


def train(model: nn.Module, level: Level, *, kill_at: tuple[int, int] | None = None) -> dict[str, float]:
    """A user's loop, resumable inside a level; killed at (level, step) if asked for."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    loss = torch.zeros(())
    model.train()
    for step in level.steps(STEPS, optimizer=optimizer, save_every=2):
        if (level.number, step) == kill_at:
            raise Killed
        batch = torch.randint(24, (12,))
        loss = F.cross_entropy(model(INPUTS[batch]), LABELS[batch])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return {"loss": float(loss.detach())}


def regressing(*shape: int, steps: int = 2) -> Callable[[nn.Module, Level], None]:
    """A plain training that makes outputs small, on fresh random inputs of a shape: where what is learnt does not matter."""

    def regress(model: nn.Module, level: Level) -> None:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in level.steps(steps):
            optimizer.zero_grad()
            model(torch.randn(shape)).square().mean().backward()
            optimizer.step()

    return regress


def search(method: Method, folder: Path | None = None, *, seed: int = 0, kill_at: tuple[int, int] | None = None) -> list[Level]:
    def loop(model: nn.Module, level: Level) -> dict[str, float]:
        return train(model, level, kill_at=kill_at)

    with one_thread(on=True):
        return list(winsome.find_tickets(network(), method, loop, PROBE, save_to=folder, seed=seed))


def same(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    """Names and bits."""
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def check_described(part: Callable[..., object]) -> None:
    """A label, one sentence, citations that can be printed, and a docstring."""
    said = about(part)
    assert said.label
    assert said.sentence.endswith(".")
    assert "\n" not in said.sentence
    assert bibtex(said.citations).count("@") >= len(said.citations)
    assert inspect.getdoc(part)


def example_of(make: Callable[..., Method]) -> Method:
    """The method with its example arguments, three levels where it has levels."""
    return make_method(make, **{"levels": 2, "rate": 0.5, **about(make).example})


def made(part: Any) -> Any:
    """A part itself, or one of its class with its example arguments."""
    return part(**about(part).example) if isinstance(part, type) else part


def check_method(make: Callable[..., Method], folder: Path) -> None:
    """Described, cited, known again by its record; exact counts, nested, the same bits again, also after a kill."""
    check_described(make)
    method = example_of(make)
    assert (method.label, method.sentence) == (about(make).label, about(make).sentence)
    assert example_of(make) == method
    assert hash(example_of(make)) == hash(method)
    assert set(about(make).citations) <= set(method.cited)
    assert bibtex(method.cited), "a method can be cited, by itself or by its parts"
    assert json.loads(json.dumps(method.record())) == method.record()

    levels = search(method, folder / "whole")
    check_levels(method, levels)
    assert levels[0].ticket.provenance["citations"] == list(method.cited)
    for again in (search(method), search(method, folder / "whole")):  # anew, and read back
        assert all(same(one.state, two.state) for one, two in zip(levels, again, strict=True))
        assert [one.ticket.mask for one in levels] == [two.ticket.mask for two in again]
    check_resumes(method, levels, folder)


def check_levels(method: Method, levels: list[Level]) -> None:
    total = sum(weight.numel() for weight in prunable(network()).values())
    assert [level.density for level in levels] == list(method.densities)
    before = everything(prunable(network()))
    for level in levels:
        mask = level.ticket.mask
        assert mask.n_kept == round(level.density * total)
        assert list(level.state) == list(network().state_dict())
        for name in mask:
            assert not method.nested or not bool((mask.kept(name) & ~before[name]).any()), "nested"
            assert not bool(level.state[name][~mask.kept(name)].any()), "pruned weights are zero"
        before = {name: mask.kept(name) for name in mask}


def check_resumes(method: Method, levels: list[Level], folder: Path) -> None:
    """Killed inside the last level, after a checkpoint, and begun again: the same bits."""
    last = len(method.densities) - 1
    try:
        search(method, folder / "killed", kill_at=(last, STEPS - 1))
    except Killed:
        pass
    else:
        raise AssertionError("the last level was never trained to its last step")
    resumed = search(method, folder / "killed")
    assert same(resumed[-1].state, levels[-1].state)
    assert resumed[-1].ticket.mask == levels[-1].ticket.mask
    assert resumed[-1].metrics == levels[-1].metrics


def check_score(score: Score) -> None:
    """Described; a finite number for every weight, the same twice; the network stays as it is."""
    check_described(score)
    model = network()
    weights, before = prunable(model), full_state(model)
    one, two = (score(weights, model, PROBE, torch.Generator().manual_seed(3)) for _ in range(2))
    checked = checked_scores(one, weights, everything(weights), score)
    assert same(checked, checked_scores(two, weights, everything(weights), score))
    after = full_state(model)
    assert all(torch.equal(after[name], before[name]) for name in weights)
    levels = search(Method((0.6, 0.3), KeepWeights(), score=score))
    check_levels(levels[0].method, levels)


def check_allocation(allocate: Allocate, scores: Mapping[str, Tensor], first: float, second: float) -> None:
    """Described; exact, nested, the same twice; inside a layer the highest scores are kept, or inside a group of a layer."""
    check_described(allocate if hasattr(allocate, "__name__") else type(allocate))
    takes = getattr(allocate, "takes", lambda _: True)
    groups = getattr(allocate, "groups", lambda layer: layer.reshape(1, -1))
    scores = {name: score for name, score in scores.items() if takes(score.shape)}
    kept = everything(scores)
    for density in (max(first, second), min(first, second)):
        now = checked_kept(allocate(dict(scores), density, kept), density, kept, allocate)
        assert same(now, allocate(dict(scores), density, kept))
        for name, keep in now.items():
            lowest = groups(scores[name].double().masked_fill(~keep, torch.inf)).amin(1)
            alive = groups(scores[name].double().masked_fill(~kept[name] | keep, -torch.inf)).amax(1)
            assert bool((lowest >= alive).all())
        kept = now


def check_rewind(kind: type[Rewind]) -> None:
    """Described; a whole state from two others, which stay as they are; the same twice; it serves a search."""
    check_described(kind)
    rewind: Rewind = made(kind)
    early, trained = full_state(network(1)), full_state(network(2))
    kept = {name: half_mask(network()).kept(name) for name in half_mask(network())}
    norms = frozenset(name for name in early if name.split(".")[0] in ("1", "4"))

    def restarted() -> tuple[State, int]:
        return rewind(early, trained, Restart(norms, kept, torch.Generator().manual_seed(5)))

    (one, step), (two, again) = (checked_restart(restarted(), trained, rewind) for _ in range(2))
    assert step == again
    assert same(one, two)
    assert same(early, full_state(network(1)))
    assert same(trained, full_state(network(2)))
    levels = search(Method((1.0, 0.5), rewind))
    check_levels(levels[0].method, levels)


def check_while_training(part: WhileTraining, folder: Path) -> None:
    """Described; the model is as before when it ends; a search under it resumes to the same bits."""
    check_described(part)
    model = network()
    parameters = dict(model.named_parameters())
    hooks = sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())
    mask = half_mask(model)
    with mask.enforced_on(model), holding(part, model, 3, mask) as (own, progress):
        model(INPUTS).square().mean().backward()
        assert all(isinstance(value, Tensor) for value in progress.values())
        assert list(own.state()) == list(network().state_dict())
    assert all(now is parameters[name] for name, now in model.named_parameters())
    assert list(dict(model.named_parameters())) == list(parameters)
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert hooks == sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())
    method = Method((1.0, 0.5), winsome.RewindTo(1), while_training=part)
    levels = search(method)
    check_levels(method, levels)
    check_resumes(method, levels, folder)

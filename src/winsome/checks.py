"""What parts return, checked where a search or a study takes it: each error names the part and the parameter."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from winsome.about import about
from winsome.divergence import is_finite
from winsome.errors import WinsomeError
from winsome.identity import name_of
from winsome.matrices import experts, input_axes
from winsome.ranking import Kept
from winsome.scores import Scores
from winsome.signed_mask import SignedMask
from winsome.state import State

Part = Callable[..., object]


log = logging.getLogger("winsome")


def taken_by(allocate: Part, names: tuple[str, ...], model: nn.Module) -> tuple[str, ...]:
    """The names of the weights that an allocation can take, those of its patterns; the others stay dense, and are told.

    A pattern lies along a weight's inputs, which it takes to be axis 1: a weight that has them elsewhere, as a transposed
    convolution and transformers' `Conv1D` do, stays dense.

    Raises:
        WinsomeError: it can take none.
    """
    takes: Callable[[Sequence[int]], bool] | None = getattr(allocate, "takes", None)
    shapes = {name: parameter.shape for name, parameter in model.named_parameters()}
    if takes is None:
        return names
    axes = input_axes(model)
    dense = [name for name in names if name in shapes and (axes.get(name, 1) != 1 or not takes(shapes[name]))]
    if not dense:
        return names
    along = {name: f", inputs along axis {axis}" for name in dense if (axis := axes.get(name, 1)) != 1}
    left = ", ".join(f"{name} ({'x'.join(map(str, shapes[name]))}{along.get(name, '')})" for name in dense)
    if len(dense) == len(names):
        raise WinsomeError(f"{name_of(allocate)} can take none of the network's weights: {left}")
    log.warning("%s leaves dense what it cannot take, and does not count it: %s", name_of(allocate), left)
    return tuple(name for name in names if name not in dense)


def told_of_experts(allocate: Callable[..., Kept], model: nn.Module) -> Callable[..., Kept]:
    """The allocation, which knows how many matrices each weight holds if it needs that."""
    return partial(allocate, experts=experts(model)) if "experts" in about(allocate).needs else allocate


def tell_collapse(kept: Mapping[str, Tensor], part: Part, *, density: float, number: int) -> None:
    """Name the layers that have lost all their weights, before the level trains."""
    for name, keep in kept.items():
        if keep.numel() and not bool(keep.any()):
            log.warning(
                "level %d: %s has lost all its weights by %r at density %g; more rounds of scoring (Rounds), another "
                "allocation or a higher density may keep some",
                *(number, name, name_of(part), density),
            )


def checked_scores(scores: object, weights: Mapping[str, Tensor], kept: Mapping[str, Tensor], part: Part) -> Scores:
    """The scores in the order of the weights: one finite number for every weight that is kept.

    Integers are taken as floating-point numbers of the same order.

    Raises:
        WinsomeError: a name is missing or surplus, or scores are of another shape or type, NaN or infinite.
    """
    who = f"the score {name_of(part)!r}"
    given = _strided(_tensors(scores, weights, who, "for every prunable weight one number; higher means keep"), who)
    checked: Scores = {}
    for name, weight in weights.items():
        score = given[name].detach()
        if score.shape != weight.shape:
            raise WinsomeError(
                f"{who} gives {_shape(score)} numbers for {name!r}, whose weights are {_shape(weight)}: every weight takes "
                "one; where several share a number, say so: score.expand_as(weight)"
            )
        if not score.is_floating_point():
            score = _as_floats(score, name, who)
        bad = ~torch.isfinite(score if score.dtype.itemsize > 1 else score.float()).cpu() & kept[name]
        if count := int(torch.count_nonzero(bad)):
            raise WinsomeError(
                f"{who} gives NaN or infinity for {count} kept weights of {name!r}: they cannot be ordered; "
                "scores are finite, those of weights to go first are just lower"
            )
        checked[name] = score
    return checked


def checked_kept(allocated: object, density: float, kept: Mapping[str, Tensor], part: Part) -> Kept:
    """Which weights an allocation keeps, on the CPU: exactly round(density * total), all kept before.

    Raises:
        WinsomeError: a name is missing or surplus, a tensor is not bool or of another shape, a weight comes back, or the count
            is another one.
    """
    who = f"the allocation {name_of(part)!r}"
    given = _strided(_tensors(allocated, kept, who, "for every prunable weight whether it is kept"), who)
    checked: Kept = {}
    for name, before in kept.items():
        keep = given[name]
        if keep.dtype != torch.bool or keep.shape != before.shape:
            raise WinsomeError(
                f"{who} gives {_shape(keep)} {_type(keep)} for {name!r}; {_shape(before)} bool is wanted, True where kept"
            )
        keep = keep.detach().cpu()
        if bool((keep & ~before).any()):
            raise WinsomeError(f"{who} brings back weights of {name!r} that are pruned already: masks are nested (keep & kept)")
        checked[name] = keep
    count, total = (sum(int(f(keep)) for keep in checked.values()) for f in (torch.count_nonzero, torch.numel))
    if count != round(density * total):
        raise WinsomeError(
            f"{who} keeps {count} of {total} weights, but density {density:g} means round(density * total) = "
            f"{round(density * total)}; winsome.allocation.keep_in_layers and `shares` count exactly"
        )
    return checked


@contextmanager
def left_alone(states: Mapping[str, Mapping[str, Tensor]], part: Part) -> Iterator[None]:
    """Inside the block a part looks at states, which later levels go by too; one that it writes to in place is refused.

    Raises:
        WinsomeError: names the part and the value.
    """
    versions = {
        (of, name): value._version
        for of, state in states.items()
        for name, value in state.items()
        if isinstance(value, Tensor) and not value.is_inference()
    }
    yield
    for (of, name), version in versions.items():
        if states[of][name]._version != version:
            raise WinsomeError(
                f"{name_of(part)!r} changes {name!r} of the {of} network in place, which later levels go by too: "
                f"give back a changed copy ({of}[{name!r}].clone())"
            )


def checked_restart(
    restart: object, trained: Mapping[str, Tensor], part: Part, *, early: Mapping[str, Tensor] | None = None
) -> tuple[State, int]:
    """The state a level starts from, in the order of the trained one, and the step of its schedule.

    Buffers that the network made or enlarged after `early` was taken, and what modules keep beside tensors (`get_extra_state`),
    may be as either state has them.

    Raises:
        WinsomeError: it is no pair, a name is missing or surplus, a value has another shape or type or is not finite, or the
            step is no whole number from 0 up.
    """
    who = f"the rewind {name_of(part)!r}"
    if not isinstance(restart, tuple) or len(restart) != 2:
        raise WinsomeError(f"{who} gives a {type(restart).__name__}; (state, first step) is wanted")
    loose = _loose(trained, trained if early is None else early)
    whole = restart[0] if isinstance(restart[0], Mapping) else {}
    strict = {name: value for name, value in trained.items() if name not in loose}
    given = _tensors(
        {n: v for n, v in whole.items() if n not in loose} if whole else restart[0], strict, who, "a whole state_dict"
    )
    for name, value in strict.items():
        new = given[name]
        types = {
            value.dtype,
            value.dtype if early is None else early[name].dtype,
        }  # a loop may have moved the network to another
        if new.shape != value.shape or new.dtype not in types:
            raise WinsomeError(
                f"{who} gives {_shape(new)} {_type(new)} for {name!r}, which is {_shape(value)} {_type(value)} in the network"
            )
        if not is_finite(new) and is_finite(value):
            raise WinsomeError(f"{who} gives NaN or infinity for {name!r}")
    step: Any = restart[1]
    if isinstance(step, bool) or not isinstance(step, int) or step < 0:
        raise WinsomeError(f"{who} starts the schedule at step {step!r}; a whole number from 0 up is wanted")
    given |= {name: value for name, value in whole.items() if name in loose}
    return {name: _detached(given[name]) for name in (*trained, *whole) if name in given}, step


def _loose(trained: Mapping[str, Tensor], early: Mapping[str, Tensor]) -> set[str]:
    """The names under which two states of one network need not have the same: absent in one, no tensor, or of another shape."""
    return {
        name
        for name in (*trained, *early)
        if not isinstance(one := trained.get(name), Tensor)
        or not isinstance(other := early.get(name), Tensor)
        or one.shape != other.shape
    }


def _detached(value: Tensor) -> Tensor:
    return value.detach() if isinstance(value, Tensor) else value


def checked_transplant(mask: object, weights: Mapping[str, Tensor], part: Part) -> SignedMask:
    """The signed mask that a transplant gives to train under, if it fits the network's prunable weights.

    Raises:
        WinsomeError: it is no signed mask, or its names or shapes are not the prunable weights'; or a weight is not finite.
    """
    who = f"the transplant {name_of(part)!r}"
    if not isinstance(mask, SignedMask):
        raise WinsomeError(f"{who} gives a {type(mask).__name__}; a SignedMask to train under is wanted, as plant() returns it")
    _same_names(mask, weights, who, "a mask of every prunable weight")
    for name, weight in weights.items():
        if (kept := mask.kept(name)).shape != weight.shape:
            raise WinsomeError(f"{who} gives a mask of {_shape(kept)} for {name!r}, whose weights are {_shape(weight)}")
        if not bool(torch.isfinite(weight).all()):
            raise WinsomeError(f"{who} left NaN or infinity in the weights of {name!r}")
    return mask


def _tensors(given: object, wanted: Iterable[str], who: str, what: str) -> dict[str, Tensor]:
    if not isinstance(given, Mapping):
        raise WinsomeError(f"{who} gives a {type(given).__name__}; a dict by parameter name is wanted: {what}")
    _same_names(given, wanted, who, what)
    for name, value in given.items():
        if not isinstance(value, Tensor):
            raise WinsomeError(f"{who} gives a {type(value).__name__} for {name!r}; a tensor is wanted: {what}")
        if value.is_meta:
            raise WinsomeError(f"{who} gives no values for {name!r}, a tensor on the device meta; wanted is {what}")
    return dict(given)


def _strided(given: dict[str, Tensor], who: str) -> dict[str, Tensor]:
    for name, value in given.items():
        if value.layout != torch.strided:
            raise WinsomeError(f"{who} gives a {value.layout} tensor for {name!r}; give it dense (to_dense())")
    return given


def _same_names(given: Iterable[str], wanted: Iterable[str], who: str, what: str) -> None:
    there, needed = list(given), list(wanted)
    missing = [name for name in needed if name not in there]
    surplus = [name for name in there if name not in needed]
    if missing or surplus:
        problems = [f"gives nothing for {', '.join(map(repr, missing))}"] if missing else []
        problems += [f"gives {', '.join(map(repr, surplus))}, which it was not asked for"] if surplus else []
        raise WinsomeError(f"{who} {' and '.join(problems)}; wanted is {what}")


def _as_floats(score: Tensor, name: str, who: str) -> Tensor:
    if score.is_complex():
        raise WinsomeError(f"{who} gives complex numbers for {name!r}; they have no order")
    exact = score.to(torch.float64)
    if score.dtype != torch.bool and not torch.equal(exact.to(score.dtype), score):
        raise WinsomeError(
            f"{who} gives integers beyond 2^53 for {name!r}, which are not told apart; give floating-point numbers"
        )
    return exact


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "0-dimensional"


def _type(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")

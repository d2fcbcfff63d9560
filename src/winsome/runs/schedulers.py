"""What no checkpoint would keep of a loop: things without a state, and schedulers that nobody hands over.

Which schedulers drive an optimizer is found by who holds it.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from winsome.errors import WinsomeError

_CALLED = ("sched", "plateau", "anneal", "warmup", "cosine")  # in the names of what other packages call one
_DEEP = 3  # a scheduler of schedulers of schedulers, or one inside a wrapper's list


def refuse_unkept(optimizers: Sequence[Optimizer], also: Mapping[str, Any]) -> None:
    """Refuse what would go on wrongly after a kill: what has no state, and schedulers that nobody hands over.

    Raises:
        WinsomeError: names it, and the remedy.
    """
    for name, thing in also.items():
        if isinstance(thing, Optimizer):
            raise WinsomeError(
                f"also[{name!r}] is an optimizer: hand it over as one, level.steps(..., optimizer=[first, second])"
            )
        if not all(callable(getattr(thing, method, None)) for method in ("state_dict", "load_state_dict")):
            raise WinsomeError(
                f"also[{name!r}] is a {type(thing).__name__} without state_dict and load_state_dict: nothing can be kept of it"
            )
    kept = {id(getattr(thing, "optimizer", None)) for thing in also.values()}
    counted = any("last_epoch" in _keys(thing) for thing in also.values() if not hasattr(thing, "optimizer"))
    for optimizer in optimizers:
        if not counted and (forgotten := forgotten_schedulers(optimizer, also.values())):
            raise WinsomeError(
                f"the learning rate of {type(optimizer).__name__} follows a scheduler ({type(forgotten[0]).__name__}), whose "
                'count no checkpoint would keep: hand it over, level.steps(..., also={"scheduler": scheduler})'
            )
        # torch's schedulers wrap the `step` of their optimizer; other packages' wrappers of schedulers name no optimizer.
        if hasattr(getattr(optimizer, "step", None), "_wrapped_by_lr_sched") and not (id(optimizer) in kept or counted):
            raise WinsomeError(
                f"the learning rate of {type(optimizer).__name__} follows a scheduler, whose count no checkpoint would keep: "
                'hand it over, level.steps(..., also={"scheduler": scheduler}), or let the rate follow from `step`'
            )


def _keys(thing: Any) -> Sequence[str]:
    state = thing.state_dict()
    return list(state) if isinstance(state, Mapping) else ()


def forgotten_schedulers(optimizer: Optimizer, handed_over: Iterable[object]) -> list[object]:
    """The schedulers of an optimizer that are alive, but neither among some things nor inside of them."""
    things = list(handed_over)
    if not _forgotten(optimizer, things):
        return []
    gc.collect()  # one that was thrown away may be part of a circle
    return _forgotten(optimizer, things)


def _forgotten(optimizer: Optimizer, things: list[object]) -> list[object]:
    known = _within(things)
    return [one for one in _schedulers_of(optimizer) if id(one) not in known]


def _schedulers_of(optimizer: Optimizer) -> Iterator[object]:
    """Whatever is a scheduler, or is called one, and has the optimizer as its `optimizer`."""
    seen: set[int] = set()
    for holder in gc.get_referrers(optimizer):  # which looks at every object there is: a fraction of a second
        if type(holder) is dict and holder.get("optimizer") is not optimizer:
            continue  # another variable, or a list of optimizers: not an attribute of this name
        for owner in gc.get_referrers(holder) if type(holder) is dict else (holder,):
            if id(owner) not in seen and _is_scheduler(owner) and _attributes(owner).get("optimizer") is optimizer:
                seen.add(id(owner))
                yield owner


def _is_scheduler(thing: object) -> bool:
    if isinstance(thing, LRScheduler):
        return True
    kinds = type(thing).__mro__
    called = any(word in kind.__name__.lower() for kind in kinds for word in _CALLED)
    return called and callable(getattr(type(thing), "step", None)) and not hasattr(type(thing), "zero_grad")


def _attributes(thing: object) -> dict[str, Any]:
    found = getattr(thing, "__dict__", {})
    return found if isinstance(found, dict) else {}


def _within(things: Iterable[object]) -> set[int]:
    """The identities of things and of what they hold: attributes, and what is in their lists and dicts."""
    known: set[int] = set()
    front = list(things)
    for _ in range(2 * _DEEP):  # an attribute, and the list that it is
        known |= {id(one) for one in front}
        inner: list[object] = []
        for one in front:
            if isinstance(one, dict):
                inner += one.values()
            elif isinstance(one, list | tuple | set):
                inner += one
            elif not isinstance(one, Optimizer):
                inner += _attributes(one).values()
        front = [one for one in inner if id(one) not in known]
    return known

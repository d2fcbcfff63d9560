"""Where a level stands between two steps: network, optimizers, schedulers and random streams, as tensors and JSON.

Network, optimizers and all that is kept beside them are alike on all ranks, the random streams are each rank's own.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from winsome import distributed
from winsome.errors import WinsomeError
from winsome.odd_values import read, written
from winsome.state import State, load_state

SAVE_EVERY = 200  # training steps between two checkpoints inside a training that is not stacked


class Stateful(Protocol):
    """Whatever can be kept: a scheduler, an average of weights, a gradient scaler, a sampler, a loader."""

    def state_dict(self) -> Any:
        """Where it stands."""
        ...

    def load_state_dict(self, state_dict: Any, /) -> Any:
        """Go on from there."""
        ...


def refuse_unkept(optimizers: Sequence[Optimizer], also: Mapping[str, Stateful]) -> None:
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
    for optimizer in optimizers:
        # torch's schedulers wrap the `step` of their optimizer; other packages' wrappers of schedulers name no optimizer.
        if hasattr(getattr(optimizer, "step", None), "_wrapped_by_lr_sched") and not (
            id(optimizer) in kept
            or any("last_epoch" in _keys(thing) for thing in also.values() if not hasattr(thing, "optimizer"))
        ):
            raise WinsomeError(
                f"the learning rate of {type(optimizer).__name__} follows a scheduler, whose count no checkpoint would keep: "
                'hand it over, level.steps(..., also={"scheduler": scheduler}), or let the rate follow from `step`'
            )


def _keys(thing: Stateful) -> Sequence[str]:
    state = thing.state_dict()
    return list(state) if isinstance(state, Mapping) else ()


_LEFT_OUT = "leave it out of level.steps(...), and a level that is killed starts over"


def take(
    model: nn.Module,
    optimizer: Optimizer | Sequence[Optimizer],
    progress: Mapping[str, Tensor],
    *,
    step: int,
    level: int,
    also: Mapping[str, Stateful] | None = None,
) -> tuple[State, dict[str, Any]]:
    """Everything that the next step depends on: tensors by name, and a JSON record. Every rank calls it.

    Raises:
        WinsomeError: an optimizer, or what is kept beside it, holds what no file keeps safely.
    """
    tensors = {f"model/{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"progress/{name}": value for name, value in progress.items()}
    streams = distributed.gathered(_random_streams())
    for rank, (random_tensors, _) in enumerate(streams):
        tensors |= {f"random/{rank}/{name}": value for name, value in random_tensors.items()}
    records: list[dict[str, Any]] = []
    for number, one in enumerate(all_of(optimizer)):
        state, who = one.state_dict(), f"the state of {type(one).__name__} cannot be kept in a checkpoint: it"
        scalars: list[tuple[Any, str, Any]] = []
        for index, entries in state["state"].items():
            for key, value in entries.items():
                if isinstance(value, Tensor):
                    tensors[f"optimizer/{number}/{index}/{key}"] = value
                else:
                    scalars.append((index, key, value))
        records.append({"groups": written(state["param_groups"], who, _LEFT_OUT), "scalars": written(scalars, who, _LEFT_OUT)})
    beside: dict[str, Any] = {}
    for name, thing in (also or {}).items():
        state = thing.state_dict()
        whole = {key: value for key, value in state.items() if isinstance(value, Tensor)} if _is_flat(state) else {}
        tensors |= {f"also/{name}/{key}": value for key, value in whole.items()}
        rest = {key: None if key in whole else value for key, value in state.items()} if whole else state
        beside[name] = {"state": written(rest, f"also[{name!r}]", _LEFT_OUT), "tensors": list(whole)}
    return tensors, {
        "level": level,
        "step": step,
        "optimizers": records,
        "also": beside,
        "random": [record for _, record in streams],
    }


def all_of(optimizer: Optimizer | Sequence[Optimizer] | None) -> tuple[Optimizer, ...]:
    """One optimizer, or several, or none, as a tuple."""
    if optimizer is None:
        return ()
    return (optimizer,) if not isinstance(optimizer, Sequence) else tuple(optimizer)


def _is_flat(state: object) -> bool:
    return isinstance(state, Mapping) and all(isinstance(key, str) for key in state)


def restore(
    saved: tuple[State, dict[str, Any]] | None,
    model: nn.Module,
    optimizer: Optimizer | Sequence[Optimizer],
    progress: Mapping[str, Tensor],
    *,
    default: int,
    also: Mapping[str, Stateful] | None = None,
) -> int:
    """Put a checkpoint back in place, if there is one, and say at which step to go on; `default` if there is none.

    Raises:
        WinsomeError: it was kept of other optimizers or things beside them than are handed over now.
    """
    if saved is None:
        return default
    tensors, record = saved
    optimizers, beside = all_of(optimizer), dict(also or {})
    if len(optimizers) != len(record["optimizers"]) or set(beside) != set(record["also"]):
        kept, given = ([f"{n} optimizers", *sorted(names)] for n, names in _two(record, optimizers, beside))
        raise WinsomeError(
            f"the checkpoint of level {record['level']} keeps {', '.join(kept)}, but level.steps is given {', '.join(given)}: "
            "hand over the same, or delete checkpoint.safetensors to begin the level anew"
        )
    load_state(model, _below("model/", tensors))
    for name, thing in beside.items():
        state = read(record["also"][name]["state"])
        thing.load_state_dict(state | _below(f"also/{name}/", tensors) if record["also"][name]["tensors"] else state)
    for number, one in enumerate(optimizers):
        _put_back(one, record["optimizers"][number], _below(f"optimizer/{number}/", tensors))
    for name, value in progress.items():
        value.copy_(tensors[f"progress/{name}"])
    rank = distributed.rank()
    _restore_random_streams(_below(f"random/{rank}/", tensors), record["random"][rank])
    return int(record["step"])


def _two(
    record: Mapping[str, Any], optimizers: Sequence[Optimizer], beside: Mapping[str, Stateful]
) -> tuple[tuple[int, set[str]], tuple[int, set[str]]]:
    return (len(record["optimizers"]), set(record["also"])), (len(optimizers), set(beside))


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> State:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _put_back(optimizer: Optimizer, record: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Give the optimizer what was kept: tensors in their own type, and in the memory layout of their parameter.

    `load_state_dict` casts to the parameter's type, which costs bits of some optimizers. Files keep no layout, and a fused step
    walks through both in the order of memory: of a channels-last parameter beside a momentum that is not it would mix up the
    weights without a word. A learning rate that is a tensor stays the tensor that it was.
    """
    saved: dict[Any, dict[str, Any]] = {}
    for index, key, value in read(record["scalars"]):
        saved.setdefault(index, {})[key] = value
    for name, tensor in tensors.items():
        index, key = name.split("/", 1)
        saved.setdefault(int(index), {})[key] = tensor
    held = [{key: value for key, value in group.items() if isinstance(value, Tensor)} for group in optimizer.param_groups]
    optimizer.load_state_dict({"state": saved, "param_groups": read(record["groups"])})
    for group, tensors_of_group in zip(optimizer.param_groups, held, strict=True):
        for key, tensor in tensors_of_group.items():
            group[key] = tensor.copy_(group[key])
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for index, entries in saved.items():
        parameter, loaded = parameters[index], optimizer.state[parameters[index]]
        for key, value in entries.items():
            if isinstance(value, Tensor) and isinstance(loaded.get(key), Tensor):
                like = parameter.detach() if value.shape == parameter.shape else value
                loaded[key] = torch.empty_like(like, dtype=value.dtype, device=loaded[key].device).copy_(value)


def _random_streams() -> tuple[State, dict[str, Any]]:
    """Where the global streams of torch, numpy and Python stand: those that `seeded` gives to a level."""
    _, words, *numpy_rest = np.random.get_state(legacy=True)  # noqa: NPY002 - the user's code may draw from it
    tensors = {"cpu": torch.get_rng_state(), "numpy": torch.from_numpy(np.asarray(words, np.int64))}
    if torch.cuda.is_available():
        tensors["cuda"] = torch.cuda.get_rng_state()
    return tensors, {"numpy": numpy_rest, "python": random.getstate()}


def _restore_random_streams(tensors: State, record: Mapping[str, Any]) -> None:
    torch.set_rng_state(tensors["cpu"])
    if "cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["cuda"])
    np.random.set_state(("MT19937", tensors["numpy"].numpy().astype(np.uint32), *record["numpy"]))  # noqa: NPY002
    version, words, gauss = record["python"]
    random.setstate((version, tuple(words), gauss))

"""Where a level stands between two steps: network, optimizer and random streams, as plain tensors and JSON.

Network and optimizer are alike on all ranks, the random streams are each rank's own.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from winsome import distributed
from winsome.errors import WinsomeError
from winsome.state import State, load_state

SAVE_EVERY = 200  # training steps between two checkpoints inside a training that is not stacked


def take(
    model: nn.Module, optimizer: Optimizer, progress: Mapping[str, Tensor], *, step: int, level: int
) -> tuple[State, dict[str, Any]]:
    """Everything that the next step depends on: tensors by name, and a JSON record. Every rank calls it.

    Raises:
        WinsomeError: the optimizer keeps more than tensors and JSON values.
    """
    state = optimizer.state_dict()
    tensors = {f"model/{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"progress/{name}": value for name, value in progress.items()}
    streams = distributed.gathered(_random_streams())
    for rank, (random_tensors, _) in enumerate(streams):
        tensors |= {f"random/{rank}/{name}": value for name, value in random_tensors.items()}
    scalars: dict[str, dict[str, Any]] = {}
    for index, entries in state["state"].items():
        for key, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer/{index}/{key}"] = value
            else:
                scalars.setdefault(str(index), {})[key] = value
    groups = [{k: v.item() if isinstance(v, Tensor) else v for k, v in group.items()} for group in state["param_groups"]]
    _refuse_nested(optimizer, [scalars, groups])
    return tensors, {
        "level": level,
        "step": step,
        "groups": groups,
        "scalars": scalars,
        "random": [record for _, record in streams],
    }


def restore(
    saved: tuple[State, dict[str, Any]] | None,
    model: nn.Module,
    optimizer: Optimizer,
    progress: Mapping[str, Tensor],
    *,
    default: int,
) -> int:
    """Put a checkpoint back in place, if there is one, and say at which step to go on; `default` if there is none."""
    if saved is None:
        return default
    tensors, record = saved
    load_state(model, {name.removeprefix("model/"): v for name, v in tensors.items() if name.startswith("model/")})
    state: dict[int, dict[str, Any]] = {int(index): dict(entries) for index, entries in record["scalars"].items()}
    for name, value in tensors.items():
        if name.startswith("optimizer/"):
            _, index, key = name.split("/", 2)
            state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": record["groups"]})
    _put_back(optimizer, state)
    for name, value in progress.items():
        value.copy_(tensors[f"progress/{name}"])
    rank = distributed.rank()
    own = {name.split("/", 2)[2]: value for name, value in tensors.items() if name.startswith(f"random/{rank}/")}
    _restore_random_streams(own, record["random"][rank])
    return int(record["step"])


def _put_back(optimizer: Optimizer, saved: Mapping[int, Mapping[str, Any]]) -> None:
    """Give the optimizer the tensors that were saved: in their own type, and in the memory layout of their parameter.

    `load_state_dict` casts to the parameter's type, which costs bits of some optimizers. Files keep no layout, and a fused step
    walks through both in the order of memory: of a channels-last parameter beside a momentum that is not it would mix up the
    weights without a word.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for index, entries in saved.items():
        parameter, loaded = parameters[index], optimizer.state[parameters[index]]
        for key, value in entries.items():
            if isinstance(value, Tensor) and isinstance(loaded.get(key), Tensor):
                like = parameter.detach() if value.shape == parameter.shape else value
                loaded[key] = torch.empty_like(like, dtype=value.dtype, device=loaded[key].device).copy_(value)


def _refuse_nested(optimizer: Optimizer, values: object) -> None:
    """Refuse an optimizer that keeps more than tensors and JSON values, such as L-BFGS with its lists of tensors."""
    try:
        json.dumps(values)
    except TypeError as error:
        raise WinsomeError(
            f"the state of {type(optimizer).__name__} cannot be kept in a checkpoint ({error}): it holds more than tensors and "
            "numbers; leave `optimizer` out of level.steps(...), and a level that is killed starts over"
        ) from error


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

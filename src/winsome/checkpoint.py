"""Where a level stands between two steps: network, optimizer and random streams, as plain tensors and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from winsome.rewinding import State


def take(
    model: nn.Module, optimizer: Optimizer, progress: Mapping[str, Tensor], *, step: int, level: int
) -> tuple[State, dict[str, Any]]:
    """Everything that the next step depends on: tensors by name, and a JSON record."""
    state = optimizer.state_dict()
    tensors = {f"model/{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"progress/{name}": value for name, value in progress.items()}
    tensors["random/cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random/cuda"] = torch.cuda.get_rng_state()
    scalars: dict[str, dict[str, Any]] = {}
    for index, entries in state["state"].items():
        for key, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer/{index}/{key}"] = value
            else:
                scalars.setdefault(str(index), {})[key] = value
    groups = [{k: v.item() if isinstance(v, Tensor) else v for k, v in group.items()} for group in state["param_groups"]]
    return tensors, {"level": level, "step": step, "groups": groups, "scalars": scalars}


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
    model.load_state_dict({name.removeprefix("model/"): v for name, v in tensors.items() if name.startswith("model/")})
    state: dict[int, dict[str, Any]] = {int(index): dict(entries) for index, entries in record["scalars"].items()}
    for name, value in tensors.items():
        if name.startswith("optimizer/"):
            _, index, key = name.split("/", 2)
            state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": record["groups"]})
    for name, value in progress.items():
        value.copy_(tensors[f"progress/{name}"])
    torch.set_rng_state(tensors["random/cpu"])
    if "random/cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["random/cuda"])
    return int(record["step"])

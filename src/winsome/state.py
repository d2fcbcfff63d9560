"""A network's state: a plain state_dict on the CPU, copied from a model, known again by its digest."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

State = dict[str, Tensor]  # a plain state_dict on the CPU


def full_state(model: torch.nn.Module) -> State:
    """A copy of the model's state_dict on the CPU."""
    return {name: value.detach().to("cpu", copy=True) for name, value in model.state_dict().items()}


def state_digest(state: State) -> str:
    """SHA-256 over names, shapes, types and values of a state on the CPU."""
    sha = hashlib.sha256()
    for name, value in state.items():
        sha.update(f"{name}:{tuple(value.shape)}:{value.dtype};".encode())
        sha.update(value.contiguous().flatten().view(torch.uint8).numpy().data)
    return sha.hexdigest()

"""What becomes of the optimizer's state, such as momentum, where a level of a search starts."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.optim import Optimizer

from winsome.about import described
from winsome.errors import WinsomeError
from winsome.state import State

OptimizerState = Literal["fresh", "kept", "rewound"]
Values = Mapping[int, Mapping[str, Any]]  # an optimizer's state: by the place of the parameter, then by what it is


@dataclass(frozen=True, eq=False)
class SavedState:
    """An optimizer's state at one training step; its settings, such as learning rates, are no part of it.

    Attributes:
        tensors: by "place of the parameter/name", copies on the CPU.
        record: the optimizer's kind, the shapes of its parameters, and what of its state is no tensor.
    """

    tensors: State
    record: dict[str, Any]


@described("fresh optimizer", "A level starts with the optimizer as it is handed over: new, without momentum.")
def fresh(_early: SavedState | None, _trained: SavedState | None) -> SavedState | None:
    """As it is handed over (the code of arXiv:2504.05357)."""
    return None


@described("optimizer kept", "The optimizer's state goes on from level to level.", citations=("gadhikar2024masks",))
def kept(_early: SavedState | None, trained: SavedState | None) -> SavedState | None:
    """That of the end of the last level (LRR in the code of arXiv:2402.19262)."""
    return trained


@described("optimizer rewound", "The optimizer's state goes back to the rewinding step.", citations=("gadhikar2024masks",))
def rewound(early: SavedState | None, _trained: SavedState | None) -> SavedState | None:
    """That before the rewinding step of level 0 (IMP and norm rewinding in the code of arXiv:2402.19262); none at step 0."""
    return early


def tensors_and_numbers(optimizer: Optimizer) -> tuple[dict[str, Tensor], dict[str, dict[str, Any]]]:
    """An optimizer's state: tensors by "place/name", and what is none by place and name."""
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, dict[str, Any]] = {}
    for place, entries in optimizer.state_dict()["state"].items():
        for name, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"{place}/{name}"] = value
            else:
                numbers.setdefault(str(place), {})[name] = value
    return tensors, numbers


def values_of(tensors: Mapping[str, Tensor], numbers: Mapping[str, Mapping[str, Any]]) -> dict[int, dict[str, Any]]:
    """The same as `load_state_dict` takes it."""
    values: dict[int, dict[str, Any]] = {int(place): dict(entries) for place, entries in numbers.items()}
    for key, value in tensors.items():
        place, name = key.split("/", 1)
        values.setdefault(int(place), {})[name] = value
    return values


def saved_state(optimizer: Optimizer) -> SavedState:
    """A copy of an optimizer's state."""
    tensors, numbers = tensors_and_numbers(optimizer)
    shapes = [list(parameter.shape) for parameter in _parameters(optimizer)]
    record = {"kind": type(optimizer).__name__, "shapes": shapes, "numbers": copy.deepcopy(numbers)}
    return SavedState({key: value.detach().to("cpu", copy=True) for key, value in tensors.items()}, record)


def put(optimizer: Optimizer, saved: SavedState) -> None:
    """Give an optimizer a state that was saved; its settings, such as learning rates, stay its own.

    Raises:
        WinsomeError: it is of another kind, or steps other parameters.
    """
    kind, shapes = type(optimizer).__name__, [list(parameter.shape) for parameter in _parameters(optimizer)]
    if (kind, shapes) != (saved.record["kind"], saved.record["shapes"]):
        raise WinsomeError(
            f"the state of {saved.record['kind']} over {len(saved.record['shapes'])} parameters does not fit {kind} over "
            f'{len(shapes)}: make the same optimizer at every level, or search with optimizer_state="fresh"'
        )
    values = values_of(saved.tensors, saved.record["numbers"])
    put_values(optimizer, values, optimizer.state_dict()["param_groups"])


def put_values(optimizer: Optimizer, values: Values, groups: Sequence[Mapping[str, Any]]) -> None:
    """Give an optimizer state and settings: tensors in their own type, and in the memory layout of their parameter.

    `load_state_dict` casts to the parameter's type, which costs bits of some optimizers. Files keep no layout, and a fused step
    walks through both in the order of memory: of a channels-last parameter beside a momentum that is not it would mix up the
    weights without a word. A learning rate that is a tensor stays the tensor that it was.
    """
    held = [{key: value for key, value in group.items() if isinstance(value, Tensor)} for group in optimizer.param_groups]
    optimizer.load_state_dict({"state": dict(values), "param_groups": list(groups)})
    for group, tensors_of_group in zip(optimizer.param_groups, held, strict=True):
        for key, tensor in tensors_of_group.items():
            group[key] = tensor.copy_(group[key])
    parameters = _parameters(optimizer)
    for place, entries in values.items():
        parameter, loaded = parameters[place], optimizer.state[parameters[place]]
        for name, value in entries.items():
            if isinstance(value, Tensor) and isinstance(loaded.get(name), Tensor):
                like = parameter.detach() if value.shape == parameter.shape else value
                loaded[name] = torch.empty_like(like, dtype=value.dtype, device=loaded[name].device).copy_(value)


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def member_of(stacked: SavedState, member: int) -> SavedState:
    """One network's share of the state of an optimizer that steps a stack: its slice of what has its parameter's shape."""
    shapes = stacked.record["shapes"]
    tensors = {
        key: value[member].clone() if list(value.shape) == shapes[int(key.split("/", 1)[0])] else value
        for key, value in stacked.tensors.items()
    }
    return SavedState(tensors, {**stacked.record, "shapes": [shape[1:] for shape in shapes]})


def stacked_state(members: Sequence[SavedState]) -> SavedState:
    """The state of an optimizer that steps a stack, from those of its members; what they count they count alike."""
    first = members[0]
    shapes = first.record["shapes"]
    tensors = {
        key: torch.stack([one.tensors[key] for one in members])
        if list(value.shape) == shapes[int(key.split("/", 1)[0])]
        else value
        for key, value in first.tensors.items()
    }
    return SavedState(tensors, {**first.record, "shapes": [[len(members), *shape] for shape in shapes]})


OPTIMIZER_STATES: dict[str, Callable[[SavedState | None, SavedState | None], SavedState | None]] = {
    f.__name__: f for f in (fresh, kept, rewound)
}

"""A network's state: a plain state_dict on the CPU, copied from a model, put back into it, known again by its digest."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from winsome.errors import WinsomeError

# A plain state_dict on the CPU. Modules with `get_extra_state` may have other values than tensors in it.
State = dict[str, Tensor]


def full_state(model: nn.Module) -> State:
    """A copy of the model's state_dict on the CPU.

    Raises:
        WinsomeError: a value is on the device meta.
    """
    return copied(model.state_dict())


def copied(values: Mapping[str, Tensor]) -> State:
    """Copies of the values of a state_dict on the CPU.

    Raises:
        WinsomeError: one has none: it is on the device meta.
    """
    refuse_lost(values)
    return {
        name: value.detach().to("cpu", copy=True) if isinstance(value, Tensor) else copy.deepcopy(value)
        for name, value in values.items()
    }


def in_order_of(model: nn.Module, state: Mapping[str, Tensor]) -> State:
    """A state in the order of the model's own, as `full_state` gives it: files have an order of theirs.

    A part that draws random numbers for one value after another draws the same ones of a state that was read back.
    """
    return {name: state[name] for name in (*model.state_dict(), *state) if name in state}


def refuse_lost(values: Mapping[str, Tensor]) -> None:
    """Refuse values that are gone.

    Raises:
        WinsomeError: names the first.
    """
    if lost := [name for name, value in values.items() if isinstance(value, Tensor) and value.is_meta]:
        raise WinsomeError(
            f"{lost[0]!r} has no values any more: the network was moved to the device meta, which keeps none; leave it on a "
            "device with memory, or load its values again (model.to_empty) before the level ends"
        )


def load_state(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Put a state into a model, in place.

    A buffer that a model makes or enlarges in its forward (a cache of positions, a mask) may be in one and not in the other:
    the model gets one that it has not made yet, and keeps one that the state does not know.

    Raises:
        WinsomeError: other names differ.
    """
    _make_buffers(model, state)
    wanted = {name: value if isinstance(value, Tensor) else copy.deepcopy(value) for name, value in state.items()}
    differing = model.load_state_dict(wanted, strict=False)
    buffers = {name for name, _ in model.named_buffers()}
    missing = [name for name in differing.missing_keys if name not in buffers]
    if missing or differing.unexpected_keys:
        parts = [f"the model lacks {', '.join(differing.unexpected_keys)}"] if differing.unexpected_keys else []
        parts += [f"the state lacks {', '.join(missing)}"] if missing else []
        raise WinsomeError(f"the state does not fit the model: {'; '.join(parts)}; take the network that it is of")


def _make_buffers(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    modules = dict(model.named_modules())
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    for name, value in state.items():
        path, _, leaf = name.rpartition(".")
        module = modules.get(path)
        if module is None or not isinstance(value, Tensor) or leaf in module._parameters:
            continue
        held = module._buffers.get(leaf)
        if (leaf in module._buffers or not hasattr(module, leaf)) and (held is None or not _takes(held, value)):
            module.register_buffer(leaf, torch.empty_like(value, device=device if held is None else held.device))


def _takes(held: Tensor, value: Tensor) -> bool:
    """Whether a buffer can be copied to: of the same shape, and none whose elements share memory (`expand`)."""
    if held.shape != value.shape or held.layout is not torch.strided:
        return held.shape == value.shape
    return not any(stride == 0 and size > 1 for stride, size in zip(held.stride(), held.shape, strict=True))


def first_difference(model: nn.Module, state: State, kept: Mapping[str, Tensor] | None = None) -> str | None:
    """The first parameter of a model that is not what a state has; None where all are.

    Args:
        model: the network.
        state: what its parameters are compared with, number format included.
        kept: bool by name: of these parameters only such weights are looked at.
    """
    for name, parameter in model.named_parameters():
        value = parameter.detach().to("cpu")
        if name not in state or value.dtype != state[name].dtype:
            return name
        same = value == state[name]
        if not bool((same if kept is None or name not in kept else same[kept[name]]).all()):
            return name
    return None


def state_digest(state: State) -> str:
    """SHA-256 over names, shapes, types and values of a state on the CPU."""
    sha = hashlib.sha256()
    for name, value in state.items():
        if isinstance(value, Tensor):
            sha.update(f"{name}:{tuple(value.shape)}:{value.dtype};".encode())
            sha.update(value.contiguous().flatten().view(torch.uint8).numpy().data)
        else:
            sha.update(f"{name}:{value!r};".encode())
    return sha.hexdigest()

"""A ticket with a network's weights in the forms that other tools read; each says what it speeds up and what not."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.utils import prune

from winsome.errors import WinsomeError
from winsome.files import write_whole
from winsome.shapes import differences, shapes_of
from winsome.signed_mask import SignedMask, matching_parameters

DENSE_SPEED = (
    "It speeds up nothing by itself: the zeros are stored and multiplied like any number. "
    "It compresses well (zip, zstd), and every tool that loads a state_dict loads it."
)
TORCH_PRUNE_SPEED = (
    "It speeds up nothing: torch.nn.utils.prune multiplies weight by mask before every forward pass, which costs time and "
    "twice the weights' memory. Use it to go on pruning or training with PyTorch's own tools."
)


@dataclass(frozen=True)
class Exported:
    """A file that was written, and what it is good for."""

    path: Path
    n_bytes: int
    speed: str  # what it does and does not speed up

    def __str__(self) -> str:
        return f"{self.path}: {self.n_bytes:,} bytes. {self.speed}"


def dense_state(mask: SignedMask, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state_dict with exact zeros where the mask prunes; the kept weights are those of `state`, whatever their sign.

    Raises:
        WinsomeError: the state lacks a masked parameter or has it in another shape.
    """
    _check_fit(mask, state)
    return {
        name: torch.where(mask.kept(name), value.detach().to("cpu"), 0) if name in mask else value.detach().to("cpu", copy=True)
        for name, value in state.items()
    }


def torch_prune_state(mask: SignedMask, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state_dict as `torch.nn.utils.prune` has it: `NAME_orig` and `NAME_mask` in place of every masked `NAME`.

    A network loads it once each masked parameter has been given to `prune.identity(module, NAME)`.

    Raises:
        WinsomeError: the state lacks a masked parameter or has it in another shape.
    """
    pruned: dict[str, Tensor] = {}
    for name, value in dense_state(mask, state).items():
        if name in mask:
            pruned |= {f"{name}_orig": value, f"{name}_mask": mask.kept(name).to(value.dtype)}
        else:
            pruned[name] = value
    return pruned


def prune_with_torch(mask: SignedMask, model: nn.Module) -> None:
    """Hand a network over to `torch.nn.utils.prune`, in place: afterwards its masked parameters are `NAME_orig` and a mask.

    `prune.remove(module, NAME)` makes the zeros permanent.

    Raises:
        WinsomeError: the model lacks a masked parameter or has it in another shape.
    """
    matching_parameters(mask, model)
    modules = dict(model.named_modules())
    for name in mask:
        owner, _, parameter = name.rpartition(".")
        prune.custom_from_mask(modules[owner], parameter, mask.kept(name))  # type: ignore[no-untyped-call]


def write_dense(mask: SignedMask, state: Mapping[str, Tensor], path: str | os.PathLike[str]) -> Exported:
    """Write `dense_state` as safetensors.

    Raises:
        WinsomeError: see `dense_state`; or the disk refuses.
    """
    return _write(dense_state(mask, state), Path(path), DENSE_SPEED)


def write_torch_prune(mask: SignedMask, state: Mapping[str, Tensor], path: str | os.PathLike[str]) -> Exported:
    """Write `torch_prune_state` as safetensors.

    Raises:
        WinsomeError: see `dense_state`; or the disk refuses.
    """
    return _write(torch_prune_state(mask, state), Path(path), TORCH_PRUNE_SPEED)


def _write(state: Mapping[str, Tensor], path: Path, speed: str) -> Exported:
    data = save({name: value.contiguous() for name, value in state.items()}, {"format": "pt"})
    write_whole(path, data)
    return Exported(path, len(data), speed)


def _check_fit(mask: SignedMask, state: Mapping[str, Tensor]) -> None:
    if different := differences(shapes_of(state), mask.shapes, "the state", "the ticket", surplus=False):
        raise WinsomeError(f"{different}; give weights of the ticket's network")

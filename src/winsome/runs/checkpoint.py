"""Where a level stands between two steps: network, optimizer and random streams, as plain tensors and JSON.

And what of the optimizer goes on from level to level.

Network and optimizer are alike on all ranks, the random streams are each rank's own.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from winsome import distributed
from winsome.errors import WinsomeError
from winsome.optimizer_state import (
    OPTIMIZER_STATES,
    OptimizerState,
    SavedState,
    put,
    put_values,
    saved_state,
    tensors_and_numbers,
    values_of,
)
from winsome.runs.search_folder import SearchFolder, read_checkpoint, write_checkpoint
from winsome.state import State, load_state


def take(
    model: nn.Module, optimizer: Optimizer, progress: Mapping[str, Tensor], *, step: int, level: int
) -> tuple[State, dict[str, Any]]:
    """Everything that the next step depends on: tensors by name, and a JSON record. Every rank calls it.

    Raises:
        WinsomeError: the optimizer keeps more than tensors and JSON values.
    """
    tensors = {f"model/{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"progress/{name}": value for name, value in progress.items()}
    streams = distributed.gathered(_random_streams())
    for rank, (random_tensors, _) in enumerate(streams):
        tensors |= {f"random/{rank}/{name}": value for name, value in random_tensors.items()}
    moments, scalars = tensors_and_numbers(optimizer)
    tensors |= {f"optimizer/{name}": value for name, value in moments.items()}
    settings = optimizer.state_dict()["param_groups"]
    groups = [{k: v.item() if isinstance(v, Tensor) else v for k, v in group.items()} for group in settings]
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
    moments = {name.removeprefix("optimizer/"): v for name, v in tensors.items() if name.startswith("optimizer/")}
    put_values(optimizer, values_of(moments, record["scalars"]), record["groups"])
    for name, value in progress.items():
        value.copy_(tensors[f"progress/{name}"])
    rank = distributed.rank()
    own = {name.split("/", 2)[2]: value for name, value in tensors.items() if name.startswith(f"random/{rank}/")}
    _restore_random_streams(own, record["random"][rank])
    return int(record["step"])


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


class CarriedOptimizer:
    """What a search keeps of its optimizer: nothing, the state at the rewinding step, or that of the last level's end.

    In the folder these are `optimizer-early.safetensors`, and `optimizer-NN.safetensors` of the last finished level NN.
    """

    def __init__(self, kind: OptimizerState = "fresh", *, rewind_step: int = 0, folder: SearchFolder | None = None) -> None:
        self.kind, self._rewind_step = kind, rewind_step
        self._folder = folder
        self._early: SavedState | None = None
        self._ends: dict[int, SavedState] = {}  # by level; of the last one only

    @property
    def wanted(self) -> bool:
        """Whether levels have to hand over their optimizer."""
        return self.kind != "fresh"

    def at_start(self, level: int) -> SavedState | None:
        """What the optimizer of a level starts with; None for what it is handed over with.

        Raises:
            WinsomeError: the state has gone.
        """
        rewinds = self.kind == "rewound" and self._rewind_step > 0  # before step 0 there is none
        if level == 0 or not (rewinds or self.kind == "kept"):
            return None
        early = (self._early or self._read("early", 0)) if rewinds else None
        end = (self._ends.get(level - 1) or self._read(f"{level - 1:02d}", level - 1)) if self.kind == "kept" else None
        found = OPTIMIZER_STATES[self.kind](early, end)
        if found is None:
            where = f"step {self._rewind_step} of level 0" if rewinds else f"the end of level {level - 1}"
            raise WinsomeError(f"the optimizer's state at {where} is gone: search anew, in another folder (save_to)")
        return found

    def start(self, level: int, optimizer: Optimizer) -> None:
        """Give the optimizer of a level what it starts with, if anything."""
        if (state := self.at_start(level)) is not None:
            put(optimizer, state)

    def keep_early(self, optimizer: Optimizer | SavedState) -> None:
        """Keep the state before the rewinding step of level 0."""
        if self.kind == "rewound" and self._rewind_step and self._early is None:
            self._early = _state(optimizer)
            self._write("early", 0, self._early)

    def keep_end(self, level: int, optimizer: Optimizer | SavedState) -> None:
        """Keep the state at the end of a level."""
        if self.kind == "kept":
            self._ends = {level: _state(optimizer)}
            self._write(f"{level:02d}", level, self._ends[level])

    def finished(self, level: int) -> None:
        """A level is written: the state of the one before is of no more use."""
        if self.kind == "kept" and self._folder is not None and level:
            path = self._path(self._folder, f"{level - 1:02d}")
            distributed.from_main(lambda: path.unlink(missing_ok=True))

    def _path(self, folder: SearchFolder, name: str) -> Path:
        return folder.path / f"optimizer-{name}.safetensors"

    def _write(self, name: str, level: int, state: SavedState) -> None:
        if self._folder is not None:
            write_checkpoint(self._path(self._folder, name), state.tensors, {**state.record, "level": level})

    def _read(self, name: str, level: int) -> SavedState | None:
        found = read_checkpoint(self._path(self._folder, name), level) if self._folder is not None else None
        return None if found is None else SavedState(*found)


def _state(optimizer: Optimizer | SavedState) -> SavedState:
    return optimizer if isinstance(optimizer, SavedState) else saved_state(optimizer)

"""Where a level stands between two steps: network, optimizers, schedulers and random streams, as tensors and JSON.

And what of the optimizer goes on from level to level.

Network, optimizers and all that is kept beside them are alike on all ranks, the random streams are each rank's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn
from torch.optim import Optimizer

from winsome import distributed
from winsome.errors import WinsomeError
from winsome.odd_values import read, written
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
from winsome.runs.random_streams import random_streams, restore_random_streams
from winsome.runs.schedulers import refuse_unkept as refuse_unkept  # noqa: PLC0414 - for levels, which know checkpoints alone
from winsome.runs.search_folder import SearchFolder, read_checkpoint, write_checkpoint
from winsome.state import State, load_state


class Stateful(Protocol):
    """Whatever can be kept: a scheduler, an average of weights, a gradient scaler, a sampler, a loader."""

    def state_dict(self) -> Any:
        """Where it stands."""
        ...

    def load_state_dict(self, state_dict: Any, /) -> Any:
        """Go on from there."""
        ...


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
    streams = distributed.gathered(random_streams())
    for rank, (random_tensors, _) in enumerate(streams):
        tensors |= {f"random/{rank}/{name}": value for name, value in random_tensors.items()}
    records: list[dict[str, Any]] = []
    for number, one in enumerate(all_of(optimizer)):
        moments, numbers = tensors_and_numbers(one)
        tensors |= {f"optimizer/{number}/{name}": value for name, value in moments.items()}
        who = f"the state of {type(one).__name__} cannot be kept in a checkpoint: it"
        groups = one.state_dict()["param_groups"]
        records.append({"groups": written(groups, who, _LEFT_OUT), "scalars": written(numbers, who, _LEFT_OUT)})
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
    """One optimizer, or several, or none, as a tuple.

    Raises:
        WinsomeError: one of them is none.
    """
    if optimizer is None:
        return ()
    several = (optimizer,) if not isinstance(optimizer, Sequence) else tuple(optimizer)
    for one in several:
        if isinstance(one, type) or not (hasattr(one, "param_groups") and hasattr(one, "state_dict")):
            given = f"the class {one.__name__}" if isinstance(one, type) else f"a {type(one).__name__}"
            raise WinsomeError(f"`optimizer` is the optimizer that steps the network, or a list of several; got {given}")
    return several


def named(also: object) -> dict[str, Stateful]:
    """What is kept beside optimizers, by name.

    Raises:
        WinsomeError: it is no dict.
    """
    if also is not None and not isinstance(also, Mapping):
        raise WinsomeError(f'`also` names what is kept, also={{"scheduler": scheduler}}; got a {type(also).__name__}')
    return dict(also or {})


def step_some_of(optimizers: Sequence[Optimizer], model: nn.Module) -> bool:
    """Whether one of the optimizers holds a parameter of a model."""
    own = {id(parameter) for parameter in model.parameters()}
    return any(id(one) in own for optimizer in optimizers for group in optimizer.param_groups for one in group["params"])


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
        own = record["optimizers"][number]
        values = values_of(_below(f"optimizer/{number}/", tensors), read(own["scalars"]))
        put_values(one, values, read(own["groups"]))
    for name, value in progress.items():
        value.copy_(tensors[f"progress/{name}"])
    rank = distributed.rank()
    restore_random_streams(_below(f"random/{rank}/", tensors), record["random"][rank])
    return int(record["step"])


def _two(
    record: Mapping[str, Any], optimizers: Sequence[Optimizer], beside: Mapping[str, Stateful]
) -> tuple[tuple[int, set[str]], tuple[int, set[str]]]:
    return (len(record["optimizers"]), set(record["also"])), (len(optimizers), set(beside))


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> State:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


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
            who = f"the state of {state.record['kind']} cannot be kept between levels: it"
            numbers = written(state.record["numbers"], who, 'search with optimizer_state="fresh"')
            write_checkpoint(
                self._path(self._folder, name), state.tensors, {**state.record, "numbers": numbers, "level": level}
            )

    def _read(self, name: str, level: int) -> SavedState | None:
        found = read_checkpoint(self._path(self._folder, name), level) if self._folder is not None else None
        if found is None:
            return None
        tensors, record = found
        return SavedState(tensors, {**record, "numbers": read(record["numbers"])})


def _state(optimizer: Optimizer | SavedState) -> SavedState:
    return optimizer if isinstance(optimizer, SavedState) else saved_state(optimizer)

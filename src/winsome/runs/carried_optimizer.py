"""The optimizer's state on its way from level to level of a search: in memory, and in the search's folder."""

from __future__ import annotations

from pathlib import Path

from winsome import distributed
from winsome.errors import WinsomeError
from winsome.optimizer_state import OPTIMIZER_STATES, OptimizerState, SavedState
from winsome.runs.search_folder import SearchFolder, read_checkpoint, write_checkpoint


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

    def keep_early(self, state: SavedState) -> None:
        """Keep the state before the rewinding step of level 0."""
        if self.kind == "rewound" and self._rewind_step and self._early is None:
            self._early = state
            self._write("early", 0, state)

    def keep_end(self, level: int, state: SavedState) -> None:
        """Keep the state at the end of a level."""
        if self.kind == "kept":
            self._ends = {level: state}
            self._write(f"{level:02d}", level, state)

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

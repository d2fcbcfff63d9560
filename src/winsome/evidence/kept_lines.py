"""What was measured along a line of a study, kept: measured again only if its networks or the settings changed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch

from winsome import ticket_file
from winsome.analysis.agreement import masked
from winsome.errors import WinsomeError
from winsome.evidence.barriers import LineRecord, line_record
from winsome.evidence.pairs import JoinedFiles
from winsome.evidence.ruler import Ruler
from winsome.files import read_json, read_state, write_json
from winsome.state import State


def measured_line(place: Path, line: JoinedFiles, level: int, instrument: Ruler) -> LineRecord:
    """A line as it was kept, if it was measured of these very files in this way; else measured and kept."""
    settings = {**instrument.settings.record(), "precision": instrument.precision.label}
    of = _digest("".join(_digest(path.read_bytes()) for path in (*line.ends, line.ticket)).encode())
    variant = _digest(json.dumps(settings, sort_keys=True).encode())[:8]
    kept = place / variant / line.pair / f"level-{level:02d}-seed-{line.search_seed:02d}-start-{line.start}.json"
    if kept.exists() and (found := read_json(kept))["of"] == of:
        record: LineRecord = found["line"]
        return record
    profile = instrument.measure(*_states(line))
    record = line_record(line.pair, profile, search_seed=line.search_seed, start=line.start)
    write_json(kept, {"of": of, "settings": settings, "line": record})
    return record


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _states(line: JoinedFiles) -> tuple[State, State]:
    """The two ends of a line, checked against the mask that both have."""
    mask = ticket_file.read(line.ticket).mask
    kept = {name: mask.kept(name) for name in mask}
    first, second = (read_state(path)[0] for path in line.ends)
    for path, state in zip(line.ends, (first, second), strict=True):
        if lacking := [name for name in kept if name not in state]:
            raise WinsomeError(f"{path} lacks {lacking[0]}, which {line.ticket} has; the files do not belong together")
        if other := [name for name, value in masked(state, kept).items() if not torch.equal(value, state[name])]:
            raise WinsomeError(
                f"{path} has weights outside the mask of {line.ticket}, in {other[0]}; the files do not belong together"
            )
    return first, second

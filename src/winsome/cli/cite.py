"""`winsome cite`: the BibTeX of what a run or ticket used."""

from __future__ import annotations

from pathlib import Path

from tyro.conf import Positional

from winsome.citation import bibtex, own_entry
from winsome.errors import WinsomeError
from winsome.files import read_json
from winsome.runs.file_names import CONFIG, RESULTS
from winsome.ticket_file.header import read_provenance


def cite(run: Positional[Path | None] = None, /) -> None:
    """Print the BibTeX entries of Winsome, and of the papers behind a run's folder or a ticket file.

    Args:
        run: The folder of a study or search, or a .ticket file; without one, of Winsome alone.
    """
    print(bibtex([own_entry(), *(_keys(run) if run is not None else [])]))


def _keys(run: Path) -> list[str]:
    if run.is_file():
        return list(read_provenance(run).get("citations", []))
    for name in (RESULTS, CONFIG):
        if (run / name).exists():
            record = read_json(run / name)
            keys = record.get("study", {}).get("citations") or record.get("citations")
            if keys:
                return list(keys)
    raise WinsomeError(f"{run} is neither a ticket nor the folder of a study or search: no {RESULTS} or {CONFIG} in it")

"""What a study that failed has finished all the same."""

from __future__ import annotations

from pathlib import Path

from winsome.errors import WinsomeError
from winsome.evidence.gather import collect
from winsome.evidence.results import Results
from winsome.runs.lock import only_process
from winsome.study.design import Study
from winsome.study.run import take
from winsome.training.conditions import Conditions


def collect_finished(study: Study, folder: Path, conditions: Conditions, *, command: str) -> Results | None:
    """Gather what a study had finished when one of its parts failed; `results.json` says what is missing.

    Args:
        study: what was to be compared.
        folder: where it lives.
        conditions: what its networks are trained and judged on.
        command: how it was started.

    Returns:
        What is there; None where nothing was finished, where another process works in the folder, or where it is another
        study's.
    """
    if not folder.exists():
        return None
    try:
        take(study, folder, data_digest=conditions.data.digest(), write=False)
        with only_process(folder):
            results = collect(study, folder, conditions, command=command)
    except WinsomeError:
        return None  # the error that brought us here is the one to tell
    return results if results["rows"] or any(search["levels"] for search in results["searches"]) else None

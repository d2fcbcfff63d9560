"""Run a sweep: every study in its own folder; a failure stops only what needs it, and is listed at the end."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

from winsome.errors import Diverged, WinsomeError
from winsome.files import write_json
from winsome.runs.file_names import SWEEP
from winsome.runs.lock import only_process
from winsome.study.design import Study
from winsome.study.run import take
from winsome.sweep.steps import Step
from winsome.tasks.graph import Event, Outcome, Runner, run_graph

FILE_NAME = SWEEP
FORMAT = 1


@dataclass(frozen=True)
class Failure:
    """A job that failed."""

    study: str
    job: str
    error: str
    trace: str  # where in the code; empty for errors that say all there is to know


@dataclass(frozen=True)
class Ended:
    """How a sweep ended."""

    seconds: float  # spent in jobs, over all workers
    failures: tuple[Failure, ...]
    skipped: tuple[tuple[str, str], ...]  # study and job of what was not done, for it needs what failed


def run_sweep(
    steps: Sequence[Step],
    folder: Path,
    runner: AbstractContextManager[Runner],
    *,
    watch: Callable[[Event], None] = lambda _: None,
) -> Ended:
    """Do all steps of a sweep that are not done yet.

    Args:
        steps: from `sweep_steps`, for the same folder.
        folder: of the sweep.
        runner: who runs the jobs.
        watch: hears of everything that happens to a step, by its number.

    Raises:
        WinsomeError: a study's folder was made with another configuration, or another process works in the sweep's.
        BrokenExecutor: the runner is gone (a worker of a process pool was killed).
    """
    digests = {step.study: step.data_digest for step in steps}
    studies = list(digests)
    for (
        study,
        digest,
    ) in digests.items():  # all before any is taken: one that had grown could not shrink again when another is refused
        take(study, folder / study.name, data_digest=digest, write=False)
    with runner as opened, only_process(folder):  # before anything is written: there may be no cluster
        for study, digest in digests.items():
            take(study, folder / study.name, data_digest=digest)
        _write(folder, studies, Ended(0.0, (), ()))
        so_far = Outcome()

        def on_event(event: Event) -> None:
            if event.error is not None:  # written at once: the sweep may be stopped before its end
                so_far.failures[event.number] = event.error
                _write(folder, studies, _ended(steps, so_far))
            watch(event)

        outcome = run_graph([step.task for step in steps], opened, watch=on_event, keep_going=True)
    ended = _ended(steps, outcome)
    _write(folder, studies, ended)
    return ended


def _ended(steps: Sequence[Step], outcome: Outcome) -> Ended:
    failures = [_failure(steps[number], error) for number, error in sorted(outcome.failures.items())]
    skipped = [(steps[number].study.name, steps[number].label) for number in sorted(outcome.skipped)]
    return Ended(outcome.seconds, tuple(failures), tuple(skipped))


def said_of(error: Exception) -> str:
    """An error in words: its own where it is one of ours, with its type where it is any other."""
    return f"{error}" if isinstance(error, WinsomeError | Diverged) else f"{type(error).__name__}: {error}"


def _failure(step: Step, error: Exception) -> Failure:
    trace = "" if isinstance(error, WinsomeError | Diverged) else "".join(traceback.format_exception(error))
    return Failure(step.study.name, step.label, said_of(error), trace)


def _write(folder: Path, studies: Sequence[Study], ended: Ended) -> None:
    content = {
        "format": FORMAT,
        "studies": [{"name": study.name, "title": study.title} for study in studies],
        "failures": [asdict(failure) for failure in ended.failures],
        "skipped": [{"study": study, "job": job} for study, job in ended.skipped],
    }
    write_json(folder / FILE_NAME, content)

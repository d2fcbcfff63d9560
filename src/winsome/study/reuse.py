"""What several studies of a sweep, or of recipes, have in common: done once, and linked into the folder of each."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from winsome.files import write_whole
from winsome.searchable import looks_at_probe
from winsome.study.arms import Dense, Planted
from winsome.study.design import Study
from winsome.study.folder import StudyFolder
from winsome.study.jobs import ArmJob, Job, SearchJob, jobs_of
from winsome.training.probe import ProbeSpec
from winsome.training.settings import Training

_NO_TRAINING = Training(1)

Places = Mapping[Hashable, Path]  # a result's identity: a search's folder, or the file of an arm's run


def results_of(job: Job, study: Study, folder: StudyFolder, *, stacked: bool) -> Places:
    """The results that a job fills, each under all that it follows from; `stacked` says how the study's networks train.

    Two results of one identity have the same bits, whichever studies they belong to. The identity is the study itself
    without what the result cannot depend on, compared by value: a function of the user's own is itself and no other.
    """
    if isinstance(job, SearchJob):
        search = _search_identity(study, job.search, stacked)
        return {(search, seed): folder.search(job.search, seed).path for seed in job.seeds}
    arm = _arm_identity(study, job, stacked)
    level = job.level if isinstance(job.arm, Dense) else study.level_of(job.arm.search, job.level)
    return {(arm, job.arm, level, run.run): folder.result_path(run) for run in job.arm_runs}


def all_results_of(study: Study, folder: StudyFolder, *, stacked: bool) -> Places:
    """The results of all jobs of a study."""
    found: dict[Hashable, Path] = {}
    for job in jobs_of(study, at_once=1):
        found |= results_of(job, study, folder, stacked=stacked)
    return found


def adopt(wanted: Places, others: Sequence[Places]) -> None:
    """Link what others have of the wanted results; what is there already stays."""
    for identity, target in wanted.items():
        for places in others:
            if identity in places:
                _link(places[identity], target)


def _search_identity(study: Study, name: str, stacked: bool) -> Hashable:
    kept = replace(_without_names(study, _with_sources(study, name)), training=_NO_TRAINING, curve_at=())
    # A search in borrowed masks knows all of them: its folder is another one where they go deeper.
    return kept, stacked, study.depth(name) if study.sources(name) else None


def _arm_identity(study: Study, job: ArmJob, stacked: bool) -> Hashable:
    if isinstance(job.arm, Dense):
        kept = replace(_without_names(study, ()), search_training=_NO_TRAINING, warmup_epochs=0, warmup_ramp=False)
        return kept, stacked
    needed = job.arm.needed if isinstance(job.arm, Planted) else (job.arm.search,)
    names = tuple(name for search in needed for name in _with_sources(study, search))
    return _without_names(study, names), *(_search_identity(study, search, stacked) for search in needed)


def _with_sources(study: Study, name: str) -> tuple[str, ...]:
    return (name, *study.sources(name))


def _without_names(study: Study, searches: Sequence[str]) -> Study:
    """The study as one of these searches alone, without names, arms, claims, and the choice of levels, seeds and starts."""
    looked_at = any(looks_at_probe(study.search_specs[name].method) for name in searches)
    return replace(
        study,
        name="",
        title="",
        searches=tuple((name, study.search_specs[name]) for name in sorted(set(searches))),
        probe=study.probe if looked_at else ProbeSpec(),
        arms=(),
        claims=(),
        reference=None,
        each_other=(),
        levels=(0,),
        search_seeds=(0,),
        starts=(0,),
    )


def _link(source: Path, target: Path) -> None:
    """Hard links to all files of a result, records last: a record says that what it belongs to is there.

    Every file is written by renaming, so that a link never changes under another study. Where links cannot be made, copies.
    """
    for path in _files(source):
        beside = target / path.name if source.is_dir() else target.with_name(path.name)
        if beside.exists():
            continue
        try:
            beside.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, beside)
        except OSError:
            with contextlib.suppress(FileNotFoundError):  # a checkpoint goes when its level is finished
                write_whole(beside, path.read_bytes())


def _files(result: Path) -> Iterator[Path]:
    """The files of a search's folder, or those that share the name of an arm's result."""
    found = result.iterdir() if result.is_dir() else result.parent.glob(f"{result.stem}.*")
    whole = [path for path in found if path.is_file() and not path.name.startswith(".")]
    yield from sorted(whole, key=lambda path: (path.suffix == ".json", path.name))

"""What a study's log says of a job that is finished."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from winsome.study.design import Study
from winsome.study.folder import StudyFolder
from winsome.study.jobs import ArmJob, Job
from winsome.tracking.log import LogEntry, RunLog, numbers


@contextmanager
def study_log(study: Study, folder: Path, tracker: str) -> Iterator[Callable[[Job], None]]:
    """A function that logs what is finished of a job, into `log.jsonl` of the study's folder and to a tracker."""
    place = StudyFolder(folder)
    with RunLog(folder, tracker) as log:
        yield lambda job: log.tell(job_entries(job, place, len(study.starts)))


def job_entries(job: Job, folder: StudyFolder, starts: int) -> Iterator[LogEntry]:
    """A step for each level of a search's run, and for each network of an arm's; all that is finished of the job.

    Args:
        job: of the study.
        folder: the study's.
        starts: fresh starts for every search seed: the network of a seed and start is step `seed * starts + start`.
    """
    if isinstance(job, ArmJob):
        for row in folder.results(job.arm_runs):
            place = "dense" if job.arm_runs[0].level is None else f"level-{job.level:02d}"
            kept = {name: row[name] for name in ("density", "accuracy", "loss", "seconds", "search_seed", "start")}
            yield LogEntry(f"arms/{job.arm.name}/{place}", row["search_seed"] * starts + row["start"], numbers(kept))
        return
    for seed in job.seeds:
        search = folder.search(job.search, seed)
        for number in search.levels():
            record = search.read_record(number)
            values = {"density": record["density"], "seconds": record["seconds"], **record["metrics"]}
            yield LogEntry(f"searches/{job.search}/seed-{seed:02d}", number, numbers(values))

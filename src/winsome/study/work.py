"""A job of a study done: a pure function of the study that fills its own files and can be run again at any time."""

from __future__ import annotations

import time

from winsome.stacking import one_thread
from winsome.study.arm_runs import run_arm
from winsome.study.conditions import conditions_here
from winsome.study.design import Study
from winsome.study.folder import StudyFolder
from winsome.study.jobs import Job, SearchJob
from winsome.study.searches import run_searches
from winsome.training.conditions import Conditions
from winsome.training.loop import OnFraction


def run_job(job: Job, study: Study, folder: StudyFolder, conditions: Conditions, on_fraction: OnFraction) -> float:
    """Do a job; what is finished of it is not done again. Returns the seconds that it took."""
    start = time.perf_counter()
    with one_thread(on=conditions.stacked):
        if isinstance(job, SearchJob):
            run_searches(job.search, job.seeds, study, folder, conditions, on_fraction)
        elif missing := folder.missing(job.arm_runs):
            run_arm(job.arm, job.level, missing, study, folder, conditions, on_fraction)
    return time.perf_counter() - start


def run_job_here(job: Job, study: Study, folder: StudyFolder, on_fraction: OnFraction) -> float:
    """The same for a process that is given one job after another: it makes the conditions itself, once for a study."""
    return run_job(job, study, folder, conditions_here(study), on_fraction)

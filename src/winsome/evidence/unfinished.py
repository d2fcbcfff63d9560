"""What of a study is not finished, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from winsome.study.arms import Dense, is_reported
from winsome.study.design import Study
from winsome.study.folder import StudyFolder
from winsome.study.jobs import ArmJob, SearchJob, is_done, jobs_of
from winsome.wording import percent, ranges


def unfinished(study: Study, folder: StudyFolder) -> list[str]:
    """What is not finished, arm by arm and search by search, in sentences."""
    jobs = jobs_of(study, at_once=1)
    sentences = []
    for name in study.needed_searches():
        seeds = [
            seed
            for job in jobs
            if isinstance(job, SearchJob) and job.search == name and not is_done(job, study, folder)
            for seed in job.seeds
        ]
        if seeds:
            sentences.append(f"search {name}: not finished for {_of_seeds(seeds, study)}")
    for arm, level in dict.fromkeys((job.arm, job.level) for job in jobs if isinstance(job, ArmJob)):
        own = [job for job in jobs if isinstance(job, ArmJob) and (job.arm, job.level) == (arm, level)]
        absent = [run.run.search_seed for job in own for run in folder.missing(job.arm_runs)]
        if absent and is_reported(arm):
            where = "" if isinstance(arm, Dense) else f" at {percent(study.all_densities[level])} of the weights"
            sentences.append(f"{arm.name}{where}: no result for {_of_seeds(absent, study)}")
    return sentences


def _of_seeds(seeds: Sequence[int], study: Study) -> str:
    if set(seeds) == set(study.search_seeds):
        return "any search seed"
    return f"search {'seed' if len(set(seeds)) == 1 else 'seeds'} {ranges(seeds)}"

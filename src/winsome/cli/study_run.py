"""A study, run and shown; or only what would be run."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from winsome import distributed, report
from winsome.cli.display import Display, print_results
from winsome.evidence.gather import collect, is_gathered
from winsome.evidence.logged import study_log
from winsome.evidence.partial import collect_finished
from winsome.evidence.results import read
from winsome.study.conditions import conditions_of, will_stack
from winsome.study.design import Study
from winsome.study.jobs import all_done, jobs_at_once, jobs_of
from winsome.study.run import StudyProgress, run
from winsome.user_code import UserFile, load_files


def run_study(study: Study, folder: Path, workers: int, files: Sequence[UserFile | None], *, log: str = "none") -> None:
    """Do what is left of a study, gather what it found, and print it.

    Args:
        study: what is compared.
        folder: where it lives.
        workers: processes side by side; 0 for one per core.
        files: what a worker loads first: code of the user's own.
        log: the tracker that is told of it, or "none".
    """
    prepare = partial(load_files, tuple(file for file in files if file is not None))
    command = shlex.join(["winsome", *sys.argv[1:]])
    conditions = conditions_of(study)
    jobs = jobs_of(study, at_once=jobs_at_once(stacked=conditions.stacked))
    complete = all_done(jobs, study, folder)
    complete = complete and distributed.from_main(lambda: is_gathered(study, folder))
    if not distributed.is_main():  # rank 0 alone shows and gathers
        run(study, folder, conditions=conditions, workers=workers, prepare=prepare)
        return
    with study_log(study, folder, log) as tell, Display(study, folder, conditions) as display:

        def watch(progress: StudyProgress) -> None:
            display.watch(progress)
            if progress.finished and progress.job is not None:
                tell(progress.job)

        try:
            run(study, folder, conditions=conditions, workers=workers, watch=watch, prepare=prepare)
            for job in jobs:  # those that were finished before
                tell(job)
        except Exception:
            found = collect_finished(study, folder, conditions, command=command) if distributed.world_size() == 1 else None
            if found is not None:
                display.say("a part of the study failed; what was finished before is gathered:")
                print_results(found, report.write(folder))
            raise
    distributed.leave()
    if complete:
        display.say(f"{folder} is finished already; nothing was trained. Choose another --save-to to run it anew.")
        results = read(folder)
    else:
        results = collect(study, folder, conditions, command=command)
    page = report.write(folder)
    print_results(results, page)


def print_plan(study: Study) -> None:
    """Print what a study would run."""
    for job in jobs_of(study, at_once=jobs_at_once(stacked=will_stack(study))):
        print(job.label)

"""Run a study's jobs: each as soon as what it needs is finished, on any `concurrent.futures.Executor`."""

from __future__ import annotations

import logging
import multiprocessing
import os
import queue
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.queues import Queue
from pathlib import Path
from typing import TypeAlias

import torch

from winsome.store import claim_folder
from winsome.study.design import Study
from winsome.study.jobs import Job, bench_of, cost, is_done, jobs_of, needs, run_job

Messages: TypeAlias = "Queue[tuple[int, float]]"
STACK = 16  # networks trained as one stack: more gains little, and fewer jobs leave cores idle


@dataclass(frozen=True)
class Progress:
    """How far a study is: handed to `watch` when a job starts, moves or ends."""

    done: float  # cost of finished and moving jobs
    total: float
    job: Job | None = None
    finished: bool = False  # whether this is the end of `job`
    seconds: float = 0.0  # that the finished job took


Watch = Callable[[Progress], None]


def run(study: Study, folder: Path, *, workers: int = 0, watch: Watch = lambda _: None) -> float:
    """Do everything of a study that is not done yet; returns the seconds spent in jobs, over all workers.

    Args:
        study: what is compared.
        folder: where it lives; one of another configuration is refused.
        workers: processes that share the machine; 0 takes one for each core (one on a GPU), 1 runs in this process.
        watch: told of every progress.

    Raises:
        WinsomeError: the folder was made with another configuration, or data, network or disk fail.
        BrokenProcessPool: a worker process was killed.
        Diverged: a training's loss became NaN.
    """
    bench_of(study)  # data and network are refused before anything is written
    claim_folder(folder, study.record())
    jobs = jobs_of(study, at_once=jobs_at_once(study))
    left = [job for job in jobs if not is_done(job, study, folder)]
    finished = sum(cost(job, study) for job in jobs if job not in left)
    total = sum(cost(job, study) for job in jobs)
    if not left:
        return 0.0
    n_workers = min(workers or default_workers(), len(left))
    if n_workers == 1:
        return _one_by_one(left, study, folder, watch, finished, total)
    with _pool(n_workers) as (pool, messages):
        return _side_by_side(left, study, folder, pool, messages, watch, finished, total)


def default_workers() -> int:
    """One one-thread process for each core; a GPU is used by one process."""
    return 1 if torch.cuda.is_available() else len(os.sched_getaffinity(0))


def jobs_at_once(study: Study) -> int:
    """How many networks one job trains: a stack where layers allow it, else one."""
    return STACK if bench_of(study).stacked else 1


def _one_by_one(left: list[Job], study: Study, folder: Path, watch: Watch, finished: float, total: float) -> float:
    seconds = 0.0
    for job in left:
        before, price = finished, cost(job, study)

        def on_fraction(fraction: float, job: Job = job, before: float = before, price: float = price) -> None:
            watch(Progress(before + fraction * price, total, job))

        on_fraction(0.0)
        took = run_job(job, study, folder, on_fraction)
        seconds += took
        finished += price
        watch(Progress(finished, total, job, True, took))
    return seconds


def _side_by_side(
    left: list[Job],
    study: Study,
    folder: Path,
    pool: Executor,
    messages: Messages,
    watch: Watch,
    finished: float,
    total: float,
) -> float:
    waiting = list(enumerate(left))
    running: dict[Future[float], int] = {}
    fractions: dict[int, float] = {}
    done: set[Job] = {job for job in jobs_of(study, at_once=jobs_at_once(study)) if job not in left}
    every = jobs_of(study, at_once=jobs_at_once(study))
    seconds = 0.0

    def so_far() -> float:
        return finished + sum(cost(left[index], study) * fraction for index, fraction in fractions.items())

    try:
        while waiting or running:
            for index, job in [entry for entry in waiting if all(other in done for other in needs(entry[1], every, study))]:
                waiting.remove((index, job))
                with _interrupts_held():  # a worker inherits it: Ctrl-C is for this process, which ends the others
                    running[pool.submit(_in_worker, index, job, study, folder)] = index
                fractions[index] = 0.0
            ended, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
            for index, fraction in _drain(messages):
                if index in fractions:
                    fractions[index] = fraction
                    watch(Progress(so_far(), total, left[index]))
            for future in ended:
                index = running.pop(future)
                took = future.result()
                seconds += took
                finished += cost(left[index], study)
                fractions.pop(index)
                done.add(left[index])
                watch(Progress(so_far(), total, left[index], True, took))
    except BrokenProcessPool as error:
        raise BrokenProcessPool(
            "a worker process was killed (out of memory?); finished work is kept: run the same command again, "
            "with --workers 1 if memory is short"
        ) from error
    return seconds


def _drain(messages: Messages) -> Iterator[tuple[int, float]]:
    while True:
        try:
            yield messages.get_nowait()
        except queue.Empty:
            return


@contextmanager
def _interrupts_held() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _pool(workers: int) -> Iterator[tuple[Executor, Messages]]:
    """Worker processes with one thread each, which tell of their progress through a queue; ended at once on an error."""
    context = multiprocessing.get_context("spawn")
    messages: Messages = context.Queue()
    threads = max(1, len(os.sched_getaffinity(0)) // workers)
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_worker, initargs=(messages, threads))
    try:
        yield pool, messages
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _begin_worker(messages: Messages, threads: int) -> None:
    torch.set_num_threads(threads)
    logging.getLogger("winsome").setLevel(logging.ERROR)  # a study's warnings are in its results, said once at the end
    setattr(sys.modules[__name__], "_messages", messages)  # noqa: B010 - the one thing that an initializer can hand to its jobs


def _in_worker(index: int, job: Job, study: Study, folder: Path) -> float:
    messages: Messages = getattr(sys.modules[__name__], "_messages")  # noqa: B009
    last = [0.0]

    def on_fraction(fraction: float) -> None:
        if time.monotonic() - last[0] > 0.3:
            last[0] = time.monotonic()
            messages.put((index, fraction))

    return run_job(job, study, folder, on_fraction)

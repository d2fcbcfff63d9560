"""Who runs tasks on this machine: this process, or a pool of processes."""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.queues import Queue
from typing import TypeAlias

import torch

from winsome.machine import usable_cores
from winsome.tasks.graph import OnFraction, Report, Runner, Work
from winsome.user_code import note_named

Messages: TypeAlias = "Queue[tuple[int, float]]"
REPORT_EVERY = 0.3  # seconds between two reports of a worker on its progress


# In a worker: where it says how far it is. An initializer has no other way to hand something to the tasks after it.
_messages_of_worker: list[Messages] = []


def this_process() -> Runner:
    """One task after another, right here."""

    def submit(number: int, work: Work, report: Report) -> Future[float]:
        future: Future[float] = Future()
        report(number, 0.0)
        try:
            future.set_result(work(lambda fraction: report(number, fraction)))
        except Exception as error:
            future.set_exception(error)
        except SystemExit as error:
            future.set_exception(_as_text(error))
        return future

    return Runner(submit, lambda _: None, at_once=1)


@contextmanager
def processes(workers: int, *, prepare: Callable[[], object] | None = None) -> Iterator[Runner]:
    """Worker processes that share this machine's cores; ended at once on an error.

    `prepare` is called in every worker before its first task; it must be picklable, as every task's work must.

    Raises:
        BrokenProcessPool: a worker process was killed.
    """
    context = multiprocessing.get_context("spawn")
    messages: Messages = context.Queue()
    threads = max(1, usable_cores() // workers)
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_worker, initargs=(messages, threads, prepare))

    def submit(number: int, work: Work, _report: Report) -> Future[float]:
        with _interrupts_held():  # a worker inherits it: Ctrl-C is for this process, which ends the others
            return pool.submit(_in_worker, number, work)

    def poll(report: Report) -> None:
        for number, fraction in _drain(messages):
            report(number, fraction)

    try:
        yield Runner(submit, poll)
    except BaseException as error:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        if isinstance(error, BrokenProcessPool):
            raise BrokenProcessPool(
                "a worker process was killed (out of memory?); finished work is kept: run the same command again, "
                "with --workers 1 if memory is short"
            ) from error
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def sendable(work: Work) -> Work:
    """The same, whose errors reach another process whatever they hold, and end no worker."""

    def do(on_fraction: OnFraction) -> float:
        try:
            return work(on_fraction)
        except SystemExit as error:
            raise _as_text(error) from error
        except Exception as error:
            note_named(error)  # the lines of the user's: a traceback does not come along
            try:
                pickle.loads(pickle.dumps(error))
            except Exception:  # whatever an error's own pickling raises: the error itself must not be lost
                raise _as_text(error) from error
            raise

    return do


def _as_text(error: BaseException) -> RuntimeError:
    """An error in words, with its notes."""
    said = RuntimeError(f"{type(error).__name__}: {error}")
    for note in getattr(error, "__notes__", ()):
        said.add_note(note)
    return said


def throttled(report: Callable[[float], None], every: float = REPORT_EVERY) -> Callable[[float], None]:
    """The same, but silent for some seconds after each word."""
    last = [time.monotonic()]

    def on_fraction(fraction: float) -> None:
        if time.monotonic() - last[0] > every:
            last[0] = time.monotonic()
            report(fraction)

    return on_fraction


def quiet_worker(threads: int) -> None:
    """What every worker process begins with: its share of threads, and no warnings of its own."""
    torch.set_num_threads(threads)
    logging.getLogger("winsome").setLevel(logging.ERROR)  # a study's warnings are in its results, said once at the end


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


def _begin_worker(messages: Messages, threads: int, prepare: Callable[[], object] | None) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    quiet_worker(threads)
    _messages_of_worker.append(messages)
    if prepare is not None:
        prepare()


def _end_with_parent() -> None:
    """End this worker when the process that gave it work was killed: it would go on for ever, beside whoever continues."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _in_worker(number: int, work: Work) -> float:
    return sendable(work)(throttled(lambda fraction: _messages_of_worker[-1].put((number, fraction))))

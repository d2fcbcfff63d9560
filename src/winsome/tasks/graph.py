"""Run tasks that need each other, each as soon as it can; the caller says who runs them, and what a failure stops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from dataclasses import dataclass, field
from typing import Literal

OnFraction = Callable[[float], None]  # of a task that is done, in [0, 1]
Work = Callable[[OnFraction], float]  # does a task, or what is left of it, and returns the seconds that it took
Tell = Callable[[int, float], None]  # how far the task of this number is


@dataclass(frozen=True)
class Task:
    """Something to do.

    Attributes:
        work: does it; run again after a kill, it goes on where it was.
        cost: what the time left is estimated from.
        is_done: asked when the task could start.
        needs: numbers of the tasks that must be finished before; where one fails, this one is skipped.
        after: numbers of the tasks that must have ended before, finished or not.
    """

    work: Work
    cost: float = 1.0
    is_done: Callable[[], bool] = lambda: False
    needs: frozenset[int] = frozenset()
    after: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Runner:
    """Who runs tasks: this process, a pool of processes, a Ray cluster.

    Attributes:
        submit: starts a task, by its number. One that runs right here calls `Tell` at once.
        poll: passes on what running tasks have told since the last call.
        at_once: tasks submitted at a time; None leaves the queue to the runner.
    """

    submit: Callable[[int, Work, Tell], Future[float]]
    poll: Callable[[Tell], None]
    at_once: int | None = None


@dataclass(frozen=True)
class Event:
    """What happened to a task, and how far all tasks are."""

    number: int
    state: Literal["moved", "found", "finished", "failed", "skipped"]  # found: it was done before
    done: float  # cost of all that is finished or moving
    total: float
    seconds: float = 0.0  # that a finished task took
    error: Exception | None = None  # of a failed task


@dataclass
class Outcome:
    """How a graph of tasks ended."""

    seconds: float = 0.0  # spent in tasks, over all workers
    failures: dict[int, Exception] = field(default_factory=dict)
    skipped: dict[int, int] = field(default_factory=dict)  # a task, and the failed one that it needs


def run_graph(
    tasks: Sequence[Task], runner: Runner, *, watch: Callable[[Event], None] = lambda _: None, keep_going: bool = False
) -> Outcome:
    """Run every task once all that it needs is finished. One function: its steps share one state that nobody else may see.

    Args:
        tasks: in the order in which they start where several could.
        runner: who runs them.
        watch: told of everything that happens.
        keep_going: after a failure, run all that does not need the failed task; otherwise its error is raised.

    Raises:
        BrokenExecutor: the runner itself is gone.
        ValueError: tasks wait for each other in a circle.
    """
    outcome = Outcome()
    waiting = dict.fromkeys(range(len(tasks)))
    finished: set[int] = set()
    running: dict[Future[float], int] = {}
    fractions: dict[int, float] = {}
    total = sum(task.cost for task in tasks)

    def say(number: int, state: Literal["moved", "found", "finished", "failed", "skipped"], seconds: float = 0.0) -> None:
        moving = sum(tasks[n].cost * fraction for n, fraction in fractions.items())
        ended = sum(tasks[n].cost for n in (*finished, *outcome.failures, *outcome.skipped))
        watch(Event(number, state, ended + moving, total, seconds, outcome.failures.get(number)))

    def tell(number: int, fraction: float) -> None:
        if number in fractions:
            fractions[number] = fraction
            say(number, "moved")

    def start(number: int) -> bool:
        """Start, find done or skip a task; False where it must wait."""
        task = tasks[number]
        lost = next((need for need in sorted(task.needs) if need in outcome.failures or need in outcome.skipped), None)
        if lost is not None:
            outcome.skipped[number] = outcome.skipped.get(lost, lost)
            say(number, "skipped")
            return True
        if not (task.needs <= finished and task.after <= finished | outcome.failures.keys() | outcome.skipped.keys()):
            return False
        if runner.at_once is not None and len(running) >= runner.at_once:
            return False
        try:
            found = task.is_done()
        except Exception as error:
            fail(number, error)
            return True
        if found:
            finished.add(number)
            say(number, "found")
            return True
        fractions[number] = 0.0
        running[runner.submit(number, task.work, tell)] = number
        return True

    def fail(number: int, error: BaseException) -> None:
        if not keep_going or not isinstance(error, Exception) or isinstance(error, BrokenExecutor):
            raise error
        outcome.failures[number] = error
        say(number, "failed")

    def end(future: Future[float]) -> None:
        number = running.pop(future)
        fractions.pop(number)
        error = future.exception()
        if error is None:
            finished.add(number)
            outcome.seconds += future.result()
            say(number, "finished", future.result())
        else:
            fail(number, error)

    while waiting or running:
        started = [number for number in list(waiting) if start(number)]
        for number in started:
            del waiting[number]
        if not running and not started:
            raise ValueError(f"the tasks {sorted(waiting)} wait for each other")
        ended, _ = wait(running, timeout=0 if started else 0.2, return_when=FIRST_COMPLETED)
        runner.poll(tell)
        for future in ended:
            end(future)
    return outcome

"""Run tasks that need each other, each as soon as it can; the caller says who runs them, and what a failure stops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Literal

OnFraction = Callable[[float], None]  # of a task that is done, in [0, 1]
Work = Callable[[OnFraction], float]  # does a task, or what is left of it, and returns the seconds that it took
Report = Callable[[int, float], None]  # how far the task of this number is
State = Literal["moved", "found", "finished", "failed", "skipped"]


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
        submit: starts a task, by its number. One that runs right here calls `Report` at once.
        poll: passes on what running tasks have reported since the last call.
        at_once: tasks submitted at a time; None leaves the queue to the runner.
    """

    submit: Callable[[int, Work, Report], Future[float]]
    poll: Callable[[Report], None]
    at_once: int | None = None


@dataclass(frozen=True)
class Event:
    """What happened to a task, and how far all tasks are."""

    number: int
    state: State  # found: it was done before
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
    """Run every task once all that it needs is finished.

    Args:
        tasks: in the order in which they start where several could.
        runner: who runs them.
        watch: hears of everything that happens.
        keep_going: after a failure, run all that does not need the failed task; otherwise its error is raised.

    Raises:
        BrokenExecutor: the runner itself is gone.
        ValueError: tasks wait for each other in a circle; no work was begun.
    """
    under_way = _UnderWay(tasks, runner, watch, keep_going)
    while under_way.order.is_active():
        started = under_way.start()
        ended, _ = wait(under_way.running, timeout=0 if started else 0.2, return_when=FIRST_COMPLETED)
        runner.poll(under_way.report)
        for future in ended:
            under_way.end(future)
    return under_way.outcome


class _UnderWay:
    """A graph of tasks that is being run: its steps share this state, which nobody else may see."""

    def __init__(self, tasks: Sequence[Task], runner: Runner, watch: Callable[[Event], None], keep_going: bool) -> None:
        self.tasks, self.runner, self.watch, self.keep_going = tasks, runner, watch, keep_going
        self.order = TopologicalSorter({number: {*task.needs, *task.after} for number, task in enumerate(tasks)})
        try:
            self.order.prepare()
        except CycleError as error:
            raise ValueError(f"the tasks {sorted(set(error.args[1]))} wait for each other") from error
        self.ready: list[int] = []
        self.finished: set[int] = set()
        self.running: dict[Future[float], int] = {}
        self.fractions: dict[int, float] = {}
        self.outcome = Outcome()

    def start(self) -> bool:
        """Start, find done or skip every task that can be; False where all must wait."""
        self.ready = sorted((*self.ready, *self.order.get_ready()))
        started = [number for number in self.ready if self._start(number)]
        self.ready = [number for number in self.ready if number not in started]
        return bool(started)

    def _start(self, number: int) -> bool:
        task, outcome, runner = self.tasks[number], self.outcome, self.runner
        lost = next((need for need in sorted(task.needs) if need not in self.finished), None)
        if lost is not None:
            outcome.skipped[number] = outcome.skipped.get(lost, lost)
            self._ended(number, "skipped")
            return True
        if runner.at_once is not None and len(self.running) >= runner.at_once:
            return False
        try:
            found = task.is_done()
        except Exception as error:
            self._fail(number, error)
            return True
        if found:
            self.finished.add(number)
            self._ended(number, "found")
        else:
            self.fractions[number] = 0.0
            self.running[runner.submit(number, task.work, self.report)] = number
        return True

    def end(self, future: Future[float]) -> None:
        """Take note of what a task has come to."""
        number = self.running.pop(future)
        self.fractions.pop(number)
        error = future.exception()
        if error is not None:
            self._fail(number, error)
            return
        self.finished.add(number)
        self.outcome.seconds += future.result()
        self._ended(number, "finished", future.result())

    def _fail(self, number: int, error: BaseException) -> None:
        if not self.keep_going or not isinstance(error, Exception) or isinstance(error, BrokenExecutor):
            raise error
        self.outcome.failures[number] = error
        self._ended(number, "failed")

    def report(self, number: int, fraction: float) -> None:
        """Take note of how far a task is."""
        if number in self.fractions:
            self.fractions[number] = fraction
            self._say(number, "moved")

    def _ended(self, number: int, state: State, seconds: float = 0.0) -> None:
        self.order.done(number)
        self._say(number, state, seconds)

    def _say(self, number: int, state: State, seconds: float = 0.0) -> None:
        moving = sum(self.tasks[n].cost * fraction for n, fraction in self.fractions.items())
        ended = sum(self.tasks[n].cost for n in (*self.finished, *self.outcome.failures, *self.outcome.skipped))
        total = sum(task.cost for task in self.tasks)
        self.watch(Event(number, state, ended + moving, total, seconds, self.outcome.failures.get(number)))

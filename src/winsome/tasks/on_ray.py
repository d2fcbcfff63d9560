"""Tasks as Ray tasks: on a cluster that runs already, or on one of this machine's own that ends with the sweep."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import pickle
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from winsome.errors import WinsomeError
from winsome.tasks.graph import Report, Runner, Work
from winsome.tasks.processes import quiet_worker, sendable, throttled

LOCAL = "local"
REPORT_EVERY = 1.0  # seconds: every report of a worker is a message through the cluster


@contextmanager
def ray_runner(
    *,
    address: str = LOCAL,
    at_once: int,
    cpus: float = 1.0,
    gpus: float | None = None,
    retries: int = 3,
    prepare: Callable[[], object] | None = None,
) -> Iterator[Runner]:
    """Ray runs the tasks: it places them, and starts one again whose worker or node was lost.

    Args:
        address: `local` for a cluster of this machine alone, `auto` for the one that runs here, or HOST:PORT.
        at_once: tasks at a time on a local cluster; elsewhere the cluster's size decides.
        cpus: cores of one task, and its threads; a share of a core is one thread.
        gpus: GPUs of one task, in shares; None takes one where the cluster has any.
        retries: how often a task is started again after its worker died; -1 for ever. A task that raises is not.
        prepare: called in every worker before what it is sent is unpickled.

    Raises:
        WinsomeError: Ray is not installed, no cluster is at the address, or no node of it has room for one task.
    """
    ray = _ray()
    _connect(ray, address, cpus=at_once * cpus)
    try:
        share = _gpu_share(ray, gpus)
        _refuse_too_little(ray, cpus, share)
        messages = _queue()
        options = {"num_cpus": cpus, "num_gpus": share, "max_retries": retries, "retry_exceptions": False}
        try:
            remote = ray.remote(winsome_run).options(**options)
        except ValueError as error:  # Ray's own sentence says which, and what it takes
            raise WinsomeError(f"Ray cannot run this: {error}") from error
        begin = partial(_begin, max(1, math.floor(cpus)), Path.cwd(), prepare)

        def submit(number: int, work: Work, _report: Report) -> Future[float]:
            try:
                payload = ray.cloudpickle.dumps(work)
            except Exception as error:  # whatever the user's own objects raise: other studies go on
                return _failed(WinsomeError(f"it cannot be sent to other processes ({error}): use --no-ray --workers 1"))
            return _unwrapped(remote.remote(number, payload, messages, begin).future())

        def poll(report: Report) -> None:
            for number, fraction in _drain(messages):
                report(number, fraction)

        # Ray's own count is of whole cores: three runs of a third each would share the one core meant for one.
        yield Runner(submit, poll, at_once=at_once if address == LOCAL else None)
    finally:
        ray.shutdown()


def _ray() -> Any:
    # Read when ray is imported: no statistics sent home, and no copy of the working folder to every worker under `uv run`.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    try:
        import ray
        import ray.cloudpickle
    except ImportError as error:
        raise WinsomeError("Ray is not installed: pip install ray; or run on this machine alone with --no-ray") from error
    return ray


def _connect(ray: Any, address: str, *, cpus: float) -> None:
    quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        if address == LOCAL:
            ray.init(address=LOCAL, num_cpus=math.ceil(cpus), include_dashboard=False, **quiet)
        else:
            _refuse_unreachable(address)
            ray.init(address=address, **quiet)
    except (OSError, ValueError, RuntimeError) as error:
        first = str(error).partition("\n")[0]
        raise WinsomeError(
            f"no Ray cluster at {address!r} ({first}); start one with `ray start --head`, set RAY_AUTH_MODE and "
            "RAY_AUTH_TOKEN as on the cluster if it asks for them, or leave --address out for one of this machine's own"
        ) from error


def _refuse_unreachable(address: str) -> None:
    """Raise OSError where nobody answers: Ray itself tries for many minutes."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host, int(port)), timeout=5).close()


def _gpu_share(ray: Any, gpus: float | None) -> float:
    if gpus is not None:
        return gpus
    return 1.0 if ray.cluster_resources().get("GPU", 0) else 0.0


def _refuse_too_little(ray: Any, cpus: float, gpus: float) -> None:
    """Raise WinsomeError where no node has room for one task: Ray would wait for ever."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if not any(node.get("CPU", 0) >= cpus and node.get("GPU", 0) >= gpus for node in nodes):
        most = max((node.get("CPU", 0), node.get("GPU", 0)) for node in nodes)
        raise WinsomeError(
            f"no node of the cluster has {cpus:g} cores and {gpus:g} GPUs for one run (the largest has {most[0]:g} and "
            f"{most[1]:g}); lower --cpus-per-run or --gpus-per-run"
        )


def _queue() -> Any:
    from ray.util.queue import Queue

    return Queue(actor_options={"num_cpus": 0})


def _drain(messages: Any) -> list[tuple[int, float]]:
    try:
        found: list[tuple[int, float]] = messages.get_nowait_batch(messages.qsize())
        return found
    except Exception:  # progress only: whatever happened to the queue, the tasks go on
        return []


def _failed(error: Exception) -> Future[float]:
    future: Future[float] = Future()
    future.set_exception(error)
    return future


def _unwrapped(future: Future[float]) -> Future[float]:
    """The same, but with the error that the task raised in place of Ray's own around it."""
    plain: Future[float] = Future()
    plain.set_running_or_notify_cancel()

    def hand_on(ended: Future[float]) -> None:
        error = ended.exception()
        if error is None:
            plain.set_result(ended.result())
        else:
            raised = getattr(error, "cause", None) or error
            if raised is not error:
                raised.__cause__ = error  # it holds the traceback of the worker
            plain.set_exception(raised)

    future.add_done_callback(hand_on)
    return plain


def _begin(threads: int, folder: Path, prepare: Callable[[], object] | None) -> None:
    quiet_worker(threads)
    with contextlib.suppress(OSError):  # data named by a path from here are found; another machine may not have the folder
        os.chdir(folder)
    if prepare is not None:
        prepare()


def winsome_run(number: int, payload: bytes, messages: Any, begin: Callable[[], object]) -> float:
    """Do a task where Ray put it, and tell how far it is."""
    begin()
    work: Work = pickle.loads(payload)

    def report(fraction: float) -> None:
        with contextlib.suppress(Exception):  # a lost queue must not cost a training
            messages.put_nowait((number, fraction))

    return sendable(work)(throttled(report, REPORT_EVERY))

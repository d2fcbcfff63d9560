"""The trackers that a run can be told to: each opens a run of a name, and takes steps with numbers by name."""

from __future__ import annotations

import hashlib
import importlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from winsome.errors import WinsomeError, unknown

Send = Callable[[int, Mapping[str, float]], None]
Tracker = Callable[[str, Path], AbstractContextManager[Send]]  # the run's name, the folder of the search or study

PROJECT = "winsome"


def tracker_named(name: str) -> Tracker:
    """A tracker by its name.

    Raises:
        WinsomeError: there is none of that name, or what it needs is not installed.
    """
    if name not in TRACKERS:
        raise unknown("tracker", name, ["none", *TRACKERS])
    module = "torch.utils.tensorboard" if name == "tensorboard" else name
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise WinsomeError(f"--log {name} needs {name}, which cannot be imported ({error}): pip install {name}") from error
    return TRACKERS[name]


def _full_name(run: str, folder: Path) -> str:
    """A run as a server knows it: beside those of other folders."""
    return f"{folder.name}/{run}"


@contextmanager
def wandb(run: str, folder: Path) -> Iterator[Send]:
    """Weights & Biases; `WANDB_MODE=offline` writes into the folder, for `wandb sync`."""
    library: Any = importlib.import_module("wandb")
    digest = hashlib.sha256(f"{folder.resolve()}/{run}".encode()).hexdigest()[:16]  # goes on with the run when it is resumed
    options = {"id": digest, "resume": "allow", "reinit": "create_new", "dir": folder}
    opened = library.init(project=PROJECT, name=_full_name(run, folder), **options)
    try:
        yield lambda step, values: opened.log(dict(values), step=step)
    finally:
        opened.finish()


@contextmanager
def trackio(run: str, folder: Path) -> Iterator[Send]:
    """Trackio, in its own database on this machine."""
    library: Any = importlib.import_module("trackio")
    library.init(project=PROJECT, name=_full_name(run, folder), resume="allow")
    try:
        yield lambda step, values: library.log(dict(values), step=step)
    finally:
        library.finish()


@contextmanager
def tensorboard(run: str, folder: Path) -> Iterator[Send]:
    """TensorBoard's event files, in the folder: `tensorboard --logdir FOLDER/tensorboard`."""
    library: Any = importlib.import_module("torch.utils.tensorboard")
    writer = library.SummaryWriter(folder / "tensorboard" / run)

    def send(step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            writer.add_scalar(name, value, step)
        writer.flush()

    try:
        yield send
    finally:
        writer.close()


@contextmanager
def mlflow(run: str, folder: Path) -> Iterator[Send]:
    """MLflow, at `MLFLOW_TRACKING_URI`, else in the folder's own `mlruns`."""
    library: Any = importlib.import_module("mlflow")
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # of the folder: a database needs all of MLflow
    uri = os.environ.get("MLFLOW_TRACKING_URI") or (folder.resolve() / "mlruns").as_uri()
    client = library.MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(PROJECT)
    number = experiment.experiment_id if experiment else client.create_experiment(PROJECT)
    name = _full_name(run, folder)
    there = client.search_runs([number], f"attributes.run_name = '{name}'")
    opened = there[0] if there else client.create_run(number, run_name=name)

    def send(step: int, values: Mapping[str, float]) -> None:
        for key, value in values.items():
            client.log_metric(opened.info.run_id, key, value, step=step)

    yield send
    client.set_terminated(opened.info.run_id)


TRACKERS: dict[str, Tracker] = {"wandb": wandb, "trackio": trackio, "tensorboard": tensorboard, "mlflow": mlflow}

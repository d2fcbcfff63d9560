"""Trackers: the same names and numbers in the file and in each real library, offline; each level and network told once."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import pytest

from commands import said
from winsome.cli import main
from winsome.cli.options import Tracked
from winsome.errors import WinsomeError
from winsome.tracking import trackers
from winsome.tracking.log import LogEntry, RunLog, numbers
from winsome.tracking.trackers import TRACKERS, tracker_named

ENTRIES = [
    LogEntry("searches/aws/seed-00", level, {"density": 0.8**level, "accuracy": 0.9 + level / 100}) for level in range(3)
]
QUICK = ["--levels", "1", "--level-epochs", "1", "--warmup-epochs", "0", "--train-images", "256"]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """The folder of a study of which a tracker was told twice, with a pause between."""
    name: str = request.param
    pytest.importorskip(name, reason=f"--log {name} needs it: pip install {name}")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for known in (ENTRIES[:2], ENTRIES):
        with RunLog(tmp_path / "study", name) as log:
            log.tell(known)
    return tmp_path / "study"


@pytest.mark.parametrize("told", ["tensorboard"], indirect=True)
def test_tensorboard_holds_the_numbers(told: Path) -> None:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = reader.EventAccumulator(str(told / "tensorboard" / ENTRIES[0].run)).Reload()
    assert set(events.Tags()["scalars"]) == {"density", "accuracy"}
    found = [(event.step, event.value) for event in events.Scalars("accuracy")]
    assert found == [(entry.step, pytest.approx(entry.values["accuracy"])) for entry in ENTRIES]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("told", ["mlflow"], indirect=True)
def test_mlflow_holds_the_numbers_in_one_run(told: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    client = mlflow.MlflowClient(tracking_uri=(told / "mlruns").as_uri())
    (run,) = client.search_runs([client.get_experiment_by_name("winsome").experiment_id])
    assert run.info.run_name == f"study/{ENTRIES[0].run}"
    history = client.get_metric_history(run.info.run_id, "density")
    assert [(one.step, one.value) for one in history] == [(entry.step, entry.values["density"]) for entry in ENTRIES]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("told", ["wandb"], indirect=True)
def test_wandb_writes_offline_runs_of_one_id(told: Path) -> None:
    folders = [path for path in (told / "wandb").glob("offline-run-*") if path.is_dir()]
    assert len({path.name.rpartition("-")[2] for path in folders}) == 1
    content = b"".join(path.read_bytes() for folder in folders for path in folder.glob("*.wandb"))
    assert b"density" in content
    assert f"study/{ENTRIES[0].run}".encode() in content


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("told", ["trackio"], indirect=True)
def test_trackio_takes_the_same(told: Path) -> None:
    assert lines(told / "log.trackio.jsonl") == lines(told / "log.jsonl")


def test_each_is_told_once_to_the_file_and_to_whichever_tracker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[str, int]] = []
    opened: list[str] = []

    @contextmanager
    def mine(run: str, _: Path) -> Iterator[trackers.Send]:
        opened.append(run)
        yield lambda step, _: heard.append((run, step))
        opened.append(f"end of {run}")

    monkeypatch.setitem(TRACKERS, "json", mine)  # a module that can be imported
    other = LogEntry("arms/dense/dense", 0, {"accuracy": 0.97})
    with RunLog(tmp_path) as log:
        log.tell(ENTRIES[:2])
    for _ in range(2):  # a tracker that comes later hears of all
        with RunLog(tmp_path, "json") as log:
            log.tell(ENTRIES)
            log.tell([*ENTRIES, other])
    assert heard == [(entry.run, entry.step) for entry in (*ENTRIES, other)]
    assert opened == [ENTRIES[0].run, f"end of {ENTRIES[0].run}", other.run, f"end of {other.run}"]
    wanted = [{"run": entry.run, "step": entry.step, **entry.values} for entry in (*ENTRIES, other)]
    assert lines(tmp_path / "log.jsonl") == lines(tmp_path / "log.json.jsonl") == wanted


def test_a_line_that_was_cut_is_written_again_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    for _ in range(2):
        with RunLog(tmp_path) as log:
            log.tell(ENTRIES)
        path = tmp_path / "log.jsonl"
        path.write_text(path.read_text()[:-5])
    with RunLog(tmp_path) as log:
        log.tell(ENTRIES)
    assert [line["step"] for line in lines(path)] == [0, 1, 2]
    path.write_text("no JSON\n" + path.read_text())
    with pytest.raises(WinsomeError, match=r"log\.jsonl is damaged in line 1"), RunLog(tmp_path):
        pass


def test_numbers_are_those_that_trackers_take() -> None:
    assert numbers({"a": 1, "b": 0.5, "c": True, "d": "x", "e": None, "f": float("nan"), "g": [1]}) == {"a": 1.0, "b": 0.5}


def test_the_command_line_offers_those_there_are() -> None:
    assert get_args(Tracked) == ("none", *TRACKERS)


def test_an_absent_tracker_is_said_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "trackio", None)
    words = said(["find", "digits", *QUICK, "--log", "trackio", "--save-to", str(tmp_path / "run")], capsys)
    assert "--log trackio needs trackio, which cannot be imported" in words
    assert "pip install trackio" in words
    assert not list(tmp_path.rglob("level-*"))
    with pytest.raises(WinsomeError, match="unknown tracker 'wandbb'; did you mean wandb"):
        tracker_named("wandbb")


def test_find_plant_and_study_log_every_level_and_planted_network(tmp_path: Path) -> None:
    run, study = tmp_path / "run", tmp_path / "study"
    for _ in range(2):
        main(["find", "digits", *QUICK, "--save-to", str(run)])
    found = lines(run / "log.jsonl")
    assert [(line["run"], line["step"]) for line in found] == [("search", 0), ("search", 1)]
    assert [line["density"] for line in found] == [1, pytest.approx(0.8, abs=1e-4)]
    assert {"accuracy", "loss", "seconds"} <= found[0].keys()
    main(["plant", str(run / "level-01.ticket"), "--starts", "1", "2", "--epochs", "1", "--save-to", str(tmp_path / "planted")])
    assert [(line["run"], line["step"]) for line in lines(tmp_path / "planted" / "log.jsonl")] == [
        ("planting", 1),
        ("planting", 2),
    ]
    arms = ["--arms", "dense", "planted_aws", "--workers", "1", "--seeds", "2", "--starts", "1", "--epochs", "1"]
    main(["study", *QUICK, *arms, "--save-to", str(study)])
    logged = {(line["run"], line["step"]): line for line in lines(study / "log.jsonl")}
    assert set(logged) == {
        *((f"searches/aws/seed-{seed:02d}", level) for seed in (0, 1) for level in (0, 1)),
        *((f"arms/{arm}", seed) for arm in ("dense/dense", "planted_aws/level-01") for seed in (0, 1)),
    }
    rows = json.loads((study / "results.json").read_text())["rows"]
    planted = {row["search_seed"]: row["accuracy"] for row in rows if row["arm"] == "planted_aws"}
    assert {seed: logged["arms/planted_aws/level-01", seed]["accuracy"] for seed in (0, 1)} == planted

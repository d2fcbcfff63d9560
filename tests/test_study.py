"""The study engine: every arm end to end, the same rows however it is run, killed and continued."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from winsome import prunable
from winsome.data.spec import DataSpec
from winsome.errors import WinsomeError
from winsome.evidence.gather import collect
from winsome.methods import aws, learning_rate_rewinding, lrr_with_frozen_norms
from winsome.models.spec import NetworkSpec
from winsome.seeding import generator
from winsome.signed_mask import SignedMask
from winsome.study import jobs as study_jobs
from winsome.study.arms import ARMS, is_reported, kind_of
from winsome.study.conditions import conditions_of, fresh_network
from winsome.study.design import Study
from winsome.study.jobs import SearchJob, jobs_of, needs
from winsome.study.run import StudyProgress, run
from winsome.study.transplants import Found, plant_random_mask
from winsome.ticket import ticket_of
from winsome.training.from_scratch import FreshStart, train_from_scratch
from winsome.training.settings import SGD, Constant, Training

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def tiny() -> Study:
    """Two search seeds, two levels, one epoch, every arm."""
    return Study(
        name="tiny",
        title="A tiny study",
        data=DataSpec("digits", train_images=260, test_images=100),
        network=NetworkSpec("residual_mlp", (("blocks", 2), ("width", 16))),
        searches=(
            ("lrr", learning_rate_rewinding(2, 0.5)),
            ("aws", aws(2, 0.5)),
            ("frozen", lrr_with_frozen_norms(2, 0.5)),
        ),
        search_training=Training(1, 64, SGD(0.1), Constant()),
        warmup_epochs=1,
        training=Training(2, 64, SGD(0.1)),
        arms=tuple(ARMS.values()),
        levels=(1, 2),
        search_seeds=(0, 1),
        starts=(0, 1),
        curve_at=(1,),
    )


def rows_of(study: Study, folder: Path) -> list[dict[str, Any]]:
    results = collect(study, folder, command="test")
    return [{key: value for key, value in row.items() if key != "seconds"} for row in results["rows"]]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("uninterrupted")
    run(tiny(), folder, workers=1)
    return rows_of(tiny(), folder)


def test_every_arm_runs(expected: list[dict[str, Any]]) -> None:
    study = tiny()
    n_dense = 4
    n_networks = sum(kind_of(arm) == "network" for arm in study.arms) * 2 * 2
    n_planted = sum(kind_of(arm) == "planted" and is_reported(arm) for arm in study.arms) * 2 * 4
    assert len(expected) == n_dense + n_networks + n_planted
    assert {row["arm"] for row in expected} == {arm.name for arm in study.arms if is_reported(arm)}
    assert {row["density"] for row in expected} == {1.0, 0.5, 0.25}
    for row in expected:
        assert 0 <= row["accuracy"] <= 1
        trained = not row["arm"].startswith("network")
        assert [epoch for epoch, _ in row["curve"]] == ([1, 2] if trained else [])


def test_workers_change_nothing(expected: list[dict[str, Any]], tmp_path: Path) -> None:
    run(tiny(), tmp_path, workers=2)
    assert rows_of(tiny(), tmp_path) == expected


class Killed(Exception):
    """Raised in the middle of a study."""


@pytest.mark.parametrize("after", [1, 4, 9])
def test_an_interrupted_study_goes_on(
    after: int, expected: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished: list[study_jobs.Job] = []

    def watch(progress: StudyProgress) -> None:
        if progress.finished and progress.job is not None:
            finished.append(progress.job)
            if len(finished) == after:
                raise Killed

    with pytest.raises(Killed):
        run(tiny(), tmp_path, workers=1, watch=watch)
    again: list[study_jobs.Job] = []
    run(tiny(), tmp_path, workers=1, watch=lambda p: again.append(p.job) if p.finished and p.job else None)
    assert not set(finished) & set(again), "nothing is trained twice"
    assert rows_of(tiny(), tmp_path) == expected

    def never(*_: object) -> float:
        raise AssertionError("a finished study was run again")

    monkeypatch.setattr("winsome.study.run.run_job", never)
    assert run(tiny(), tmp_path, workers=1) == 0.0


def test_a_killed_process_loses_nothing(expected: list[dict[str, Any]], tmp_path: Path) -> None:
    script = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
    script += f"from pathlib import Path\nfrom test_study import tiny, run\nrun(tiny(), Path({str(tmp_path)!r}), workers=1)"
    process = subprocess.Popen([sys.executable, "-c", script], env={**os.environ, "OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline and not list(tmp_path.rglob("level-01.json")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    run(tiny(), tmp_path, workers=1)
    assert rows_of(tiny(), tmp_path) == expected


IDLE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's & ignores it
sys.path.insert(0, {here!r})
from test_study import idle
from winsome.tasks.processes import processes
from winsome.tasks.graph import Task, run_graph
if __name__ == "__main__":
    with processes(2) as runner:
        run_graph([Task(idle), Task(idle)], runner)
"""


def idle(_: object) -> float:
    """Says which process it is, and works for an hour."""
    print(os.getpid(), flush=True)
    time.sleep(3600)
    return 0.0


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("deadly", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_the_process_that_started_them(deadly: signal.Signals, tmp_path: Path) -> None:
    script = tmp_path / "idle.py"
    script.write_text(IDLE.format(here=str(Path(__file__).parent)))
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    workers = [int(process.stdout.readline()) for _ in range(2)]
    process.send_signal(deadly)
    process.wait(60)
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{worker}").exists() for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    left = [worker for worker in workers if Path(f"/proc/{worker}").exists()]
    for worker in left:
        os.kill(worker, signal.SIGKILL)
    assert not left


def test_another_configuration_is_refused_with_the_difference(tmp_path: Path) -> None:
    study = dataclasses.replace(tiny(), arms=(ARMS["dense"],))
    run(study, tmp_path, workers=1)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(WinsomeError, match=r"another configuration: training\.epochs was 2, is now 3"):
        run(dataclasses.replace(study, training=dataclasses.replace(study.training, epochs=3)), tmp_path, workers=1)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_number_of_workers_below_0_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(WinsomeError, match=r"--workers must be 0 .* or more, got -1"):
        run(tiny(), tmp_path / "never", workers=-1)
    assert not (tmp_path / "never").exists()


@pytest.mark.parametrize("at_once", [1, 2, 16])
def test_shared_work_is_done_once_and_before_what_needs_it(at_once: int) -> None:
    study = tiny()
    jobs = jobs_of(study, at_once=at_once)
    searched = [(job.search, seed) for job in jobs if isinstance(job, SearchJob) for seed in job.seeds]
    assert sorted(searched) == sorted((method, seed) for method in ("lrr", "aws", "frozen") for seed in (0, 1))
    runs = [(job.arm.name, job.level, m) for job in jobs if not isinstance(job, SearchJob) for m in job.runs]
    assert len(runs) == len(set(runs))
    assert sum(name == "dense" for name, _, _ in runs) == 4
    for place, job in enumerate(jobs):
        for other in needs(job, jobs, study):
            assert jobs.index(other) < place
        if not isinstance(job, SearchJob) and job.arm.search is not None:
            found = {seed for other in needs(job, jobs, study) if isinstance(other, SearchJob) for seed in other.seeds}
            assert {seed for seed, _ in job.runs} <= found


@pytest.mark.parametrize("n_networks", [1, 3])
def test_pruned_weights_stay_zero(n_networks: int) -> None:
    study = tiny()
    conditions = conditions_of(study)
    networks = [fresh_network(study, conditions, seed=seed) for seed in range(n_networks)]
    masks = []
    for seed, network in enumerate(networks):
        weights = {name: network.get_parameter(name) for name in prunable(network)}
        kept = {n: torch.rand(w.shape, generator=generator(seed, n)) < 0.3 for n, w in weights.items()}
        masks.append(SignedMask.of(weights, kept))
    before = [network.get_parameter("1.weight").detach().clone() for network in networks]
    starts = [
        FreshStart(network, mask, seed, "a network") for seed, (network, mask) in enumerate(zip(networks, masks, strict=True))
    ]
    train_from_scratch(starts, conditions, study.training)
    for network, mask, start in zip(networks, masks, before, strict=True):
        for name in mask:
            assert torch.equal(network.get_parameter(name) != 0, mask.kept(name))
        assert not torch.equal(network.get_parameter("1.weight"), start * mask.kept("1.weight")), "it was trained"


def test_a_random_mask_keeps_the_layer_densities() -> None:
    study = tiny()
    conditions = conditions_of(study)
    network, trained = fresh_network(study, conditions, seed=1), fresh_network(study, conditions, seed=2)
    kept = {n: torch.rand(trained.get_parameter(n).shape, generator=generator(3, n)) < 0.4 for n in prunable(trained)}
    found = Found(ticket_of(trained, list(kept), kept), trained.state_dict())
    start = {name: network.get_parameter(name).detach().clone() for name in kept}
    mask = plant_random_mask(found, network, generator(0, "transplant"))
    assert {n: c.kept for n, c in mask.layers().items()} == {n: int(k.sum()) for n, k in kept.items()}
    assert any(not torch.equal(mask.kept(name), kept[name]) for name in kept)
    for name, value in start.items():
        assert torch.equal(network.get_parameter(name), value * mask.kept(name)), "signs are the fresh start's own"


def test_the_record_is_json(tmp_path: Path) -> None:
    record = dataclasses.replace(tiny(), data=DataSpec("digits", data_dir=tmp_path)).record()
    words = json.dumps(record)
    assert json.dumps(json.loads(words)) == words
    assert str(tmp_path) not in words, "where data lies is not what it is"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"levels": (3,)}, "level 3 is not searched"),
        ({"levels": ()}, "at least one level"),
        ({"search_seeds": ()}, "at least one search seed"),
        ({"search_seeds": (0, 1, 0)}, "search_seeds has 0 twice"),
        ({"search_seeds": (-1,)}, "search_seeds takes whole numbers from 0 up, got -1"),
        ({"levels": (2, 2)}, "levels has 2 twice"),
        ({"levels": (2.0,)}, "levels takes whole numbers from 0 up, got 2.0"),
        ({"starts": (0, 0)}, "starts has 0 twice"),
        ({"statistics_images": 0}, "1 image or more, got statistics_images=0"),
        ({"arms": (ARMS["dense"], dataclasses.replace(ARMS["mask_only"], name="dense"))}, "two of the study's arm names are"),
        ({"arms": (dataclasses.replace(ARMS["mask_only"], name="../up"),)}, r"the arm '\.\./up' cannot name a folder"),
        ({"searches": (*tiny().searches, ("lrr", aws(2, 0.5)))}, "two of the study's search names are 'lrr'"),
        ({"searches": (*tiny().searches, ("a/b", aws(2, 0.5)))}, "the search 'a/b' cannot name a folder"),
        ({"warmup_epochs": -1}, "warm-up epochs must be 0 or more"),
        ({"searches": (("lrr", learning_rate_rewinding(2)),)}, "needs a search 'aws'"),
    ],
)
def test_impossible_studies(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(WinsomeError, match=sentence):
        dataclasses.replace(tiny(), **change)


def test_a_study_made_of_lists_is_the_same_study() -> None:
    study = tiny()
    network = NetworkSpec("residual_mlp", {"blocks": 2, "width": 16})  # type: ignore[arg-type]
    fields = ("searches", "arms", "levels", "search_seeds", "starts", "curve_at", "claims")
    lists: dict[str, Any] = {field: list(getattr(study, field)) for field in fields}
    listed = dataclasses.replace(study, network=network, **lists)
    assert listed == study
    assert hash(listed) == hash(study)

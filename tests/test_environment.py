"""What may be missing around us - cores that are counted, a home, a backend, room on the disk - and words before the file."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pytest
import torch
from torch import nn
from tyro.conf import Positional, arg

import winsome
from commands import said
from winsome.cli import main
from winsome.cli.help import run
from winsome.cli.words import options_of, ordered
from winsome.data.spec import DataSpec
from winsome.errors import WinsomeError
from winsome.files import write_json
from winsome.machine import usable_cores
from winsome.study import presets
from winsome.study.conditions import conditions_of
from winsome.study.jobs import jobs_at_once, jobs_of
from winsome.study.workers import default_workers

QUICK = ["--levels", "0", "--level-epochs", "1", "--warmup-epochs", "0", "--train-images", "256"]


def test_cores_are_those_that_this_process_may_use() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, before)
    assert usable_cores() == len(before)


def test_cores_where_the_system_cannot_say_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")  # as on macOS and Windows
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert usable_cores() == 7
    assert default_workers() >= 1
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1


def test_processes_on_a_gpu_follow_the_size_of_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))
    assert default_workers((3, 32, 32)) == 16
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert [default_workers(shape) for shape in ((3, 32, 32), (3, 64, 64), (3, 224, 224), None)] == [4, 4, 1, 1]
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    assert default_workers((3, 32, 32)) == 2


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "qtagg", "no such thing"])
def test_figures_need_no_backend(backend: str) -> None:
    program = (
        "import os, io, winsome.figures\n"
        "from matplotlib.figure import Figure\n"
        "Figure().savefig(io.BytesIO(), format='svg')\n"
        "print(os.environ['MPLBACKEND'])"
    )
    environment = {name: value for name, value in os.environ.items() if name != "DISPLAY"} | {"MPLBACKEND": backend}
    out = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert out.stdout.strip() == backend, out.stderr


def test_a_tilde_is_the_home_in_options_and_arguments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    main(["find", "digits", *QUICK, "--save-to=~/run"])
    main(["ticket", "show", "~/run/level-00.ticket"])
    assert f"{tmp_path}/home/run/level-00.ticket: density 1" in capsys.readouterr().out
    main(["barrier", "~/run", "~/run:0", "--points", "3"])
    model = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2))
    list(winsome.find_tickets(model, winsome.imp(levels=1), lambda _model, _level: None, save_to="~/mine"))
    assert {"mine", "run"} <= {path.name for path in (tmp_path / "home").iterdir()}
    assert not (tmp_path / "~").exists()


def test_a_tilde_without_a_home_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def no_home(_: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", no_home)
    assert "~/x: there is no home directory; name the whole path" in said(["cite", "~/x"], capsys)


def test_a_full_disk_is_a_failure_and_a_folder_that_cannot_be_written_is_wrong_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refusing(number: int) -> None:
        def write_bytes(_path: Path, _data: bytes) -> int:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(Path, "write_bytes", write_bytes)

    for number, code in ((errno.ENOSPC, 1), (errno.EDQUOT, 1), (errno.EACCES, 2), (errno.EROFS, 2)):
        refusing(number)
        words = said(["find", "digits", *QUICK, "--save-to", str(tmp_path / "run")], capsys, code=code)
        assert f"cannot write {tmp_path / 'run' / 'config.json'}" in words
        assert os.strerror(number) in words
        with pytest.raises(WinsomeError, match="cannot write"):
            write_json(tmp_path / "x.json", 1)


@pytest.mark.parametrize("command", [["find", "digits"], ["study"], ["study", "--plan-only"], ["reproduce", "norms"]])
def test_a_file_for_a_folder_is_said_before_any_work(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("mine")
    words = said([*command, "--save-to", str(tmp_path / "file")], capsys)
    assert f"{tmp_path / 'file'} is a file; name a folder with --save-to" in words
    assert (tmp_path / "file").read_text() == "mine"


def test_a_picture_for_a_sweep_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "grid.png").write_bytes(b"\x89PNG\r\n\x1a\n\x00\xff")
    assert "grid.png is no text; give a Python file that defines `studies`" in said(
        ["sweep", str(tmp_path / "grid.png")], capsys
    )


@dataclass(frozen=True)
class Group:
    """Some options.

    Attributes:
        depths: Numbers.
        quick: Whether.
    """

    depths: tuple[int, ...] = ()
    quick: bool = True


calls: list[tuple[object, ...]] = []


def example(
    file: Positional[Path] = Path("none"),
    /,
    *,
    seeds: tuple[int, ...] = (0,),
    shape: tuple[int, int] = (1, 1),
    arms: tuple[str, ...] = (),
    kind: Literal["a", "b"] = "a",
    rate: Annotated[float | None, arg(aliases=("--share",))] = None,
    group: Annotated[Group, arg(name="")] = Group(),
) -> None:
    """Do something.

    Args:
        file: A file.
        seeds: Numbers.
        shape: Two numbers.
        arms: Words.
        kind: A choice.
        rate: A number.
        group: More.
    """
    calls.append((file, seeds, shape, arms, kind, rate, group))


@pytest.mark.parametrize(
    ("words", "same"),
    [
        ("--seeds 2 3 x", "x --seeds 2 3"),
        ("--seeds 2 3 -- x", "x --seeds 2 3"),
        ("--arms a b -- x", "x --arms a b"),
        ("--seeds=2 x", "x --seeds=2"),
        ("--seeds 2 -3 x --rate .5", "x --seeds 2 -3 --rate .5"),
        ("--depths 1 2 x --no-quick", "x --depths 1 2 --no-quick"),
        ("--shape 2 3 x", "x --shape 2 3"),
        ("--rate .5 x --kind b", "x --rate .5 --kind b"),
        ("--arms a b", "--arms a b"),
        ("--share .5 x", "x --rate .5"),
        ("x --seeds 1e", "x --seeds 1e"),
    ],
)
def test_options_before_the_file(words: str, same: str, capsys: pytest.CaptureFixture[str]) -> None:
    outcomes: list[tuple[object, str]] = []
    for line in (words, same):
        calls.clear()
        try:
            run(example, line.split(), prog="example")
        except SystemExit as error:
            outcomes.append((error.code, capsys.readouterr().out))
        else:
            outcomes.append((list(calls), ""))
    assert outcomes[0] == outcomes[1]


def test_every_option_is_known_those_of_groups_too() -> None:
    names = [name for name, _ in options_of(example)]
    assert names == ["help", "seeds", "shape", "arms", "kind", "share", "rate", "depths", "quick", "no-quick"]
    assert ordered(["--no-quick", "--see", "3"], example) == ["--no-quick", "--see", "3"], "the parser shows what is near"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["find", "--density", "90"], "no option --density; a search prunes the fraction --rate at each of --levels"),
        (["find", "--lr", "0.1"], "no option --lr; write --learning-rate"),
        (["find", "--zzz", "90"], "unknown option '--zzz'; known: --"),
        (["ticket", "show", "--x", "FILE"], "unknown option '--x'"),
        (["plant", "--epoch", "3", "a.ticket"], "unknown option '--epoch'; did you mean --epochs"),
        (["study", "--at-levels", "1", "2", "nosuchdata"], "unknown data set 'nosuchdata'"),
        (["study", "--arms", "dense", "--", "nosuchdata"], "unknown data set 'nosuchdata'"),
    ],
)
def test_unknown_options_and_where_a_file_stands(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert sentence in said(words, capsys)


def test_a_plan_loads_no_images(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The plan is that of the study as it will run: jobs of stacks where networks stack."""
    main(["study", "digits", "--plan-only"])
    planned = capsys.readouterr().out
    study = presets.digits()
    jobs = jobs_of(study, at_once=jobs_at_once(stacked=conditions_of(study).stacked))
    assert planned.splitlines() == [job.label for job in jobs]

    def no_images(_: DataSpec) -> None:
        raise AssertionError("a plan must not load data")

    monkeypatch.setattr(DataSpec, "load", no_images)
    main(["study", "digits", "--plan-only"])
    assert capsys.readouterr().out == planned
    main(["study", "cifar10", "--plan-only"])
    assert "search aws, seed 0" in capsys.readouterr().out
    assert "batch_size 5000 exceeds the 1297 training images" in said(["study", "--plan-only", "--batch-size", "5000"], capsys)
    grid = tmp_path / "grid.py"
    grid.write_text("from winsome.study import presets\nstudies = [presets.digits()]\n")
    main(["sweep", str(grid), "--plan-only", "--save-to", str(tmp_path / "never")])
    assert f"{len(jobs) + 1} jobs, 0 shared" in capsys.readouterr().out
    assert not (tmp_path / "never").exists()

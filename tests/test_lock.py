"""A folder has one process at work in it: another is refused by a sentence, the same is not, and nothing outlives a kill."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock
from torch import nn

import winsome
from commands import said
from winsome.cli import main
from winsome.errors import WinsomeError
from winsome.runs.lock import only_process

QUICK = ["--levels", "1", "--level-epochs", "1", "--warmup-epochs", "0", "--train-images", "256"]
STUDY = [*QUICK, "--epochs", "1", "--seeds", "1", "--starts", "1", "--arms", "dense", "--workers", "1", "--curve-at", "1"]


@contextmanager
def at_work(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the folder."""
    program = (
        "import pathlib, sys, time\nfrom winsome.runs.lock import only_process\n"
        "with only_process(pathlib.Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(300)"
    )
    other = subprocess.Popen([sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        yield other
    finally:
        other.kill()
        other.wait()
        assert other.stdout is not None
        other.stdout.close()


@pytest.mark.parametrize("command", [["find", "digits", *QUICK], ["study", *STUDY]])
def test_a_second_process_is_refused_until_the_first_ends(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command += ["--save-to", str(tmp_path / "run")]
    with at_work(tmp_path / "run"):
        assert f"another process is at work in {tmp_path / 'run'}; let it end" in said(command, capsys)
    main(command)  # a killed process leaves no lock
    with at_work(tmp_path / "run"):
        ticket = tmp_path / "run" / "level-01.ticket"
        if ticket.exists():
            main(["ticket", "show", str(ticket)])  # reading is free


def test_a_planting_and_a_loop_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["find", "digits", *QUICK, "--save-to", str(tmp_path / "run")])
    ticket = str(tmp_path / "run" / "level-01.ticket")
    model = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2))
    mine = winsome.find_tickets(model, winsome.imp(levels=1), lambda _model, _level: None, save_to=tmp_path / "mine")
    with at_work(tmp_path / "planted"), at_work(tmp_path / "mine"):
        planting = ["plant", ticket, "--epochs", "1", "--save-to", str(tmp_path / "planted")]
        assert f"at work in {tmp_path / 'planted'}" in said(planting, capsys)
        with pytest.raises(WinsomeError, match=r"at work in .*mine"):
            next(mine)
    assert "a start is a seed, 0 or more, got -1" in said(["plant", ticket, "--starts", "-1"], capsys)


def test_the_same_process_may_hold_a_folder_twice(tmp_path: Path) -> None:
    with only_process(tmp_path), only_process(tmp_path):
        pass
    with at_work(tmp_path):
        pass


@pytest.mark.parametrize("error", [OSError(errno.ENOLCK, "No locks available"), NotImplementedError("no flock")])
def test_a_file_system_without_locks_is_said(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(FileLock, "acquire", refused)
    with only_process(tmp_path):
        pass
    assert f"{tmp_path} cannot be locked ({error}): let no other process work in it" in caplog.text

"""What is printed can be read: in a pipe, in a narrow terminal, in an old encoding, with brackets in users' names."""

from __future__ import annotations

import io
import itertools
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from winsome.cli import console as consoles
from winsome.cli import main
from winsome.cli.display import Display, accuracy_table, print_verdicts
from winsome.cli.tables import add_row, fitting, open_table, show
from winsome.evidence.results import RunRow
from winsome.evidence.verdicts import judged
from winsome.study import presets
from winsome.study.arms import Claim
from winsome.study.conditions import conditions_of
from winsome.study.jobs import jobs_of
from winsome.study.run import StudyProgress

QUICK = ["--levels", "0", "--level-epochs", "1", "--warmup-epochs", "0", "--train-images", "256"]
ARMS = {"dense": "dense network", "aws": "signs of AWS, planted", "mask": "mask [only]"}


def printed_table(n_densities: int, width: int) -> list[str]:
    densities = tuple(0.8**level for level in range(n_densities))
    rows: list[RunRow] = [
        {
            "arm": arm,
            "density": density,
            "start": 0,
            "search_seed": seed,
            "accuracy": 0.9 + 0.01 * seed,
            "loss": 0.1,
            "curve": [],
            "seconds": 1.0,
        }
        for arm, density, seed in itertools.product(ARMS, densities, (0, 1))
    ]
    console = Console(file=io.StringIO(), width=width, markup=False)
    show(console, accuracy_table(ARMS, densities, rows))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [40, 60, 80, consoles.PIPE_WIDTH])
@pytest.mark.parametrize("n_densities", [1, 3, 8, 15])
def test_every_mean_of_a_table_can_be_read_whatever_the_width(n_densities: int, width: int) -> None:
    lines = printed_table(n_densities, width)
    text = "\n".join(lines)
    assert text.count("90.5 ± 0.7") == n_densities * len(ARMS)
    assert "…" not in text
    assert max(map(len, lines)) <= width
    densities = {f"{0.8**level:.3g}" for level in range(n_densities)}
    assert densities <= set(text.split())
    cut = re.findall(r"columns? (\d+)(?: to (\d+))? of (\d+)", " ".join(text.split()))
    shown = [number for first, last, _ in cut for number in range(int(first), int(last or first) + 1)]
    assert shown in ([], list(range(1, n_densities + 1))), "each density once, in order"
    assert {int(total) for *_, total in cut} <= {n_densities}


def test_a_table_that_fits_stays_whole_and_headers_break_before_columns_are_cut() -> None:
    table = open_table("pair", "error at the ends (%)", "barrier of loss")
    add_row(table, "A to B", "1.0", "2.0")
    for width, parts in ((80, 1), (32, 1), (16, 2)):
        assert len(fitting(table, Console(width=width))) == parts


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("utf-8", "✓ α ± 0.7 ?é漢"),
        ("cp1252", "yes: alpha ± 0.7 ?é?"),
        ("latin-1", "yes: alpha ± 0.7 ?é?"),
        ("ascii", "yes: alpha +- 0.7 ???"),
    ],
)
def test_what_an_encoding_lacks_is_spelt_or_replaced(encoding: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    consoles.say(consoles.open_console(), ("✓", "green"), " α ± 0.7 \udce9é漢")
    stream.flush()
    raw = stream.buffer
    assert isinstance(raw, io.BytesIO)
    assert raw.getvalue().decode(encoding).rstrip("\n") == expected


def test_marks_of_verdicts_stay_apart_without_unicode() -> None:
    program = (
        "from winsome.cli.display import print_verdicts\n"
        "from winsome.evidence.verdicts import judged\n"
        "from winsome.study.arms import Claim\n"
        "values = ([0.1, 0.1], [-0.1, -0.1], [])\n"
        "print_verdicts([judged(some, Claim('c', 's', {}, 'm'), 'here') for some in values])"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    out = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True).stdout
    marks = [line.split()[0] for line in out.splitlines() if line.endswith(" c")]
    assert marks == ["yes:", "no:", "?"]


@pytest.mark.parametrize("name", ["[a]/x", "x[lr=0.1]", "x[bold]", "x[/y]", "a\\[b]"])
def test_brackets_in_a_folders_name_are_shown_as_they_are(
    name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = tmp_path / name
    main(["find", "digits", *QUICK, "--save-to", str(folder)])
    assert f"ticket: {folder / 'level-00.ticket'}" in " ".join(capsys.readouterr().out.split())
    main(["ticket", "show", str(folder / "level-00.ticket")])
    assert capsys.readouterr().out.startswith(f"{folder / 'level-00.ticket'}: density 1")
    main(["barrier", str(folder), str(folder), "--points", "3"])
    assert f"A: {folder / 'level-00.safetensors'}" in " ".join(capsys.readouterr().out.split())
    with pytest.raises(SystemExit):
        main(["ticket", "show", str(folder / "absent.ticket")])
    assert str(folder / "absent.ticket") in capsys.readouterr().err


def test_claims_and_arms_of_a_user_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    claim = Claim("mine [/b] beats [red]", "here", {"a": 1.0, "b": -1.0}, "a :smile: b")
    print_verdicts([judged([0.02, 0.02, 0.03], claim, "at density [0.5]")])
    out = capsys.readouterr().out
    assert out.startswith("✓ mine [/b] beats [red]\n")
    assert "at density [0.5]: a :smile: b is" in out
    assert "mask [only]" in "\n".join(printed_table(1, 80))


def test_lines_end_between_words_and_a_long_path_stays_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    path = "/a/very/long/path/that/no/line/of/forty/columns/holds/level-00.ticket"
    consoles.say(consoles.open_console(), f"the sentence is longer than forty columns and its ticket is {path}")
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == path
    assert lines[0] == "the sentence is longer than forty"


def test_a_pipe_gets_one_line_for_a_sentence(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    consoles.say(consoles.open_console(), "word " * 500)
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_what_is_logged_goes_to_the_stderr_of_the_moment(capsys: pytest.CaptureFixture[str]) -> None:
    root, before = logging.getLogger(), list(logging.getLogger().handlers)
    root.handlers.clear()
    try:
        consoles.log_to_stderr(0)
        logging.getLogger("winsome").warning("a layer of [x] died")
        assert re.fullmatch(r"\d\d:\d\d:\d\d WARNING a layer of \[x\] died\n", capsys.readouterr().err)
    finally:
        root.handlers[:] = before


@pytest.mark.parametrize("no_color", ["", "1"])
def test_option_errors_heed_no_color(no_color: str) -> None:
    program = (
        "import sys, tyro._fmtlib, winsome.cli\n"
        "tyro._fmtlib._FORCE_ANSI = True  # as on a terminal\n"
        "winsome.cli.main(['neuron', '--nise', 'x'])"
    )
    environment = {**os.environ, "NO_COLOR": no_color}
    out = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert out.returncode == 2
    assert "--nise" in out.stdout + out.stderr
    assert ("\x1b[" in out.stdout + out.stderr) == (not no_color)


STUDY = presets.digits()


class Clock:
    """Seconds that pass when told."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


def test_a_pipe_hears_of_a_long_search_before_it_ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clock = Clock()
    monkeypatch.setattr("winsome.cli.display.time", clock)
    console = Console(file=io.StringIO(), width=100, markup=False)
    job = jobs_of(STUDY, at_once=1)[0]
    with Display(STUDY, tmp_path, conditions_of(STUDY), console) as display:
        for clock.now, done in ((1.0, 1.0), (59.0, 2.0), (61.0, 3.0), (70.0, 4.0), (130.0, 25.0)):
            display.watch(StudyProgress(done, 100.0, job))
    assert isinstance(console.file, io.StringIO)
    lines = [line for line in console.file.getvalue().splitlines() if line.startswith("[")]
    assert [line[:6] for line in lines] == ["[  3%]", "[ 25%]"]
    assert all(f"{job.label} is under way" in line for line in lines)


def test_a_terminal_that_cannot_be_drawn_over_gets_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    console = Console(file=io.StringIO(), width=100, height=40, force_terminal=True, markup=False)
    assert not consoles.draws_over(console)
    with Display(STUDY, tmp_path, conditions_of(STUDY), console) as display:
        display.watch(StudyProgress(1.0, 100.0, jobs_of(STUDY, at_once=1)[0], finished=True))
    assert isinstance(console.file, io.StringIO)
    assert "[  1%] " in console.file.getvalue()


def test_a_live_table_is_gone_when_it_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")  # whatever the tests run in
    console = Console(file=io.StringIO(), width=100, height=40, force_terminal=True, markup=False)
    with Display(STUDY, tmp_path, conditions_of(STUDY), console) as display:
        display.watch(StudyProgress(1.0, 100.0, jobs_of(STUDY, at_once=1)[0]))
    assert isinstance(console.file, io.StringIO)
    last = console.file.getvalue().rpartition("test accuracy")[2]
    assert last.count("\x1b[2K") >= len(STUDY.arms), "the command prints the finished table, once"

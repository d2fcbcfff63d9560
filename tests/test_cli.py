"""The command line: what bad input gets, before any work, and what every command does."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from commands import said
from winsome import ticket_file
from winsome.cli import COMMANDS, main
from winsome.cli.help import filled
from winsome.files import read_json, read_state
from winsome.methods import METHODS

QUICK = ["--levels", "1", "--level-epochs", "1", "--warmup-epochs", "1"]
STUDY = [*QUICK, "--epochs", "1", "--seeds", "1", "--starts", "1", "--arms", "dense", "--workers", "1", "--curve-at", "1"]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("found")
    main(["find", *QUICK, "--save-to", str(folder)])
    return folder


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["find", "--method", "awd"], "unknown method 'awd'; did you mean aws"),
        (["find", "digit"], "unknown data set 'digit'; did you mean digits"),
        (["study", "cifar11"], "unknown data set 'cifar11'; did you mean cifar10"),
        (["find", "--network", "resnet21"], "unknown network 'resnet21'; did you mean"),
        (["study", "--network", "resnet21"], "unknown network 'resnet21'; did you mean"),
        (["study", "--arms", "mask_onyl"], "unknown arm 'mask_onyl'; did you mean mask_only"),
        (["find", "--rate", "20"], "rate is the fraction removed per level, in (0, 1), got 20"),
        (["find", "--rate", "0"], "in (0, 1), got 0"),
        (["find", "--level-epochs", "0"], "epochs must be 1 or more, got 0"),
        (["study", "--epochs", "0"], "epochs must be 1 or more, got 0"),
        (["find", "--levels", "abc"], "--levels takes a whole number, got 'abc'"),
        (["study", "--levels=1.5"], "--levels takes a whole number, got '1.5'"),
        (["find", "digits", "--rate", "a fifth"], "--rate takes a number, got 'a fifth'"),
        (["plant", "absent.ticket", "--epochs", "x"], "--epochs takes a whole number, got 'x'"),
        (["find", "--warmup-epochs", "-5"], "warm-up epochs must be 0 or more, got -5"),
        (["find", "--batch-size", "5000"], "batch_size 5000 exceeds the 1297 training images"),
        (["study", "--batch-size", "5000"], "batch_size 5000 exceeds the 1297 training images"),
        (["find", "--method", "weight_rewinding", "--rewind-step", "9999"], "but a level has 100 steps"),
        (["find", "--network-option", "width"], "network options are written name=value, got 'width'"),
        (["find", "--network-option", "widht=3"], "has no option 'widht'; it has width, blocks"),
        (["find", "--network", "mlp", "--network-option", "widths=()"], "the model has no prunable weights"),
        (["find", "--data-dir", "."], "leave data_dir (--data-dir) out"),
        (["find", "--method", "imp", "--norms", "*.bias"], "no part of IMP asks for it, as aws, --while-training"),
        (["find", "--method", "imp", "--norms", "*.bias", "--plan-only"], "no part of IMP asks for it"),
        (
            ["find", "--probe-images", "64"],
            "--probe-images says what a score that looks at data is shown, and magnitude looks at",
        ),
        (
            ["find", "--score", "random", "--probe-mode", "training"],
            "--probe-mode says what a score that looks at data is shown",
        ),
        (["find", "--score", "synflow", "--probe-images", "64"], "and SynFlow looks at nothing but the shape of one"),
        (["find", "--score", "snip", "--probe-batch", "200"], "got 128 images in batches of 200"),
        (["find", "--drop-factor", "0.5"], "--drop-factor is of --schedule step; add that, or leave it out"),
        (["find", "--final-rate", "0.1"], "--final-rate is of --schedule cosine; add that, or leave it out"),
        (["find", "--lr-warmup-by", "epoch"], "--lr-warmup-by epoch says how a warm-up's rate grows, and there is none"),
        (["study", "--lr-warmup-by", "epoch"], "--lr-warmup-by epoch says how a warm-up's rate grows, and there is none"),
        (["find", "--warmup-ramp", "--warmup-epochs", "0"], "--warmup-ramp is of epochs before level 0, and there are none"),
        (["study", "--warmup-ramp", "--warmup-epochs", "0"], "--warmup-ramp is of epochs before level 0, and there are none"),
        (["find", "--rewind", "KeepWeights", "--rewind-step", "5"], "KeepWeights goes back to no step; leave the step 5 out"),
        (["find", "--method", "lrr", "--rewind-step", "5"], "lrr has no step to rewind to; leave --rewind-step out"),
        (
            ["find", "--method", "lrr", "--method-option", "ratio=3"],
            "option of the method lrr 'ratio'; did you mean rate?",
        ),
        (
            ["find", "--method", "lrr", "--method-option", "name=3"],
            "unknown option of the method lrr 'name'",
        ),
        (["find", "--method", "snip", "--method-option", "rounds=x"], "rounds is a whole number, got 'x'"),
        (["find", "--method", "sign-in", "--method-option", "every=x"], "every is a whole number, got 'x'"),
        (["find", "--borrow", "same"], "add --masks-of with its folder"),
        (["find", "--flip-levels", "1"], "--flip-levels says when signs flip: add --flip-signs"),
        (["find", "--flip-every", "1"], "--flip-every says when signs flip: add --flip-signs"),
        (["find", "--flip-signs", "0.3", "--flip-every", "2", "--flip-levels", "99"], "levels of this search go from 0 to 15"),
        (["find", "--seed", "-1"], "the seed must be 0 or more, got -1"),
        (["find", "--weight-decay", "-1"], "the weight decay must be 0 or more, got -1"),
        (["find", "./no/such/folder"], "no folder no/such/folder; give one with train*.parquet"),
        (["study", "--workers", "-1"], "--workers must be 0 (one for each core) or more, got -1"),
        (["study", "--at-levels", "99"], "level 99 is not searched: levels go from 0 to"),
        (["study", "--seeds", "0"], "at least one search seed"),
        (["cite", "nowhere"], "nowhere is neither a ticket nor the folder"),
        (["report", "nowhere"], "nowhere is not a folder"),
    ],
)
def test_bad_input_gets_a_sentence_and_no_folder(
    arguments: list[str],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert sentence in said(arguments, capsys)
    assert not list(tmp_path.iterdir()), "a refusal comes before any folder is written"


def test_a_folder_without_images(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    words = said(["find", str(tmp_path / "empty"), "--save-to", str(tmp_path / "run")], capsys)
    assert "no images; looked for files that end in" in words
    assert not (tmp_path / "run").exists()


def test_bad_tickets(found: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    good = found / "level-01.ticket"
    data = good.read_bytes()
    broken = tmp_path / "broken.ticket"
    for content in (data[: len(data) // 2], data[:-40] + bytes(40), b"no ticket at all", b""):
        broken.write_bytes(content)
        for command in (["plant"], ["ticket", "show"]):
            assert "broken.ticket" in said([*command, str(broken)], capsys)
    ticket = ticket_file.read(good)
    record = dict(ticket.provenance["network"])
    other = ticket.with_provenance(network={**record, "options": {"width": 32}})
    ticket_file.write(other, tmp_path / "other.ticket")
    words = said(["plant", str(tmp_path / "other.ticket")], capsys)
    assert "1.weight is (32, 64) in the model, (64, 64) in the ticket" in words
    assert "fits only the architecture" in words
    assert "epochs must be 1 or more" in said(["plant", str(good), "--epochs", "0"], capsys)
    assert "unknown choice for --keep 'sings'; did you mean signs" in said(["plant", str(good), "--keep", "sings"], capsys)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.ticket", "other.ticket"]


@pytest.mark.parametrize("command", [["find", *QUICK], ["study", *STUDY, "--learning-rate", "1e9"]])
def test_a_loss_that_became_nan(command: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rate = ["--learning-rate", "1e9"] if command[0] == "find" else []
    words = said([*command, *rate, "--save-to", str(tmp_path / "run")], capsys, code=1)
    assert "training failed" in words
    assert "seed 0" in words
    assert "; try a lower learning rate" in words
    assert ("level 0" in words) == (command[0] == "find")


def test_a_search_found_twice(found: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    main(["find", *QUICK, "--save-to", str(found)])
    assert "is finished already; nothing was trained" in " ".join(capsys.readouterr().out.split())
    words = said(["find", *QUICK, "--save-to", str(found), "--learning-rate", "0.2"], capsys)
    assert "training.optimizer.learning_rate was 0.1, is now 0.2" in words


@pytest.mark.parametrize(("widths", "method", "told"), [("()", "aws", True), ("()", "imp", False), ("(8,)", "aws", False)])
def test_a_method_about_normalisation_says_where_there_is_none(
    widths: str, method: str, told: bool, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    network = ["--network", "mlp", "--network-option", f"widths={widths}", "--prune-classifier", "--method", method]
    quick = ["--levels", "0", "--level-epochs", "1", "--warmup-epochs", "0", "--train-images", "128", "--test-images", "64"]
    main(["find", "digits", *network, *quick, "--save-to", str(tmp_path)])
    assert (caplog.text.count("has no normalisation parameters that are found") == 1) == told


def test_the_plan_alone_says_what_is_psi_and_what_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    options = ["--network", "mlp", "--network-option", "widths=(8,)", "--train-images", "128", "--test-images", "64"]
    folder = ["--plan-only", "--save-to", str(tmp_path / "run")]
    main(["find", "digits", *options, *folder])
    usual = capsys.readouterr().out
    assert "psi (normalisation)" in usual
    assert "16 are psi, in 2 parameters" in usual
    first = next(line.split()[0] for line in usual.splitlines() if line.split()[-1:] == ["yes"])
    main(["find", "digits", *options, *folder, "--classifier", first.removesuffix(".weight"), "--norms", "*.bias"])
    chosen = capsys.readouterr().out
    assert "18 are psi, in 2 parameters" in chosen
    assert next(line for line in chosen.splitlines() if line.startswith(first)).rstrip().endswith("no: classifier")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("keep", ["signs", "mask", "phi"])
def test_plant(keep: str, found: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    command = ["plant", str(found / "level-01.ticket"), "--keep", keep, "--epochs", "1", "--seeds", "2", "3"]
    main([*command, "--save-to", str(tmp_path / "a")])
    assert "over 2 seeds" in capsys.readouterr().out
    main([*command, "--save-to", str(tmp_path / "b")])
    ticket = ticket_file.read(found / "level-01.ticket")
    for seed in (2, 3):
        first, second = (read_state(tmp_path / name / f"seed-{seed}-start.safetensors")[0] for name in "ab")
        assert all(torch.equal(value, second[key]) for key, value in first.items())
        trained, _ = read_state(tmp_path / "a" / f"seed-{seed}-trained.safetensors")
        for name in ticket.mask:
            assert not bool(trained[name][~ticket.mask.kept(name)].any())
            agrees = torch.equal(first[name].sign().to(torch.int8), ticket.mask[name])
            assert agrees == (keep != "mask")
        assert bool((first["2.weight"] == 1).all()) == (keep != "phi")
        assert 0 <= read_json(tmp_path / "a" / f"seed-{seed}.json")["accuracy"] <= 1
    capsys.readouterr()
    main([*command, "--save-to", str(tmp_path / "a")])
    assert capsys.readouterr().out.count("(finished already)") == 2
    words = said([*command, "--save-to", str(tmp_path / "a"), "--weight-decay", "0.1"], capsys)
    assert "training.optimizer.weight_decay was 0.0005, is now 0.1" in words


def test_a_study_that_was_stopped_before_it_gathered_what_it_grew_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["study", *STUDY, "--save-to", str(tmp_path)]
    main(command)
    with monkeypatch.context() as stopped:

        def no_time(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        stopped.setattr("winsome.cli.study_run.collect", no_time)
        with pytest.raises(SystemExit):
            main([*command, "--more-arms", "random_mask"])
    main([*command, "--more-arms", "random_mask"])
    assert "random_mask" in {row["arm"] for row in read_json(tmp_path / "results.json")["rows"]}


def test_a_study_its_report_and_its_citations(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = tmp_path / "study"
    main(["study", *STUDY, "--save-to", str(folder)])
    assert f"report: {folder / 'report.html'}" in capsys.readouterr().out
    main(["study", *STUDY, "--save-to", str(folder)])
    assert "is finished already; nothing was trained" in " ".join(capsys.readouterr().out.split())
    assert "training.batch_size was 128, is now 64" in said(
        ["study", *STUDY, "--save-to", str(folder), "--batch-size", "64"], capsys
    )
    (folder / "report.html").unlink()
    main(["report", str(folder)])
    assert (folder / "report.html").exists()
    capsys.readouterr()
    main(["cite", str(folder)])
    assert "@inproceedings{oh2025sign" in capsys.readouterr().out


def test_citations_of_a_search(found: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for place in (found, found / "level-01.ticket"):
        main(["cite", str(place)])
        assert "2504.05357" in capsys.readouterr().out


def test_ctrl_c_says_how_to_continue(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("winsome.training.searches.train", interrupted)
    words = said(["find", *QUICK, "--save-to", str(tmp_path / "a run")], capsys, code=130)
    assert f"To continue: winsome find {' '.join(QUICK)} --save-to '{tmp_path / 'a run'}'" in words


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_study_that_is_stopped_leaves_no_workers_and_says_how_to_continue(number: signal.Signals, tmp_path: Path) -> None:
    words = ["study", "--seeds", "2", "--workers", "2", "--level-epochs", "500", "--save-to", str(tmp_path / "a study")]
    process = subprocess.Popen(
        [sys.executable, "-m", "winsome", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509 - a shell's & ignores it
    )
    while not list(tmp_path.glob("a study/searches/*/*/initial.safetensors")):
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(number)
    said_last = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "Traceback" not in said_last
    assert (
        f"To continue:\n  winsome study --seeds 2 --workers 2 --level-epochs 500 --save-to '{tmp_path / 'a study'}'"
        in said_last
    )
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:  # the workers end after the process that started them
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError("a worker outlived the study")


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "ticket"])
def test_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = said([command, "--help"], capsys, code=0)
    assert "usage: winsome" in words
    assert "None" not in words
    if command == "find":
        assert all(name in words for name in METHODS)


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("command", [*((name,) for name in COMMANDS), ("ticket", "show"), ("ticket", "convert")])
def test_help_fits_the_terminal(
    command: tuple[str, ...], columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    with contextlib.suppress(SystemExit):
        main([*command, "--help"])
    lines = capsys.readouterr().out.splitlines()
    # The usage is the parser's own, which breaks it one column late.
    assert max(len(line) - line.startswith("usage:") for line in lines) <= columns


def test_a_misspelt_option_meets_those_of_its_own_command(capsys: pytest.CaptureFixture[str]) -> None:
    words = said(["find", "--lvels", "3"], capsys)
    assert "--levels INT" in words
    assert "winsome study" not in words


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["fnd"], "unknown command 'fnd'; did you mean find?"),
        (["ticket", "shw"], "unknown command 'ticket shw'; did you mean ticket show"),
    ],
)
def test_a_misspelt_command(arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert expected in said(arguments, capsys)


def test_paragraphs_fill_the_width_and_indented_lines_hang() -> None:
    text = "One two\nthree four.\n\nList:\n  a    first words of a\n  b    second"
    hanging = ["  a    first words of a", "  b    second"]
    assert filled(text, 40).splitlines() == ["One two three four.", "", "List:", *hanging]
    long = filled("  aws    " + "word " * 12, 40).splitlines()
    assert len(long) == 2
    assert long[1].startswith("         word")


@pytest.mark.parametrize("arguments", [[], ["-h"], ["--help"]])
def test_the_help_says_what_every_command_does(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    main(arguments)
    printed = " ".join(capsys.readouterr().out.split())
    for name, sentence in COMMANDS.items():
        assert f"{name} {sentence}" in printed
    assert "winsome COMMAND [options]" in printed


def test_what_a_study_had_finished_is_gathered_when_a_part_of_it_fails(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(
        "import winsome\n\n\ndef bad(weights, model, probe, random):\n    raise winsome.WinsomeError('no score today')\n\n\n"
        "def broken(levels, rate):\n    return winsome.Method(winsome.geometric(levels, rate), score=bad)\n"
    )
    quick = ["--levels", "1", "--level-epochs", "1", "--warmup-epochs", "0", "--epochs", "1", "--seeds", "1", "--starts", "1"]
    data = ["digits", "--train-images", "128", "--test-images", "64", "--workers", "1", "--save-to", str(tmp_path / "study")]
    words = said(["study", *data, *quick, "--methods", "imp", f"{mine}:broken"], capsys)
    assert "no score today" in words
    results = read_json(tmp_path / "study" / "results.json")
    assert [(search["search"], len(search["levels"])) for search in results["searches"]] == [("imp", 2), ("broken", 1)]
    assert any("search broken: not finished" in line for line in results["missing"])
    assert (tmp_path / "study" / "report.html").exists()

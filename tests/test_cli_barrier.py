"""`winsome barrier`: what a study's folder and two named networks give, and what wrong use gets."""

from __future__ import annotations

import csv
import pickle
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

import made_study
from winsome import data, figures, ticket_file
from winsome.analysis.connectivity import Statistics, network_profile
from winsome.analysis.line import BASE_LINES, barrier
from winsome.cli import main
from winsome.data import subset
from winsome.evidence.connectivity import study_connectivity
from winsome.evidence.pairs import pairs_of
from winsome.evidence.ruler import Settings
from winsome.figures.theme import NARROW, WIDE
from winsome.files import read_json, read_state, write_json, write_state

PAIRS = pairs_of({"searches": ["lrr", "aws"]})

ARMS = tuple(f"planted_{method}{variant}" for method in ("aws", "lrr") for variant in ("", "_phi", "_reordered"))
QUICK = ["--points", "3", "--test-images", "40"]


def said(arguments: list[str], capsys: pytest.CaptureFixture[str], code: int = 0) -> str:
    """What a command that ends with this exit code says."""
    capsys.readouterr()
    if code:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == code
    else:
        main(arguments)
    out = capsys.readouterr()
    assert "Traceback" not in out.out + out.err
    return " ".join((out.out + out.err).split())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_study.study(tmp_path_factory.mktemp("whole"), ARMS, starts=2)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return made_study.study(tmp_path, ("planted_aws",))


# A study.


def test_every_pair_of_a_study_is_measured(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = said(["barrier", str(whole), *QUICK], capsys)
    assert "barrier above the straight line between the ends" in words
    assert "not there" not in words
    result = read_json(whole / "connectivity" / "connectivity.json")
    assert [pair["name"] for pair in result["pairs"]] == [pair.name for pair in PAIRS]
    # Two seeds with two starts each, but a pair of starts is one line.
    assert len(result["lines"]) == 2 * (3 * 4 + 2)
    assert all(pair["label"] in words for pair in result["pairs"])
    for name in ("error_along_lines.svg", "error_along_lines.pdf", "curves.csv", "barriers.csv"):
        assert str(whole / "connectivity" / name) in words
    ElementTree.parse(whole / "connectivity" / "error_along_lines.svg")


def test_each_line_joins_the_networks_that_its_pair_names(whole: Path) -> None:
    result = study_connectivity(whole, settings=Settings(3, Statistics(200)))
    images = subset(data.load("digits"), train_images=300, test_images=60)
    arm, searches = whole / "arms", whole / "searches"
    ends = {
        "aws_planted": (arm / "planted_aws/level-01/seed-01-start-0", searches / "aws/seed-01/level-01"),
        "lrr_norms_kept": (arm / "planted_lrr_phi/level-01/seed-01-start-0", searches / "lrr/seed-01/level-01"),
        "lrr_noise": (arm / "planted_lrr/level-01/seed-01-start-0", arm / "planted_lrr_reordered/level-01/seed-01-start-0"),
        "aws_fresh_magnitudes": (arm / "planted_aws/level-01/seed-01-start-0", arm / "planted_aws/level-01/seed-01-start-1"),
    }
    for pair, stems in ends.items():
        first, second = (read_state(stem.with_suffix(".safetensors"))[0] for stem in stems)
        network = made_study.network(9, width=8, blocks=2)
        expected = network_profile(first, second, network, images, alphas=(0.0, 0.5, 1.0), statistics=Statistics(200))
        (line,) = [x for x in result["lines"] if (x["pair"], x["search_seed"], x["start"]) == (pair, 1, 0)]
        assert line["errors"] == pytest.approx(expected.errors, abs=1e-9)
        assert line["losses"] == pytest.approx(expected.losses, rel=1e-5)


def test_tables_hold_what_was_measured(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said(["barrier", str(whole), *QUICK, "--base-line", "mean", "--seeds", "1"], capsys)
    result = read_json(whole / "connectivity" / "connectivity.json")
    with (whole / "connectivity" / "curves.csv").open() as file:
        curves = list(csv.DictReader(file))
    assert [float(row["error"]) for row in curves] == [error for line in result["lines"] for error in line["errors"]]
    assert {row["search_seed"] for row in curves} == {"1"}
    with (whole / "connectivity" / "barriers.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * len(result["lines"])
    for row, line in zip(rows[::2], result["lines"], strict=True):
        assert row["base_line"] == "straight"
        assert float(row["error_barrier"]) == barrier(line["errors"], line["alphas"]).height


def test_what_is_measured_is_kept(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[Any] = []

    def counted(*arguments: Any, **options: Any) -> Any:
        measured.append(options)
        return network_profile(*arguments, **options)

    monkeypatch.setattr("winsome.evidence.ruler.network_profile", counted)
    settings = Settings(3, Statistics(100))
    first = study_connectivity(small, settings=settings)
    assert len(measured) == 2
    assert study_connectivity(small, settings=settings) == first
    assert len(measured) == 2, "nothing is measured twice"
    study_connectivity(small, settings=Settings(5, Statistics(100)))
    assert len(measured) == 4, "other settings are another measurement"
    assert study_connectivity(small, settings=settings) == first
    assert len(measured) == 4, "and do not replace what was kept"
    changed = small / "arms/planted_aws/level-01/seed-00-start-0.safetensors"
    state, _ = read_state(changed)
    write_state(changed, {name: value * 2 if value.is_floating_point() else value for name, value in state.items()})
    assert study_connectivity(small, settings=settings) != first
    assert len(measured) == 5, "another network is measured anew, and it alone"


def test_missing_pairs_say_what_to_add(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = said(["barrier", str(small), *QUICK], capsys)
    assert "not there: aws_noise; run the study's command again with --more-arms planted_aws_reordered" in words
    assert "not there: aws_fresh_magnitudes; run the study's command again with --starts 2" in words
    assert "not there: lrr_fresh_magnitudes; run the study's command again with --more-arms planted_lrr and --starts 2" in words
    assert "aws_planted;" not in words
    shutil.rmtree(small / "arms")
    words = said(["barrier", str(small), *QUICK], capsys, 2)
    assert "no two networks to join at level 1" in words
    assert "its trained networks are not in the folder" in words


def test_unfinished_runs_are_not_joined(small: Path) -> None:
    (small / "arms/planted_aws/level-01/seed-01-start-0.json").unlink()
    result = study_connectivity(small, settings=Settings(3))
    assert [line["search_seed"] for line in result["lines"]] == [0]


def test_weights_outside_the_mask_are_refused(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = small / "searches/lrr/seed-00/level-01.safetensors"
    shutil.copy(other, small / "searches/aws/seed-00/level-01.safetensors")
    assert "weights outside the mask of" in said(["barrier", str(small), *QUICK], capsys, 2)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--base-line", "strait"], "unknown base line 'strait'; did you mean straight"),
        (["--masks", "unoin"], "unknown choice for --masks 'unoin'; did you mean union"),
        (["--statistics", "all"], "a number of training images, epoch, or none; got 'all'"),
        (["--statistics", "0"], "1 or more images, got 0"),
        (["--statistics", "none", "--statistics-batch", "50"], "--statistics none takes no images"),
        (["--statistics", "none", "--no-statistics-augmented"], "leave --no-statistics-augmented out"),
        (["--statistics", "epoch", "--no-statistics-augmented"], "--statistics epoch is of augmented images"),
        (["--points", "2"], "3 or more points"),
        (["--level", "7"], "no two networks to join at level 7"),
        (["--seeds", "9"], "has no search seed 9; it has 0, 1"),
        (["--test-images", "0"], "test_images must be 1 or more, got 0"),
        (["--masks", "union"], "--masks belongs to two networks"),
        (["--network", "mlp"], "--network belongs to two networks"),
        (["--save-to", "here"], "--save-to belongs to two networks"),
    ],
)
def test_wrong_use_for_a_study(small: Path, options: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert sentence in said(["barrier", str(small), *options], capsys, 2)
    assert not (small / "connectivity").exists()


# Two networks.


def search(folder: Path, method: str = "aws", seed: int = 0) -> str:
    return str(folder / "searches" / method / f"seed-{seed:02d}")


def test_names_of_one_network_are_one_network(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = search(small)
    for name in (run, f"{run}:1", f"{run}/level-01.ticket", f"{run}/level-01.safetensors"):
        words = said(["barrier", name, run, *QUICK], capsys)
        assert "barrier above the straight line between the ends: 0.00 points of error, 0.0000 of loss" in words
        assert "40 test images; BatchNorm statistics re-estimated from 250 training images, augmented, batches of 250" in words


def test_statistics_are_those_asked_for(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    planted = str(small / "arms/planted_aws/level-01/seed-00-start-0.safetensors")
    two = ["barrier", search(small), planted, *QUICK]
    for options, words in (
        (
            ["--statistics", "120", "--statistics-batch", "50"],
            "re-estimated from 100 training images, augmented, batches of 50;",
        ),
        (["--statistics", "epoch"], "re-estimated from 256 training images, augmented, batches of 128;"),
        (["--no-statistics-augmented"], "re-estimated from 250 training images, not augmented, batches of 250;"),
        (["--statistics", "none"], "BatchNorm statistics the stored ones, interpolated;"),
    ):
        assert words in said([*two, *options], capsys)


def test_two_networks_are_measured_and_written(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    planted = str(small / "arms/planted_aws/level-01/seed-00-start-0.safetensors")
    out = tmp_path / "out"
    words = said(["barrier", search(small), planted, *QUICK, "--base-line", "mean", "--save-to", str(out)], capsys)
    assert words.index("barrier above the mean of the ends") < words.index("barrier above the straight line")
    result = read_json(out / "connectivity.json")
    (line,) = result["lines"]
    for row in result["barriers"]:
        expected = barrier(line["errors"], line["alphas"], BASE_LINES[row["base_line"]]).height
        assert row["error"] == expected
    assert str(out / "error_along_lines.svg") in words


def test_unequal_masks_are_refused_until_one_is_chosen(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    two = ["barrier", search(small), search(small, "lrr"), *QUICK]
    assert "the masks of the two networks differ in 3 of 3 layers" in said(two, capsys, 2)
    curves = [said([*two, "--masks", choice], capsys) for choice in ("union", "intersection")]
    assert curves[0] != curves[1]


def test_checkpoint_without_a_run_needs_names(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alone = tmp_path.parent / f"{tmp_path.name}-alone.safetensors"
    shutil.copy(f"{search(small)}/level-01.safetensors", alone)
    plain = alone.with_suffix(".pt")
    torch.save(read_state(alone)[0], plain)
    try:
        assert "no run says which network" in said(["barrier", str(alone), str(plain)], capsys, 2)
        network = ["--network", "residual_mlp", "--network-option", "width=8", "--network-option", "blocks=2"]
        assert "--network-option is of the network that" in said(["barrier", str(alone), str(plain), *network[2:4]], capsys, 2)
        assert "no run says which data" in said(["barrier", str(alone), str(plain), *network], capsys, 2)
        words = said(["barrier", str(alone), str(plain), *network, "--data", "digits", *QUICK], capsys)
        assert "0.00 points of error" in words
        wrong = ["--network", "residual_mlp", "--data", "digits"]
        assert "does not fit the network" in said(["barrier", str(alone), str(plain), *wrong], capsys, 2)
    finally:
        alone.unlink()
        plain.unlink()


def test_pickled_objects_are_refused(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = small / "bad.pt"
    bad.write_bytes(pickle.dumps(pytest.raises, 2))
    assert "holds pickled Python objects" in said(["barrier", search(small), str(bad)], capsys, 2)


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["nowhere"], "nowhere is not the folder of a study"),
        (["nowhere", "{run}"], "nowhere is not there; name a file of weights"),
        (["{run}:7", "{run}"], "has no level 7: it has 1"),
        (["{study}", "{run}"], "is not the folder of a search"),
        (["{run}", "{run}", "--level", "1"], "the level of a run is written RUN:LEVEL"),
        (["{run}"], "is not the folder of a study; give one that `winsome study` made, or two networks"),
    ],
)
def test_wrong_names(small: Path, names: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    names = [name.format(run=search(small), study=small) for name in names]
    assert sentence in said(["barrier", *names], capsys, 2)


def test_ticket_without_weights_is_refused(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ticket = small / "alone.ticket"
    shutil.copy(f"{search(small)}/level-01.ticket", ticket)
    assert "holds no magnitudes" in said(["barrier", str(ticket), search(small)], capsys, 2)
    assert ticket_file.read(ticket).density == pytest.approx(0.5, abs=0.1)


def test_search_with_other_data_than_it_had_is_refused(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = read_json(small / "config.json")
    write_json(small / "config.json", {**config, "data": {**config["data"], "digest": "0" * 64}})
    assert "is not the data that" in said(["barrier", search(small), search(small), *QUICK], capsys, 2)


# The figure.


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("base_line", BASE_LINES)
def test_figure_draws_what_was_measured(whole: Path, width: float, base_line: str) -> None:
    result = study_connectivity(whole, settings=Settings(5))
    figure = figures.error_along_lines(result, width=width, base_line=base_line)
    assert len(figure.axes) == len(result["pairs"])
    for axes, pair in zip(figure.axes, result["pairs"], strict=True):
        errors = [line["errors"] for line in result["lines"] if line["pair"] == pair["name"]]
        drawn = [np.asarray(line.get_ydata(), dtype=float) for line in axes.lines]
        *seeds, base, mean = drawn
        assert len(seeds) == 2
        assert mean == pytest.approx(100 * np.mean(errors, axis=0))
        ends = mean[[0, -1]] if base_line == "straight" else np.full(2, mean[[0, -1]].mean())
        assert base[[0, -1]] == pytest.approx(ends)

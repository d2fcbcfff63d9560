"""`winsome signs`: what it prints and writes for searches and studies, and what wrong input gets."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, stdev

import pytest

from winsome.analysis.sign_history import search_runs, sign_history
from winsome.analysis.signs import dynamics
from winsome.cli import main
from winsome.evidence.signs import MEASURES
from winsome.files import write_json

QUICK = ["--levels", "2", "--rate", "0.5", "--level-epochs", "1", "--warmup-epochs", "1", "--train-images", "260"]
SMALL = [*QUICK, "--test-images", "100", "--network-option", "width=16", "--network-option", "blocks=2", "--batch-size", "64"]
FAST_LEARNING = "0.5"  # so that signs flip within one epoch

Say = Callable[..., str]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Say:
    """What a command says; it must end with this exit code."""

    def run(*arguments: str | Path, code: int = 0) -> str:
        capsys.readouterr()
        if code:
            with pytest.raises(SystemExit) as ended:
                main([str(argument) for argument in arguments])
            assert ended.value.code == code
        else:
            main([str(argument) for argument in arguments])
        out = capsys.readouterr()
        assert "Traceback" not in out.out + out.err
        return out.out + out.err

    return run


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LRR and AWS by two seeds as `winsome study` leaves them, and IMP by the same seeds put beside them."""
    folder = tmp_path_factory.mktemp("runs") / "study"
    arms = ["--arms", "planted_lrr", "planted_aws", "--seeds", "2", "--epochs", "1", "--workers", "1"]
    arms += ["--search-learning-rate", FAST_LEARNING]
    main(["study", *SMALL, *arms, "--save-to", str(folder)])
    for seed in (0, 1):
        place = folder / "searches" / "imp" / f"seed-{seed:02d}"
        options = ["--seed", str(seed), "--learning-rate", FAST_LEARNING, "--save-to", str(place)]
        main(["find", "--method", "imp", *SMALL, *options])
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_study(study: Path, said: Say) -> None:
    words = said("signs", study)
    assert "searches: imp (2 seeds), lrr (2 seeds), aws (2 seeds); levels 0 to 2, weights alive at density 0.25" in words
    folder = study / "signs"
    figures = [f"sign_{name}.{kind}" for name in ("flips", "levels", "layers", "agreement") for kind in ("svg", "pdf")]
    names = {"levels.csv", "weights.csv", "summary.csv", "agreement.csv", *figures}
    assert {path.name for path in folder.iterdir()} == names
    assert all(str(folder / name) in words for name in names)
    counted = [dynamics(sign_history(run)) for run in search_runs([study])]
    by_method = {name: [one for one in counted if one.method == name] for name in ("imp", "lrr", "aws")}
    assert all([one.seed for one in searches] == [0, 1] for searches in by_method.values())
    summary = rows(folder / "summary.csv")
    assert len(summary) == len(MEASURES) * (3 + 3)
    for row in summary:
        values = [MEASURES[row["measure"]](one) for one in by_method[row["method"]]]
        if row["minus"]:
            others = [MEASURES[row["measure"]](one) for one in by_method[row["minus"]]]
            values = [value - other for value, other in zip(values, others, strict=True)]
        assert float(row["mean"]) == pytest.approx(fmean(values), abs=1e-12)
        assert float(row["std"]) == pytest.approx(stdev(values), abs=1e-12)
        # Student's t for two values: the half width is tan(0.475 pi) standard errors.
        half = 12.706204736 * stdev(values) / 2**0.5
        assert float(row["high"]) - float(row["mean"]) == pytest.approx(half, abs=1e-9)
    assert len(rows(folder / "levels.csv")) == 6 * 3 * len(counted[0].flips)
    assert len(rows(folder / "agreement.csv")) == 3 * (3 * 2 + 3)
    mean = fmean(one.mean_settled() for one in by_method["lrr"])
    assert f"{mean:.3f} ±" in next(line for line in words.splitlines() if line.startswith("lrr "))


def test_one_search_to_an_earlier_level(study: Path, said: Say, tmp_path: Path) -> None:
    run = study / "searches" / "imp" / "seed-00"
    words = said("signs", run, "--level", "1", "--out", tmp_path / "out")
    assert "searches: imp (1 seed); levels 0 to 1, weights alive at density 0.5" in words
    assert "1 of 1 searches go on below level 1" in words
    assert "differences" not in words
    assert not (tmp_path / "out" / "agreement.csv").exists()
    assert not (run / "signs").exists()
    found = rows(tmp_path / "out" / "weights.csv")
    one = dynamics(sign_history(run, level=1))
    assert sum(int(row["flipped_k_times"]) for row in found) == one.at(1).kept
    assert all(row["std"] == row["low"] == "" for row in rows(tmp_path / "out" / "summary.csv"))


def test_two_folders_side_by_side(study: Path, said: Say, tmp_path: Path) -> None:
    searches = study / "searches"
    words = said("signs", searches / "lrr", searches / "imp" / "seed-01", "--out", tmp_path)
    assert "searches: imp (1 seed), lrr (2 seeds)" in words
    paired = [row for row in rows(tmp_path / "summary.csv") if row["minus"]]
    assert {row["seeds"] for row in paired} == {"1"}, "only seed 1 is in both"


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["signs", "--help"])
    assert ended.value.code == 0
    assert "usage: winsome signs" in capsys.readouterr().out


def test_wrong_input(study: Path, said: Say, tmp_path: Path) -> None:
    assert "needs the folder of a search or a study" in said("signs", code=2)
    assert "nowhere is not a folder" in said("signs", tmp_path / "nowhere", code=2)
    assert "is not a folder" in said("signs", study / "results.json", code=2)
    assert "give the folder of `winsome find` or `winsome study`" in said("signs", study / "arms", code=2)
    words = said("signs", study, "--level", "7", "--out", tmp_path / "out", code=2)
    assert "level 7 is not there for all: levels go from 0 to 2" in words
    (tmp_path / "file").write_text("")
    assert "file is a file; name a folder with --out" in said("signs", study, "--out", tmp_path / "file", code=2)
    begun = tmp_path / "begun"
    write_json(begun / "config.json", {"method_name": "imp"})
    assert "holds no finished level of a search; run its command again to continue it" in said("signs", begun, code=2)
    write_json(begun / "level-00.json", {})
    assert "config.json is not of a search" in said("signs", begun, code=2)
    assert not (tmp_path / "out").exists(), "a refusal comes before any folder is written"

"""Finished runs in hands: typed records, tidy tables, small HTML, and the figures that take them."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from torch import nn

import made_study
import synthetic_study
import winsome
from winsome import figures
from winsome.analysis.line import Profile
from winsome.errors import WinsomeError
from winsome.evidence.barriers import Connectivity, LineRecord, barriers, line_record, write_tables
from winsome.evidence.finished import FinishedBarrier, FinishedSearch, FinishedStudy, FinishedSweep
from winsome.evidence.networks import NETWORK_COLUMNS, write_results
from winsome.evidence.results import read
from winsome.files import write_json, write_state
from winsome.html_table import MOST_ROWS, html_table


def lines() -> Connectivity:
    """Two lines with a barrier of 3 and 5 points."""
    measured: list[LineRecord] = [
        line_record("p", Profile((0.0, 0.5, 1.0), (0.1, top, 0.1), (1.0, 2.0, 1.0)), search_seed=seed)
        for seed, top in ((0, 0.13), (1, 0.15))
    ]
    pair = {"name": "p", "label": "a <-> b", "explanation": "Two networks."}
    return Connectivity(
        format=1, title="made", level=1, density=0.5, settings={}, precision="fp32", pairs=[pair],  # type: ignore[list-item]
        lines=measured, barriers=barriers(measured), missing=[],
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study's folder with searches, results and lines."""
    place = made_study.study(tmp_path_factory.mktemp("study"), ("planted_aws", "planted_lrr"))
    for config in place.glob("searches/*/*/"):
        ticket = winsome.read(config / "level-01.ticket")
        known = {"method": winsome.aws(1, 0.5).record(), "weights": dict(ticket.mask.shapes), "seed": int(config.name[-2:])}
        write_json(config / "config.json", {"method_name": config.parent.name, **known})
        for level in (0, 1):
            winsome.write(ticket, config / f"level-{level:02d}.ticket")
            record = {"density": 0.5**level, "metrics": {"accuracy": 0.9}, "seconds": 1.5}
            write_json(config / f"level-{level:02d}.json", record)
        write_state(config / "initial.safetensors", made_study.network(0, width=8, blocks=2).state_dict())
    synthetic_study.write(place, synthetic_study.results(seeds=3, starts=2, densities=(0.5, 0.0563)))
    write_tables(place / "connectivity", lines())
    return place


def test_a_study_is_a_row_a_network_as_in_its_csv(folder: Path, tmp_path: Path) -> None:
    study = winsome.load(folder)
    assert isinstance(study, FinishedStudy)
    frame = study.to_pandas()
    rows = study.results["rows"]
    assert list(frame.columns) == list(NETWORK_COLUMNS)
    assert frame["accuracy"].tolist() == [row["accuracy"] for row in rows]
    assert frame[["arm", "search_seed", "start"]].to_records(index=False).tolist() == [
        (row["arm"], row["search_seed"], row["start"]) for row in rows
    ]
    entry = next(one for one in study.results["table"] if one["arm"] == "planted_aws")
    chosen = frame[(frame["arm"] == "planted_aws") & (frame["density"] == entry["density"])]
    assert math.isclose(chosen.groupby("search_seed")["accuracy"].mean().mean(), entry["mean"])
    write_results(tmp_path, study.results)
    assert read(tmp_path) == study.results
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "results.csv"), frame, check_dtype=False)


def test_its_searches_and_barriers_come_along(folder: Path) -> None:
    study = winsome.load(str(folder))
    assert isinstance(study, FinishedStudy)
    assert len(study.searches) == 4
    search = winsome.load(folder / "searches" / "aws" / "seed-00")
    assert isinstance(search, FinishedSearch)
    assert search.to_pandas().to_dict("list") == {
        "level": [0, 1],
        "density": [1, 0.5],
        "seconds": [1.5] * 2,
        "accuracy": [0.9] * 2,
    }
    assert search.levels[1].ticket.mask == winsome.read(search.levels[1].ticket_path).mask
    lines = winsome.load(folder / "connectivity")
    assert isinstance(lines, FinishedBarrier)
    assert study.barrier == lines
    assert lines.to_pandas().groupby("search_seed")["error"].max().tolist() == [0.13, 0.15]
    assert "a &lt;-&gt; b" in lines._repr_html_()
    assert "4.0 ± 1.4" in lines._repr_html_()


def test_every_figure_takes_a_record(folder: Path) -> None:
    study = winsome.load(folder)
    assert isinstance(study, FinishedStudy)
    for plot in figures.STUDY_PLOTS.values():
        assert isinstance(plot.draw(study), Figure)
    assert isinstance(figures.error_along_lines(study), Figure)
    assert study.barrier is not None
    assert isinstance(figures.error_along_lines(study.barrier), Figure)
    for draw in (figures.sign_settling, figures.sign_levels, figures.sign_layers):
        assert isinstance(draw(study), Figure)
        assert isinstance(draw(study.searches[0]), Figure)
    assert isinstance(figures.sign_agreement(study), Figure)
    without = FinishedStudy(study.folder, study.results, study.searches)
    with pytest.raises(WinsomeError, match=r"no line was measured in .*run winsome barrier"):
        figures.error_along_lines(without)


def test_a_sweep_is_its_studies(tmp_path: Path) -> None:
    for name in ("a", "b"):
        results = synthetic_study.results(seeds=2, starts=1, arms=("dense", "planted_aws"), curves=False)
        results["study"]["name"] = name
        synthetic_study.write(tmp_path / name, results)
    failed = {"study": "c", "job": "search", "error": "too <hot>", "trace": ""}
    names = [{"name": name, "title": name} for name in "abc"]
    write_json(tmp_path / "sweep.json", {"format": 1, "studies": names, "failures": [failed], "skipped": []})
    sweep = winsome.load(tmp_path)
    assert isinstance(sweep, FinishedSweep)
    frame = sweep.to_pandas()
    assert frame.groupby("study").size().to_dict() == {one.folder.name: len(one.results["rows"]) for one in sweep.studies}
    assert [one.folder.name for one in sweep.studies] == ["a", "b"]
    assert "too &lt;hot&gt;" in sweep._repr_html_()


def test_what_is_not_finished_is_said(tmp_path: Path) -> None:
    with pytest.raises(WinsomeError, match=r"nothing that is finished: no results\.json"):
        winsome.load(tmp_path)
    with pytest.raises(WinsomeError, match="is not a folder"):
        winsome.load(tmp_path / "absent")
    write_json(tmp_path / "connectivity.json", {"format": 99})
    with pytest.raises(WinsomeError, match="not of format 1"):
        winsome.load(tmp_path)


def test_a_notebook_shows_plans_tickets_and_studies_as_tables(folder: Path) -> None:
    plan = winsome.plan(nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)))
    assert "<td" in plan._repr_html_()
    assert "no: classifier" in plan._repr_html_()
    assert plan == tuple(plan)
    mask = winsome.SignedMask({"a<b>": torch.tensor([[1, 0], [-1, 0]])})
    shown = winsome.Ticket(mask, provenance={"method": "aws", "layers": {}})._repr_html_()
    assert "a&lt;b&gt;" in shown
    assert "50.0%" in shown
    assert "method: aws" in shown
    study = winsome.load(folder)
    dense = next(one for one in study.results["table"] if one["arm"] == "dense")  # type: ignore[union-attr]
    assert f"{100 * dense['mean']:.1f} ±" in study._repr_html_()
    assert "5.63\u00a0%" in study._repr_html_()
    assert "0.9" in winsome.load(folder / "searches" / "lrr" / "seed-01")._repr_html_()


def test_a_long_table_is_cut() -> None:
    shown = html_table("t", ("n",), [[number] for number in range(MOST_ROWS + 5)])
    assert "and 5 more rows" in shown
    assert shown.count("<tr>") == MOST_ROWS + 1


def test_a_notebook_shows_a_figure() -> None:
    program = (
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell.instance()\n"
        "import winsome.figures\n"
        "from matplotlib.figure import Figure\n"
        "shown, _ = shell.display_formatter.format(Figure())\n"
        "print(shown['image/svg+xml'][:5])"
    )
    pytest.importorskip("IPython", reason="shows notebooks: pip install ipython")
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "<?xml"

"""`winsome neuron` and its figures: the table, the files, and that what is drawn is what was computed."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from winsome import theory
from winsome.cli import main
from winsome.errors import WinsomeError
from winsome.figures import neuron as drawings
from winsome.figures.files import PAGE_COLOURS, inline_svg
from winsome.figures.theme import NARROW, PALETTE, WIDE

SMALL = ["--d", "1", "2", "--samples", "10", "--starts", "60", "--sample-starts", "20", "--horizon", "20"]


@pytest.fixture(scope="module")
def rows() -> list[theory.Success]:
    """Two numbers of inputs, one size of data set and the population."""
    problems = [theory.Problem(d, samples, noise=0.5) for d in (2, 3) for samples in (None, 10, 40)]
    return [row for problem in problems for row in theory.success_rows(theory.compare(problem, count=40, horizon=20.0))]


@pytest.fixture(scope="module")
def figures(rows: list[theory.Success]) -> dict[float, dict[str, Figure]]:
    """Every figure at every width."""
    paths = [(restart.__name__, theory.quadrant_trajectories(restart, horizon=50.0)) for restart in theory.RESTARTS]
    return {
        width: {
            "quadrants": drawings.quadrants(theory.quadrant_portrait(), width=width),
            "trajectories": drawings.trajectories(paths, width=width),
            "success": drawings.success(rows, width=width),
        }
        for width in (WIDE, NARROW)
    }


def test_the_command_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["neuron", *SMALL, "--out", str(tmp_path / "out")])
    printed = capsys.readouterr().out
    for word in ("IMP", "LRR", "as pruned", "rebalanced", "theorem", "success.csv"):
        assert word in printed
    figures = {f"{name}.{kind}" for name in ("quadrants", "trajectories", "success") for kind in ("svg", "pdf")}
    assert {file.name for file in (tmp_path / "out").iterdir()} == {*figures, "success.csv", "trajectories.csv"}
    with (tmp_path / "out" / "success.csv").open() as file:
        table = list(csv.DictReader(file))
    assert len(table) == 2 * 2 * 2 * 2  # d, samples or population, method, rebalanced or not
    direct = theory.compare(theory.Problem(2, noise=0.5), count=60, horizon=20.0)
    written = [row for row in table if row["d"] == "2" and row["samples"] == ""]
    assert [int(row["successes"]) for row in written] == [trials.successes for trials in direct]
    for row in table:
        assert float(row["low"]) <= float(row["success"]) <= float(row["high"])
        assert f"{100 * float(row['success']):.1f} (" in printed


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--d"], "give at least one number of inputs"),
        (["--d", "0"], "d is the number of inputs, 1 or more, got 0"),
        (["--samples", "10", "0"], "samples must be 1 or more, got 0"),
        (["--noise", "-1"], "noise is a standard deviation, 0 or more, got -1"),
        (["--correlation", "2"], "must be in [-1, 1], got 2"),
        (["--horizon", "0"], "horizon is a time above 0, got 0"),
        (["--sample-starts", "0"], "starts must be 1 or more, got 0"),
        (["--success-below", "10"], "a share of the loss in (0, 1), got 10"),
        (["--out", "taken"], "taken is a file"),
    ],
)
def test_bad_input_gets_a_sentence_before_any_work(
    arguments: list[str],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("taken").touch()
    with pytest.raises(SystemExit) as ended:
        main(["neuron", *arguments])
    assert ended.value.code == 2
    assert sentence in " ".join(capsys.readouterr().err.split())
    assert [file.name for file in tmp_path.iterdir()] == ["taken"]


def test_success_lines_go_through_the_table(rows: list[theory.Success], figures: dict[float, dict[str, Figure]]) -> None:
    axes = next(panel for panel in figures[WIDE]["success"].axes if panel.get_title(loc="left") == "IMP, rebalanced")
    expected = [row for row in rows if (row["method"], row["rebalanced"], row["d"]) == ("IMP", True, 3)]
    expected.sort(key=lambda row: row["samples"] or 10**9)
    drawn = [line for line in axes.get_lines() if line.get_marker() == "s"]
    assert len(drawn) == 1
    assert list(np.asarray(drawn[0].get_ydata())) == pytest.approx([100 * row["success"] for row in expected])


def test_runs_are_drawn_where_they_went(figures: dict[float, dict[str, Figure]]) -> None:
    """The start a > 0, w_1 < 0 stops at w_1 = 0 under IMP and reaches the target under LRR."""
    ends = {}
    for axes in figures[WIDE]["trajectories"].axes:
        blue = [line for line in axes.get_lines() if line.get_color() == PALETTE["blue"][0] and line.get_marker() == "o"]
        x, y = blue[-1].get_data()
        ends[axes.get_title(loc="left")] = float(np.asarray(x)[-1]), float(np.asarray(y)[-1])
    assert ends["imp"][0] == pytest.approx(0.0, abs=0.01)
    assert ends["lrr"] == pytest.approx((1.0, 1.0), abs=0.05)


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("name", ["quadrants", "trajectories", "success"])
def test_no_text_lies_on_another_or_leaves_the_figure(name: str, width: float, figures: dict[float, dict[str, Figure]]) -> None:
    figure = figures[width][name]
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
    frame = figure.bbox
    boxes = [(text, box) for axes in figure.axes for text, box in _texts(axes)]
    for text, box in boxes:
        assert frame.x0 - 2 <= box.x0, text
        assert box.x1 <= frame.x1 + 2, text
    for index, (text, box) in enumerate(boxes):
        for other, second in boxes[index + 1 :]:
            across = min(box.x1, second.x1) - max(box.x0, second.x0)
            along = min(box.y1, second.y1) - max(box.y0, second.y0)
            assert across < 2 or along < 2, f"{text!r} lies on {other!r}"


@pytest.mark.parametrize("name", ["quadrants", "trajectories", "success"])
def test_figures_follow_the_colours_of_a_page(name: str, rows: list[theory.Success]) -> None:
    paths = [(restart.__name__, theory.quadrant_trajectories(restart, horizon=20.0)) for restart in theory.RESTARTS]
    draw: dict[str, Callable[[], Figure]] = {
        "quadrants": lambda: drawings.quadrants(theory.quadrant_portrait(), on_page=True),
        "trajectories": lambda: drawings.trajectories(paths, on_page=True),
        "success": lambda: drawings.success(rows, on_page=True),
    }
    svg = inline_svg(draw[name](), "neuron", "what it shows")
    assert not re.search(r"#[0-9a-f]{6}\b", svg, re.IGNORECASE)
    assert set(re.findall(r"(?:fill|stroke): ([^;\"]+)", svg)) <= {*PAGE_COLOURS.values(), "none"}


def test_nothing_to_draw_is_said() -> None:
    with pytest.raises(WinsomeError, match="no successes to draw"):
        drawings.success([])
    with pytest.raises(WinsomeError, match="no path to draw"):
        drawings.trajectories([])


def _texts(axes: Axes) -> list[tuple[str, Bbox]]:
    labels: list[Text] = [*axes.texts, axes.xaxis.label, axes.yaxis.label, axes._left_title]  # type: ignore[attr-defined]
    labels += [*axes.get_xticklabels(), *axes.get_yticklabels()]
    legend = axes.get_legend()
    labels += legend.get_texts() if legend else []
    return [
        (text.get_text(), text.get_window_extent())
        for text in labels
        if text.get_text() and text.get_visible() and not isinstance(text, Annotation)
    ]

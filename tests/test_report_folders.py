"""Pages over folders in which something is damaged, or that hold more than one kind of thing: nothing goes unsaid."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import synthetic_study
from test_report import Page
from winsome import report
from winsome.errors import WinsomeError
from winsome.figures import DrawnPlot
from winsome.files import write_json

RECIPE = {
    "format": 2,
    "title": "A made-up figure",
    "source": "arXiv:0000.00000",
    "claim": "Nothing is claimed.",
    "scale": "small",
    "environment": {"command": "winsome test", "cpu": "a processor", "gpu": None, "torch": "2", "date": "2026-11-21"},
    "seconds": 1.0,
    "studies": ["digits"],
    "verdicts": [],
    "notes": [],
    "tables": [],
    "figures": [],
}


def recipe(folder: Path, name: str) -> None:
    """A finished recipe of one study."""
    synthetic_study.write(folder / name / "digits", synthetic_study.small())
    write_json(folder / name / "recipe.json", {**RECIPE, "name": name})


def links(page: Page) -> list[str]:
    return [str(attributes["href"]) for tag, attributes in page.attributes if tag == "a"]


def test_a_sweep_names_the_study_that_cannot_be_read(tmp_path: Path) -> None:
    folder = tmp_path / "a sweep ü"
    synthetic_study.write(folder / "whole", synthetic_study.small())
    (folder / "broken").mkdir()
    (folder / "broken" / "results.json").write_text("{")
    studies = [{"name": name, "title": name} for name in ("broken", "absent", "whole")]
    write_json(folder / "sweep.json", {"format": 1, "studies": studies, "failures": [], "skipped": []})
    html = report.write(folder).read_text()
    page = Page(html)
    assert html.count("Left out: ") == 1
    assert "broken/results.json is damaged" in html
    assert "1 of 3 are finished" in html
    assert "whole/report.html" in links(page)
    assert (folder / "whole" / "report.html").is_file()


@pytest.mark.slow
def test_a_page_of_recipes_names_what_else_is_there(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    recipe(runs / "my 50% runs#1", "one")
    synthetic_study.write(runs / "study-digits", synthetic_study.small())
    (runs / "broken").mkdir()
    (runs / "broken" / "recipe.json").write_text("{")
    html = report.write(runs).read_text()
    found = links(Page(html))
    assert "study-digits/report.html" in found
    assert "my%2050%25%20runs%231/one/digits/report.html" in found
    assert html.count("Left out: ") == 1
    assert "broken/recipe.json cannot be read" in html
    (runs / "my 50% runs#1" / "one" / "recipe.json").write_text("{}")
    with pytest.raises(WinsomeError, match="cannot be read"):
        report.write(runs)


def test_a_page_of_recipes_alone_lists_nothing_else(tmp_path: Path) -> None:
    recipe(tmp_path, "one")
    assert "Other studies" not in report.write(tmp_path).read_text()


def test_pages_of_many_studies_are_drawn_where_they_are_due(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [tmp_path / name for name in ("a", "b", "c")]
    for folder in folders:
        synthetic_study.write(folder, synthetic_study.small())
    drawn: list[str] = []

    def draw(folder: Path) -> None:
        drawn.append(folder.name)
        if folder.name == "b":
            raise ValueError("no ink")
        (folder / "report.html").write_text("a page")

    monkeypatch.setattr("winsome.report.pages.write", draw)
    seen: list[tuple[int, int]] = []
    failed = report.draw_pages([*folders, tmp_path / "absent"], workers=1, watch=lambda *so_far: seen.append(so_far))
    assert (drawn, seen) == (["a", "b", "c"], [(1, 3), (2, 3)])
    assert {folder.name: str(error) for folder, error in failed.items()} == {"b": "no ink"}
    later = (folders[2] / "report.html").stat().st_mtime_ns + 10**9
    os.utime(folders[2] / "results.json", ns=(later, later))
    report.draw_pages(folders, workers=1)
    assert drawn[3:] == ["b", "c"], "a page that is newer than its results stays"


def test_pages_are_drawn_by_several_processes(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("a", "b", "c")]
    for folder in folders:
        synthetic_study.write(folder, synthetic_study.small())
    assert not report.draw_pages(folders, workers=2)
    assert len({(folder / "report.html").read_bytes() for folder in folders}) == 1
    assert all(list((folder / "figures").glob("*.pdf")) for folder in folders)


def test_a_recipe_whose_drawings_are_gone_is_named(tmp_path: Path) -> None:
    recipe(tmp_path, "one")
    figures = [{"name": "bars", "caption": "Bars."}]
    write_json(tmp_path / "one" / "recipe.json", {**RECIPE, "name": "one", "figures": figures})
    with pytest.raises(WinsomeError, match=r"one lacks a drawing for the page .*run `winsome reproduce` for it again"):
        report.write_recipes(tmp_path)
    DrawnPlot("bars", "Bars.", "<svg>wide</svg>", "<svg>narrow</svg>").write(tmp_path / "one")
    page = report.write_recipes(tmp_path).read_text()
    assert "<svg>wide</svg>" in page
    assert "<svg>narrow</svg>" in page

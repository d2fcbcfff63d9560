"""The page of all claims: made from kept records, and in step with them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from winsome.errors import WinsomeError
from winsome.recipes.catalogue import RECIPES
from winsome.recipes.claims import claims_page, lines_of, records_in, short_table
from winsome.recipes.record import FORMAT

DOCS = Path(__file__).parent.parent / "docs"


def test_the_page_is_what_the_kept_records_say() -> None:
    assert (DOCS / "claims.md").read_text() == claims_page(records_in(DOCS / "results"))


@pytest.mark.parametrize(
    ("page", "source"), [("find-a-winning-sign.md", "arXiv:2504.05357"), ("masks-signs-lrr.md", "arXiv:2402.19262")]
)
def test_the_table_at_the_top_of_a_papers_page_is_what_the_records_say(page: str, source: str) -> None:
    head = f"<!-- winsome reproduce summary {source} --save-to docs/results -->\n"
    before, table = (DOCS / page).read_text().split("<!-- end -->")[0].split(head)
    assert "\n## " not in before
    assert table == short_table(records_in(DOCS / "results"), source)


def test_a_short_table_counts_set_ups_and_knows_its_papers() -> None:
    records = records_in(DOCS / "results")
    rows = short_table(records, "arXiv:2402.19262").splitlines()
    (row,) = (row for row in rows if row.startswith("| In the same random masks LRR beats IMP."))
    assert "| shown in 1 of 2, **opposite** in 1 of 2 | shown, +7.3 (6.0, 8.7), n 8 | `mask_randomisation` |" in row
    for source in ("", "arXiv:1803.03635"):
        with pytest.raises(WinsomeError, match=r"the papers are arXiv:2504\.05357 or arXiv:2402\.19262"):
            short_table(records, source)


BENCHMARKS = DOCS / "results" / "benchmarks"
_NUMBER = re.compile(r"[-+]?\d*\.\d+")


def _numbers(cell: str) -> list[float]:
    return [float(number) for number in _NUMBER.findall(cell)]


def _rows_of(page: Path, head: str) -> list[list[str]]:
    """The cells of the table below a heading row, without the rule."""
    lines = page.read_text().split(head)[1].splitlines()[2:]
    table = lines[: lines.index("")]
    return [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in table]


def _kept(name: str) -> dict[tuple[str, str], list[float]]:
    """The percentages of a kept benchmark: mean and spread of arms at the last density, mean and interval of differences."""
    tables = {table["name"]: table["rows"] for table in json.loads((BENCHMARKS / name / "recipe.json").read_text())["tables"]}
    arms = {(study, arm): [100 * mean, 100 * std] for study, arm, _, mean, std, _ in tables["accuracy"]}
    between = {
        (study, words): [100 * one for one in (*found, low, high)]
        for study, words, _, *found, low, high, _, _ in tables["differences"]
    }
    return arms | between


def test_full_size_networks_are_told_as_they_were_kept() -> None:
    said = {"AWS's mask only": "θ₀·m (mask only)"}
    studies = ("full-size", "full-size-decay", "full-size-longer")
    every = [_kept(study.replace("-", "_")) for study in studies]
    rows = _rows_of(DOCS / "medium.md", "| | short | decay | longer |")
    told = 0
    for words, *cells in rows:
        arm = said.get(words, words.replace("s_", "|θ₀|·s_"))
        for kept, study, cell in zip(every, studies, cells, strict=True):
            if cell:
                assert _numbers(cell) == pytest.approx(kept[study, arm], abs=0.0501), (words, study)
                told += 1
    assert told == sum(map(len, every))


def test_set_ups_compared_are_told_as_they_were_kept() -> None:
    kept = _kept("photographs_compared")
    rows = _rows_of(
        DOCS / "medium.md", "| rate, weight decay | dense | s_AWS | s_LRR | mask only | LRR network | AWS network |"
    )
    arms = ("dense", "|θ₀|·s_AWS", "|θ₀|·s_LRR", "θ₀·m (mask only)", "LRR network", "AWS network")
    for set_up, *cells in rows:
        rate, decay = (float(number) for number in set_up.split(", "))
        for arm, cell in zip(arms, cells, strict=True):
            assert _numbers(cell) == pytest.approx(kept[f"tickets-{rate:g}-{decay:g}", arm], abs=0.0501), (set_up, arm)
    assert len(rows) * len(arms) == sum(study.startswith("tickets") for study, _ in kept)


def test_the_price_of_a_search_is_told_as_it_was_kept() -> None:
    head = "| search | epochs | AWS | | LRR | | frozen norms | | seconds |"
    rows = _rows_of(DOCS / "field.md", head)
    for place, name in ((2, "search_budget"), (4, "search_budget_lrr"), (6, "search_budget_frozen")):
        told = [(int(row[1]), _numbers(row[place]) + _numbers(row[place + 1])) for row in rows if row[place]]
        (table,) = (
            one
            for one in json.loads((DOCS / "results" / name / "recipe.json").read_text())["tables"]
            if one["name"] == "budget"
        )
        assert len(told) == len(table["rows"])
        for (epochs, numbers), (_, _, plan, cost, _, accuracy, *behind, _) in zip(told, table["rows"], strict=True):
            assert epochs == cost
            kept = [accuracy] if plan == "usual" else [accuracy, *behind]
            assert numbers == pytest.approx([100 * number for number in kept], abs=0.0501), (name, plan)


def test_kept_verdicts_follow_from_their_intervals() -> None:
    for record in records_in(DOCS / "results"):
        for verdict in record["verdicts"]:
            low, high = verdict["low"], verdict["high"]
            assert low <= verdict["value"] <= high
            if min(abs(low), abs(high)) > 5e-4:  # what pages round to
                expected = "shown" if low > 0 else "opposite" if high < 0 else "within the spread"
                assert verdict["status"] == expected, (record["name"], verdict)


def test_every_recipe_of_the_papers_that_trains_has_a_medium_record() -> None:
    kept = {(record["name"], record["scale"]) for record in records_in(DOCS / "results")}
    for name, make in RECIPES.items():
        recipe = make("medium")
        if (
            recipe.studies
            and recipe.source.startswith(("arXiv:2504.05357", "arXiv:2402.19262"))
            and "extended" not in recipe.source
        ):
            assert {(name, "small"), (name, "medium")} <= kept


def test_kept_claims_are_the_recipes_own() -> None:
    for record in records_in(DOCS / "results"):
        recipe = RECIPES[record["name"]](record["scale"])
        labels = {verdict["study"] for verdict in record["verdicts"]} - {None}
        assert labels <= set(recipe.studies)
        assert recipe.claim == record["claim"]


def test_claims_are_lined_up_scale_by_scale(tmp_path: Path) -> None:
    def verdict(value: float, status: str, study: str | None = None) -> dict[str, object]:
        between = {"low": value - 0.01, "high": value + 0.01, "n": 3, "of": "search seed", "unit": "points"}
        about = {"claim": "A beats B.", "source": "us", "meaning": "A minus B", "where": "", "density": None, "reason": ""}
        return {**between, **about, "value": value, "status": status, "study": study}

    environment = {"cpu": "a core", "gpu": None, "torch": "2"}
    for folder, scale, found in (
        ("x", "small", [verdict(0.02, "shown", "one"), verdict(0.005, "within the spread", "two")]),
        ("x-medium", "medium", [verdict(-0.03, "opposite")]),
    ):
        record = {
            "format": FORMAT,
            "name": "x",
            "scale": scale,
            "source": "ours",
            "environment": environment,
            "verdicts": found,
        }
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "recipe.json").write_text(json.dumps(record))
    (line,) = lines_of(records_in(tmp_path))
    assert {scale: len(verdicts) for scale, verdicts in line.found.items()} == {"small": 2, "medium": 1}
    page = claims_page(records_in(tmp_path))
    small = "one: shown, +2.0 (1.0, 3.0), n 3<br>two: not shown, +0.5 (-0.5, 1.5), n 3"
    assert f"| {small} | **opposite**, -3.0 (-4.0, -2.0), n 3 | not run |" in page
    assert "At small scale 0 of 1 claims show in every set-up, 1 in some, 0 in none." in page
    assert "- A beats B. (small shown, +2.0 (1.0, 3.0), n 3; medium **opposite**" in page


def test_a_folder_without_records_is_said(tmp_path: Path) -> None:
    with pytest.raises(WinsomeError, match="no recipe has run in"):
        records_in(tmp_path)
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "recipe.json").write_text('{"format": 0}')
    with pytest.raises(WinsomeError, match="another version"):
        records_in(tmp_path)

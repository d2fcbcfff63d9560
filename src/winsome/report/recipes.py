"""The page of recipes: for each figure or table of a paper its claim, what showed, the figure and the numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from winsome.errors import WinsomeError
from winsome.figures.plots import DrawnPlot
from winsome.files import read_json
from winsome.recipes.record import FILE_NAME, FORMAT
from winsome.report.markup import day
from winsome.report.verdicts import VerdictLine, tally, verdict_line
from winsome.wording import duration


@dataclass(frozen=True)
class NumberTable:
    """A table for the page: everything is text."""

    caption: str
    file: str  # of the same numbers, beside the recipe's record
    columns: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class RecipeSection:
    """All that the template needs of one recipe."""

    name: str
    place: str  # from the page to its folder: empty, or ending in a slash
    title: str
    source: str
    claim: str
    scale: str
    tally: str
    verdicts: list[VerdictLine]
    plots: list[DrawnPlot]
    tables: list[NumberTable]
    notes: list[str]
    studies: list[tuple[str, str]]  # label, link to its own report
    ran: str
    command: str


def recipe_files(folder: Path) -> list[Path]:
    """The records of finished recipes in a folder and below it."""
    return sorted(folder.rglob(FILE_NAME))


def recipe_sections(folder: Path) -> tuple[list[RecipeSection], list[str]]:
    """Every recipe in a folder and below it, and a sentence on each whose record is damaged or of another format.

    Raises:
        WinsomeError: there is none that can be read.
    """
    sections, unread = [], []
    for path in recipe_files(folder):
        try:
            sections.append(_section(path, folder))
        except WinsomeError as error:
            unread.append(str(error))
    if unread and not sections:
        raise WinsomeError(unread[0])
    return sections, unread


def _section(path: Path, folder: Path) -> RecipeSection:
    record = read_json(path)
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise WinsomeError(f"{path} is no recipe record of format {FORMAT}; run `winsome reproduce` for it again")
    place = f"{path.parent.relative_to(folder).as_posix()}/".removeprefix("./")
    studies = [(label, quote(f"{place}{label}/report.html")) for label in record["studies"]]
    return RecipeSection(
        name=record["name"] + ("" if record["scale"] == "small" else f"-{record['scale']}"),
        place=place,
        title=record["title"],
        source=record["source"],
        claim=record["claim"],
        scale=record["scale"],
        tally=tally(record["verdicts"]),
        verdicts=[verdict_line(verdict) for verdict in record["verdicts"]],
        plots=[DrawnPlot.read(path.parent, figure["name"], figure["caption"]) for figure in record["figures"]],
        tables=[_table(table) for table in record["tables"]],
        notes=record["notes"],
        studies=studies,
        ran=_ran(record),
        command=record["environment"]["command"],
    )


def _table(table: Mapping[str, Any]) -> NumberTable:
    rows = [[_cell(value) for value in row] for row in table["rows"]]
    return NumberTable(table["caption"], f"{table['name']}.csv", table["columns"], rows)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return re.sub("^-", "−", f"{value:.4g}") if isinstance(value, float) else str(value)


def _ran(record: Mapping[str, Any]) -> str:
    where = record["environment"]
    hardware = f"{where['gpu']} with {where['cpu']}" if where.get("gpu") else f"{where['cpu']}, without a GPU"
    spent = duration(record["seconds"])
    return f"Ran at {record['scale']} scale on {hardware}, in {spent}, PyTorch {where['torch']}, {day(where['date'])}."

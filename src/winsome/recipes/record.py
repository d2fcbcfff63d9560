"""What a recipe leaves in its folder: figures (SVG, PDF), tables (CSV) and `recipe.json`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from winsome.evidence.description import hardware
from winsome.figures.files import save
from winsome.figures.plots import drawn
from winsome.files import write_csv, write_json
from winsome.raised import noting
from winsome.recipes.recipe import Evidence, Recipe, Scale, Table

FORMAT = 2
FILE_NAME = "recipe.json"


def write_record(
    name: str, recipe: Recipe, evidence: Evidence, folder: Path, *, scale: Scale, command: str, seconds: float
) -> dict[str, Any]:
    """Write what a recipe shows; returns what `recipe.json` holds.

    Args:
        name: of the recipe.
        recipe: what was run.
        evidence: what its analysis found.
        folder: where it lives.
        scale: small, medium or paper.
        command: what reproduces it.
        seconds: that studies and analysis took.
    """
    record = {
        "format": FORMAT,
        "name": name,
        "title": recipe.title,
        "source": recipe.source,
        "claim": recipe.claim,
        "scale": scale,
        "environment": hardware(command),
        "seconds": seconds,
        "studies": list(recipe.studies),
        "verdicts": list(evidence.verdicts),
        "notes": list(evidence.notes),
        "tables": [_table_record(table) for table in evidence.tables],
        "figures": _write_figures(name, evidence, folder),
    }
    for table in evidence.tables:
        write_csv(folder / f"{table.name}.csv", table.columns, table.rows)
    write_json(folder / FILE_NAME, record)
    return record


def _table_record(table: Table) -> Mapping[str, Any]:
    rows = [list(row) for row in table.rows]
    return {"name": table.name, "caption": table.caption, "columns": list(table.columns), "rows": rows}


def _write_figures(name: str, evidence: Evidence, folder: Path) -> list[dict[str, str]]:
    """Write each figure as SVG and PDF, and as a page shows it; names and captions go into the record."""
    for plot in evidence.plots:
        with noting(f"the figure {plot.name!r} of the recipe {name!r}"):
            save(plot.draw(), folder / plot.name)
            drawn(plot, f"{name}-").write(folder)
    return [{"name": plot.name, "caption": plot.caption} for plot in evidence.plots]

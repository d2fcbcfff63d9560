"""The barriers between the networks of a study, measured and printed by `winsome barrier`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from winsome.cli.console import draws_over, open_console, say
from winsome.cli.lines import write_lines
from winsome.cli.options import KnownDataOptions
from winsome.cli.tables import add_row, open_table, show
from winsome.evidence.barriers import BASE_LINE_WORDS
from winsome.evidence.connectivity import study_connectivity
from winsome.evidence.ruler import Settings
from winsome.study.folder import StudyFolder


def print_study(
    folder: Path,
    level: int | None,
    seeds: Sequence[int],
    settings: Settings,
    images: KnownDataOptions,
    base_line: str,
) -> None:
    """Measure and print the barriers of a study's pairs, and write tables and figure into its folder."""
    console = open_console()
    with _progress(console) as watch:
        result = study_connectivity(
            folder,
            level=level,
            seeds=seeds,
            settings=settings,
            data_dir=images.data_dir,
            on_corrupt=images.on_corrupt,
            watch=watch,
        )
    labels = {pair["name"]: pair["label"] for pair in result["pairs"]}
    table = open_table("pair", "barrier (points)", "95 % interval", "seeds", "error at the ends (%)", "barrier of loss")
    where = f"{result['title']}, level {result['level']}, density {result['density']:.3g}"
    table.title = f"{where}: barrier above the {BASE_LINE_WORDS[base_line]}"
    for row in result["barriers"]:
        if row["base_line"] == base_line:
            spread = "" if row["std"] is None else f" ± {100 * row['std']:.2f}"
            between = "" if row["low"] is None or row["high"] is None else f"{100 * row['low']:.2f} to {100 * row['high']:.2f}"
            ends = f"{100 * row['first_error']:.1f} and {100 * row['last_error']:.1f}"
            add_row(
                table,
                labels[row["pair"]],
                f"{100 * row['error']:.2f}{spread}",
                between,
                str(row["n"]),
                ends,
                f"{row['loss']:.3f}",
            )
    show(console, table)
    for entry in result["missing"]:
        say(console, f"not there: {entry['pair']}; {entry['remedy']}")
    write_lines(StudyFolder(folder).connectivity, result, base_line, console)


@contextmanager
def _progress(console: Console) -> Iterator[Any]:
    columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not draws_over(console)) as progress:
        task = progress.add_task("reading", total=None)
        yield lambda done, total, line: progress.update(task, completed=done, total=total, description=line)

"""`winsome signs`: how the signs of weights change over searches, and where searches agree."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from winsome.errors import WinsomeError

if TYPE_CHECKING:
    from winsome.analysis.sign_history import SearchRun
    from winsome.analysis.signs import Agreement, SignDynamics


def signs(
    runs: Positional[tuple[Path, ...]],
    /,
    *,
    level: int | None = None,
    out: Annotated[Path | None, arg(name="save-to", aliases=("--out",))] = None,
) -> None:
    """Show how the signs of weights change over searches: flips, when signs settle, their balance, and agreement.

    Reads the tickets of one search, or of all searches of a study, by method and search seed; nothing is trained. Prints
    means over seeds, writes the counts as CSV files, and draws the two panels of arXiv:2402.19262's figure 5, flips by
    level and layer, and agreement between methods.

    Args:
        runs: Folders of searches (winsome find) or studies (winsome study).
        level: The last level that counts; by default the deepest that all searches have finished.
        out: Folder for the CSV files and figures; by default signs/ inside the first RUN.
    """
    from winsome.analysis.sign_history import common_level, search_runs, sign_history
    from winsome.analysis.signs import dynamics
    from winsome.cli import sign_tables
    from winsome.cli.console import open_console, say
    from winsome.cli.tables import show

    if not runs:
        raise WinsomeError("winsome signs needs the folder of a search or a study: winsome signs runs/study-digits")
    found = search_runs(runs)
    last = common_level(found, level)
    folder = out or runs[0] / "signs"
    if folder.exists() and not folder.is_dir():
        raise WinsomeError(f"{folder} is a file; name a folder with --out")
    console = open_console()
    for note in _notes(found, last):
        say(console, note)
    counted = [dynamics(sign_history(run, level=last)) for run in found]
    agreeing = [pair for number in range(last + 1) for pair in _agreements(found, number)]
    for table in sign_tables.tables(counted, [pair for pair in agreeing if pair.level == last]):
        show(console, table)
    for path in _write(folder, counted, agreeing):
        say(console, str(path))


def _notes(runs: Sequence[SearchRun], last: int) -> list[str]:
    methods = {method: [run.seed for run in runs if run.method == method] for method in dict.fromkeys(r.method for r in runs)}
    counted = ", ".join(f"{method} ({len(seeds)} seed{'s' * (len(seeds) != 1)})" for method, seeds in methods.items())
    density = runs[0].densities[last]
    notes = [f"searches: {counted}; levels 0 to {last}, weights alive at density {density:.4g}"]
    if deeper := [run for run in runs if run.finished - 1 > last]:
        notes.append(f"{len(deeper)} of {len(runs)} searches go on below level {last}")
    return notes


def _agreements(runs: Sequence[SearchRun], level: int) -> list[Agreement]:
    """One level's tickets at a time, for those of all levels and searches of a large network would fill the memory."""
    from winsome.analysis.signs import agreements

    return agreements(level, {(run.method, run.seed): run.ticket(level).mask for run in runs}) if len(runs) > 1 else []


def _write(folder: Path, counted: Sequence[SignDynamics], agreeing: Sequence[Agreement]) -> list[Path]:
    from winsome import figures
    from winsome.analysis.sign_files import write_agreement, write_levels, write_weights
    from winsome.evidence.signs import SUMMARY, summary
    from winsome.files import write_csv

    written = [folder / "levels.csv", folder / "weights.csv", folder / "summary.csv"]
    write_levels(written[0], counted)
    write_weights(written[1], counted)
    write_csv(written[2], SUMMARY, summary(counted))
    if agreeing:
        written.append(folder / "agreement.csv")
        write_agreement(written[-1], agreeing)
    drawings = {"sign_flips": figures.sign_settling(counted), "sign_levels": figures.sign_levels(counted)}
    drawings["sign_layers"] = figures.sign_layers(counted)
    if agreeing:
        drawings["sign_agreement"] = figures.sign_agreement(agreeing, {one.method: one.label for one in counted})
    for name, figure in drawings.items():
        written += figures.save(figure, folder / name)
    return written

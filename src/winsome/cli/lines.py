"""The line between two networks, measured and printed by `winsome barrier`."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from winsome.analysis.agreement import CommonMask, masked, nonzero
from winsome.analysis.connectivity import refuse_other_network
from winsome.cli.console import open_console, say
from winsome.cli.ends import NamedEnd
from winsome.cli.tables import add_row, open_table, show
from winsome.evidence.barriers import BASE_LINE_WORDS, FORMAT, Connectivity, barriers, line_record, write_tables
from winsome.evidence.ruler import Ruler
from winsome.prunable import prunable
from winsome.state import State


def print_line(
    ends: tuple[NamedEnd, NamedEnd], instrument: Ruler, agreement: CommonMask, base_line: str, folder: Path | None
) -> None:
    """Measure and print the line between two networks; write tables and figure where a folder is given."""
    console = open_console()
    first, second = _on_one_mask(ends, instrument, agreement)
    say(console, f"A: {ends[0].file}\nB: {ends[1].file}")
    with console.status("measuring") as status:
        profile = instrument.measure(first, second, lambda done: status.update(f"measuring: {done} points"))
    line = line_record("line", profile)
    result: Connectivity = {
        "format": FORMAT,
        "title": f"{ends[0].label} to {ends[1].label}",
        "level": None,
        "density": None,
        "settings": instrument.settings.record(),
        "precision": instrument.precision.label,
        "pairs": [{"name": "line", "label": "A to B", "explanation": f"{ends[0].file} to {ends[1].file}"}],
        "lines": [line],
        "barriers": barriers([line]),
        "missing": [],
    }
    table = open_table("α", "test error (%)", "loss")
    for alpha, error, loss in zip(profile.alphas, profile.errors, profile.losses, strict=True):
        add_row(table, f"{alpha:.3g}", f"{100 * error:.2f}", f"{loss:.4f}")
    show(console, table)
    for row in sorted(result["barriers"], key=lambda row: row["base_line"] != base_line):
        heights = f"{100 * row['error']:.2f} points of error, {row['loss']:.4f} of loss"
        say(console, f"barrier above the {BASE_LINE_WORDS[row['base_line']]}: {heights}")
    say(console, _measured_how(instrument))
    if folder is not None:
        write_lines(folder, result, base_line, console)


def _on_one_mask(ends: tuple[NamedEnd, NamedEnd], instrument: Ruler, agreement: CommonMask) -> tuple[State, State]:
    """Both states under the mask that the line has."""
    first, second = (end.state for end in ends)
    for which, state in (("first", first), ("second", second)):
        refuse_other_network(which, state, instrument.network)
    tickets = [end.mask for end in ends if end.mask is not None]
    names = list(tickets[0]) if tickets else prunable(instrument.network, prune_classifier=True)
    kept = agreement(*({n: e.mask.kept(n) for n in e.mask} if e.mask else nonzero(e.state, names) for e in ends))
    return masked(first, kept), masked(second, kept)


def write_lines(folder: Path, result: Connectivity, base_line: str, console: Console) -> None:
    """Write the tables and the figure of lines, and say where they are."""
    from winsome import figures  # here, for matplotlib takes seconds to import

    written = write_tables(folder, result)
    drawn = figures.save(figures.error_along_lines(result, base_line=base_line), folder / "error_along_lines")
    for path in (*written, *drawn):
        say(console, str(path))


def _measured_how(instrument: Ruler) -> str:
    statistics = instrument.settings.statistics
    source = statistics.sentence(len(instrument.data.train)) if statistics else "the stored ones, interpolated"
    return f"{len(instrument.data.test):,} test images; BatchNorm statistics {source}; {instrument.precision.label}"

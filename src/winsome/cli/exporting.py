"""What `winsome ticket export` does: a form made, compared, measured, shown, and written if it pays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from winsome import exports
from winsome.cli.console import open_console, say
from winsome.cli.conversion import network_for, ticket_and_weights
from winsome.cli.tables import add_row, open_table, show
from winsome.errors import WinsomeError
from winsome.exports.comparison import FormRow
from winsome.models.spec import NetworkSpec


@dataclass(frozen=True)
class ExportSource:
    """Where an export comes from: a ticket, its network's weights, and the network, if it is named."""

    ticket: Path
    weights: Path
    network: NetworkSpec | None


def export(
    source: ExportSource, form: exports.Form, target: Path, *, anyway: bool, batch: int, n_threads: int | None, precision: str
) -> None:
    """Export, and print the table.

    Raises:
        WinsomeError: the form is slower than the dense network, finds nothing to act on, cannot run here, or files do not fit.
    """
    if batch < 1 or (n_threads is not None and n_threads < 1):
        raise WinsomeError(f"--batch and --threads are 1 or more, got {batch} and {n_threads}")
    ticket, state = ticket_and_weights(source.ticket, source.weights)
    network = network_for(source.ticket, ticket, source.network)
    draw = torch.Generator().manual_seed(0)
    example = torch.randn(batch, *(network.image_shape or ()), generator=draw, device="cpu")
    request = exports.requested(
        ticket, network.build(0), state, example, record=network.record(), anyway=anyway, precision=precision
    )
    outcome = exports.export(form, request, target, n_threads=n_threads)
    console = open_console()
    for sentence in outcome.said:
        say(console, sentence)
    if outcome.rows:
        print_rows(outcome.rows)
    if outcome.refused:
        raise WinsomeError(f"{outcome.refused}; {target} was not written, --anyway writes it")
    say(console, f"{target}: {target.stat().st_size:,} bytes, read by winsome.exports.load")


def print_rows(rows: tuple[FormRow, ...]) -> None:
    """The table of forms."""
    table = open_table("form", "MB on disk", "ms", "least", "most", "threads", "peak MB", "largest difference")
    for row in rows:
        peak = "-" if row.peak is None else f"{row.peak / 1e6:,.1f}"
        times = (f"{value:.3g}" for value in (row.median, min(row.ms), max(row.ms)))
        add_row(table, row.form, f"{row.n_bytes / 1e6:,.2f}", *times, str(row.threads), peak, f"{row.difference:.1e}")
    show(open_console(), table)

"""What `winsome barrier` reads, measures and prints: of two networks, or of the pairs of a study."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from winsome.analysis.agreement import Agreement, masked, nonzero
from winsome.analysis.connectivity import refuse_other_network
from winsome.cli import choices
from winsome.cli.console import open_console, say
from winsome.cli.ends import NamedEnd
from winsome.cli.options import KnownDataOptions
from winsome.cli.tables import add_row, open_table, show
from winsome.data.images import ImageData
from winsome.data.spec import DataSpec
from winsome.errors import WinsomeError
from winsome.evidence.barriers import BASE_LINE_WORDS, FORMAT, Connectivity, barriers, line_record, write_tables
from winsome.evidence.connectivity import Ruler, Settings, study_connectivity
from winsome.models.spec import NetworkSpec
from winsome.prunable import prunable
from winsome.state import State
from winsome.study.folder import StudyFolder


def network_of(ends: Sequence[NamedEnd], name: str | None, pairs: Sequence[str]) -> NetworkSpec:
    """The networks' architecture: as asked for, else as their runs say."""
    if name is not None:
        return NetworkSpec(name, choices.network_options(pairs))
    known = [NetworkSpec.from_record(end.config["network"]) for end in ends if end.config]
    if not known:
        raise WinsomeError(f"no run says which network {ends[0].label} is of; name it: --network resnet20 --data cifar10")
    different = [spec for spec in known if (spec.name, spec.options) != (known[0].name, known[0].options)]
    if different:
        first, other = ({"name": spec.name, "options": dict(spec.options)} for spec in (known[0], different[0]))
        raise WinsomeError(f"no line between a {known[0].name} and a {different[0].name}: {first}, {other}")
    return known[0]


def images_of(ends: Sequence[NamedEnd], options: KnownDataOptions) -> ImageData:
    """What to judge on: what was asked for, else the data of the first end whose run says it."""
    if (named := options.named()) is not None:
        return replace(named, test_images=None).load()  # the settings of a line take their part of the test images
    known = [(end, end.config["data"]) for end in ends if end.config]
    if not known:
        raise WinsomeError(f"no run says which data {ends[0].label} was trained on; name it: --data cifar10, or a folder")
    end, record = known[0]
    known_data = DataSpec.from_record(record)
    spec = replace(options.over(known_data), test_images=known_data.test_images)
    images = spec.load()
    if options.train_images is None and images.digest() != record.get("digest", images.digest()):
        raise WinsomeError(
            f"{spec.name} is not the data that {end.label} was trained with: other images, or another part of them; "
            f"give that (--data-dir, --train-images), or --data {spec.name} to judge on this"
        )
    return images


def print_line(
    ends: tuple[NamedEnd, NamedEnd], instrument: Ruler, agreement: Agreement, base_line: str, folder: Path | None
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
        _write(folder, result, base_line, console)


def _on_one_mask(ends: tuple[NamedEnd, NamedEnd], instrument: Ruler, agreement: Agreement) -> tuple[State, State]:
    """Both states under the mask that the line has."""
    first, second = (end.state for end in ends)
    for which, state in (("first", first), ("second", second)):
        refuse_other_network(which, state, instrument.network)
    tickets = [end.mask for end in ends if end.mask is not None]
    names = list(tickets[0]) if tickets else prunable(instrument.network, prune_classifier=True)
    kept = agreement(*({n: e.mask.kept(n) for n in e.mask} if e.mask else nonzero(e.state, names) for e in ends))
    return masked(first, kept), masked(second, kept)


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
    _write(StudyFolder(folder).connectivity, result, base_line, console)


def _write(folder: Path, result: Connectivity, base_line: str, console: Console) -> None:
    from winsome import figures  # here, for matplotlib takes seconds to import

    written = write_tables(folder, result)
    drawn = figures.save(figures.error_along_lines(result, base_line=base_line), folder / "error_along_lines")
    for path in (*written, *drawn):
        say(console, str(path))


@contextmanager
def _progress(console: Console) -> Iterator[Any]:
    columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("reading", total=None)
        yield lambda done, total, words: progress.update(task, completed=done, total=total, description=words)


def _measured_how(instrument: Ruler) -> str:
    statistics = instrument.settings.statistics
    words = statistics.sentence(len(instrument.data.train)) if statistics else "the stored ones, interpolated"
    return f"{len(instrument.data.test):,} test images; BatchNorm statistics {words}; {instrument.precision.label}"

"""`winsome neuron`: the single hidden neuron that explains learning-rate rewinding, simulated."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from winsome.errors import WinsomeError
from winsome.files import write_csv

if TYPE_CHECKING:
    from rich.table import Table

    from winsome.theory import Problem, Success, Trajectory


def neuron(
    *,
    d: tuple[int, ...] = (1, 2, 5, 10),
    samples: tuple[int, ...] = (10, 30, 100, 300),
    noise: float = 0.5,
    correlation: float = 0.0,
    horizon: float = 200.0,
    starts: int = 2000,
    sample_starts: int = 200,
    success_below: float = 0.1,
    seed: int = 0,
    out: Path = Path("runs/neuron"),
) -> None:
    """Simulate the theory of learning-rate rewinding: a relu(w.x) learns relu(x_1) (arXiv:2402.19262).

    The paper's section 2: one hidden neuron. From many balanced random starts: gradient flow with all d inputs, pruning
    to the largest weight, restart, gradient flow with the one input left. IMP rewinds what survives and succeeds only
    from a > 0, w_1 > 0: with probability 1/4. LRR keeps it and needs a > 0 only: 1/2 for d of 2 or more. Prints both,
    as pruning leaves them and with a rebalanced to |w|, with 95 % (Wilson) intervals; writes figures (SVG, PDF) and
    tables (CSV). See docs/theory.md.

    Args:
        d: Numbers of inputs.
        samples: Sizes of data sets, one of its own for each start, beside the population; no number for none.
        noise: Standard deviation of the labels' noise (the target's own is .58); a population feels its correlated part only.
        correlation: Of the noise with x_1, in [-1, 1]; 0 for additive noise, independent of the inputs.
        horizon: Time of the flow in each of the two phases.
        starts: Random starts for the population.
        sample_starts: Random starts for each size of data set.
        success_below: Success is a final population loss below this share of the loss of f = 0.
        seed: Of starts and data.
        out: Folder for figures and tables.
    """
    from winsome import theory
    from winsome.cli.console import open_console, say
    from winsome.cli.tables import show

    if not d:
        raise WinsomeError("give at least one number of inputs, for example --d 2 10")
    if out.exists() and not out.is_dir():
        raise WinsomeError(f"{out} is a file; give the folder for figures and tables with --out")
    sizes = (None, *dict.fromkeys(samples))
    problems = [theory.Problem(inputs, size, noise, correlation) for inputs, size in itertools.product(dict.fromkeys(d), sizes)]
    theory.check_comparison(count=min(starts, sample_starts), horizon=horizon, success_below=success_below)
    console, rows, begin = open_console(), list["Success"](), time.perf_counter()
    with console.status("") as status:
        for problem in problems:
            count = starts if problem.samples is None else sample_starts
            status.update(f"d = {problem.d}, {_data(problem)}: {count:,} starts")
            trials = theory.compare(problem, count=count, seed=seed, horizon=horizon, success_below=success_below)
            rows += theory.success_rows(trials)
        status.update("drawing")
        files = _write(rows, out, horizon)
    show(console, success_table(rows))
    say(
        console,
        f"{starts:,} starts (with samples {sample_starts:,}), noise {noise:g}, time {horizon:g} in each phase.\n"
        f"learned: population loss below {success_below:g} of that of f = 0.\n"
        "signs: starts (%) that end, as pruned, as their signs of a and w_1 decide without noise.",
    )
    words = f"{time.perf_counter() - begin:.1f} s; in {out}: {', '.join(file.name for file in files)}"
    say(console, words)


def success_table(rows: Sequence[Success]) -> Table:
    """One line for each problem and method: as pruning leaves it beside rebalanced, and the theorem's value."""
    from winsome.cli.tables import add_row, open_table

    columns = ("samples", "method", "as pruned", "rebalanced", "theorem", "signs")
    table = open_table("d", *columns, title="starts that learned the target (%), 95 % interval")
    pairs = list(zip(rows[::2], rows[1::2], strict=True))  # as pruned, rebalanced
    for number, (plain, balanced) in enumerate(pairs):
        first = number == 0 or (plain["d"], plain["samples"]) != (pairs[number - 1][0]["d"], pairs[number - 1][0]["samples"])
        add_row(
            table,
            f"{plain['d']}" if first else "",
            ("∞" if plain["samples"] is None else f"{plain['samples']:,}") if first else "",
            plain["method"],
            _share(plain),
            _share(balanced),
            f"{100 * plain['theorem']:.0f}",
            f"{100 * plain['predicted'] / plain['starts']:.1f}",
            end_section=number + 1 < len(pairs) and plain["d"] != pairs[number + 1][0]["d"],
        )
    return table


def _share(row: Success) -> str:
    return f"{100 * row['success']:.1f} ({100 * row['low']:.1f}, {100 * row['high']:.1f})"


def _data(problem: Problem) -> str:
    return "population" if problem.samples is None else f"{problem.samples:,} samples"


def _write(rows: Sequence[Success], out: Path, horizon: float) -> list[Path]:
    """The figures and the tables behind them."""
    from winsome import figures, theory  # here, for matplotlib takes seconds to import
    from winsome.figures import neuron as drawings

    out.mkdir(parents=True, exist_ok=True)
    titles = {theory.imp: "IMP rewinds", theory.lrr: "LRR keeps"}
    paths = [(title, theory.quadrant_trajectories(restart, horizon=horizon)) for restart, title in titles.items()]
    plates = {
        "quadrants": drawings.quadrants(theory.quadrant_portrait()),
        "trajectories": drawings.trajectories(paths),
        "success": drawings.success(rows),
    }
    files = [file for name, figure in plates.items() for file in figures.save(figure, out / name)]
    return [*files, _table(out / "success.csv", rows), _table(out / "trajectories.csv", _points(paths))]


def _table(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    write_csv(path, list(rows[0]), [list(row.values()) for row in rows])
    return path


def _points(paths: Sequence[tuple[str, Trajectory]]) -> list[dict[str, object]]:
    """The runs of the figure of trajectories, a row for each time."""
    return [
        {"method": name, "start": start, "phase": phase, "time": time_, "a": neurons.a_S[start], "w_1": neurons.w_SD[start, 0]}
        for name, path in paths
        for start in range(len(path.kept_S))
        for phase, states in (("all inputs", path.wide), ("pruned", path.narrow))
        for time_, neurons in zip(path.times, states, strict=True)
    ]

"""The tables of docs/sparsity.md from what `sparsity_buys.py` measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

BEGIN, END = "<!-- tables: begin (written by benchmarks/sparsity_buys.py --page) -->", "<!-- tables: end -->"
TIMES = (
    "density",
    "threads",
    "dense, eager",
    "best dense form",
    "compressed rows (layers)",
    "dense / rows",
    "shrunk",
    "dense / shrunk",
)
SIZES = (
    "density",
    "FLOPs kept",
    "dense, MB",
    "small bf16, MB",
    "small fp32, MB",
    "rows, MB",
    "peak, dense / rows, MB",
    "channels gone",
    "difference, shrunk / rows",
)
Row = Mapping[str, Any]


def write_page(page: Path, results: Mapping[str, Any]) -> None:
    """Put the tables between the page's two marks.

    Raises:
        ValueError: the page lacks the marks.
    """
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} lacks the lines {BEGIN} and {END}")
    text = "\n".join(tables(results))
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")


def tables(results: Mapping[str, Any]) -> Iterator[str]:
    """A heading and two tables, times and sizes, for every network."""
    machine = results["machine"]
    yield f"{machine['processor']}, {machine['cores']} cores, torch {machine['torch']}; milliseconds: median (least to most)."
    rows: list[Row] = list(results["rows"].values())
    for network in dict.fromkeys(row["network"] for row in rows):
        mine = sorted((r for r in rows if r["network"] == network), key=lambda row: (-row["density"], row["threads"]))
        yield f"\n### {network}\n"
        yield from heading(TIMES)
        yield from map(time_line, mine)
        yield ""
        yield from heading(SIZES)
        for density in dict.fromkeys(row["density"] for row in mine):
            yield size_line([row for row in mine if row["density"] == density])


def heading(columns: Sequence[str]) -> Iterator[str]:
    """The two first lines of a table."""
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"


def time_line(row: Row) -> str:
    """One density with one number of threads."""
    ms: Mapping[str, Sequence[float]] = row["ms"]
    dense = best(ms, "dense")
    sparse, shrunk, rows = best(ms, "csr"), best(ms, "shrink"), row["csr"]
    cells = [
        f"{row['density']:g}",
        str(row["threads"]),
        spread(ms["dense, eager"]),
        f"{spread(ms[dense])} {dense.partition(', ')[2]}" if dense else "-",
        f"{spread(ms[sparse])} ({rows['chosen']} of {rows['layers']})" if sparse else f"none faster (of {rows['layers']})",
        gain(ms, dense, sparse),
        f"{spread(ms[shrunk])} {shrunk.partition(', ')[2]}" if shrunk else "nothing to shrink",
        gain(ms, dense, shrunk),
    ]
    return f"| {' | '.join(cells)} |"


def size_line(rows: Sequence[Row]) -> str:
    """Sizes at one density; those of compressed rows are of the row that has them."""
    first, sizes = rows[0], rows[0]["bytes"]
    sparse = next((row for row in rows if "bytes" in row["csr"]), None)
    shrunk = next((row["shrink"] for row in rows if "shrink" in row), None)
    peaks = [(sparse or first)["peak"].get(form) for form in ("dense, eager", "csr, eager")]
    differences = [f"{one['difference']:.0e}" if one else "-" for one in (shrunk, sparse and sparse["csr"])]
    cells = [
        f"{first['density']:g}",
        f"{first['flops'][1] / first['flops'][0]:.1%}",
        *(megabytes(sizes[name]) for name in ("dense", "small, bf16", "small, fp32")),
        megabytes(sparse["csr"]["bytes"]) if sparse else "-",
        " / ".join("-" if peak is None else megabytes(peak) for peak in peaks),
        f"{shrunk['channels']:,}" if shrunk else "0",
        " / ".join(differences),
    ]
    return f"| {' | '.join(cells)} |"


def best(ms: Mapping[str, Sequence[float]], kind: str) -> str | None:
    """The fastest form of a kind."""
    return min((form for form in ms if form.startswith(f"{kind},")), key=lambda form: median(ms[form]), default=None)


def gain(ms: Mapping[str, Sequence[float]], dense: str | None, ours: str | None) -> str:
    """How many times as fast as the best dense form."""
    return "-" if dense is None or ours is None else f"{median(ms[dense]) / median(ms[ours]):.2f}"


def spread(times: Sequence[float]) -> str:
    """Median, least and most."""
    return f"{median(times):.3g} ({min(times):.3g} to {max(times):.3g})"


def megabytes(n_bytes: float) -> str:
    """Megabytes with three digits."""
    return f"{n_bytes / 1e6:,.3g}" if n_bytes < 1e8 else f"{n_bytes / 1e6:,.0f}"

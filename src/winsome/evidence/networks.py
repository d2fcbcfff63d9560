"""The networks of a study as a tidy table: one row for each that was judged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from winsome.evidence.results import Results
from winsome.files import write_csv, write_json
from winsome.runs.file_names import NETWORKS, RESULTS

NETWORK_COLUMNS = (
    "study", "data", "network", "arm", "label", "kind", "search", "density", "search_seed", "start",
    "accuracy", "loss", "seconds",
)  # fmt: skip


def network_rows(results: Results) -> Iterator[tuple[object, ...]]:
    """The rows of `results.csv`: which study, arm, density, search seed and start; accuracy a fraction in [0, 1]."""
    study = results["study"]
    arms = {arm["name"]: arm for arm in study["arms"]}
    for row in results["rows"]:
        arm = arms[row["arm"]]
        yield (
            *(study["name"], study["data"]["name"], study["network"]["name"]),
            *(arm["name"], arm["label"], arm["kind"], arm["search"]),
            *(row["density"], row["search_seed"], row["start"], row["accuracy"], row["loss"], row["seconds"]),
        )


def write_results(folder: Path, results: Results) -> None:
    """Write a study's `results.csv` and `results.json`."""
    write_csv(folder / NETWORKS, NETWORK_COLUMNS, network_rows(results))
    write_json(folder / RESULTS, results)

"""Evidence that most recipes share: accuracies of a study's arms over density, paired differences, and the claims' verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from winsome.evidence.intervals import contrast, interval
from winsome.evidence.results import Results, label_of
from winsome.figures.accuracy import accuracy_over_density
from winsome.figures.curves import has_curves, learning_curves
from winsome.figures.pairs import has_comparisons, paired_differences
from winsome.recipes.recipe import Evidence, Finished, Plot, Table, drawing, of_study

PAIRED = "Mean over search seeds, paired; 95 % confidence interval (Student's t)"


def accuracy_evidence(finished: Mapping[str, Finished]) -> Evidence:
    """Accuracy over density of every study, with the differences and verdicts that it collected."""
    several = len(finished) > 1
    verdicts = [of_study(claim, label, finished) for label, one in finished.items() for claim in one.results["claims"]]
    plots = [plot for label, one in finished.items() for plot in _plots(label if several else "", one.results)]
    return Evidence((accuracy_table(finished), differences_table(finished)), tuple(plots), tuple(verdicts))


def accuracy_table(finished: Mapping[str, Finished]) -> Table:
    """Every arm at every density: mean and standard deviation over search seeds."""
    rows = [
        (label, label_of(one.results, entry["arm"]), entry["density"], entry["mean"], entry["std"], entry["n_search_seeds"])
        for label, one in finished.items()
        for entry in one.results["table"]
    ]
    columns = ("study", "arm", "density", "accuracy", "standard deviation", "search seeds")
    return Table("accuracy", "Test accuracy, mean and standard deviation over search seeds.", columns, rows)


def differences_table(finished: Mapping[str, Finished]) -> Table:
    """Every claim's contrast at every density, not only at the one where it is judged."""
    rows: list[Sequence[Any]] = []
    for label, one in finished.items():
        for claim in one.study.claims:
            for density in one.study.densities:
                values = list(contrast(one.results["rows"], claim.contrast, density).values())
                if values:
                    found = interval(values)
                    won = sum(value > 0 for value in values)
                    rows.append((label, claim.meaning, density, found.mean, found.low, found.high, found.n, won))
    columns = ("study", "difference", "density", "mean", "low", "high", "search seeds", "seeds above 0")
    return Table("differences", f"{PAIRED}.", columns, rows)


def _plots(prefix: str, results: Results) -> list[Plot]:
    where = f" of {prefix}" if prefix else ""
    joint = f"-{prefix}" if prefix else ""
    plots = [Plot(f"accuracy{joint}", f"Test accuracy{where} over remaining weights.", drawing(accuracy_over_density, results))]
    if has_comparisons(results):
        caption = f"Paired differences{where} in percentage points, with 95 % intervals."
        plots.append(Plot(f"differences{joint}", caption, drawing(paired_differences, results)))
    if has_curves(results):
        caption = f"Accuracy{where} over the epochs from scratch."
        plots.append(Plot(f"curves{joint}", caption, drawing(learning_curves, results)))
    return plots

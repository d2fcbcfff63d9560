"""Evidence that most recipes share: accuracies of a study's arms over density, paired differences, and the claims' verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from winsome.evidence.intervals import contrast, interval
from winsome.evidence.results import Results, dense_names, label_of
from winsome.figures.catalogue import study_plots
from winsome.figures.plots import Plot
from winsome.recipes.recipe import Evidence, Finished, Table, of_study

PAIRED = "Mean over search seeds, paired; 95 % confidence interval (Student's t)"


def accuracy_evidence(finished: Mapping[str, Finished]) -> Evidence:
    """Accuracy over density of every study, with the differences and verdicts that it collected."""
    several = len(finished) > 1
    verdicts = [of_study(verdict, label, finished) for label, one in finished.items() for verdict in one.results["verdicts"]]
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
                dense = dense_names(one.results["study"]["arms"])
                values = list(contrast(one.results["rows"], claim.contrast, density, dense=dense).values())
                if values:
                    found = interval(values)
                    won = sum(value > 0 for value in values)
                    rows.append((label, claim.meaning, density, found.mean, found.low, found.high, found.n, won))
    columns = ("study", "difference", "density", "mean", "low", "high", "search seeds", "seeds above 0")
    return Table("differences", f"{PAIRED}.", columns, rows)


def _plots(prefix: str, results: Results) -> list[Plot]:
    """The figures of one study, of those that show arms against each other."""
    found = {plot.name: plot for plot in study_plots(results)}
    where = f"{prefix}: " if prefix else ""
    ending = f"-{prefix}" if prefix else ""
    return [Plot(f"{short}{ending}", where + found[name].caption, found[name].draw) for name, short in _SHOWN if name in found]


_SHOWN = (("accuracy_over_density", "accuracy"), ("paired_differences", "differences"), ("learning_curves", "curves"))

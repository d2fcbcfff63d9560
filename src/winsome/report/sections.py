"""What the page says about one study, in the order in which it says it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from winsome import figures
from winsome.citation import bibtex, own_entry
from winsome.evidence.results import Results, densities_of
from winsome.figures.captions import uncorrected
from winsome.figures.plots import DrawnPlot
from winsome.report.glossary import glossary
from winsome.report.markup import day, settings
from winsome.report.tables import (
    AccuracyTable,
    Difference,
    LayerLine,
    SearchLine,
    accuracy_tables,
    difference_table,
    layer_table,
    reference_label,
    search_table,
)
from winsome.report.verdicts import VerdictLine, tally, verdict_line
from winsome.wording import counted, duration, listed, percent, ranges


@dataclass(frozen=True)
class Section:
    """All that the template needs of one study."""

    place: str  # from the page to the study's folder: empty, or ending in a slash
    title: str
    subtitle: str
    run: list[str]  # sentences
    setup: list[tuple[str, list[tuple[str, str]]]]
    searches: list[SearchLine]
    verdicts: list[VerdictLine]
    tally: str
    plots: dict[str, DrawnPlot]
    tables: list[AccuracyTable]
    table_note: str
    differences: list[Difference]
    layers: tuple[str, list[str], list[LayerLine]]
    arms: list[tuple[str, str]]
    glossary: list[tuple[str, str]]
    notes: list[str]
    warnings: list[str]
    missing: list[str]
    bibtex: str


def section(results: Results, place: str = "") -> Section:
    """Everything the page says about these results; `place` is where their folder is, as seen from the page."""
    study = results["study"]
    return Section(
        place=place,
        title=study["title"] or study["name"],
        subtitle=f"{setting(results)}, {_density_span(results)} of the weights",
        run=_run(results),
        setup=_setup(results),
        searches=search_table(results),
        verdicts=[verdict_line(verdict) for verdict in results["verdicts"]],
        tally=tally(results["verdicts"]),
        plots={plot.name: figures.drawn(plot, "") for plot in figures.study_plots(results)},
        tables=accuracy_tables(results),
        table_note=_table_note(results),
        differences=difference_table(results),
        layers=layer_table(results),
        arms=[(arm["label"], arm["explanation"]) for arm in study["arms"]],
        glossary=glossary(results),
        notes=results["notes"],
        warnings=results["warnings"],
        missing=results["missing"],
        bibtex=bibtex([own_entry(), *study["citations"]]),
    )


def setting(results: Results) -> str:
    """`residual mlp on digits`."""
    study = results["study"]
    return f"{_name(study['network']['name'])} on {_name(study['data']['name'])}"


def _table_note(results: Results) -> str:
    spread = any(entry["std"] is not None for entry in results["table"])
    note = "Test accuracy in percent, mean ± standard deviation over search seeds" if spread else "Test accuracy in percent"
    against = reference_label(results)
    if against is None:
        return f"{note}."
    judged = sum(comparison["low"] is not None for comparison in results["comparisons"])
    interval = f", with its 95\u00a0% confidence interval. {uncorrected(judged)}" if judged else "."
    return f"{note}; below it {against} minus the arm in percentage points, paired by search seed{interval}"


def _density_span(results: Results) -> str:
    densities = densities_of(results)
    if len(densities) <= 4:
        return listed([percent(density) for density in densities]) or percent(1.0)
    return f"{len(densities)} densities from {percent(densities[0])} to {percent(densities[-1])}"


def _name(name: str) -> str:
    return name.replace("_", " ")


def _run(results: Results) -> list[str]:
    study, where, total = results["study"], results["environment"], results["seconds"].get("total")
    data = study["data"]
    judged_on = "validation" if data["validation"] else "test"
    work = (
        f"{counted(len(study['arms']), 'arm')} of {_name(study['network']['name'])} "
        f"({study['parameters']:,} parameters, {study['prunable']:,} of them prunable) on {_name(data['name'])} "
        f"({data['train_images']:,} training and {data['test_images']:,} {judged_on} images, {data['classes']} classes), "
        f"at {_density_span(results)} of the weights, over {counted(len(study['search_seeds']), 'search seed')} "
        f"with {counted(len(study['starts']), 'fresh start')} each: {counted(len(results['rows']), 'result')}"
    )
    hardware = f"{where['gpu']} with {where['cpu']}" if where["gpu"] else f"{where['cpu']}, without a GPU"
    versions = f"Winsome {where['winsome']}, PyTorch {where['torch']} and Python {where['python']}"
    return [
        f"{work}." if total is None else f"{work} in {duration(total)}.",
        f"Ran on {hardware}, in {where['precision']}, with {versions}, on {day(where['date'])}.",
    ]


def _setup(results: Results) -> list[tuple[str, list[tuple[str, str]]]]:
    study, seconds = results["study"], results["seconds"]
    size: dict[str, Any] = {"parameters": study["parameters"], "prunable": study["prunable"]}
    groups = [
        ("Command", [("", results["environment"]["command"])]),
        ("Network", settings(study["network"] | size)),
        ("Data", [pair for pair in settings(study["data"]) if pair != ("validation", "no")]),
        ("Searches", settings(study["search_training"])),
        ("From scratch", settings(study["training"])),
        ("Seeds", [("search", ranges(study["search_seeds"])), ("fresh starts", ranges(study["starts"]))]),
        ("Densities", [("", ", ".join(percent(density) for density in densities_of(results)))]),
        ("Time", [(key.replace("_", " "), duration(spent)) for key, spent in seconds.items()]),
    ]
    return [(name, pairs) for name, pairs in groups if pairs]

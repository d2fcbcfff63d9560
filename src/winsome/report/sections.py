"""What the page says about one study, in the order in which it says it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from winsome import figures
from winsome.citation import bibtex
from winsome.evidence.results import Claim, Results, densities_of, percent
from winsome.figures.theme import NARROW
from winsome.report import captions
from winsome.report.tables import (
    Difference,
    LayerLine,
    Table,
    accuracy_tables,
    difference_table,
    layer_table,
    reference_label,
)
from winsome.report.wording import counted, day, duration, listed, ranges, settings

# "not shown here (within the spread) at density 0.05: a minus b is +0.3 points": the badge and the tally say the opening.
_SENTENCE = re.compile(
    r"(?:not )?(?:shown|judged)(?: here)?\b(?P<how>[^:]*?)(?:\s*(?:at density [\d.e-]+|over (?:densities|all levels)))?"
    r"\s*:\s*(?P<rest>.*)",
    re.S,
)
_HYPHEN = re.compile(r"(?<![\w.])-(?=\d)")


@dataclass(frozen=True)
class Verdict:
    """One claim of a paper and what this study says to it."""

    status: str  # shown, not-shown, not-judged: also the CSS class
    word: str
    claim: str
    sentence: str
    source: str


@dataclass(frozen=True)
class Exhibit:
    """One figure for the page: a wide and a narrow drawing of the same, and its caption."""

    name: str
    wide: Markup
    narrow: Markup
    caption: str


@dataclass(frozen=True)
class Section:
    """All that the template needs of one study."""

    prefix: str  # of every id
    place: str  # the study's folder, as seen from the page
    title: str
    subtitle: str
    run: list[str]  # sentences
    setup: list[tuple[str, list[tuple[str, str]]]]
    verdicts: list[Verdict]
    tally: str
    exhibits: dict[str, Exhibit]
    tables: list[Table]
    table_note: str
    differences: list[Difference]
    layers: tuple[str, list[str], list[LayerLine]]
    arms: list[tuple[str, str]]
    glossary: list[tuple[str, str]]
    notes: list[str]
    warnings: list[str]
    bibtex: str


def section(results: Results, prefix: str, place: str) -> Section:
    """Everything the page says about these results; ids begin with `prefix`."""
    study = results["study"]
    verdicts = [verdict_of(claim) for claim in results["claims"]]
    return Section(
        prefix=prefix,
        place=place,
        title=study["title"] or study["name"],
        subtitle=_subtitle(results),
        run=_run(results),
        setup=_setup(results),
        verdicts=verdicts,
        tally=_tally(results["claims"], verdicts),
        exhibits=_exhibits(results, prefix),
        tables=accuracy_tables(results),
        table_note=_table_note(results),
        differences=difference_table(results),
        layers=layer_table(results),
        arms=[(arm["label"], arm["explanation"]) for arm in study["arms"]],
        glossary=captions.glossary(results),
        notes=results["notes"],
        warnings=_warnings(results),
        bibtex=bibtex(study["citations"]),
    )


def verdict_of(claim: Claim) -> Verdict:
    """A claim's verdict for the page, its sentence rid of what the badge says."""
    status, word = {
        True: ("shown", "Shown here"),
        False: ("not-shown", "Not shown here"),
        None: ("not-judged", "Not judged"),
    }[claim["shown"]]
    match = _SENTENCE.fullmatch(claim["sentence"])
    how, rest = (match["how"].strip(" ,()"), match["rest"]) if match else ("", claim["sentence"])
    rest = _HYPHEN.sub("−", rest)
    return Verdict(status, f"{word}, {how}" if how else word, claim["claim"], rest[:1].upper() + rest[1:], claim["source"])


def _tally(claims: list[Claim], verdicts: list[Verdict]) -> str:
    counts = {word: sum(verdict.status == status for verdict in verdicts) for status, word in _TALLY}
    parts = [f"{count} {word}" for word, count in counts.items() if count]
    densities = {claim["density"] for claim in claims if claim["density"] is not None}
    where = f" at {percent(densities.pop())} of the weights" if len(densities) == 1 else ""
    return f"Of {counted(len(verdicts), 'claim')}{where}, {listed(parts)}." if verdicts else ""


_TALLY = (("shown", "shown here"), ("not-shown", "not shown"), ("not-judged", "not judged"))


def _exhibits(results: Results, prefix: str) -> dict[str, Exhibit]:
    exhibits = {}
    for plate in figures.possible_plates(results):
        caption = captions.CAPTIONS[plate.name](results)
        name = prefix + plate.name
        wide = figures.inline_svg(plate.draw(results, on_page=True), f"{name}-wide", caption)
        narrow = figures.inline_svg(plate.draw(results, width=NARROW, on_page=True), f"{name}-narrow", caption)
        exhibits[plate.name] = Exhibit(plate.name, Markup(wide), Markup(narrow), caption)
    return exhibits


def _table_note(results: Results) -> str:
    spread = any(entry["std"] is not None for entry in results["table"])
    note = "Test accuracy in percent, mean ± standard deviation over search seeds" if spread else "Test accuracy in percent"
    against = reference_label(results)
    if against is None:
        return f"{note}."
    judged = any(comparison["low"] is not None for comparison in results["comparisons"])
    interval = ", with its 95\u00a0% confidence interval" if judged else ""
    return f"{note}; below it the difference to {against} in percentage points, paired by search seed{interval}."


def _subtitle(results: Results) -> str:
    study = results["study"]
    return f"{_name(study['network'])} on {_name(study['data'])}, {_density_span(results)} of the weights"


def _density_span(results: Results) -> str:
    densities = densities_of(results)
    if len(densities) <= 4:
        return listed([percent(density) for density in densities]) or "100 %"
    return f"{len(densities)} densities from {percent(densities[0])} to {percent(densities[-1])}"


def _name(record: dict[str, Any]) -> str:
    return str(record.get("name", "unnamed")).replace("_", " ")


def _run(results: Results) -> list[str]:
    study, where, seconds = results["study"], results["environment"], results["seconds"]
    data, total = study["data"], seconds.get("total")
    images = ""
    if {"train_images", "test_images", "classes"} <= data.keys():
        images = f" ({data['train_images']:,} training and {data['test_images']:,} test images, {data['classes']} classes)"
    work = (
        f"{counted(len(study['arms']), 'arm')} of {_name(study['network'])} on {_name(data)}{images}, "
        f"at {_density_span(results)} of the weights, over {counted(len(study['search_seeds']), 'search seed')} "
        f"with {counted(len(study['starts']), 'fresh start')} each: {counted(len(results['rows']), 'result')}"
    )
    hardware = str(where.get("cpu") or "an unnamed processor")
    ran = [f"Ran on {where['gpu']} with {hardware}" if where.get("gpu") else f"Ran on {hardware}, without a GPU"]
    if where.get("precision"):
        ran.append(f"in {where['precision']}")
    versions = [f"{name} {where[key]}" for key, name in _SOFTWARE if where.get(key)]
    if versions:
        ran.append(f"with {listed(versions)}")
    if where.get("date"):
        ran.append(f"on {day(str(where['date']))}")
    return [f"{work}." if total is None else f"{work} in {duration(total)}.", f"{', '.join(ran)}."]


_SOFTWARE = (("winsome", "Winsome"), ("torch", "PyTorch"), ("python", "Python"))


def _setup(results: Results) -> list[tuple[str, list[tuple[str, str]]]]:
    study, seconds = results["study"], results["seconds"]
    command = results["environment"].get("command")
    groups = [
        ("Command", [("", str(command))] if command else []),
        ("Network", settings(study["network"])),
        ("Data", settings(study["data"])),
        ("Searches", settings(study["search_training"])),
        ("From scratch", settings(study["training"])),
        ("Seeds", [("search", ranges(study["search_seeds"])), ("fresh starts", ranges(study["starts"]))]),
        ("Densities", [("", ", ".join(percent(density) for density in densities_of(results)))]),
        ("Time", [(key.replace("_", " "), duration(spent)) for key, spent in seconds.items()]),
    ]
    return [(name, pairs) for name, pairs in groups if pairs]


def _warnings(results: Results) -> list[str]:
    levels = [warning for search in results["searches"] for level in search["levels"] for warning in level["warnings"]]
    return list(dict.fromkeys([*results["warnings"], *levels]))

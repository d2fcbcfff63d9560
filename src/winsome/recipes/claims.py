"""Every claim in one table: what recipes that have run say to it, scale by scale."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from winsome.errors import WinsomeError
from winsome.evidence.results import Verdict
from winsome.evidence.verdicts import numbers
from winsome.recipes.catalogue import RECIPES
from winsome.recipes.recipe import Scale
from winsome.recipes.record import FILE_NAME, FORMAT
from winsome.recipes.set_ups import A, B
from winsome.wording import listed

Record = Mapping[str, Any]  # what `recipe.json` holds

_PAPERS = (
    (A, "Find A Winning Sign (arXiv:2504.05357)"),
    (B, "Masks, Signs, And Learning Rate Rewinding (arXiv:2402.19262)"),
    ("", "Beyond the two papers"),
)
_STATUS = {"shown": "shown", "opposite": "**opposite**", "within the spread": "not shown", "not judged": "not judged"}


@dataclass(frozen=True)
class JudgedClaim:
    """A claim, and what each scale says to it: verdicts of one set-up or several."""

    recipe: str
    claim: str
    source: str
    found: Mapping[Scale, Sequence[Verdict]]


def records_in(folder: Path) -> list[Record]:
    """The records of all recipes that have run in a folder, at whatever scale, in the catalogue's order.

    Raises:
        WinsomeError: there is none, or one is of another version.
    """
    found = []
    for path in sorted(folder.glob(f"*/{FILE_NAME}")):
        record = json.loads(path.read_text())
        if record.get("format") != FORMAT:
            raise WinsomeError(f"{path} is of another version of Winsome; run the recipe again")
        found.append(record)
    if not found:
        raise WinsomeError(f"no recipe has run in {folder}: `winsome reproduce NAME --save-to {folder}` first")
    order = {name: place for place, name in enumerate(RECIPES)}
    scales = get_args(Scale)
    return sorted(found, key=lambda record: (order.get(record["name"], len(order)), scales.index(record["scale"])))


def lines_of(records: Iterable[Record]) -> list[JudgedClaim]:
    """One line for each claim of each recipe."""
    made: dict[tuple[str, str], dict[Scale, list[Verdict]]] = {}
    sources: dict[tuple[str, str], str] = {}
    for record in records:
        for verdict in record["verdicts"]:
            key = (record["name"], verdict["claim"])
            sources.setdefault(key, verdict["source"])
            made.setdefault(key, {}).setdefault(record["scale"], []).append(verdict)
    return [JudgedClaim(recipe, claim, sources[recipe, claim], found) for (recipe, claim), found in made.items()]


def claims_page(records: Sequence[Record]) -> str:
    """All of it as Markdown: counts, where scales disagree, and a table for each paper."""
    lines = lines_of(records)
    scales: list[Scale] = [scale for scale in get_args(Scale) if any(record["scale"] == scale for record in records)]
    parts = [_OPENING, *(_hardware(scale, records) for scale in scales), _tally(lines, scales)]
    if differing := [line for line in lines if _disagree(line)]:
        parts.append("Scales disagree about these (first set-up of each):")
        parts.append("\n".join(f"- {line.claim} {_both(line)}" for line in differing))
    for mark, title in _PAPERS:
        own = [line for line in lines if _paper(records, line.recipe) == mark]
        if own:
            parts += [f"## {title}", _table(own, scales)]
    return "\n\n".join(parts) + "\n"


def short_table(records: Sequence[Record], source: str) -> str:
    """The claims of one paper's recipes at small and medium scale, in few words, as a Markdown table.

    Args:
        records: of recipes that have run.
        source: the paper, as "arXiv:2504.05357".

    Raises:
        WinsomeError: no recipe of that source has run.
    """
    known = [mark for mark, _ in _PAPERS if mark]
    own = [line for line in lines_of(records) if source in known and _paper(records, line.recipe) == source]
    if not own:
        raise WinsomeError(f"no recipe of {source!r} is here: the papers are {' or '.join(known)}")
    rows = [
        (line.claim, *(_short(line.found.get(scale, ())) for scale in ("small", "medium")), f"`{line.recipe}`") for line in own
    ]
    return "\n".join(_row(cells) for cells in (("claim", "small", "medium", "recipe"), ["---"] * 4, *rows)) + "\n"


def _short(verdicts: Sequence[Verdict]) -> str:
    """One verdict with its numbers; of several set-ups in how many it shows, and in how many the opposite does."""
    if len(verdicts) <= 1:
        return _cell(verdicts, named=False)
    counts = {status: sum(one["status"] == status for one in verdicts) for status in ("shown", "opposite")}
    words = [f"{_STATUS[status]} in {count} of {len(verdicts)}" for status, count in counts.items() if count]
    return ", ".join(words) or f"not shown in any of {len(verdicts)}"


def _paper(records: Sequence[Record], recipe: str) -> str:
    source = next(record["source"] for record in records if record["name"] == recipe)
    return next(mark for mark, _ in _PAPERS if source.startswith(mark))


def _hardware(scale: Scale, records: Sequence[Record]) -> str:
    """What the recipes of a scale ran on."""
    places = dict.fromkeys(_place(record["environment"]) for record in records if record["scale"] == scale)
    return f"- {scale}: {listed(list(places))}."


def _place(environment: Mapping[str, Any]) -> str:
    gpu = f"{environment['gpu']} and " if environment.get("gpu") else ""
    return f"{gpu}{environment['cpu']}, PyTorch {environment['torch']}"


def _tally(lines: Sequence[JudgedClaim], scales: Sequence[Scale]) -> str:
    counts = []
    for scale in scales:
        statuses = [[verdict["status"] for verdict in line.found[scale]] for line in lines if scale in line.found]
        everywhere = sum(all(status == "shown" for status in one) for one in statuses)
        somewhere = sum("shown" in one for one in statuses) - everywhere
        counts.append(
            f"At {scale} scale {everywhere} of {len(statuses)} claims show in every set-up, {somewhere} in some, "
            f"{len(statuses) - everywhere - somewhere} in none."
        )
    return " ".join(counts)


def _disagree(line: JudgedClaim) -> bool:
    first = {scale: verdicts[0]["status"] for scale, verdicts in line.found.items()}
    return len({status == "shown" for status in first.values()}) > 1 or {"shown", "opposite"} <= {*first.values()}


def _both(line: JudgedClaim) -> str:
    return f"({'; '.join(f'{scale} {_cell(line.found[scale][:1], named=False)}' for scale in line.found)}; {line.recipe})"


def _table(lines: Sequence[JudgedClaim], scales: Sequence[Scale]) -> str:
    absent = [scale for scale in get_args(Scale) if scale not in scales]
    heads = ["claim", "recipe", *scales, *absent]
    rows = [
        [
            f"{line.claim} ({line.source})",
            f"`{line.recipe}`",
            *(_cell(line.found.get(scale, ()), named=len(line.found.get(scale, ())) > 1) for scale in scales),
            *("not run" for _ in absent),
        ]
        for line in lines
    ]
    return "\n".join(_row(cells) for cells in (heads, ["---"] * len(heads), *rows))


def _row(cells: Sequence[str]) -> str:
    bar = "\\|"  # inside a cell
    return f"| {' | '.join(cell.replace('|', bar) for cell in cells)} |"


def _cell(verdicts: Sequence[Verdict], *, named: bool) -> str:
    if not verdicts:
        return "not run"
    return "<br>".join(f"{one['study']}: {_finding(one)}" if named else _finding(one) for one in verdicts)


def _finding(verdict: Verdict) -> str:
    return f"{_STATUS.get(verdict['status'], verdict['status'])}, {numbers(verdict)}"


_OPENING = """# Both papers, claim by claim

What holds, and at which scale. A claim is *shown* where the whole 95 % interval (Student's t, over search seeds, paired) of
its contrast is above 0, *opposite* where all of it is below, and *not shown* where it holds 0; the intervals are not
corrected for their number. A cell has the verdict, the mean, the interval and the number of seeds: in percentage points where
nothing else is said. *Small* is 8x8 digits on small networks, *medium* 16x16 photographs of CIFAR-10 on a ResNet-20, *paper*
the papers' own set-up.

`winsome reproduce NAME --scale SCALE` runs a recipe, and `winsome reproduce summary` made this page of what ran, on"""

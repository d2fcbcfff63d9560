"""Verdicts as a page shows them, and how they are counted up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from winsome.evidence.results import Verdict
from winsome.evidence.verdicts import finding, status_words
from winsome.wording import counted, listed, percent


@dataclass(frozen=True)
class VerdictLine:
    """One claim of a paper and what was found: a badge, the claim, the number, and where the claim is made."""

    status: str  # shown, not-shown, not-judged: the CSS class
    word: str
    claim: str
    finding: str
    source: str


def verdict_line(verdict: Verdict) -> VerdictLine:
    """A verdict in words for the page."""
    status, how = status_words(verdict)
    badge = f"{status}, {how}" if how else status
    source = f"{verdict['source']} · {verdict['study']}" if verdict["study"] else verdict["source"]
    return VerdictLine(_css(verdict), _capital(badge), verdict["claim"], _capital(finding(verdict, minus="−")), source)


def tally(verdicts: Sequence[Verdict]) -> str:
    """`Of 8 claims at 5.63 % of the weights, 5 shown here and 3 not shown.`"""
    counts = [(label, sum(_css(verdict) == status for verdict in verdicts)) for status, label in _TALLY]
    parts = [f"{count} {label}" for label, count in counts if count]
    densities = {verdict["density"] for verdict in verdicts if verdict["density"] is not None}
    where = f" at {percent(densities.pop())} of the weights" if len(densities) == 1 else ""
    return f"Of {counted(len(verdicts), 'claim')}{where}, {listed(parts)}." if verdicts else ""


def _css(verdict: Verdict) -> str:
    return {"shown": "shown", "not judged": "not-judged"}.get(verdict["status"], "not-shown")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


_TALLY = (("shown", "shown here"), ("not-shown", "not shown"), ("not-judged", "not judged"))

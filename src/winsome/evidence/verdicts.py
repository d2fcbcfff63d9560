"""Whether a claim shows in what was run: a record of the judgement, and its words for terminal and page."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from winsome.evidence.intervals import DENSE, contrast, interval
from winsome.evidence.results import RunRow, Status, Unit, Verdict
from winsome.study.arms import Claim
from winsome.wording import counted, fixed


def verdict(rows: Sequence[RunRow], claim: Claim, density: float, *, dense: Collection[str] = DENSE) -> Verdict | None:
    """Whether a claim shows in these runs at a density; None where an arm that it compares was not run.

    It shows if the whole interval of its contrast is above 0; from a single search seed nothing is judged.
    """
    values = list(contrast(rows, claim.contrast, density, dense=dense).values())
    if not values:
        return None
    found = judged(values, claim, f"at density {density:.3g}")
    found["density"] = density
    return found


def judged(values: Sequence[float], claim: Claim, where: str, *, unit: Unit = "points") -> Verdict:
    """The verdict on a claim whose contrast has these values, one for each search seed.

    Args:
        values: what should be above 0; NaN where a seed has none.
        claim: the statement; its contrast is not looked at.
        where: at which density, or over what.
        unit: of the values.
    """
    there = [value for value in values if math.isfinite(value)]
    found = interval(there) if there else None
    status: Status = "not judged"
    reason = ""
    if found is None or found.n < len(values):
        reason = f"no value of {len(values) - len(there)} of {len(values)} search seeds"
    elif found.low is None or found.high is None:
        reason = "one search seed"
    else:
        status = "shown" if found.low > 0 else "opposite" if found.high < 0 else "within the spread"
    return {
        "claim": claim.text,
        "source": claim.source,
        "meaning": claim.meaning,
        "where": where,
        "density": None,
        "status": status,
        "reason": reason,
        "unit": unit,
        "value": found.mean if found else None,
        "low": found.low if found else None,
        "high": found.high if found else None,
        "n": len(there),
        "of": "search seed",
        "study": None,
    }


def status_words(verdict: Verdict) -> tuple[str, str]:
    """What a verdict says, and why it says no more: `not shown here` and `the opposite shows`."""
    match verdict["status"]:
        case "shown":
            return "shown here", ""
        case "not judged":
            return "not judged", verdict["reason"]
        case "opposite":
            return "not shown here", "the opposite shows"
        case "within the spread":
            return "not shown here", "within the spread"
        case _:
            return "not shown here", verdict["reason"]


def finding(verdict: Verdict, *, minus: str = "-") -> str:
    """`a minus b is +2.5 points (95 % interval +2.0 to +3.1, 32 search seeds)`."""
    if verdict["value"] is None:
        return f"{verdict['meaning']} has no value"
    scale, digits, sign, unit = _UNITS[verdict["unit"]]

    def number(value: float) -> str:
        return fixed(scale * value, digits, sign=sign, minus=minus)

    several = counted(verdict["n"], verdict["of"])
    if verdict["low"] is None or verdict["high"] is None:
        spread = f"{several}: no interval"
    else:
        spread = f"95 % interval {number(verdict['low'])} to {number(verdict['high'])}, {several}"
    return f"{verdict['meaning']} is {number(verdict['value'])}{unit} ({spread})"


def numbers(verdict: Verdict) -> str:
    """`+2.5 (2.0, 3.1), n 32`: the same in a table's cell, without unit where it is points."""
    if verdict["value"] is None:
        return "no value"
    scale, digits, sign, unit = _UNITS[verdict["unit"]]
    value = fixed(scale * verdict["value"], digits, sign=sign, minus="-")
    ends = (verdict["low"], verdict["high"])
    between = ", ".join(fixed(scale * end, digits, minus="-") for end in ends if end is not None)
    return f"{value}{unit if verdict['unit'] == 'percent' else ''} ({between or 'no interval'}), n {verdict['n']}"


def sentence(verdict: Verdict) -> str:
    """All of it on one line, for a terminal."""
    words, how = status_words(verdict)
    opening = " ".join(part for part in (words, f"({how})" if how else "", verdict["where"]) if part)
    return f"{opening}: {finding(verdict)}"


_UNITS: dict[Unit, tuple[float, int, bool, str]] = {
    "points": (100, 1, True, " points"),
    "percent": (100, 1, False, " %"),
    "number": (1, 2, True, ""),
}

"""What one method is better by than another where levels have one length, and whether that grows less with the length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from winsome.evidence.intervals import Interval, contrast, interval
from winsome.evidence.results import RunRow, Verdict
from winsome.evidence.verdicts import judged
from winsome.study.arms import Claim


@dataclass(frozen=True)
class Lead:
    """A difference between two methods whose levels have one length.

    Attributes:
        name: of the difference: "LRR minus IMP".
        epochs: of every level.
        by_seed: differences of accuracy by search seed, fractions.
    """

    name: str
    epochs: int
    by_seed: Mapping[int, float]

    @classmethod
    def of(cls, claim: Claim, rows: Sequence[RunRow], density: float, epochs: int) -> Lead:
        """The contrast of a claim in a study's runs at a density, by search seed; its levels have so many epochs."""
        return cls(claim.meaning, epochs, contrast(rows, claim.contrast, density))

    @property
    def interval(self) -> Interval:
        """Its mean and confidence interval."""
        return interval(tuple(self.by_seed.values()))


def shrinks(leads: Sequence[Lead], source: str) -> Verdict:
    """The verdict on whether a lead is less in the longest levels than in the shortest, paired by search seed.

    Args:
        leads: of one name, one for each length.
        source: who says so.

    Raises:
        ValueError: there is no lead.
    """
    short, long = min(leads, key=lambda lead: lead.epochs), max(leads, key=lambda lead: lead.epochs)
    meaning = f"{short.name}, in levels of {short.epochs} epochs, less that of {long.epochs}"
    values = [value - long.by_seed[seed] for seed, value in short.by_seed.items() if seed in long.by_seed]
    return judged(values, Claim(f"It shrinks as levels grow: {short.name}.", source, {}, meaning), "at the last level")

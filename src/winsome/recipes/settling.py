"""What is claimed of when signs settle and how often they flip, judged on the searches of a study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from winsome.analysis.sign_history import search_runs, sign_history
from winsome.analysis.signs import SignDynamics, dynamics
from winsome.evidence.results import Verdict
from winsome.evidence.signs import Measure, by_method, paired
from winsome.evidence.verdicts import judged
from winsome.recipes.recipe import Finished
from winsome.recipes.set_ups import OURS, B
from winsome.study.arms import Claim


@dataclass(frozen=True)
class SignClaim:
    """The claim that a measure is higher in the searches of one method than in those of another.

    Attributes:
        claim: the statement; it has no contrast of arms.
        higher: the search in which it is higher, by name.
        lower: the other one.
        measure: of the signs of one search.
    """

    claim: Claim
    higher: str
    lower: str
    measure: Measure


EARLIER = SignClaim(
    Claim("Signs settle earlier under LRR than under IMP.", B, {}, "settled level of IMP minus that of LRR"),
    "imp",
    "lrr",
    SignDynamics.mean_settled,
)
FEWER = SignClaim(
    Claim("A sign flips less often under LRR than under IMP.", B, {}, "flips per weight under IMP minus under LRR"),
    "imp",
    "lrr",
    SignDynamics.mean_flips,
)
AWS_NO_LATER = SignClaim(
    Claim("AWS settles no later than LRR.", OURS, {}, "settled level of LRR minus that of AWS"),
    "lrr",
    "aws",
    SignDynamics.mean_settled,
)


def counted_in(one: Finished) -> list[SignDynamics]:
    """What the signs of every search of a study did, over the weights that live at its end."""
    return [dynamics(sign_history(run)) for run in search_runs([one.folder])]


def judge(claim: SignClaim, counted: Sequence[SignDynamics]) -> Verdict:
    """The verdict on a claim, paired by search seed."""
    methods = by_method(counted)
    values = paired(methods[claim.higher], methods[claim.lower], claim.measure)
    return judged(values, claim.claim, "over all levels", unit="number")

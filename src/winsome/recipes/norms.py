"""What normalisation and warm-up do for LRR (arXiv:2402.19262)."""

from __future__ import annotations

from winsome.methods import rewind_norms
from winsome.recipes.accuracy import accuracy_evidence
from winsome.recipes.recipe import Recipe, Scale
from winsome.recipes.set_ups import B, Searches, SetUp, lrr, over, studies_of_searches
from winsome.study.arms import Claim
from winsome.study.design import SearchSpec


def norm_rewinding(scale: Scale) -> Recipe:
    """Normalisation rewound or kept at every level, with and without a learning-rate warm-up.

    Claim (arXiv:2402.19262, BN rewinding): What LRR owes to trained normalisation and to the learning-rate warm-up.

    Command: winsome reproduce norm_rewinding

    Measured at small scale (16 search seeds, in points, 95 % intervals; two cores of an AMD EPYC, Zen 4): LRR minus LRR
    with norms rewound +.4 (-.3, 1.2); the same difference without warm-up +.7 (-.3, 1.7); LRR with minus without warm-up
    +3.3 (2.1, 4.5); the warm-up's gain, norms rewound minus kept +.3 (-1.2, 1.7). All of it is in docs/masks-signs-lrr.md.
    """

    def searches(set_up: SetUp) -> Searches:
        cold = set_up.cold
        rewound = set_up.taking_back(rewind_norms(lrr(set_up), step=set_up.warmup_steps))
        return {
            "lrr": (SearchSpec(lrr(set_up)), "LRR", "With warm-up, normalisation kept."),
            "norms": (SearchSpec(rewound), "LRR, norms rewound", "With warm-up; normalisation goes back at every level."),
            "cold": (SearchSpec(lrr(set_up), training=cold), "LRR, no warm-up", "Without warm-up, normalisation kept."),
            "norms_cold": (
                SearchSpec(rewound, training=cold),
                "LRR, norms rewound, no warm-up",
                "Without warm-up; normalisation goes back at every level.",
            ),
        }

    ours = f"{B} asks; the wording is ours"
    both = {"norms": 1.0, "norms_cold": -1.0, "lrr": -1.0, "cold": 1.0}
    claims = (
        over("Rewinding normalisation makes LRR worse.", "lrr", "norms", "LRR minus LRR with norms rewound", ours),
        over("It does so without warm-up, too.", "cold", "norms_cold", "the same difference without warm-up", ours),
        over("LRR gains from the warm-up.", "lrr", "cold", "LRR with minus without warm-up", ours),
        Claim("Warm-up matters more where norms are rewound.", ours, both, "the warm-up's gain, norms rewound minus kept"),
    )
    claim = "What LRR owes to trained normalisation and to the learning-rate warm-up."
    studies = studies_of_searches(scale, "Normalisation rewinding and warm-up", searches, claims, reference="lrr")
    return Recipe("Normalisation rewinding and warm-up", f"{B}, BN rewinding", claim, studies, analyse=accuracy_evidence)

"""Linear mode connectivity: does a planted signed mask train back into the basin it was read from (arXiv:2504.05357)?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from winsome.evidence.barriers import Connectivity, barrier_of, write_tables
from winsome.evidence.connectivity import study_connectivity
from winsome.evidence.results import Verdict
from winsome.evidence.verdicts import judged
from winsome.figures.connectivity import error_along_lines
from winsome.figures.plots import Plot
from winsome.recipes.recipe import Evidence, Finished, Recipe, Scale, Table, of_study
from winsome.recipes.set_ups import A
from winsome.recipes.tickets import paper_studies
from winsome.study import presets
from winsome.study.arms import ARMS, Claim
from winsome.study.folder import StudyFolder

ARM_NAMES = (
    "network_lrr",
    "network_aws",
    "planted_lrr",
    "planted_aws",
    "planted_lrr_phi",
    "planted_aws_phi",
    "planted_lrr_reordered",
    "planted_aws_reordered",
)
# Each says that the barrier of one pair is higher than that of another.
CLAIMS = (
    ("s_AWS comes back to its network's basin more nearly than s_LRR.", "lrr_planted", "aws_planted"),
    ("LRR's basin is kept by signs and norms, not by signs alone.", "lrr_planted", "lrr_norms_kept"),
    ("Planted s_AWS is stabler to SGD noise than planted s_LRR.", "lrr_noise", "aws_noise"),
)


def connectivity(scale: Scale) -> Recipe:
    """Error along the lines between planted networks and the networks of the searches, and SGD-noise stability.

    Claim (arXiv:2504.05357, connectivity panels): s_AWS and the AWS network are linearly connected; s_LRR and the LRR
    network are not.

    Command: winsome reproduce connectivity

    Measured at small scale (16 search seeds, in points, 95 % intervals; two cores of an AMD EPYC, Zen 4): the barrier of
    s_LRR to LRR network minus that of s_AWS to AWS network +34.7 (29.7, 39.8); the barrier of s_LRR to LRR network minus
    that of s_LRR, psi kept, to LRR network +36.5 (31.3, 41.7); the barrier of s_LRR: two data orders minus that of s_AWS:
    two data orders +.7 (.3, 1.0). All of it is in docs/find-a-winning-sign.md.
    """
    arms = tuple(ARMS[name] for name in ARM_NAMES)
    small = replace(presets.digits(), levels=(12,), search_seeds=tuple(range(16)), curve_at=())
    base = {
        "small": {"residual-mlp-digits": small},
        "medium": {"resnet20-photographs": replace(presets.photographs(), levels=(5,))},
        "paper": {name: study for name, study in paper_studies().items() if name.startswith("resnet50")},
    }[scale]
    studies = {name: replace(study, arms=arms, starts=(0, 1), claims=(), reference=None) for name, study in base.items()}
    claim = "|θ₀|·s_AWS and the AWS network are linearly connected; |θ₀|·s_LRR and the LRR network are not."
    return Recipe("Linear mode connectivity", f"{A}, connectivity panels", claim, studies, analyse=_lines)


def _lines(finished: Mapping[str, Finished]) -> Evidence:
    rows: list[Sequence[Any]] = []
    plots: list[Plot] = []
    verdicts: list[Verdict] = []
    for label, one in finished.items():
        measured = study_connectivity(one.folder, data_dir=one.study.data.data_dir)
        write_tables(StudyFolder(one.folder).connectivity, measured)
        labels = {pair["name"]: pair["label"] for pair in measured["pairs"]}
        for row in measured["barriers"]:
            between = [None if end is None else 100 * end for end in (row["low"], row["high"])]
            ends = (100 * row["first_error"], 100 * row["last_error"])
            rows.append((label, labels[row["pair"]], row["base_line"], 100 * row["error"], *between, row["n"], *ends))
        name = f"lines-{label}" if len(finished) > 1 else "lines"
        caption = (
            "Test error along the straight line between two networks. Thin: one search seed each, its starts averaged; bold: "
            "their mean; dashed: the straight line between the ends. Barrier: mean ± standard deviation over search seeds."
        )
        plots.append(Plot(name, caption, partial(error_along_lines, measured)))
        verdicts += [of_study(found, label, finished) for found in _verdicts(measured)]
    columns = ("study", "pair", "above", "barrier", "low", "high", "seeds", "first", "last")
    caption = (
        "Error barriers in percentage points above the straight line between the ends or their mean, 95 % intervals over "
        "search seeds; test errors at the first and the last end in percent."
    )
    table = Table("barriers", caption, columns, rows)
    note = (
        "A barrier is the highest point above the base line, the ends included, so it is never below 0: noise alone makes it "
        "positive. It is given here above the straight line between the ends; above their mean, as the paper's code takes it, "
        "unequal ends alone read as a barrier (both are in the table)."
    )
    return Evidence((table,), tuple(plots), tuple(verdicts), (note,))


def _verdicts(measured: Connectivity) -> list[Verdict]:
    labels = {pair["name"]: pair["label"] for pair in measured["pairs"]}
    verdicts: list[Verdict] = []
    for text, higher, lower in CLAIMS:
        high, low = barrier_of(measured, higher), barrier_of(measured, lower)
        values = [high[seed] - low[seed] for seed in sorted(high.keys() & low.keys())]
        if values:
            meaning = f"the barrier of “{labels[higher]}” minus that of “{labels[lower]}”"
            verdicts.append(judged(values, Claim(text, A, {}, meaning), f"at density {measured['density']:.3g}"))
    return verdicts

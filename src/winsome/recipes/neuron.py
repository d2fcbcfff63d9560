"""The theory: a single neuron that LRR trains where IMP fails (arXiv:2402.19262, section 2, figures 1 and 2a)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import partial

from winsome import theory
from winsome.evidence.results import Verdict
from winsome.figures import neuron
from winsome.figures.plots import Plot
from winsome.recipes.recipe import Evidence, Finished, Recipe, Scale, Table
from winsome.recipes.set_ups import B
from winsome.theory import Success


def single_neuron(scale: Scale) -> Recipe:
    """The four quadrants, the runs of IMP and LRR, and the probability of success over dimensions and samples.

    Claim (arXiv:2402.19262, figures 1 and 2a): IMP learns the target from a quarter of all starts, LRR from half of them as
    soon as d is 2 or more.

    Command: winsome reproduce single_neuron

    Measured at small scale (two cores of an AMD EPYC, Zen 4): IMP succeeds with probability 0.25 at d = 1: 25.8 % of 2,000
    starts (95 % interval 23.9 to 27.7); LRR succeeds with probability 0.25 at d = 1: 25.8 % of 2,000 starts (95 % interval
    23.9 to 27.7); IMP succeeds with probability 0.25 at d = 2: 24.9 % of 2,000 starts (95 % interval 23.1 to 26.9); LRR
    succeeds with probability 0.5 at d = 2: 47.4 % of 2,000 starts (95 % interval 45.3 to 49.6); IMP succeeds with
    probability 0.25 at d = 5: 25.4 % of 2,000 starts (95 % interval 23.5 to 27.3); LRR succeeds with probability 0.5 at d =
    5: 50.4 % of 2,000 starts (95 % interval 48.2 to 52.6); IMP succeeds with probability 0.25 at d = 10: 24.1 % of 2,000
    starts (95 % interval 22.2 to 26.0); LRR succeeds with probability 0.5 at d = 10: 49.3 % of 2,000 starts (95 % interval
    47.1 to 51.5). All of it is in docs/theory.md.
    """
    starts, sampled = (2000, 200) if scale == "small" else (20_000, 2000)
    claim = "IMP learns the target from a quarter of all starts, LRR from half of them as soon as d is 2 or more."
    return Recipe(
        "The single hidden neuron", f"{B}, figures 1 and 2a", claim, analyse=partial(_simulated, starts=starts, sampled=sampled)
    )


def _simulated(_finished: Mapping[str, Finished], *, starts: int, sampled: int) -> Evidence:
    rows: list[Success] = []
    for d, samples in itertools.product((1, 2, 5, 10), (None, 10, 30, 100, 300)):
        problem = theory.Problem(d, samples, 0.0 if samples is None else 0.5)
        rows += theory.success_rows(theory.compare(problem, count=starts if samples is None else sampled))
    paths = [
        (title, theory.quadrant_trajectories(restart))
        for title, restart in (("IMP rewinds", theory.imp), ("LRR keeps", theory.lrr))
    ]
    plots = (
        Plot("quadrants", "Where a start ends depends on its quadrant.", partial(neuron.quadrants, theory.quadrant_portrait())),
        Plot("trajectories", "Starts in four quadrants: trained wide, pruned, restarted.", partial(neuron.trajectories, paths)),
        Plot(
            "success",
            "The share of starts that learn the target, from the population and from samples; bars: 95 % intervals (Wilson).",
            partial(neuron.success, rows),
        ),
    )
    caption = "Starts that learned the target, Wilson 95 % intervals, the theorem's value."
    columns = ("d", "samples", "noise", "method", "rebalanced", "starts", "success", "low", "high", "theorem")
    table = Table("success", caption, columns, [[dict(row)[key] for key in columns] for row in rows])
    plain = [row for row in rows if row["samples"] is None and not row["rebalanced"]]
    return Evidence((table,), plots, tuple(_verdict(row) for row in plain))


def _verdict(row: Success) -> Verdict:
    """Whether the theorem's probability lies in the interval of what was counted."""
    inside = row["low"] <= row["theorem"] <= row["high"]
    return {
        "claim": f"{row['method']} succeeds with probability {row['theorem']:g} at d = {row['d']}.",
        "source": B,
        "meaning": "the share of starts that learn the target",
        "where": "",
        "density": None,
        "status": "shown" if inside else "not shown",
        "reason": "" if inside else "outside the interval",
        "unit": "percent",
        "value": row["success"],
        "low": row["low"],
        "high": row["high"],
        "n": row["starts"],
        "of": "start",
        "study": None,
    }

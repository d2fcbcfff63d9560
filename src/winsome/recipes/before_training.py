"""Masks that are there before any training, on fresh starts, with their own signs and with found ones."""

from __future__ import annotations

from dataclasses import replace

from winsome.method import Method
from winsome.methods_before_training import grasp, random_at_initialisation, snip, synflow
from winsome.recipes.accuracy import accuracy_evidence
from winsome.recipes.recipe import Recipe, Scale
from winsome.recipes.set_ups import OURS, over, study_of_tickets
from winsome.study.arms import ARMS, Arm, Planted
from winsome.study.design import SearchSpec
from winsome.study.transplants import plant_found_signs, plant_mask

SNIP = "arXiv:1810.02340"


def at_initialisation(scale: Scale) -> Recipe:
    """Masks of SNIP, GraSP, SynFlow and ERK on fresh starts, with the start's signs and with found ones, against AWS and LRR.

    Claim (arXiv:1810.02340, extended): A mask found before training can replace one that was searched for, with the signs of a
    trained network at least. The masks are on fresh starts, not on the one that they were found on; the classifier stays dense.

    Command: winsome reproduce at_initialisation

    Measured at small scale (16 search seeds, density .032, in points, 95 % intervals; two cores of an AMD EPYC, Zen 4):
    m_SNIP minus m_ERK -11.3 (-15.9, -6.7); m_SNIP with s_dense minus alone -.1 (-2.5, 2.2); m_ERK with s_dense minus alone
    -1.8 (-3.2, -.3); m_SNIP with s_dense minus s_LRR -19.5 (-23.0, -16.0); m_AWS minus m_SNIP +17.8 (13.4, 22.1); s_AWS
    minus m_SynFlow +12.7 (11.7, 13.8). All of it is in docs/field.md.
    """
    base = study_of_tickets(scale)
    if scale == "small":
        base = replace(base, levels=(12,), search_seeds=tuple(range(16)), curve_at=())
    densities = base.all_densities
    short = replace(base.search_training, epochs=1)  # their networks are not judged: masks are there before any training
    found: dict[str, tuple[Method, str]] = {
        "snip": (snip(), "SNIP"),
        "grasp": (grasp(), "GraSP"),
        "synflow": (synflow(rounds=10), "SynFlow"),  # at every level: 120 rounds to the last density
        "erk": (random_at_initialisation(), "ERK"),
    }
    searches = [(name, spec) for name, spec in base.searches if name in ("lrr", "aws")]
    searches += [
        (name, SearchSpec(replace(method, densities=densities, label=label), training=short))
        for name, (method, label) in found.items()
    ]
    arms: list[Arm] = [ARMS[name] for name in ("dense", "planted_aws", "planted_lrr", "mask_only", "random_mask")]
    for name, (_, label) in found.items():
        arms.append(Planted(f"mask_{name}", f"θ₀·m_{label}", f"{label}'s mask, the fresh start's own signs.", name, plant_mask))
        words = f"{label}'s mask with the signs of the dense network that LRR trains at level 0."
        signs = ("lrr", 0)
        arms.append(Planted(f"found_{name}", f"|θ₀|·m_{label}·s_dense", words, name, plant_found_signs, signs_of=signs))
    claims = (
        over("SNIP's mask trains better than a random one of ERK.", "mask_snip", "mask_erk", "m_SNIP minus m_ERK", SNIP),
        over("Found signs make SNIP's mask better.", "found_snip", "mask_snip", "m_SNIP with s_dense minus alone", OURS),
        over("Found signs make a random mask better.", "found_erk", "mask_erk", "m_ERK with s_dense minus alone", OURS),
        over("With found signs SNIP's mask is as good as a search's.", "found_snip", "planted_lrr", "it minus s_LRR", OURS),
        over("A searched mask alone is better than SNIP's.", "mask_only", "mask_snip", "m_AWS minus m_SNIP", OURS),
        over("AWS's signed mask is better than SynFlow's mask.", "planted_aws", "mask_synflow", "s_AWS minus m_SynFlow", OURS),
    )
    study = replace(base, searches=tuple(searches), arms=tuple(arms), claims=claims, reference="mask_snip")
    label = {"small": "residual-mlp-digits", "medium": "resnet20-photographs", "paper": "resnet20-cifar10"}[scale]
    claim = "A mask found before training can replace one that was searched for, with the signs of a trained network at least."
    return Recipe("Masks before training", f"{SNIP}, extended", claim, {label: study}, analyse=accuracy_evidence)

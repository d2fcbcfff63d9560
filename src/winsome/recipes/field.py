"""What the field compares with: masks before training, N:M patterns, and training that lets signs flip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from winsome.allocation import NOfM, balanced, erdos_renyi_kernel
from winsome.densities import geometric
from winsome.hyperbolic import HAM, SignIn
from winsome.methods import Method, aws, grasp, learning_rate_rewinding, random_at_initialisation, snip, synflow
from winsome.models.spec import NetworkSpec
from winsome.norms import interpolated_norms
from winsome.recipes.accuracy import accuracy_evidence
from winsome.recipes.recipe import Evidence, Finished, Recipe, Scale, Table
from winsome.recipes.set_ups import Searches, SetUp, over, studies_of_searches
from winsome.study import presets
from winsome.study.arms import ARMS, Arm, Planted, arms_of_search
from winsome.study.design import SearchSpec, Study
from winsome.study.folder import StudyFolder
from winsome.study.transplants import plant_found_signs, plant_mask
from winsome.while_training import AllOf, WhileTraining

OURS = "question of this project"
SNIP, N_OF_M, SIGN_IN = "arXiv:1810.02340", "arXiv:2102.04010", "arXiv:2504.12801"


def at_initialisation(scale: Scale) -> Recipe:
    """Masks of SNIP, GraSP, SynFlow and ERK on fresh starts, with the start's signs and with found ones, against AWS and LRR.

    Claim (arXiv:1810.02340, extended): A mask found before training can replace one that was searched for, with the signs of a
    trained network at least. The masks are on fresh starts, not on the one that they were found on; the classifier stays dense.

    Command: winsome reproduce at_initialisation
    """
    base = presets.digits() if scale == "small" else presets.images("cifar10")
    if scale == "small":
        base = replace(base, levels=(12,), search_seeds=tuple(range(16)), curve_at=())
    densities = base.all_densities
    short = replace(base.search_training, epochs=1)  # their networks are not judged: masks are there before any training
    found: dict[str, tuple[Method, str]] = {
        "snip": (snip(), "SNIP"),
        "grasp": (grasp(), "GraSP"),
        "synflow": (synflow(), "SynFlow"),
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
    label = "residual-mlp-digits" if scale == "small" else "resnet20-cifar10"
    claim = "A mask found before training can replace one that was searched for, with the signs of a trained network at least."
    return Recipe("Masks before training", f"{SNIP}, extended", claim, {label: study}, analyse=accuracy_evidence)


def n_of_m(scale: Scale) -> Recipe:
    """AWS and LRR tickets in which of every 4 inputs 2, and then 1, are kept, against unstructured ones of the same density.

    Claim (arXiv:2102.04010, of tickets): A signed ticket in a 2:4 pattern trains from any start as an unstructured one does.

    Command: winsome reproduce n_of_m

    Measured at small scale (16 search seeds, in points, 95 % intervals; two cores of an AMD EPYC, Zen 4), at density .25:
    s_AWS unstructured minus in a pattern +4.5 (2.9, 6.2); s_AWS minus s_LRR, both N:4 +1.6 (-.4, 3.7); s_AWS minus its mask
    only, N:4 +4.3 (2.4, 6.2); s_LRR minus s_LRR N:4 +5.6 (4.5, 6.8); dense minus s_AWS N:4 +6.0 (4.0, 8.1). All of it is in
    docs/field.md.
    """
    base = presets.digits() if scale == "small" else presets.images("cifar10")
    if scale == "small":
        # Of the usual width 64 a quarter of the weights is more than the digits need.
        narrow = NetworkSpec("residual_mlp", (("width", 16),))
        base = replace(base, name="narrow", network=narrow, search_seeds=tuple(range(16)), curve_at=())
    densities = (1.0, 0.75, 0.5, 0.25)
    methods = {"lrr": learning_rate_rewinding(), "aws": aws()}
    searches, arms = [], [ARMS["dense"]]
    for name, method in methods.items():
        plain = replace(method, densities=densities)
        for key, one, label in (
            (name, plain, name.upper()),
            (f"{name}_n_of_m", replace(plain, allocate=NOfM(1, 4)), f"{name.upper()} N:4"),
        ):
            searches.append((key, replace(one, label=label)))
            own = arms_of_search(key, label)
            arms += [own[f"planted_{key}"], own[f"mask_only_{key}"]]
    patterned, free = "planted_aws_n_of_m", "planted_aws"
    claims = (
        over("Unstructured AWS tickets are better.", free, patterned, "s_AWS unstructured minus in a pattern", OURS),
        over("In a pattern AWS plants better than LRR.", patterned, "planted_lrr_n_of_m", "s_AWS minus s_LRR, both N:4", OURS),
        over("In a pattern signs matter.", patterned, "mask_only_aws_n_of_m", "s_AWS minus its mask only, N:4", OURS),
        over("Unstructured LRR tickets are better.", "planted_lrr", "planted_lrr_n_of_m", "s_LRR minus s_LRR N:4", OURS),
        over("The dense network is better than the pattern.", "dense", patterned, "dense minus s_AWS N:4", N_OF_M),
    )
    study = replace(base, searches=tuple(searches), arms=tuple(arms), levels=(2, 3), claims=claims, reference=patterned)
    label = "narrow-residual-mlp-digits" if scale == "small" else "resnet20-cifar10"
    claim = "A signed ticket in a 2:4 pattern trains from any start as an unstructured one does."
    return Recipe("Tickets in N:M patterns", f"{N_OF_M}, of tickets", claim, {label: study}, analyse=accuracy_evidence)


def sign_in(scale: Scale) -> Recipe:
    """Random masks trained plainly, under Sign-In and under HAM; and AWS with Sign-In: accuracy, planted accuracy, flips.

    Claim (arXiv:2504.12801): Sign-In lets signs flip, and with them random masks train better; it may help AWS, too.

    Command: winsome reproduce sign_in
    """
    alpha = 20.0 if scale == "small" else 200.0  # the paper's is for ImageNet's gradients

    def parts(set_up: SetUp) -> dict[str, tuple[WhileTraining | None, str]]:
        return {
            "": (None, ""),
            "_sign_in": (SignIn(4 * set_up.steps_per_epoch), ", Sign-In"),
            "_ham": (HAM(alpha), ", HAM"),
        }

    def searches(set_up: SetUp) -> Searches:
        made: Searches = {}
        # Every mask trains from the start: the two last densities that are judged suffice.
        deep = geometric(set_up.levels, set_up.rate)
        for name, allocate, label in (("erk", erdos_renyi_kernel, "ERK"), ("balanced", balanced, "balanced")):
            method = random_at_initialisation(allocate=allocate)
            method = replace(method, densities=tuple(deep[level] for level in set_up.judged[-2:]))
            for ending, (part, words) in parts(set_up).items():
                one = method if part is None else replace(method, while_training=part)
                made[f"{name}{ending}"] = (SearchSpec(one), f"{label}{words}", f"Random masks, {label}, trained{words}.")
        return made

    claims = tuple(
        over(f"{words} trains random masks better, {label}.", f"{name}_{part}", name, f"{words} minus plain, {label}", source)
        for name, label in (("erk", "ERK"), ("balanced", "balanced"))
        for part, words, source in (("sign_in", "Sign-In", SIGN_IN), ("ham", "HAM", "arXiv:2506.02630"))
    )
    title = "Random masks under Sign-In and HAM"
    studies = studies_of_searches(scale, title, searches, claims, reference="erk", judged=(0, 1))
    claim = "Sign-In lets signs flip, and with them random masks train better; it may help AWS, too."
    label, planted = _aws_under_sign_in(scale)
    return Recipe("Sign-In and HAM", SIGN_IN, claim, {**studies, label: planted}, analyse=_with_flips)


def _aws_under_sign_in(scale: Scale) -> tuple[str, Study]:
    base = presets.digits() if scale == "small" else presets.images("cifar10")
    every = 4 * 10 if scale == "small" else 10 * 390  # steps of four epochs, and of ten
    searches, arms = [], [ARMS["dense"]]
    for name, part, label in (("aws", None, "AWS"), ("aws_sign_in", SignIn(every), "AWS, Sign-In")):
        both = interpolated_norms if part is None else AllOf((interpolated_norms, part))
        densities = base.all_densities
        searches.append((name, replace(aws(), densities=densities, while_training=both, label=label)))
        own = arms_of_search(name, label)
        arms += [own[f"network_{name}"], own[f"planted_{name}"], own[f"mask_only_{name}"]]
    claims = (
        over("Sign-In makes AWS's signs better.", "planted_aws_sign_in", "planted_aws", "AWS, Sign-In minus AWS", OURS),
        over("It makes AWS's network better.", "network_aws_sign_in", "network_aws", "their networks", OURS),
    )
    study = replace(base, name="aws", searches=tuple(searches), arms=tuple(arms), claims=claims, reference="planted_aws")
    if scale == "small":
        study = replace(study, levels=(12,), search_seeds=tuple(range(16)), curve_at=())
    return "aws-digits" if scale == "small" else "aws-cifar10", study


def _with_flips(finished: Mapping[str, Finished]) -> Evidence:
    """How many of the weights that a level keeps have another sign at its end than in the network that the search was given."""
    rows: list[Sequence[Any]] = []
    for label, one in finished.items():
        folder = StudyFolder(one.folder)
        for name, spec in one.study.needed_searches().items():
            for level in one.study.levels:
                flipped = [_flipped(folder, name, seed, level) for seed in one.study.search_seeds]
                values = torch.tensor(flipped, dtype=torch.float64)
                spread = float(values.std()) if len(values) > 1 else 0.0
                density = one.study.all_densities[level]
                rows.append((label, spec.method.label, density, float(values.mean()), spread, len(flipped)))
    columns = ("study", "search", "density", "flipped", "standard deviation", "search seeds")
    caption = "Fraction of a level's kept weights whose sign at its end is not the initial one."
    evidence = accuracy_evidence(finished)
    return replace(evidence, tables=(Table("flips", caption, columns, rows), *evidence.tables))


def _flipped(folder: StudyFolder, name: str, seed: int, level: int) -> float:
    found = folder.found(name, seed, level)
    start = folder.search(name, seed).read_named("initial") or {}
    kept = {layer: found.ticket.mask.kept(layer) for layer in found.ticket.mask}
    changed = sum(int((((start[layer] < 0) != (found.state[layer] < 0)) & keep).sum()) for layer, keep in kept.items())
    return changed / max(found.ticket.mask.n_kept, 1)

"""Training that lets signs flip: Sign-In and HAM on random masks, and Sign-In within AWS."""

from __future__ import annotations

from dataclasses import replace

from winsome.allocation import balanced, erdos_renyi_kernel
from winsome.densities import geometric
from winsome.hyperbolic import HAM, SignIn
from winsome.methods_before_training import random_at_initialisation
from winsome.norms import interpolated_norms
from winsome.recipes.flips import with_flips
from winsome.recipes.recipe import Recipe, Scale
from winsome.recipes.set_ups import OURS, Searches, SetUp, over, studies_of_searches, study_of_tickets
from winsome.study.arms import ARMS, arms_of_search
from winsome.study.design import SearchSpec, Study
from winsome.while_training import AllOf, WhileTraining

SIGN_IN = "arXiv:2504.12801"


def sign_in(scale: Scale) -> Recipe:
    """Random masks trained plainly, under Sign-In and under HAM; and AWS with Sign-In: accuracy, planted accuracy, flips.

    Claim (arXiv:2504.12801): Sign-In lets signs flip, and with them random masks train better; it may help AWS, too.

    Command: winsome reproduce sign_in

    Measured at small scale on residual-mlp-digits (16 search seeds, density .031, in points, 95 % intervals; two cores of an
    AMD EPYC, Zen 4): Sign-In minus plain, ERK +.1 (-1.6, 1.8); HAM minus plain, ERK +1.1 (-.4, 2.7); Sign-In minus plain,
    balanced +1.3 (-.3, 2.9); HAM minus plain, balanced -1.1 (-7.5, 5.3); AWS's signs with Sign-In minus without +.5 (-.1,
    1.1), density .032. All of it is in docs/field.md.
    """
    alpha = 200.0 if scale == "paper" else 5.0  # the paper's is for ImageNet's gradients

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
    return Recipe("Sign-In and HAM", SIGN_IN, claim, {**studies, label: planted}, analyse=with_flips)


def _aws_under_sign_in(scale: Scale) -> tuple[str, Study]:
    base = study_of_tickets(scale)
    every = {"small": 4 * 10, "medium": 4 * 39, "paper": 10 * 390}[scale]  # steps of four epochs, of ten on the paper's scale
    searches, arms = [], [ARMS["dense"]]
    for name, part, label in (("aws", None, "AWS"), ("aws_sign_in", SignIn(every), "AWS, Sign-In")):
        both = interpolated_norms if part is None else AllOf((interpolated_norms, part))
        method = base.search_specs["aws"].method
        searches.append((name, replace(method, while_training=both, label=label)))
        own = arms_of_search(name, label)
        arms += [own[f"network_{name}"], own[f"planted_{name}"], own[f"mask_only_{name}"]]
    claims = (
        over("Sign-In makes AWS's signs better.", "planted_aws_sign_in", "planted_aws", "AWS, Sign-In minus AWS", OURS),
        over("It makes AWS's network better.", "network_aws_sign_in", "network_aws", "their networks", OURS),
    )
    study = replace(base, name="aws", searches=tuple(searches), arms=tuple(arms), claims=claims, reference="planted_aws")
    if scale == "small":
        study = replace(study, levels=(12,), search_seeds=tuple(range(16)), curve_at=())
    return {"small": "aws-digits", "medium": "aws-photographs", "paper": "aws-cifar10"}[scale], study

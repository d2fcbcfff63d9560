"""Beyond the papers: where does AWS's gain come from? Frozen norms, absorbed signs of gamma, networks without norms."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from winsome.methods import aws, learning_rate_rewinding, lrr_with_frozen_norms
from winsome.models.spec import NetworkSpec
from winsome.recipes.accuracy import accuracy_evidence
from winsome.recipes.recipe import Recipe, Scale
from winsome.recipes.set_ups import A, at_rate, over, study_of_tickets
from winsome.study import presets
from winsome.study.arms import ARMS, Arm, Dense, arms_of_search
from winsome.study.design import Study

OURS = "control of this project"
CURVE = (1, 2, 5, 10, 20)  # epochs from scratch

# Their biases, but for the classifier's, which is left alone where there are norms, too.
BIASES = {"residual_mlp": ("1.bias", "*.linear.bias"), "mlp": ("[1-7].bias",)}


def frozen_norms(scale: Scale) -> Recipe:
    """AWS against a search whose psi is frozen at (1, 0), over networks, learning rates and budgets from scratch.

    Claim (arXiv:2504.05357, controlled): AWS's gain over LRR comes from interpolation, rather than from psi being kept near
    psi_init by any means.

    Command: winsome reproduce frozen_norms

    Measured at small scale on residual-mlp-rate-0.1-10-epochs (16 search seeds, in points, 95 % intervals; two cores of an
    AMD EPYC, Zen 4): s_AWS minus s_frozen +.6 (-.3, 1.5); s_frozen minus s_LRR +.8 (-.3, 1.9); s_AWS minus s_LRR +1.4 (.1,
    2.7). All of it is in docs/find-a-winning-sign.md.
    """
    arms = [ARMS[name] for name in ("dense", "planted_aws", "planted_frozen", "planted_lrr", "mask_only")]
    aws, frozen = "|θ₀|·s_AWS", "|θ₀|·s_frozen"
    claims = (
        over("Interpolating ψ plants better than freezing it.", "planted_aws", "planted_frozen", f"{aws} minus {frozen}", A),
        over("Freezing ψ plants better than LRR.", "planted_frozen", "planted_lrr", f"{frozen} minus |θ₀|·s_LRR", OURS),
        over("AWS plants better than LRR.", "planted_aws", "planted_lrr", f"{aws} minus |θ₀|·s_LRR", A),
    )
    claim = "AWS's gain over LRR comes from interpolation, rather than from ψ being kept near ψ_init by any means."
    studies = {
        name: replace(study, arms=tuple(arms), claims=claims, reference="planted_aws")
        for name, study in _grid(scale, (0.1, 0.2))
    }
    return Recipe("AWS against frozen norms", f"{A}, controlled", claim, studies, analyse=accuracy_evidence)


def absorbed_signs(scale: Scale) -> Recipe:
    """Signs read before and after sign(gamma) is absorbed into the weights, over networks, learning rates and budgets.

    Claim (arXiv:2504.05357, controlled): Part of what AWS gains is that its gamma stay positive: absorbing sign(gamma)
    gives LRR the same for nothing.

    Command: winsome reproduce absorbed_signs

    Measured at small scale on residual-mlp-rate-0.1-10-epochs (16 search seeds, in points, 95 % intervals; two cores of an
    AMD EPYC, Zen 4): s_LRR with sign(gamma) absorbed minus as found +.0 (-.5, .5); s_AWS minus s_LRR with sign(gamma)
    absorbed +1.4 (.2, 2.6); s_LRR minus mask only +8.3 (6.7, 9.8). All of it is in docs/find-a-winning-sign.md.
    """
    names = ("dense", "planted_aws", "planted_lrr_absorbed", "planted_lrr", "mask_only_lrr")
    arms: list[Arm] = [ARMS[name] for name in names]
    absorbed = "|θ₀|·s_LRR with sign(γ) absorbed"
    claims = (
        over(
            "Absorbing sign(γ) makes LRR's signs better.",
            "planted_lrr_absorbed",
            "planted_lrr",
            f"{absorbed} minus as found",
            OURS,
        ),
        over("AWS is better than that.", "planted_aws", "planted_lrr_absorbed", f"|θ₀|·s_AWS minus {absorbed}", OURS),
        over("LRR's signs as found beat its mask alone.", "planted_lrr", "mask_only_lrr", "|θ₀|·s_LRR minus mask only", A),
    )
    claim = "Part of what AWS gains is that its γ stay positive: absorbing sign(γ) gives LRR the same for nothing."
    studies = {
        name: replace(study, arms=tuple(arms), claims=claims, reference="planted_lrr")
        for name, study in _grid(scale, (0.1, 0.2))
    }
    return Recipe("Signs after absorbing sign(γ)", f"{A}, controlled", claim, studies, analyse=accuracy_evidence)


def norm_free(scale: Scale) -> Recipe:
    """AWS for networks without normalisation: biases toward 0, or scales of channels toward 1, against LRR and frozen ones.

    Claim (arXiv:2504.05357, extended): A network without normalisation gains from AWS on its biases or its scales.

    Command: winsome reproduce norm_free

    Measured at small scale on residual-mlp-biases (16 search seeds, in points, 95 % intervals; two cores of an AMD EPYC): s of
    interpolated minus s_LRR -.1 (-.8, .6); s of frozen minus s_LRR +.2 (-.5, 1.0); s of interpolated minus its mask only +5.9
    (4.9, 6.9). All of it is in docs/find-a-winning-sign.md.
    """
    studies: dict[str, Study] = {}
    if scale == "small":
        base = replace(presets.digits(), levels=(12,), search_seeds=tuple(range(16)), curve_at=())
        # Without normalisation the preset's rate of .2 diverges, and a Kaiming-normal start grows from block to block.
        base = replace(base, search_training=at_rate(base.search_training, 0.05))
        for network, biases in BIASES.items():
            for norm, what, which, identity in (("none", "biases", biases, 0.0), ("scale", "scales", ("*.scale",), 1.0)):
                spec = NetworkSpec(network, (("initialisation", "own"), ("norm", norm)))
                label = f"{network.replace('_', '-')}-{what}"
                studies[label] = _without_norms(replace(base, network=spec), what, which, identity)
    else:
        base = replace(study_of_tickets(scale), network=NetworkSpec("timm:nf_resnet26"))
        studies["nf-resnet26-biases"] = _without_norms(base, "biases", ("*.conv*.bias",), 0.0)
        studies["nf-resnet26-gains"] = _without_norms(base, "gains", ("*.gain",), 1.0)
    claim = "A network without normalisation gains from AWS on its biases or its scales."
    studies = {label: replace(study, name=label, title=label.replace("-", " ")) for label, study in studies.items()}
    return Recipe("AWS without normalisation", f"{A}, extended", claim, studies, analyse=accuracy_evidence)


def _without_norms(base: Study, what: str, which: tuple[str, ...], identity: float) -> Study:
    """A study of one choice of parameters: LRR, AWS on them, and LRR with them frozen."""
    densities = base.all_densities
    methods = {
        "lrr": (learning_rate_rewinding(), "LRR"),
        "aws": (aws(norms=which, toward=identity), f"AWS, {what}"),
        "frozen": (lrr_with_frozen_norms(norms=which, toward=identity), f"frozen {what}"),
    }
    arms: list[Arm] = [Dense()]
    for name, (_, label) in methods.items():
        own = arms_of_search(name, label)
        arms += [own[f"network_{name}"], own[f"planted_{name}"]]
    arms.append(arms_of_search("aws", methods["aws"][1])["mask_only_aws"])
    signs, frozen = f"s of AWS, {what}", f"s of frozen {what}"
    claims = (
        over(f"Interpolating {what} plants better than LRR.", "planted_aws", "planted_lrr", f"{signs} minus s_LRR", A),
        over(f"Freezing {what} plants better than LRR.", "planted_frozen", "planted_lrr", f"{frozen} minus s_LRR", OURS),
        over(f"Interpolating {what} beats freezing them.", "planted_aws", "planted_frozen", f"{signs} minus {frozen}", OURS),
        over("Its signs beat its mask alone.", "planted_aws", "mask_only_aws", f"{signs} minus its mask only", A),
    )
    searches = tuple((name, replace(one, densities=densities, label=label)) for name, (one, label) in methods.items())
    return replace(base, searches=searches, arms=tuple(arms), claims=claims, reference="planted_aws")


def _grid(scale: Scale, rates: tuple[float, ...]) -> Iterable[tuple[str, Study]]:
    """Networks, learning rates of the search and budgets from scratch: (name, study)."""
    if scale == "paper":
        for network in ("resnet20", "resnet18"):
            for rate in rates:
                name = f"{network}-rate-{rate:g}"
                yield name, _varied(presets.images("cifar10"), name, rate, curve=(1, 2, 5, 10, 20, 50), network=network)
        return
    if scale == "medium":
        name = f"resnet20-photographs-rate-{rates[0]:g}"
        photographs = replace(presets.photographs(), levels=(5,))
        yield name, _varied(photographs, name, rates[0], curve=CURVE)
        return
    base = replace(presets.digits(), levels=(12,), search_seeds=tuple(range(16)))
    for rate in rates:
        for budget in (10, 40):
            name = f"residual-mlp-rate-{rate:g}-{budget}-epochs"
            yield name, _varied(base, name, rate, curve=CURVE, epochs=budget)
    yield "mlp", _varied(base, "mlp", rates[-1], curve=CURVE, network="mlp")


def _varied(
    study: Study, name: str, rate: float, *, curve: tuple[int, ...], epochs: int | None = None, network: str | None = None
) -> Study:
    scratch = replace(study.training, epochs=epochs or study.training.epochs)
    return replace(
        study,
        name=name,
        title=name.replace("-", " "),
        network=NetworkSpec(network) if network else study.network,
        search_training=at_rate(study.search_training, rate),
        training=scratch,
        curve_at=tuple(epoch for epoch in curve if epoch < scratch.epochs),
    )

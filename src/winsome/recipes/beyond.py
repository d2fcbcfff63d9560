"""Beyond the papers: where does AWS's gain come from? Frozen norms, and signs after absorbing sign(gamma)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from winsome.models.spec import NetworkSpec
from winsome.recipes.accuracy import accuracy_evidence
from winsome.recipes.recipe import Recipe, Scale
from winsome.recipes.set_ups import A, at_rate, over
from winsome.study import presets
from winsome.study.arms import ARMS, Arm
from winsome.study.design import Study

OURS = "control of this project"
CURVE = (1, 2, 5, 10, 20)  # epochs from scratch


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

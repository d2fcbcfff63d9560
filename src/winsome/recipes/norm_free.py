"""AWS where there is no normalisation: biases, or scales of channels, are interpolated instead."""

from __future__ import annotations

from dataclasses import replace

from winsome.methods import aws, learning_rate_rewinding, lrr_with_frozen_norms
from winsome.models.spec import NetworkSpec
from winsome.recipes.accuracy import accuracy_evidence
from winsome.recipes.recipe import Recipe, Scale
from winsome.recipes.set_ups import A, at_rate, over
from winsome.study import presets
from winsome.study.arms import Arm, Dense, arms_of_search
from winsome.study.design import Study

OURS = "question of this project"
# Their biases, but for the classifier's, which is left alone where there are norms, too.
BIASES = {"residual_mlp": ("1.bias", "*.linear.bias"), "mlp": ("[1-7].bias",)}


def norm_free(scale: Scale) -> Recipe:
    """AWS for networks without normalisation: biases toward 0, or scales of channels toward 1, against LRR and frozen ones.

    Claim (arXiv:2504.05357, extended): A network without normalisation gains from AWS on its biases or its scales.

    Command: winsome reproduce norm_free

    MEASURED
    """
    studies: dict[str, Study] = {}
    if scale == "small":
        base = replace(presets.digits(), levels=(12,), search_seeds=tuple(range(16)), curve_at=())
        # Without normalisation a Kaiming-normal start blows up from block to block, and the preset's rate of .2 diverges.
        base = replace(base, search_training=at_rate(base.search_training, 0.05))
        for network, biases in BIASES.items():
            for norm, what, which, identity in (("none", "biases", biases, 0.0), ("scale", "scales", ("*.scale",), 1.0)):
                spec = NetworkSpec(network, (("initialisation", "own"), ("norm", norm)))
                label = f"{network.replace('_', '-')}-{what}"
                studies[label] = _study(replace(base, network=spec), what, which, identity)
    else:
        base = replace(presets.images("cifar10"), network=NetworkSpec("timm:nf_resnet26"))
        studies["nf-resnet26-biases"] = _study(base, "biases", ("*.conv*.bias",), 0.0)
        studies["nf-resnet26-gains"] = _study(base, "gains", ("*.gain",), 1.0)
    claim = "A network without normalisation gains from AWS on its biases or its scales."
    studies = {label: replace(study, name=label, title=label.replace("-", " ")) for label, study in studies.items()}
    return Recipe("AWS without normalisation", f"{A}, extended", claim, studies, analyse=accuracy_evidence)


def _study(base: Study, what: str, which: tuple[str, ...], identity: float) -> Study:
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

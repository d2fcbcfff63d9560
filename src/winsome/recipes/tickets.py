"""Signed masks on fresh starts: accuracy over density, and the ImageNet table (arXiv:2504.05357)."""

from __future__ import annotations

from dataclasses import replace

from winsome.data.spec import DataSpec
from winsome.models.spec import NetworkSpec
from winsome.recipes.accuracy import accuracy_evidence
from winsome.recipes.recipe import Recipe, Scale
from winsome.recipes.set_ups import A, at_rate
from winsome.study import presets
from winsome.study.arms import PAPER_A_ARMS
from winsome.study.design import Study
from winsome.training.settings import Adam


def accuracy_over_density(scale: Scale) -> Recipe:
    """Dense, LRR and AWS networks, planted signed masks, mask only and random mask, over density, networks and data sets.

    Claim (arXiv:2504.05357, main figures): On any start s_AWS trains to nearly the dense network's accuracy; s_LRR and the
    mask alone do not.

    Command: winsome reproduce accuracy_over_density

    Measured at small scale on residual-mlp-digits (16 search seeds, in points, 95 % intervals; two cores of an AMD EPYC,
    Zen 4): s_AWS minus s_LRR +1.9 (.9, 2.9); s_AWS minus mask only +3.5 (2.3, 4.6); mask only minus random mask +2.0 (1.0,
    3.0); s_AWS minus the middle between mask only and dense +.1 (-.8, .9); LRR network minus the same with psi_init +70.0
    (63.9, 76.0); what psi_init costs LRR's network minus what it costs AWS's +68.9 (62.3, 75.5). All of it is in docs/find-
    a-winning-sign.md.
    """
    claim = "On any start |θ₀|·s_AWS trains to nearly the dense network's accuracy; s_LRR and the mask alone do not."
    studies = {"small": _small, "medium": _medium, "paper": paper_studies}[scale]()
    return Recipe("Accuracy over density", f"{A}, main figures", claim, studies, analyse=accuracy_evidence)


def _small() -> dict[str, Study]:
    digits = presets.digits()
    residual = replace(digits, arms=PAPER_A_ARMS, levels=(3, 6, 9, 12), search_seeds=tuple(range(16)), curve_at=())
    return {"residual-mlp-digits": residual, "small-conv-digits": replace(presets.digits_conv(), curve_at=())}


def _medium() -> dict[str, Study]:
    return {"resnet20-photographs": replace(presets.photographs(), arms=PAPER_A_ARMS)}


def paper_studies() -> dict[str, Study]:
    """Four networks on CIFAR-100 and Tiny-ImageNet at every level, on two fresh starts.

    Networks have the shapes and the initialisation of the paper's code, and the last batch of an epoch, which is not full, is
    trained on as there (391 steps of 128 images on CIFAR-100).
    """
    studies = {}
    for data in ("cifar100", "tiny_imagenet"):
        for network, options in _AS_IN_THE_CODE.items():
            study = presets.images(data)
            rate = 0.05 if network == "mobilenet_v2" else 0.1
            name = f"{network.replace('_', '-')}-{data.replace('_', '-')}"
            studies[name] = replace(
                study,
                name=name,
                network=NetworkSpec(network, options),
                levels=tuple(range(1, 16)),
                search_training=replace(at_rate(study.search_training, rate), drop_last=False),
                training=replace(at_rate(study.training, rate), drop_last=False),
            )
    return studies


_AS_IN_THE_CODE: dict[str, tuple[tuple[str, str], ...]] = {  # options of the networks for small images
    "resnet50": (("initialisation", "own"),),
    "mobilenet_v2": (("variant", "aws"),),
    "efficientnet_b0": (("variant", "aws"),),
    "shufflenet": (("variant", "aws"),),
}


def imagenet_table(scale: Scale) -> Recipe:
    """A residual network, one under Adam and an MLP-Mixer, each judged at the last level: the ImageNet table's shape.

    Claim (arXiv:2504.05357, ImageNet): AWS's signed masks hold up on large data and on networks without BatchNorm (MLP-
    Mixer: LayerNorm).

    Command: winsome reproduce imagenet_table

    Measured at small scale on residual-mlp-sgd (16 search seeds, in points, 95 % intervals; two cores of an AMD EPYC, Zen
    4): s_AWS minus s_LRR +1.2 (.8, 1.7); s_AWS minus mask only +2.5 (1.5, 3.6); mask only minus random mask +.5 (-.4, 1.4);
    s_AWS minus the middle between mask only and dense +.2 (-.4, .9); LRR network minus the same with psi_init +72.6 (68.3,
    76.8); what psi_init costs LRR's network minus what it costs AWS's +72.9 (68.5, 77.3). All of it is in docs/find-a-
    winning-sign.md.
    """
    claim = "AWS's signed masks hold up on large data and on networks without BatchNorm (MLP-Mixer: LayerNorm)."
    studies = {"small": _imagenet_small, "medium": _imagenet_medium, "paper": _imagenet_paper}[scale]()
    return Recipe("The ImageNet table", f"{A}, ImageNet", claim, studies, analyse=accuracy_evidence)


def _imagenet_small() -> dict[str, Study]:
    """The digits stand in for ImageNet: a residual MLP under SGD and under Adam, and a small MLP-Mixer under Adam."""
    digits = replace(presets.digits(), arms=PAPER_A_ARMS, levels=(10,), search_seeds=tuple(range(16)), curve_at=())
    # The paper's rate is 1e-3; within these few epochs it leaves every network far from trained.
    searching, scratch = (replace(one, optimizer=Adam(3e-3)) for one in (digits.search_training, digits.training))
    adam = replace(digits, search_training=searching, training=scratch)
    mixer = NetworkSpec("mlp_mixer", (("channel_width", 128), ("depth", 2), ("dim", 32), ("patch", 2), ("token_width", 16)))
    few = replace(digits, name="mixer", network=mixer, levels=(8,), search_seeds=tuple(range(4)))
    few = replace(few, search_training=searching, training=scratch)
    return {"residual-mlp-sgd": digits, "residual-mlp-adam": replace(adam, name="adam"), "mlp-mixer-adam": few}


def _imagenet_medium() -> dict[str, Study]:
    """Photographs stand in for ImageNet: ResNet-20 under Adam, and an MLP-Mixer, which has no BatchNorm, under Adam."""
    photographs = replace(presets.photographs(), arms=PAPER_A_ARMS, levels=(5,))
    searching, scratch = (replace(one, optimizer=Adam(3e-3)) for one in (photographs.search_training, photographs.training))
    adam = replace(photographs, name="adam", search_training=searching, training=scratch)
    mixer = NetworkSpec("mlp_mixer", (("channel_width", 256), ("depth", 4), ("dim", 64), ("patch", 4), ("token_width", 32)))
    return {"resnet20-adam": adam, "mlp-mixer-adam": replace(adam, name="mixer", network=mixer)}


def _imagenet_paper() -> dict[str, Study]:
    return {
        network.replace("_", "-"): replace(presets.imagenet(network), data=DataSpec("imagenet"))
        for network in ("resnet50", "mobilenet_v2", "mlp_mixer")
    }

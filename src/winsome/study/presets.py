"""The studies that the command line knows: digits with a residual MLP, digits with convolutions, and colour images.

Each is a function of the searches' prune-train rounds (`levels`) and of the fraction of the remaining weights that each of
them removes (`rate`, in (0, 1)).
"""

from __future__ import annotations

from collections.abc import Callable

from winsome.data.spec import DataSpec
from winsome.method import Method
from winsome.methods import aws, learning_rate_rewinding, lrr_with_frozen_norms
from winsome.models.spec import NetworkSpec
from winsome.study.arms import ARMS, PAPER_A_ARMS, REPEATS
from winsome.study.design import Study
from winsome.training.settings import SGD, Adam, Constant, Cosine, StepDecay, Training


def _searches(levels: int, rate: float) -> tuple[tuple[str, Method], ...]:
    """The paper's two searches, and a control."""
    return (
        ("lrr", learning_rate_rewinding(levels, rate)),
        ("aws", aws(levels, rate)),
        ("frozen", lrr_with_frozen_norms(levels, rate)),
    )


def _judged(usual: tuple[int, ...], levels: int) -> tuple[int, ...]:
    """The levels at which arms are judged: the usual ones where the searches end there, else the middle and the last one."""
    if levels == usual[-1]:
        return usual
    return (levels,) if levels < 4 else (levels // 2, levels)


def digits(levels: int = 12, rate: float = 0.25) -> Study:
    """A residual MLP on scikit-learn's 8x8 digits: 32 search seeds, the whole order of the paper on two cores."""
    return Study(
        name="digits",
        title="Signed masks on handwritten digits",
        data=DataSpec("digits"),
        network=NetworkSpec("residual_mlp"),
        searches=_searches(levels, rate),
        # 0.2 rather than 0.1: chosen on a validation part of the train split (docs/study.md), as was everything else here.
        search_training=Training(8, 128, SGD(0.2, 0.9, 1e-3), Constant()),
        warmup_epochs=10,
        training=Training(40, 128, SGD(0.05, 0.9, 1e-3), StepDecay((0.5, 0.75), 0.1)),
        arms=(*PAPER_A_ARMS, ARMS["planted_frozen"], ARMS["planted_lrr_absorbed"], *REPEATS),
        levels=_judged((6, 12), levels),
        search_seeds=tuple(range(32)),
        starts=(0,),
        curve_at=(1, 2, 5, 10, 20),
    )


def digits_conv(levels: int = 8, rate: float = 0.37) -> Study:
    """A small convolutional ResNet on the digits: what shows there and what does not."""
    return Study(
        name="digits-conv",
        title="Signed masks on handwritten digits, small convolutional network",
        data=DataSpec("digits"),
        network=NetworkSpec("small_conv"),
        searches=_searches(levels, rate),
        search_training=Training(8, 128, SGD(0.2, 0.9, 1e-3), Constant()),
        warmup_epochs=8,
        training=Training(30, 128, SGD(0.1, 0.9, 1e-3), StepDecay((0.5, 0.75), 0.1)),
        arms=PAPER_A_ARMS,
        levels=_judged((5, 8), levels),
        search_seeds=tuple(range(4)),
        starts=(0, 1),
        curve_at=(1, 2, 5, 10, 20),
    )


def images(name: str, *, levels: int = 15, rate: float = 0.2) -> Study:
    """The paper's own set-up for small colour images, on ResNet-20: hours on a GPU, days on a CPU unless made smaller."""
    return Study(
        name=name,
        title=f"Signed masks on {name}",
        data=DataSpec.named(name),
        network=NetworkSpec("resnet20"),
        searches=_searches(levels, rate),
        search_training=Training(10, 128, SGD(0.1, 0.9, 5e-4), Constant()),
        warmup_epochs=10,
        training=Training(100, 128, SGD(0.1, 0.9, 5e-4), StepDecay((0.5, 0.75), 0.1)),
        arms=PAPER_A_ARMS,
        levels=_judged((5, 10, 15), levels),
        search_seeds=(0, 1, 2),
        starts=(0, 1),
        curve_at=(),
    )


def photographs(levels: int = 5, rate: float = 0.46) -> Study:
    """CIFAR-10 at 16x16 pixels, 5,000 training images, on a ResNet-20 8 wide: a deep network that two cores can search.

    Everything was chosen on a validation part of the train split, with other seeds (docs/medium.md).
    """
    return Study(
        name="photographs",
        title="Signed masks on photographs of 16x16 pixels",
        data=DataSpec("cifar10", train_images=5000, image_size=16),
        network=NetworkSpec("resnet20", (("width", 8),)),
        searches=_searches(levels, rate),
        search_training=Training(6, 128, SGD(0.1, 0.9, 2e-3), Constant()),
        warmup_epochs=10,
        training=Training(24, 128, SGD(0.1, 0.9, 2e-3), StepDecay((0.5, 0.75), 0.1)),
        arms=(*PAPER_A_ARMS, ARMS["planted_frozen"], ARMS["planted_lrr_absorbed"]),
        levels=_judged((3, 5), levels),
        search_seeds=tuple(range(8)),
        starts=(0,),
        curve_at=(),
    )


def imagenet(network: str = "resnet50", *, levels: int = 10, rate: float = 0.2) -> Study:
    """The paper's own set-up for ImageNet: 20 warm-up epochs, ten levels of 5, the last one judged; days on several GPUs.

    The optimizers are those of the paper's code for ResNet-50, MobileNetV2 and MLP-Mixer; any other network takes ResNet-50's.
    ResNets are initialised as torchvision does it, as there. From scratch the rate follows half a cosine down to a thousandth.
    One search seed and two starts, as the paper has them. A last batch that is not full is left out, for ranks share batches.
    """
    optimizers: dict[str, tuple[SGD | Adam, int]] = {
        "mobilenet_v2": (SGD(0.05, 0.9, 5e-5), 256),
        "mlp_mixer": (Adam(1e-3, 5e-5), 512),
    }
    optimizer, batch_size = optimizers.get(network, (Adam(1e-3, 1e-5), 256))
    return Study(
        name="imagenet",
        title="Signed masks on ImageNet",
        data=DataSpec("imagenet"),
        network=NetworkSpec(network, (("initialisation", "own"),) if network in ("resnet18", "resnet50") else ()),
        searches=_searches(levels, rate),
        search_training=Training(5, batch_size, optimizer, Constant()),
        warmup_epochs=20,
        training=Training(100, batch_size, optimizer, Cosine(1e-3)),
        arms=PAPER_A_ARMS,
        levels=_judged((10,), levels),
        search_seeds=(0,),
        starts=(0, 1),
        statistics_images=10_000,
    )


PRESETS: dict[str, Callable[..., Study]] = {
    "digits": digits,
    "digits-conv": digits_conv,
    "photographs": photographs,
    "imagenet": imagenet,
}

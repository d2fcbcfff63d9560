"""The studies that the command line knows: digits with a residual MLP, digits with convolutions, and colour images."""

from __future__ import annotations

from winsome.methods import aws, learning_rate_rewinding, lrr_with_frozen_norms
from winsome.study.arms import ARMS, PAPER_A_ARMS, REPEATS
from winsome.study.design import DataSpec, NetworkSpec, Study
from winsome.training.settings import SGD, Adam, Constant, Cosine, StepDecay, Training


def digits() -> Study:
    """A residual MLP on scikit-learn's 8x8 digits: 32 search seeds, the whole order of the paper on two cores."""
    levels, rate = 12, 0.25
    return Study(
        name="digits",
        title="Signed masks on handwritten digits",
        data=DataSpec("digits"),
        network=NetworkSpec("residual_mlp"),
        searches=(
            ("lrr", learning_rate_rewinding(levels, rate)),
            ("aws", aws(levels, rate)),
            ("frozen", lrr_with_frozen_norms(levels, rate)),
        ),
        # 0.2 rather than 0.1: chosen on a validation part of the train split (docs/study.md), as was everything else here.
        search_training=Training(8, 128, SGD(0.2, 0.9, 1e-3), Constant()),
        warmup_epochs=10,
        training=Training(40, 128, SGD(0.05, 0.9, 1e-3), StepDecay((0.5, 0.75), 0.1)),
        arms=(*PAPER_A_ARMS, ARMS["planted_frozen"], ARMS["planted_lrr_absorbed"], *REPEATS),
        levels=(6, 12),
        search_seeds=tuple(range(32)),
        starts=(0,),
        curve_at=(1, 2, 5, 10, 20),
    )


def digits_conv() -> Study:
    """A small convolutional ResNet on the digits: what shows there and what does not."""
    levels, rate = 8, 0.37
    return Study(
        name="digits-conv",
        title="Signed masks on handwritten digits, small convolutional network",
        data=DataSpec("digits"),
        network=NetworkSpec("small_conv"),
        searches=(
            ("lrr", learning_rate_rewinding(levels, rate)),
            ("aws", aws(levels, rate)),
            ("frozen", lrr_with_frozen_norms(levels, rate)),
        ),
        search_training=Training(8, 128, SGD(0.2, 0.9, 1e-3), Constant()),
        warmup_epochs=8,
        training=Training(30, 128, SGD(0.1, 0.9, 1e-3), StepDecay((0.5, 0.75), 0.1)),
        arms=PAPER_A_ARMS,
        levels=(5, 8),
        search_seeds=tuple(range(4)),
        starts=(0, 1),
        curve_at=(1, 2, 5, 10, 20),
    )


def images(name: str) -> Study:
    """The paper's own set-up for small colour images, on ResNet-20: hours on a GPU, days on a CPU unless made smaller."""
    levels, rate = 15, 0.2
    return Study(
        name=name,
        title=f"Signed masks on {name}",
        data=DataSpec(name),
        network=NetworkSpec("resnet20"),
        searches=(
            ("lrr", learning_rate_rewinding(levels, rate)),
            ("aws", aws(levels, rate)),
            ("frozen", lrr_with_frozen_norms(levels, rate)),
        ),
        search_training=Training(10, 128, SGD(0.1, 0.9, 5e-4), Constant()),
        warmup_epochs=10,
        training=Training(100, 128, SGD(0.1, 0.9, 5e-4), StepDecay((0.5, 0.75), 0.1)),
        arms=PAPER_A_ARMS,
        levels=(5, 10, 15),
        search_seeds=(0, 1, 2),
        starts=(0, 1),
        curve_at=(),
    )


def imagenet(network: str = "resnet50") -> Study:
    """The paper's own set-up for ImageNet: 20 warm-up epochs, ten levels of 5, the last one judged; days on several GPUs.

    The optimizers are those of the paper's code for ResNet-50, MobileNetV2 and MLP-Mixer; any other network takes ResNet-50's.
    From scratch the rate follows half a cosine down to a thousandth. One search seed and two starts, as the paper has them.
    """
    levels, rate = 10, 0.2
    optimizers: dict[str, tuple[SGD | Adam, int]] = {
        "mobilenet_v2": (SGD(0.05, 0.9, 5e-5), 256),
        "mlp_mixer": (Adam(1e-3, 5e-5), 512),
    }
    optimizer, batch_size = optimizers.get(network, (Adam(1e-3, 1e-5), 256))
    return Study(
        name="imagenet",
        title="Signed masks on ImageNet",
        data=DataSpec("imagenet"),
        network=NetworkSpec(network),
        searches=(
            ("lrr", learning_rate_rewinding(levels, rate)),
            ("aws", aws(levels, rate)),
            ("frozen", lrr_with_frozen_norms(levels, rate)),
        ),
        search_training=Training(5, batch_size, optimizer, Constant()),
        warmup_epochs=20,
        training=Training(100, batch_size, optimizer, Cosine(1e-3)),
        arms=PAPER_A_ARMS,
        levels=(10,),
        search_seeds=(0,),
        starts=(0, 1),
        statistics_images=10_000,
    )


PRESETS = {"digits": digits, "digits-conv": digits_conv, "imagenet": imagenet}

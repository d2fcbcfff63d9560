"""MobileNetV2, EfficientNet-B0 and ShuffleNet for small images in the shapes of arXiv:2504.05357's code.

Parameters have the names that they have there, so that its checkpoints load and counts compare. Layers keep torch's own
initialisation, under which no bias is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

VARIANTS = ("own", "aws")

Stage = tuple[int, int, int, int, int]  # expansion, channels, blocks, kernel, stride of the first block
MOBILE_STAGES: tuple[Stage, ...] = (
    (1, 16, 1, 3, 1),
    (6, 24, 2, 3, 1),  # 2 on large images
    (6, 32, 3, 3, 2),
    (6, 64, 4, 3, 2),
    (6, 96, 3, 3, 1),
    (6, 160, 3, 3, 2),
    (6, 320, 1, 3, 1),
)
EFFICIENT_STAGES: tuple[Stage, ...] = (
    (1, 16, 1, 3, 1),
    (6, 24, 2, 3, 2),
    (6, 40, 2, 5, 2),
    (6, 80, 3, 3, 2),
    (6, 112, 3, 5, 1),
    (6, 192, 4, 5, 2),
    (6, 320, 1, 3, 1),
)
SHUFFLE_STAGES = ((24, 0), (240, 4), (480, 8), (960, 4))  # channels and units
GROUPS = 3  # of ShuffleNet's 1x1 convolutions


class _Block(nn.Module):
    """1x1 to more channels, depthwise, 1x1 to fewer: what both networks of this shape have."""

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        middle = expansion * inputs
        self.conv1 = nn.Conv2d(inputs, middle, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(middle)
        self.conv2 = nn.Conv2d(middle, middle, kernel, stride, kernel // 2, groups=middle, bias=False)
        self.bn2 = nn.BatchNorm2d(middle)
        self.conv3 = nn.Conv2d(middle, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)


class MobileBlock(_Block):
    """ReLU for ReLU6, an expansion by 1 in the first block, a convolution as shortcut where only the width changes."""

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__(inputs, outputs, expansion, kernel, stride)
        self.added = stride == 1
        self.shortcut = nn.Sequential()
        if self.added and inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, images: Tensor) -> Tensor:
        """[B, inputs, H, W] to [B, outputs, H / stride, W / stride]."""
        hidden = F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(images))))))
        out: Tensor = self.bn3(self.conv3(hidden))
        return out + self.shortcut(images) if self.added else out


class SqueezeExcite(nn.Module):
    """Channels scaled by what two 1x1 convolutions make of their means."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.se1 = nn.Conv2d(channels, squeezed, 1)
        self.se2 = nn.Conv2d(squeezed, channels, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Same shape."""
        means = F.adaptive_avg_pool2d(images, 1)
        return images * torch.sigmoid(self.se2(F.silu(self.se1(means))))


class EfficientBlock(_Block):
    """With squeeze-and-excitation. A block that does not expand has the first convolution, too, and leaves it unused."""

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__(inputs, outputs, expansion, kernel, stride)
        self.expands, self.added = expansion != 1, stride == 1 and inputs == outputs
        self.se = SqueezeExcite(expansion * inputs, inputs // 4)

    def forward(self, images: Tensor) -> Tensor:
        """[B, inputs, H, W] to [B, outputs, H / stride, W / stride]."""
        hidden = F.silu(self.bn1(self.conv1(images))) if self.expands else images
        out: Tensor = self.bn3(self.conv3(self.se(F.silu(self.bn2(self.conv2(hidden))))))
        return out + images if self.added else out


def _blocks(make: Callable[[int, int, int, int, int], nn.Module], stages: Sequence[Stage]) -> nn.Sequential:
    blocks, inputs = [], 32
    for expansion, outputs, count, kernel, stride in stages:
        for number in range(count):
            blocks.append(make(inputs, outputs, expansion, kernel, 1 if number else stride))
            inputs = outputs
    return nn.Sequential(*blocks)


class MobileNetV2(nn.Module):
    """Stem, blocks, 1x1 convolution to 1280 channels, classifier."""

    def __init__(self, channels: int, n_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 32, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.layers = _blocks(MobileBlock, MOBILE_STAGES)
        self.conv2 = nn.Conv2d(320, 1280, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(1280)
        self.linear = nn.Linear(1280, n_classes)

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, H, W] to logits [B, K]."""
        hidden = self.layers(F.relu(self.bn1(self.conv1(images))))
        hidden = F.relu(self.bn2(self.conv2(hidden)))
        logits: Tensor = self.linear(F.adaptive_avg_pool2d(hidden, 1).flatten(1))
        return logits


class EfficientNetB0(nn.Module):
    """Stem, blocks, dropout, classifier: without the last 1x1 convolution, 320 to 1280."""

    def __init__(self, channels: int, n_classes: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.conv1 = nn.Conv2d(channels, 32, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.layers = _blocks(EfficientBlock, EFFICIENT_STAGES)
        self.linear = nn.Linear(320, n_classes)

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, H, W] to logits [B, K]."""
        hidden = self.layers(F.silu(self.bn1(self.conv1(images))))
        features = F.dropout(F.adaptive_avg_pool2d(hidden, 1).flatten(1), self.dropout, self.training)
        logits: Tensor = self.linear(features)
        return logits


class _Named(nn.Module):
    """A convolution with a bias and its BatchNorm, as a sequence under a name of that code's."""

    def __init__(self, name: str, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.name = name
        self.add_module(name, nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels)))

    def forward(self, images: Tensor) -> Tensor:
        """The two of them."""
        out: Tensor = self.get_submodule(self.name)(images)
        return out


class ShuffleBlock(nn.Module):
    """As ShuffleNet's, but with biases, and the first 1x1 convolution grouped in every unit."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        middle, self.stride = outputs // 4, 1 if inputs == outputs else 2
        grown = outputs if self.stride == 1 else outputs - inputs
        depthwise = nn.Conv2d(middle, middle, 3, self.stride, 1, groups=middle)
        first = _Named("pointwise", nn.Conv2d(inputs, middle, 1, groups=GROUPS))
        self.bottlneck = nn.Sequential(first, nn.ReLU())  # spelt as there
        self.depthwise = _Named("depthwise", depthwise)
        self.expand = _Named("pointwise", nn.Conv2d(middle, grown, 1, groups=GROUPS))

    def forward(self, images: Tensor) -> Tensor:
        """[B, inputs, H, W] to [B, outputs, H / stride, W / stride]."""
        hidden = self.expand(self.depthwise(F.channel_shuffle(self.bottlneck(images), GROUPS)))
        if self.stride == 1:
            return F.relu(images + hidden)
        return F.relu(torch.cat((F.avg_pool2d(images, 3, 2, 1), hidden), 1))


class ShuffleNet(nn.Module):
    """Stem, three stages, classifier."""

    def __init__(self, channels: int, n_classes: int) -> None:
        super().__init__()
        (stem, _), *_ = SHUFFLE_STAGES
        self.conv1 = nn.Sequential()
        self.conv1.add_module("conv", nn.Conv2d(channels, stem, 3, 1, 1))
        self.conv1.add_module("bn", nn.BatchNorm2d(stem))
        for number, ((inputs, _), (outputs, units)) in enumerate(pairwise(SHUFFLE_STAGES), 2):
            widths = [inputs] + [outputs] * (units - 1)
            self.add_module(f"stage{number}", nn.Sequential(*(ShuffleBlock(width, outputs) for width in widths)))
        self.fc = nn.Linear(SHUFFLE_STAGES[-1][0], n_classes)

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, H, W] to logits [B, K]."""
        hidden = F.relu(self.conv1(images))
        for number in range(2, 1 + len(SHUFFLE_STAGES)):
            hidden = self.get_submodule(f"stage{number}")(hidden)
        logits: Tensor = self.fc(F.adaptive_avg_pool2d(hidden, 1).flatten(1))
        return logits


def is_aws(variant: str) -> bool:
    """Whether a network is asked for in that code's shapes.

    Raises:
        ValueError: there is no such variant.
    """
    if variant not in VARIANTS:
        raise ValueError(f"variant is one of {', '.join(VARIANTS)}, got {variant!r}")
    return variant == "aws"

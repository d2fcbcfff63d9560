"""ShuffleNet (Zhang et al. 2017, arXiv:1707.01083): grouped 1x1 convolutions whose groups a channel shuffle mixes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from winsome.models.aws_variants import GROUPS, ShuffleNet, is_aws
from winsome.models.residual import SMALL_IMAGE, ImageShape

STEM = 24  # channels
STAGES = ((4, 240), (8, 480), (4, 960))  # units and channels of each stage for three groups, table 1


class ShuffleUnit(nn.Module):
    """Grouped 1x1, shuffle, depthwise 3x3, grouped 1x1; added to its input, or concatenated to it where the stride is 2.

    Args:
        inputs: channels.
        outputs: channels; the bottleneck has a quarter of them.
        groups: of both 1x1 convolutions; the first has one where a stage begins at the stem, whose channels are few.
    """

    def __init__(self, inputs: int, outputs: int, groups: int) -> None:
        super().__init__()
        middle = outputs // 4
        self.stride = 1 if inputs == outputs else 2
        self.groups = groups
        grown = outputs if self.stride == 1 else outputs - inputs
        self.conv1 = nn.Conv2d(inputs, middle, 1, groups=1 if inputs == STEM else groups, bias=False)
        self.norm1 = nn.BatchNorm2d(middle)
        self.conv2 = nn.Conv2d(middle, middle, 3, self.stride, 1, groups=middle, bias=False)
        self.norm2 = nn.BatchNorm2d(middle)
        self.conv3 = nn.Conv2d(middle, grown, 1, groups=groups, bias=False)
        self.norm3 = nn.BatchNorm2d(grown)

    def forward(self, images: Tensor) -> Tensor:
        """[B, inputs, H, W] to [B, outputs, H / stride, W / stride]."""
        hidden = F.relu(self.norm1(self.conv1(images)))
        hidden = F.channel_shuffle(hidden, self.groups)
        hidden = self.norm3(self.conv3(self.norm2(self.conv2(hidden))))
        if self.stride == 1:
            return F.relu(images + hidden)
        return F.relu(torch.cat((F.avg_pool2d(images, 3, 2, 1), hidden), 1))


def shufflenet(image_shape: ImageShape, n_classes: int, *, groups: int = 3, variant: str = "own") -> nn.Module:
    """ShuffleNet 1x; images of up to 64 pixels get a stride-1 stem without max-pooling, as in the code of arXiv:2504.05357.

    That code groups the first 1x1 convolution as well and gives every convolution a bias (`variant="aws"`, three groups); the
    ShuffleNet paper is followed otherwise. The widths are those of table 1 for three groups: another number of groups must
    divide them.

    Raises:
        ValueError: another number of groups for the variant "aws".
    """
    if is_aws(variant):
        if groups != GROUPS:
            raise ValueError(f"the variant 'aws' has {GROUPS} groups, got {groups}")
        return ShuffleNet(image_shape[0], n_classes)
    small = max(image_shape[1:]) <= SMALL_IMAGE
    layers: list[nn.Module] = [
        nn.Conv2d(image_shape[0], STEM, 3, 1 if small else 2, 1, bias=False),
        nn.BatchNorm2d(STEM),
        nn.ReLU(),
    ]
    if not small:
        layers.append(nn.MaxPool2d(3, 2, 1))
    inputs = STEM
    for units, width in STAGES:
        for _ in range(units):
            layers.append(ShuffleUnit(inputs, width, groups))
            inputs = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, n_classes))

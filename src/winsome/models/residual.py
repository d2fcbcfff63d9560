"""Residual networks for small images: the CIFAR ResNets, a smaller one, and one of linear layers."""

from __future__ import annotations

import math
from typing import Literal, get_args

from torch import Tensor, nn

from winsome.channel_scale import ChannelScale
from winsome.errors import unknown

ImageShape = tuple[int, int, int]  # channels, height, width
Norm = Literal["batch", "none", "scale"]  # of linear layers: BatchNorm, biases only, or biases and a scale a channel
SMALL_IMAGE = 64  # pixels: up to this side a network takes its small-image stem


class ConvBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which is a 1x1 convolution where the shape changes (He et al. 2015, option B)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.relu2 = nn.ReLU()
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, images: Tensor) -> Tensor:
        """[B, inputs, H, W] to [B, outputs, H / stride, W / stride]."""
        hidden = self.relu1(self.norm1(self.conv1(images)))
        out: Tensor = self.relu2(self.norm2(self.conv2(hidden)) + self.shortcut(images))
        return out


class LinearBlock(nn.Module):
    """x + relu(BN(W x)): a residual block of one linear layer; x + relu(W x + b), perhaps scaled, without BatchNorm."""

    def __init__(self, width: int, *, norm: Norm = "batch") -> None:
        super().__init__()
        self.linear, after = _linear(width, width, norm)
        # A scale that normalises nothing is not called a norm: it would be taken for one.
        self.norm: nn.Module = after if norm == "batch" else nn.Identity()
        self.scaling: nn.Module = nn.Identity() if norm == "batch" else after
        self.relu = nn.ReLU()

    def forward(self, hidden: Tensor) -> Tensor:
        """[B, width] to [B, width]."""
        out: Tensor = hidden + self.relu(self.scaling(self.norm(self.linear(hidden))))
        return out


def conv_resnet(image_shape: ImageShape, n_classes: int, stem: int, stages: list[tuple[int, int, int]]) -> nn.Sequential:
    """Stem, blocks and classifier; `stages` are (blocks, width, stride of the first)."""
    layers: list[nn.Module] = [nn.Conv2d(image_shape[0], stem, 3, 1, 1, bias=False), nn.BatchNorm2d(stem), nn.ReLU()]
    inputs = stem
    for blocks, width, stride in stages:
        for block in range(blocks):
            layers.append(ConvBlock(inputs, width, stride if block == 0 else 1))
            inputs = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, n_classes))


def small_conv(image_shape: ImageShape, n_classes: int, *, width: int = 8) -> nn.Module:
    """A ResNet of three blocks for 8x8 images, 8-16-32 wide."""
    return conv_resnet(image_shape, n_classes, width, [(1, width, 1), (1, 2 * width, 2), (1, 4 * width, 2)])


def resnet8(image_shape: ImageShape, n_classes: int, *, width: int = 16) -> nn.Module:
    """The CIFAR ResNet of 8 layers, 16-32-64 wide, 1x1 convolutions as shortcuts."""
    return conv_resnet(image_shape, n_classes, width, [(1, width, 1), (1, 2 * width, 2), (1, 4 * width, 2)])


def resnet20(image_shape: ImageShape, n_classes: int, *, width: int = 16) -> nn.Module:
    """The CIFAR ResNet of 20 layers, 16-32-64 wide, 1x1 convolutions as shortcuts (He et al. 2015, section 4.2)."""
    return conv_resnet(image_shape, n_classes, width, [(3, width, 1), (3, 2 * width, 2), (3, 4 * width, 2)])


def residual_mlp(
    image_shape: ImageShape, n_classes: int, *, width: int = 64, blocks: int = 5, norm: Norm = "batch"
) -> nn.Module:
    """Linear layers with BatchNorm in residual blocks x + relu(BN(W x)); `norm` may be "none" or "scale" (see `mlp`)."""
    stem = _linear(math.prod(image_shape), width, norm)
    body = (LinearBlock(width, norm=norm) for _ in range(blocks))
    return nn.Sequential(nn.Flatten(), *stem, nn.ReLU(), *body, nn.Linear(width, n_classes))


def mlp(
    image_shape: ImageShape, n_classes: int, *, widths: tuple[int, ...] = (128, 128, 128), norm: Norm = "batch"
) -> nn.Module:
    """Linear layers with BatchNorm and ReLU.

    Without BatchNorm they have biases: `norm` is "none", or "scale" for a scale a channel as well, with which nothing is
    normalised.
    """
    layers: list[nn.Module] = [nn.Flatten()]
    inputs = math.prod(image_shape)
    for width in widths:
        layers += [*_linear(inputs, width, norm), nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, n_classes))


def _linear(inputs: int, width: int, norm: Norm) -> tuple[nn.Linear, nn.Module]:
    """A linear layer and what stands in the place of its normalisation."""
    if norm == "batch":
        return nn.Linear(inputs, width, bias=False), nn.BatchNorm1d(width)
    if norm not in get_args(Norm):
        raise unknown("norm", norm, get_args(Norm))
    return nn.Linear(inputs, width), ChannelScale(width) if norm == "scale" else nn.Identity()

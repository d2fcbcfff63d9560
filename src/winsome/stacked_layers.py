"""Layers that hold those of several networks: every member computed as if it were alone, under the layer's own names.

Shape suffixes: S members, B images, D inputs, W outputs or features; of images C channels, H height, W width. Activations of
linear layers are [S, B, W] by shape and [S, W, B] in memory, in which both the products and the statistics run over contiguous
rows; those of convolutions are [S, B, C, H, W] by shape and [B, S, C, H, W] or [B, H, W, S, C] in memory, so that a stack's
convolution is one of S groups of channels. Elementwise layers keep either order.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from winsome.channel_scale import ChannelScale
from winsome.errors import WinsomeError


class StackedLinear(nn.Module):
    """S linear layers: inputs [S, B, D] to outputs [S, B, W]."""

    weight: nn.Parameter
    bias: nn.Parameter | None

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        _stack_tensors(self, layers)

    def forward(self, inputs_SBD: Tensor) -> Tensor:
        """One batched product.

        Raises:
            WinsomeError: the input has no leading axis of the stack's size.
        """
        _refuse_other_shapes(inputs_SBD, len(self.weight), "linear layers", ("features",))
        if self.bias is None:
            return torch.bmm(self.weight, inputs_SBD.mT).mT
        return torch.baddbmm(self.bias.unsqueeze(2), self.weight, inputs_SBD.mT).mT


class StackedBatchNorm1d(_BatchNorm):
    """S BatchNorm layers on [S, B, W]: each member normalised by its own batch, or by its own running statistics."""

    def __init__(self, layers: Sequence[_BatchNorm]) -> None:
        first = layers[0]
        super().__init__(first.num_features, first.eps, first.momentum, first.affine, first.track_running_stats)
        _stack_tensors(self, layers)

    def forward(self, inputs_SBW: Tensor) -> Tensor:
        """Statistics over B; the running ones are updated in training.

        Raises:
            ValueError: a training batch of a single image.
        """
        members, batch, width = inputs_SBW.shape
        channels = members * width
        weight, bias = (None if p is None else p.reshape(channels) for p in (self.weight, self.bias))
        rows = inputs_SBW.mT.reshape(1, channels, batch)  # a view: see the memory order above
        if not self.training and self.running_mean is not None and self.running_var is not None:
            mean, variance = self.running_mean.view(channels), self.running_var.view(channels)
            return F.batch_norm(rows, mean, variance, weight, bias, False, 0.0, self.eps).view(members, width, batch).mT
        if batch < 2:
            raise ValueError(f"BatchNorm in training needs 2 or more images in a batch, got {batch}")
        # GroupNorm of groups of one channel is BatchNorm in training; its statistics cost a fifth of F.batch_norm's.
        # Under autocast the products are bf16 and the parameters are not: normalise in the parameters' type.
        rows = rows.to(self.weight.dtype if weight is not None else rows.dtype)
        out, mean, deviation_inverse = torch.native_group_norm(rows, weight, bias, 1, channels, batch, channels, self.eps)
        if self.training:
            self._track(mean.detach().view(members, width), deviation_inverse.detach().view(members, width), batch)
        return out.view(members, width, batch).mT

    @torch.no_grad()
    def _track(self, mean_SW: Tensor, deviation_inverse_SW: Tensor, batch: int) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share: Any = self.momentum
        if share is None:  # a plain mean over the batches
            share = self.num_batches_tracked.to(self.running_mean.dtype).reciprocal().unsqueeze(1)
        variance_SW = deviation_inverse_SW.square().reciprocal_().sub_(self.eps).clamp_min_(0).mul_(batch / (batch - 1))
        self.running_mean.lerp_(mean_SW.to(self.running_mean.dtype), share)
        self.running_var.lerp_(variance_SW.to(self.running_var.dtype), share)


class StackedConv2d(nn.Module):
    """S convolutions: images [S, B, C, H, W] to [S, B, O, H', W']; one convolution of S times their groups."""

    weight: nn.Parameter
    bias: nn.Parameter | None

    def __init__(self, layers: Sequence[nn.Conv2d]) -> None:
        super().__init__()
        first = layers[0]
        self.stride, self.padding, self.dilation = first.stride, first.padding, first.dilation
        self.groups = len(layers) * first.groups
        _stack_tensors(self, layers)

    def forward(self, images_SBCHW: Tensor) -> Tensor:
        """One grouped convolution.

        Raises:
            WinsomeError: the input has no leading axis of the stack's size.
        """
        members = len(self.weight)
        _refuse_other_shapes(images_SBCHW, members, "convolutions", ("channels", "height", "width"))
        bias = None if self.bias is None else self.bias.flatten()
        wide, weight = _side_by_side(images_SBCHW), self.weight.flatten(0, 1)
        return _members(F.conv2d(wide, weight, bias, self.stride, self.padding, self.dilation, self.groups), members)


class StackedBatchNorm2d(_BatchNorm):
    """S BatchNorm layers on [S, B, C, H, W]: each member normalised by its own batch, or by its own running statistics."""

    def __init__(self, layers: Sequence[_BatchNorm]) -> None:
        first = layers[0]
        super().__init__(first.num_features, first.eps, first.momentum, first.affine, first.track_running_stats)
        _stack_tensors(self, layers)

    def forward(self, images_SBCHW: Tensor) -> Tensor:
        """Statistics over B, H and W; the running ones are updated in training."""
        members = len(images_SBCHW)
        wide = _side_by_side(images_SBCHW)
        weight, bias = (None if value is None else value.flatten() for value in (self.weight, self.bias))
        mean, variance = self.running_mean, self.running_var
        if mean is None or variance is None:
            return _members(F.batch_norm(wide, None, None, weight, bias, True, 0.0, self.eps), members)
        if not self.training:
            return _members(F.batch_norm(wide, mean.view(-1), variance.view(-1), weight, bias, False, 0.0, self.eps), members)
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        if self.momentum is not None:
            out = F.batch_norm(wide, mean.view(-1), variance.view(-1), weight, bias, True, self.momentum, self.eps)
            return _members(out, members)
        own_mean, own_variance = torch.zeros_like(mean), torch.zeros_like(variance)  # a plain mean over the batches
        out = F.batch_norm(wide, own_mean.view(-1), own_variance.view(-1), weight, bias, True, 1.0, self.eps)
        share = self.num_batches_tracked.to(mean.dtype).reciprocal().unsqueeze(1)
        mean.lerp_(own_mean, share)
        variance.lerp_(own_variance, share)
        return _members(out, members)


class StackedPool2d(nn.Module):
    """A pooling layer without parameters on [S, B, C, H, W]."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.pool = layers[0]

    def forward(self, images_SBCHW: Tensor) -> Tensor:
        """The same for every channel of every member."""
        return _members(self.pool(_side_by_side(images_SBCHW)), len(images_SBCHW))


def _side_by_side(images_SBCHW: Tensor) -> Tensor:
    """The members' channels side by side, [B, S C, H, W]: a view of what a stacked layer has made."""
    return images_SBCHW.transpose(0, 1).flatten(1, 2)


def _members(wide: Tensor, members: int) -> Tensor:
    """Of channels side by side the members again, [S, B, C, H, W]; a view."""
    batch, channels, *sides = wide.shape
    return wide.view(batch, members, channels // members, *sides).transpose(0, 1)


def stacked_scale(layers: Sequence[ChannelScale]) -> ChannelScale:
    """S scales: inputs [S, B, W], each member's channels times its own."""
    stacked = copy.deepcopy(layers[0])
    _stack_tensors(stacked, layers)
    return stacked


def _refuse_other_shapes(inputs: Tensor, members: int, layers: str, axes: Sequence[str]) -> None:
    """Raise WinsomeError where inputs are not [S, B, ...]: the network's forward has done more than it may."""
    if inputs.ndim != 2 + len(axes) or len(inputs) != members:
        raise WinsomeError(
            f"a stack of {members} {layers} takes [{', '.join((str(members), 'batch', *axes))}], got {list(inputs.shape)}; "
            "the forward of a stacked network may use layers and elementwise functions only"
        )


def _stack_tensors(stacked: nn.Module, layers: Sequence[nn.Module]) -> None:
    """Register the layers' parameters and buffers, stacked, under their own names; what they lack, such as a bias, as None."""
    for name in layers[0]._parameters:
        stacked.register_parameter(name, None)
    for name, value in layers[0].named_parameters(recurse=False):
        together = torch.stack([layer.get_parameter(name).detach() for layer in layers])
        stacked.register_parameter(name, nn.Parameter(together, requires_grad=value.requires_grad))
    for name, _ in layers[0].named_buffers(recurse=False):
        stacked.register_buffer(name, torch.stack([layer.get_buffer(name) for layer in layers]))

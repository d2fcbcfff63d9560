"""A scale for every channel: what is left of normalisation where nothing is normalised."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ChannelScale(nn.Module):
    """Every channel times a parameter of its own, which begins at 1.

    Example:
        >>> ChannelScale(3)(torch.ones(2, 3)).shape
        torch.Size([2, 3])
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))

    def forward(self, inputs: Tensor) -> Tensor:
        """[B, channels] to the same; of a stack [S, B, channels], whose scales are [S, channels]."""
        return inputs * self.scale.unsqueeze(-2)

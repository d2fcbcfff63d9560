"""MLP-Mixer (Tolstikhin et al. 2021, arXiv:2105.01601): linear layers over the patches of an image, then over its channels.

Shape suffixes: B images, T tokens (patches), D features of a token.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from winsome.models.residual import SMALL_IMAGE, ImageShape


class MixerBlock(nn.Module):
    """x + MLP over tokens, then x + MLP over features; each on its input's LayerNorm.

    Args:
        tokens: T.
        dim: D.
        token_width: hidden units of the MLP over tokens, whose layers are `Conv1d` as in the code of arXiv:2504.05357.
        channel_width: hidden units of the MLP over features.
    """

    def __init__(self, tokens: int, dim: int, token_width: int, channel_width: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.conv1 = nn.Conv1d(tokens, token_width, 1)
        self.conv2 = nn.Conv1d(token_width, tokens, 1)
        self.norm2 = nn.LayerNorm(dim)
        self.linear1 = nn.Linear(dim, channel_width)
        self.linear2 = nn.Linear(channel_width, dim)

    def forward(self, tokens_BTD: Tensor) -> Tensor:
        """[B, T, D] to [B, T, D]."""
        tokens_BTD = tokens_BTD + self.conv2(F.gelu(self.conv1(self.norm1(tokens_BTD))))
        out: Tensor = tokens_BTD + self.linear2(F.gelu(self.linear1(self.norm2(tokens_BTD))))
        return out


class MLPMixer(nn.Module):
    """Patches, blocks, LayerNorm, mean over the patches, classifier."""

    def __init__(
        self, channels: int, tokens: int, n_classes: int, patch: int, dim: int, depth: int, token_width: int, channel_width: int
    ) -> None:
        super().__init__()
        self.patches = nn.Conv2d(channels, dim, patch, patch)
        self.blocks = nn.Sequential(*(MixerBlock(tokens, dim, token_width, channel_width) for _ in range(depth)))
        self.norm = nn.LayerNorm(dim)
        self.classifier = nn.Linear(dim, n_classes)

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, H, W] to logits [B, K]."""
        tokens_BTD = self.patches(images).flatten(2).mT
        logits: Tensor = self.classifier(self.norm(self.blocks(tokens_BTD)).mean(1))
        return logits


def mlp_mixer(
    image_shape: ImageShape,
    n_classes: int,
    *,
    patch: int | None = None,
    dim: int = 512,
    depth: int = 12,
    token_width: int | None = None,
    channel_width: int | None = None,
) -> nn.Module:
    """MLP-Mixer with the width and depth of arXiv:2504.05357 (dim 512, depth 12), patches of 16 pixels.

    Images of up to 64 pixels are cut into 8 x 8 patches unless `patch` (pixels) says otherwise. The hidden widths default to
    those of Mixer-S: dim / 2 over the tokens and 4 dim over the features; which ones arXiv:2504.05357 took is not known.

    Raises:
        ValueError: patches that do not tile the images.
    """
    channels, height, width = image_shape
    if patch is None:
        patch = 16 if max(height, width) > SMALL_IMAGE else max(1, min(height, width) // 8)
    if patch < 1 or height % patch or width % patch:
        raise ValueError(f"patches of {patch} pixels do not tile images of {height}x{width}; choose patch to divide both sides")
    tokens = (height // patch) * (width // patch)
    return MLPMixer(channels, tokens, n_classes, patch, dim, depth, token_width or dim // 2, channel_width or 4 * dim)

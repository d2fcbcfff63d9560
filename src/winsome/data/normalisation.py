"""From uint8 pixels to normalised floats, to the same bits in every batch, in every stack, on every device."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from winsome.data.images import ImageData
from winsome.errors import WinsomeError


def normaliser(data: ImageData, *, dtype: torch.dtype, channels_last: bool) -> Callable[[Tensor], Tensor]:
    """A function of uint8 [..., H, W, C] that gives (pixel / 255 - mean) / std of the train split as `dtype` [..., C, H, W].

    It computes pixel x scale + shift as two elementwise steps in float32 (float64 for float64) and rounds to `dtype` once.

    Raises:
        WinsomeError: `dtype` is no floating one.
    """
    if not dtype.is_floating_point:
        raise WinsomeError(f"inputs are normalised to a floating dtype, got {dtype}; take torch.float32 or torch.bfloat16")
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    channels, height, width = data.image_shape
    scale, shift = _scale_and_shift(data, wide, channels_last)
    workspace = torch.empty(0, scale.numel(), dtype=wide, device=scale.device)

    def normalised(pixels_HWC: Tensor) -> Tensor:
        nonlocal workspace
        lead = pixels_HWC.shape[:-3]
        in_order = pixels_HWC if channels_last else pixels_HWC.movedim(-1, -3)
        flat = in_order.reshape(-1, scale.numel())
        if dtype == wide:
            floats = flat.to(wide).mul_(scale).add_(shift)
        else:
            # A narrower result is made from one float32 workspace: fresh memory for every batch costs more than the sums.
            if len(workspace) < len(flat):
                workspace = torch.empty_like(flat, dtype=wide)
            floats = workspace[: len(flat)].copy_(flat).mul_(scale).add_(shift).to(dtype)
        if channels_last:
            return floats.view(*lead, height, width, channels).movedim(-1, -3)
        return floats.view(*lead, channels, height, width)

    return normalised


def _scale_and_shift(data: ImageData, dtype: torch.dtype, channels_last: bool) -> tuple[Tensor, Tensor]:
    """Factor and summand of every value of an image in its memory order, [H W C] or [C H W].

    They are as long as the image, for an inner loop over three channels alone would be several times slower.
    """
    _, height, width = data.image_shape
    mean, std = torch.tensor(data.mean, dtype=torch.float64), torch.tensor(data.std, dtype=torch.float64)
    both_2C = torch.stack((1 / (255 * std), -mean / std)).to(dtype)
    area = height * width
    both = both_2C.repeat(1, area) if channels_last else both_2C.repeat_interleave(area, dim=1)
    scale, shift = both.to(data.train.labels.device)
    return scale, shift

"""Random resized crops, drawn for a whole epoch at once and cut on the device: what ImageNet is augmented with.

Shape suffixes: M images, S side of a stored image, H side of a crop as the network takes it, C channels.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from winsome.data.images import ResizedCrop

_TRIES = 10  # as torchvision: after ten boxes that do not fit, the whole image
# On a CPU images are resized in parts of at most this many values (32 images of 256 pixels), to spare memory.
_VALUES_AT_ONCE = 32 * 256 * 256 * 3


def draw_boxes(draws_4M: Tensor, crop: ResizedCrop, side: int, generator: torch.Generator) -> None:
    """Fill int64 [4, M] with top, left, height and width of a random box in a square image of `side` pixels.

    The law of torchvision's RandomResizedCrop (Szegedy et al. 2014, arXiv:1409.4842): an area uniform in `crop.scale` of the
    image's, a ratio of width to height log-uniform in `crop.ratio`, then a place uniform among those where the box fits.
    """
    n_images = draws_4M.shape[1]
    height, width = (torch.full((n_images,), side, dtype=torch.int64) for _ in range(2))
    log_low, log_high = (math.log(ratio) for ratio in crop.ratio)
    waiting = torch.arange(n_images)
    for _ in range(_TRIES):
        area, ratio = torch.rand(2, len(waiting), dtype=torch.float64, generator=generator)
        area = side * side * (crop.scale[0] + (crop.scale[1] - crop.scale[0]) * area)
        ratio = torch.exp(log_low + (log_high - log_low) * ratio)
        wide, high = (area * ratio).sqrt_().round_().long(), (area / ratio).sqrt_().round_().long()
        fits = (torch.minimum(wide, high) >= 1) & (torch.maximum(wide, high) <= side)
        height[waiting[fits]], width[waiting[fits]] = high[fits], wide[fits]
        waiting = waiting[~fits]
    for draws, length in zip(draws_4M[:2], (height, width), strict=True):
        room = side - length + 1
        draws.copy_((torch.rand(n_images, dtype=torch.float64, generator=generator) * room).long())
    draws_4M[2].copy_(height)
    draws_4M[3].copy_(width)


def resized_crops(pixels_MSSC: Tensor, draws_5M: Tensor, size: int) -> Tensor:
    """The box of each image (top, left, height, width), resized to `size` pixels and mirrored where asked: uint8 [M, H, H, C].

    Bilinear between the pixels of the box, without antialiasing, which boxes smaller than `size` do not need and which changes
    the largest ones (8/7 of it) little; rounded, as a decoder that resizes gives it.
    """
    n_images, side, _, channels = pixels_MSSC.shape
    at_once = n_images if pixels_MSSC.is_cuda else max(1, _VALUES_AT_ONCE // (side * side * channels))
    crops_MHHC = pixels_MSSC.new_empty(n_images, size, size, channels)
    for start in range(0, n_images, at_once):
        part = slice(start, start + at_once)
        floats_MCSS = pixels_MSSC[part].permute(0, 3, 1, 2).float()
        grid = _grid(draws_5M[:, part], size, side)
        resized = F.grid_sample(floats_MCSS, grid, mode="bilinear", padding_mode="border", align_corners=False)
        crops_MHHC[part] = resized.round_().permute(0, 2, 3, 1)
    return crops_MHHC


def mirrored(crops_MHHC: Tensor, mirror_M: Tensor) -> Tensor:
    """The images, those with a 1 left to right."""
    return torch.where(mirror_M.view(-1, 1, 1, 1) == 1, crops_MHHC.flip(2), crops_MHHC)


def _grid(draws_5M: Tensor, size: int, side: int) -> Tensor:
    """Where each pixel of each crop is sampled, [M, H, H, (x, y)] in the units of `grid_sample`: -1 to 1 over the image."""
    top, left, height, width, mirror = draws_5M.unsqueeze(2)
    centre = torch.arange(size, device=draws_5M.device) + 0.5
    across = torch.where(mirror == 1, size - centre, centre)
    rows, columns = (
        # Not past the centres of the box's outer pixels: what lies outside of the box is not seen.
        (begin + steps * (length / size)).clamp(begin + 0.5, begin + length - 0.5) * (2 / side) - 1
        for begin, length, steps in ((top, height, centre), (left, width, across))
    )
    shape = (len(rows), size, size)
    return torch.stack((columns[:, None, :].expand(shape), rows[:, :, None].expand(shape)), -1)

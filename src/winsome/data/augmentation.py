"""Random crops and mirror images as indexed views: images are written into zeros once, and every crop is a window of them.

Shape suffixes: F 1, or 2 with mirror images; M images, K = 2 pad + 1 shifts, H height, W width, C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from winsome.data.images import Augmentation


def n_draws(augmentation: Augmentation) -> int:
    """How many numbers are drawn for an image: top, left, mirrored, or for a resized crop its box and mirrored."""
    return 3 if augmentation.crop is None else 5


def draw_augmentation(draws_3M: Tensor, augmentation: Augmentation, generator: torch.Generator) -> None:
    """Fill int64 [3, M] with where each image's crop begins in the padded image and whether it is mirrored.

    The rows become top and left, in 0 to 2 pad, and mirrored, 0 or 1.
    """
    n_shifts = 2 * augmentation.pad + 1
    for draws, choices in zip(draws_3M, (n_shifts, n_shifts, 1 + augmentation.flip), strict=True):
        draws.random_(0, choices, generator=generator)


def blank_canvas(images: int, pixels_NHWC: Tensor, augmentation: Augmentation) -> Tensor:
    """Zeros that `augmented` writes up to `images` images into, uint8 [F, M, H + 2 pad, W + 2 pad, C].

    Made once and used again for every batch: the border stays zero. Padding a batch rather than the data set keeps one copy
    of the data, which processes share.
    """
    _, height, width, channels = pixels_NHWC.shape
    pad = augmentation.pad
    return pixels_NHWC.new_zeros(1 + augmentation.flip, images, height + 2 * pad, width + 2 * pad, channels)


def augmented(pixels_MHWC: Tensor, canvas: Tensor, draws_3M: Tensor) -> Tensor:
    """The crop of each padded image that begins at (top, left), mirrored where asked: a new uint8 [M, H, W, C].

    `draws_3M` comes from `draw_augmentation`; `canvas` comes from `blank_canvas` and is overwritten.
    """
    top, left, mirrored = draws_3M
    windows = _windows(pixels_MHWC, canvas)
    # The mirror image of the crop at `left` is the crop of the mirror image that begins as far from the other side.
    left = torch.where(mirrored == 1, windows.shape[3] - 1 - left, left)
    crops = windows[mirrored, torch.arange(len(pixels_MHWC), device=canvas.device), top, left]
    return crops.view_as(pixels_MHWC)


def every_crop(pixels_NHWC: Tensor, augmentation: Augmentation) -> Tensor:
    """All that `augmented` can give for these images, uint8 [F, N, K, K, H, W, C], indexed [mirrored, image, top, left]."""
    windows = _windows(pixels_NHWC, blank_canvas(len(pixels_NHWC), pixels_NHWC, augmentation))
    windows = torch.cat((windows[:1], windows[1:].flip(3)))
    return windows.reshape(*windows.shape[:4], *pixels_NHWC.shape[1:])


def _windows(pixels_MHWC: Tensor, canvas: Tensor) -> Tensor:
    """Write images, and their mirror images, into a canvas; all its windows as a view [F, M, K, K, H, W C]."""
    images, height, width, channels = pixels_MHWC.shape
    pad = (canvas.shape[2] - height) // 2
    canvas[0, :images, pad : pad + height, pad : pad + width] = pixels_MHWC
    if len(canvas) == 2:
        canvas[1, :images, pad : pad + height, pad : pad + width] = pixels_MHWC.flip(2)
    side, image, row, column, channel = canvas.stride()
    n_shifts = 2 * pad + 1
    return canvas.as_strided(
        (len(canvas), images, n_shifts, n_shifts, height, width * channels), (side, image, row, column, row, channel)
    )

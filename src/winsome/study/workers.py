"""How many processes share a machine unless it is said."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from winsome.machine import usable_cores
from winsome.models.residual import SMALL_IMAGE

GPU_WORKERS = 4


def default_workers(image_shape: Sequence[int] | None = None) -> int:
    """Processes side by side: one one-thread process for each core; on a GPU four for small images, else one.

    Small networks keep a GPU waiting for the processes that launch their kernels: four trained 3.8 times as many images a
    second as one, eight no more than 4.1 times (ResNet-20; `benchmarks/side_by_side.py`). Large ones share its memory.

    Args:
        image_shape: channels, height and width, where they are known.
    """
    if not torch.cuda.is_available():
        return usable_cores()
    small = image_shape is not None and max(image_shape[1:]) <= SMALL_IMAGE
    return min(GPU_WORKERS, usable_cores()) if small else 1

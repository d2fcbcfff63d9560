"""Batches of a stored set: read from disk ahead of the training by threads, cropped and normalised on the device.

Shape suffixes: S members of a stack, T steps, B images of a batch, M = T x S x B, H height, W width, C channels.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from winsome.data.images import Augmentation
from winsome.data.resized_crops import mirrored, resized_crops
from winsome.data.stored import StoredSet, middle

_AHEAD = 4  # batches being read or ready while one is used, a thread for each


def stored_batches(
    split: StoredSet, augmentation: Augmentation, pieces: Iterable[Tensor], convert: Callable[[Tensor], Tensor]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs [S, B, C, H, W] and labels [S, B] of every step of pieces [R, T, S, B]: rows and an augmentation's draws."""
    device = split.labels.device
    for piece_TSB, stored in _read_ahead(split, pieces, lambda piece: piece[0].reshape(-1)):
        draws, shape_TSB = piece_TSB.reshape(len(piece_TSB), -1).to(device), piece_TSB.shape[1:]
        pixels = stored.to(device, non_blocking=True)
        if augmentation.crop is not None:
            crops = resized_crops(pixels, draws[1:], split.size)
        else:
            crops = middle(pixels, split.size)
            crops = mirrored(crops, draws[-1]) if augmentation.flip else crops.contiguous()
        inputs, labels = convert(crops), split.labels[draws[0]].view(shape_TSB)
        yield from zip(inputs.view(*shape_TSB, *inputs.shape[1:]), labels, strict=True)


def stored_evaluation_batches(
    split: StoredSet, rows: Tensor, batch_size: int, convert: Callable[[Tensor], Tensor]
) -> Iterator[tuple[Tensor, Tensor]]:
    """The middles of the images of these row numbers, in order: inputs [B, C, H, W] and labels [B]."""
    device = split.labels.device
    parts = torch.split(rows, batch_size) if len(rows) else ()
    for part, stored in _read_ahead(split, parts, lambda part: part):
        pixels = stored.to(device, non_blocking=True)
        yield convert(middle(pixels, split.size).contiguous()), split.labels[part.to(device)]


def _read_ahead(
    split: StoredSet, requests: Iterable[Tensor], rows_of: Callable[[Tensor], Tensor]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Each request and the stored images of its rows, in order, while threads read for the next ones."""
    reading: deque[tuple[Tensor, Future[Tensor]]] = deque()
    with ThreadPoolExecutor(_AHEAD) as threads:
        for request in requests:
            reading.append((request, threads.submit(split.read, rows_of(request))))
            if len(reading) > _AHEAD:
                first, read = reading.popleft()
                yield first, read.result()
        for last, read in reading:
            yield last, read.result()

"""Batches of normalised images, made on the device from uint8: any step can be computed on its own, always to the same bits.

Shape suffixes: S members of a stack, T steps, B images of a batch, M = T x S x B, H height, W width, C channels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from winsome.data.augmentation import augmented, blank_canvas, draw_augmentation, every_crop, n_draws
from winsome.data.images import Augmentation, ImageData, Split
from winsome.data.normalisation import normaliser
from winsome.data.read_ahead import stored_batches, stored_evaluation_batches
from winsome.data.resized_crops import draw_boxes
from winsome.data.stored import StoredSet
from winsome.errors import WinsomeError
from winsome.seeding import generator

Batches = Iterator[tuple[Tensor, Tensor]]
Convert = Callable[[Tensor], Tensor]

# Several steps are gathered at once while they stay within this many bytes of uint8 pixels: a tiny network's step is too
# short for a gather of its own, and larger pieces fall out of the processor's cache.
_BYTES_AT_ONCE = 1 << 19
# A set all of whose crops are this many values or fewer (16 MiB of float32) is looked up in a table of them.
_TABLE_VALUES = 1 << 22
_NO_AUGMENTATION = Augmentation()
_WHOLE = slice(None)


def steps_per_epoch(data: ImageData, batch_size: int, *, drop_last: bool = True) -> int:
    """Training steps of one epoch; the images that do not fill a batch are left out, unless `drop_last` is off.

    Raises:
        WinsomeError: the batch is smaller than one image, or larger than the train split.
    """
    n_images = len(data.train)
    if batch_size < 1:
        raise WinsomeError(f"batch_size must be 1 or more, got {batch_size}")
    if drop_last and batch_size > n_images:
        raise WinsomeError(f"batch_size {batch_size} exceeds the {n_images} training images; take {n_images} or fewer")
    return n_images // batch_size if drop_last else -(-n_images // batch_size)


def training_batches(
    data: ImageData,
    *,
    batch_size: int,
    seed: int,
    last_step: int,
    first_step: int = 0,
    drop_last: bool = True,
    dtype: torch.dtype = torch.float32,
    channels_last: bool = False,
    share: slice = _WHOLE,
) -> Batches:
    """Shuffled, augmented, normalised batches of the global steps first_step to last_step - 1.

    Yields inputs [B, C, H, W] and labels [B]. Step t is step t mod steps_per_epoch of epoch t div steps_per_epoch, whose
    order comes from (seed, "order", epoch) and whose crops and flips come from (seed, "augmentation", epoch): starting in the
    middle gives the bits of running through. Normalisation is computed in float32 (float64 for float64) and rounded once.
    `share` is the part of every batch to make: of several ranks each takes its own, and an image is the same whoever makes it.
    """
    stacked = stacked_batches(
        data,
        [seed],
        batch_size=batch_size,
        first_step=first_step,
        last_step=last_step,
        drop_last=drop_last,
        dtype=dtype,
        channels_last=channels_last,
        share=share,
    )
    return only_member(stacked)


def stacked_batches(
    data: ImageData,
    seeds: Sequence[int],
    *,
    batch_size: int,
    last_step: int,
    first_step: int = 0,
    drop_last: bool = True,
    dtype: torch.dtype = torch.float32,
    channels_last: bool = False,
    share: slice = _WHOLE,
) -> Batches:
    """The training batches of several seeds at once: inputs [S, B, C, H, W] and labels [S, B].

    Member s has exactly the bits of `training_batches` with seeds[s]; the steps are the same for all.

    Raises:
        WinsomeError: there is no seed, or the steps run backwards.
    """
    if not seeds:
        raise WinsomeError("no seeds to stack; give at least one")
    if not 0 <= first_step <= last_step:
        raise WinsomeError(f"steps {first_step} to {last_step}: first_step must lie in 0 to last_step")
    steps = steps_per_epoch(data, batch_size, drop_last=drop_last)

    def pieces() -> Iterator[Tensor]:
        for epoch in range(first_step // steps, -(-last_step // steps)):
            draws = _draws_of_epoch(data, seeds, data.augmentation, "", epoch)
            first, last = max(first_step - epoch * steps, 0), min(last_step - epoch * steps, steps)
            for piece_TSB in _pieces(draws, batch_size, first, last, _images_at_once(data)):
                yield piece_TSB[..., share]

    return _batches(data, data.augmentation, pieces(), dtype, channels_last)


def evaluation_batches(
    image_set: Split,
    data: ImageData,
    *,
    batch_size: int = 1000,
    dtype: torch.dtype = torch.float32,
    channels_last: bool = False,
    share: slice = _WHOLE,
) -> Batches:
    """Every image of a split once, in order, normalised by the data's train split: inputs [B, C, H, W] and labels [B].

    The last batch holds what is left. Of a stored set batches hold 250 images at most, for its images are large. `share` is the
    part of the split to go through; an empty one has no batches.

    Raises:
        WinsomeError: the batch is smaller than one image.
    """
    if batch_size < 1:
        raise WinsomeError(f"batch_size must be 1 or more, got {batch_size}")
    convert = normaliser(data, dtype=dtype, channels_last=channels_last)
    rows = torch.arange(len(image_set))[share]
    if not len(rows):
        return iter(())
    if isinstance(image_set, StoredSet):
        return stored_evaluation_batches(image_set, rows, min(batch_size, 250), convert)
    pixels_NHWC, labels_N = image_set.pixels[share], image_set.labels[share]
    parts = zip(torch.split(pixels_NHWC, batch_size), torch.split(labels_N, batch_size), strict=True)
    return ((convert(pixels), labels) for pixels, labels in parts)


def statistics_batches(
    data: ImageData,
    *,
    batch_size: int,
    seed: int,
    images: int | None = None,
    augment: bool = False,
    dtype: torch.dtype = torch.float32,
    channels_last: bool = False,
) -> Batches:
    """The batches from which a network's BatchNorm statistics are re-estimated: a fixed random choice of *training* images.

    Yields inputs [B, C, H, W] and labels [B]. `images` (None: all) is rounded down to full batches, for a small last batch
    would weigh as much as a full one; if it does not fill one batch, there is one batch of it. Not augmented by default.
    """
    stacked = stacked_statistics_batches(
        data, [seed], batch_size=batch_size, images=images, augment=augment, dtype=dtype, channels_last=channels_last
    )
    return only_member(stacked)


def stacked_statistics_batches(
    data: ImageData,
    seeds: Sequence[int],
    *,
    batch_size: int,
    images: int | None = None,
    augment: bool = False,
    dtype: torch.dtype = torch.float32,
    channels_last: bool = False,
) -> Batches:
    """The statistics batches of several seeds at once: inputs [S, B, C, H, W] and labels [S, B], member for member.

    Raises:
        WinsomeError: there is no seed, or a number of images below 1.
    """
    if not seeds:
        raise WinsomeError("no seeds to stack; give at least one")
    if batch_size < 1:
        raise WinsomeError(f"batch_size must be 1 or more, got {batch_size}")
    n_images = len(data.train) if images is None else min(images, len(data.train))
    if n_images < 1:
        raise WinsomeError(f"BatchNorm statistics need at least one image, got images={images}")
    batch_size = min(batch_size, n_images)

    augmentation = data.augmentation if augment else _NO_AUGMENTATION

    def pieces() -> Iterator[Tensor]:
        draws = _draws_of_epoch(data, seeds, augmentation, "statistics ", 0)
        yield from _pieces(draws, batch_size, 0, n_images // batch_size, _images_at_once(data))

    return _batches(data, augmentation, pieces(), dtype, channels_last)


def _draws_of_epoch(data: ImageData, seeds: Sequence[int], augmentation: Augmentation, purpose: str, epoch: int) -> Tensor:
    """One epoch of every member: row and an augmentation's draws, int64 [R, S, N] on the device that holds the images.

    R is 4 (row, top, left, mirrored), or 6 with resized crops (row, top, left, height, width, mirrored).
    """
    train, n_images = data.train, len(data.train)
    draws = torch.empty(1 + n_draws(augmentation), len(seeds), n_images, dtype=torch.int64)
    for member, seed in enumerate(seeds):
        torch.randperm(n_images, generator=generator(seed, f"{purpose}order", epoch), out=draws[0, member])
        random = generator(seed, f"{purpose}augmentation", epoch)
        if augmentation.crop is not None and isinstance(train, StoredSet):
            draw_boxes(draws[1:5, member], augmentation.crop, train.stored_size, random)
            draws[5, member].random_(0, 1 + augmentation.flip, generator=random)
        else:
            draw_augmentation(draws[1:, member], augmentation, random)
    return draws if isinstance(train, StoredSet) else draws.to(train.labels.device)


def _pieces(draws: Tensor, batch_size: int, first: int, last: int, images_at_once: int) -> Iterator[Tensor]:
    """The steps first to last - 1 of an epoch's draws [R, S, N], as pieces [R, T, S, B] of as many steps as fit at once."""
    _, members, n_images = draws.shape
    full = n_images // batch_size
    at_once = max(1, images_at_once // (members * batch_size))
    for start in range(first, min(last, full), at_once):
        stop = min(start + at_once, last, full)
        piece = draws[:, :, start * batch_size : stop * batch_size]
        yield piece.reshape(len(draws), members, stop - start, batch_size).transpose(1, 2)
    if last > full:
        yield draws[:, None, :, full * batch_size :]


def _batches(
    data: ImageData, augmentation: Augmentation, pieces: Iterator[Tensor], dtype: torch.dtype, channels_last: bool
) -> Batches:
    """Make the inputs of a piece [R, T, S, B] at once, and hand them out step by step."""
    if isinstance(data.train, StoredSet):
        return stored_batches(data.train, augmentation, pieces, normaliser(data, dtype=dtype, channels_last=channels_last))
    n_crops = (1 + augmentation.flip) * (2 * augmentation.pad + 1) ** 2
    small = data.train.pixels.numel() * n_crops <= _TABLE_VALUES
    convert = normaliser(data, dtype=dtype, channels_last=channels_last)
    inputs_of = (_from_table if small else _from_windows)(data.train.pixels, augmentation, convert)

    def batches() -> Batches:
        for piece_TSB in pieces:
            draws_4M, shape_TSB = piece_TSB.reshape(4, -1), piece_TSB.shape[1:]
            inputs = inputs_of(draws_4M)
            labels = data.train.labels[draws_4M[0]].view(shape_TSB)
            yield from zip(inputs.view(*shape_TSB, *inputs.shape[1:]), labels, strict=True)

    return batches()


def _from_table(pixels_NHWC: Tensor, augmentation: Augmentation, convert: Convert) -> Convert:
    """Inputs [M, C, H, W] of draws [4, M], looked up in a table of every normalised crop: for small sets of small images."""
    crops = convert(every_crop(pixels_NHWC, augmentation))
    _, n_images, n_shifts, _, *_ = crops.shape
    one_crop = crops[0, 0, 0, 0]
    table = crops.as_strided((crops.numel() // one_crop.numel(), one_crop.numel()), (one_crop.numel(), 1))

    def looked_up(draws_4M: Tensor) -> Tensor:
        rows, top, left, mirrored = draws_4M
        found = table.index_select(0, ((mirrored * n_images + rows) * n_shifts + top) * n_shifts + left)
        return found.as_strided((len(rows), *one_crop.shape), (one_crop.numel(), *one_crop.stride()))

    return looked_up


def _from_windows(pixels_NHWC: Tensor, augmentation: Augmentation, convert: Convert) -> Convert:
    """Inputs [M, C, H, W] of draws [4, M], gathered, cropped and flipped as uint8, then normalised."""
    canvas = blank_canvas(0, pixels_NHWC, augmentation)

    def gathered(draws_4M: Tensor) -> Tensor:
        nonlocal canvas
        pixels = pixels_NHWC.index_select(0, draws_4M[0])
        if augmentation != _NO_AUGMENTATION:
            if canvas.shape[1] < len(pixels):
                canvas = blank_canvas(len(pixels), pixels_NHWC, augmentation)
            pixels = augmented(pixels, canvas, draws_4M[1:])
        return convert(pixels)

    return gathered


def only_member(stacked: Batches) -> Batches:
    """The batches of a stack of one, without the leading axis."""
    return ((inputs[0], labels[0]) for inputs, labels in stacked)


def _images_at_once(data: ImageData) -> int:
    return _BYTES_AT_ONCE // math.prod(data.image_shape)

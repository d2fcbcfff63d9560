"""Batches against loops over single images; any step alone; stacks member by member."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from winsome.data import batches as batches_module
from winsome.data.augmentation import augmented, blank_canvas, draw_augmentation, every_crop
from winsome.data.batches import (
    Batches,
    evaluation_batches,
    stacked_batches,
    stacked_statistics_batches,
    statistics_batches,
    steps_per_epoch,
    training_batches,
)
from winsome.data.images import Augmentation, ImageData, ImageSet, image_data
from winsome.errors import WinsomeError
from winsome.seeding import generator

PATHS = {"table": 1 << 30, "windows": 0}


@pytest.fixture(params=PATHS)
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to make a batch: looked up in a table of all crops, or gathered through windows."""
    monkeypatch.setattr(batches_module, "_TABLE_VALUES", PATHS[request.param])
    return str(request.param)


def make_data(
    n_train: int = 50, *, channels: int = 3, pad: int = 2, flip: bool = True, height: int = 6, width: int = 5
) -> ImageData:
    chance = torch.Generator().manual_seed(n_train)
    images = torch.randint(256, (n_train + 7, channels, height, width), dtype=torch.uint8, generator=chance)
    every = ImageSet(images, torch.arange(n_train + 7) % 3)
    train, test = every.rows(torch.arange(n_train)), every.rows(torch.arange(n_train, n_train + 7))
    return image_data("random", train, test, tuple("abc"), augmentation=Augmentation(pad, flip))


def cropped(image_CHW: Tensor, pad: int, top: int, left: int, mirrored: int) -> Tensor:
    """One crop the slow way: pad, cut, mirror."""
    channels, height, width = image_CHW.shape
    padded = torch.zeros(channels, height + 2 * pad, width + 2 * pad, dtype=image_CHW.dtype)
    padded[:, pad : pad + height, pad : pad + width] = image_CHW
    crop = padded[:, top : top + height, left : left + width]
    return crop.flip(-1) if mirrored else crop


def plain(images: Tensor, data: ImageData) -> Tensor:
    """Normalisation as it is usually written, in float64."""
    mean, std = (torch.tensor(values, dtype=torch.float64).view(-1, 1, 1) for values in (data.mean, data.std))
    return (images.double() / 255 - mean) / std


def assert_same(one: Batches, other: Batches) -> None:
    for (inputs, labels), (other_inputs, other_labels) in zip(one, other, strict=True):
        assert torch.equal(inputs, other_inputs)
        assert torch.equal(labels, other_labels)


@settings(max_examples=40, deadline=None)
@given(st.tuples(*(st.integers(1, largest) for largest in (4, 3, 6, 6))), st.integers(0, 3), st.booleans())
def test_crops_and_flips_are_those_of_a_loop(shape_NCHW: tuple[int, int, int, int], pad: int, flip: bool) -> None:
    n_images, channels, height, width = shape_NCHW
    data = make_data(n_images, channels=channels, height=height, width=width)
    augmentation = Augmentation(pad, flip)
    draws = torch.empty(3, n_images, dtype=torch.int64)
    draw_augmentation(draws, augmentation, torch.Generator().manual_seed(n_images))
    canvas = blank_canvas(n_images + 2, data.train.pixels, augmentation)
    table = every_crop(data.train.pixels, augmentation)
    for _ in range(2):  # twice: the canvas is used again
        crops = augmented(data.train.pixels, canvas, draws)
    for row, (top, left, mirrored) in enumerate(draws.T.tolist()):
        expected = cropped(data.train.images[row], pad, top, left, mirrored).permute(1, 2, 0)
        assert torch.equal(crops[row], expected)
        assert torch.equal(table[mirrored, row, top, left], expected)


def test_every_shift_and_side_is_drawn_equally_often() -> None:
    draws = torch.empty(3, 50 * 5000, dtype=torch.int64)
    draw_augmentation(draws, Augmentation(pad=2, flip=True), torch.Generator().manual_seed(0))
    counts = Counter(tuple(draw) for draw in draws.T.tolist())
    assert set(counts) == set(product(range(5), range(5), range(2)))
    assert all(abs(count - 5000) < 5 * 5000**0.5 for count in counts.values())


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(("channels", "pad", "flip"), [(1, 1, False), (3, 2, True), (3, 0, True), (2, 0, False)])
@pytest.mark.usefixtures("path")
def test_an_epoch_holds_each_image_once_cropped_with_its_label(
    channels: int, pad: int, flip: bool, channels_last: bool
) -> None:
    data = make_data(50, channels=channels, pad=pad, flip=flip)
    order = torch.randperm(50, generator=generator(3, "order", 1))
    seen = 0
    epoch = training_batches(data, batch_size=8, seed=3, first_step=6, last_step=12, channels_last=channels_last)
    for inputs, labels in epoch:
        assert inputs.shape == (8, *data.image_shape)
        assert inputs.is_contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
        for image, label in zip(inputs, labels, strict=True):
            row = int(order[seen])
            assert label == data.train.labels[row]
            choices = product(range(2 * pad + 1), range(2 * pad + 1), range(1 + flip))
            crops = torch.stack([cropped(data.train.images[row], pad, *choice) for choice in choices])
            errors = (plain(crops, data) - image).abs().flatten(1).amax(1)
            assert errors.min() < 1e-5
            seen += 1
    assert seen == 48


@pytest.mark.usefixtures("path")
def test_epochs_and_seeds_differ() -> None:
    data = make_data()
    labels = [
        tuple(labels.tolist()) for seed in (0, 1) for _, labels in training_batches(data, batch_size=50, seed=seed, last_step=3)
    ]
    assert len(set(labels)) == 6


@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize("at_once", [1, 20, 10_000])
@pytest.mark.usefixtures("path")
def test_starting_in_the_middle_gives_the_bits_of_running_through(
    at_once: int, drop_last: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_data(50)

    def run(first_step: int, last_step: int) -> list[tuple[Tensor, Tensor]]:
        return list(
            training_batches(data, batch_size=8, seed=0, first_step=first_step, last_step=last_step, drop_last=drop_last)
        )

    through = run(0, 20)
    assert len(through) == 20
    monkeypatch.setattr(batches_module, "_BYTES_AT_ONCE", at_once * 90)
    for first, last in ((0, 20), (1, 3), (5, 6), (6, 7), (7, 20), (13, 13)):
        assert_same(iter(run(first, last)), iter(through[first:last]))


@pytest.mark.usefixtures("path")
def test_the_last_images_of_an_epoch_can_be_kept() -> None:
    data = make_data(50)
    sizes = [len(labels) for _, labels in training_batches(data, batch_size=8, seed=0, last_step=8, drop_last=False)]
    assert sizes == [8] * 6 + [2, 8]
    assert steps_per_epoch(data, 8, drop_last=False) == 7
    assert steps_per_epoch(data, 8) == 6


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.usefixtures("path")
def test_members_of_a_stack_are_the_single_batches(dtype: torch.dtype, channels_last: bool, drop_last: bool) -> None:
    data, seeds = make_data(50), [4, 0, 9]

    def run(make: Callable[..., Batches], **chosen: object) -> list[tuple[Tensor, Tensor]]:
        return list(
            make(
                data,
                batch_size=16,
                first_step=2,
                last_step=9,
                drop_last=drop_last,
                dtype=dtype,
                channels_last=channels_last,
                **chosen,
            )
        )

    stacked = run(stacked_batches, seeds=seeds)
    for member, seed in enumerate(seeds):
        single = run(training_batches, seed=seed)
        assert_same(((inputs[member], labels[member]) for inputs, labels in stacked), iter(single))
        for (inputs, _), (single_inputs, _) in zip(stacked, single, strict=True):
            assert inputs[member].stride() == single_inputs.stride()


def test_both_paths_give_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    data, made = make_data(50), []
    for limit in PATHS.values():
        monkeypatch.setattr(batches_module, "_TABLE_VALUES", limit)
        made.append(training_batches(data, batch_size=8, seed=0, last_step=14))
    assert_same(*made)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("channels_last", [False, True])
def test_evaluation_is_every_image_in_order_plainly_normalised(dtype: torch.dtype, channels_last: bool) -> None:
    data = make_data(50)
    made = list(evaluation_batches(data.test, data, batch_size=3, dtype=dtype, channels_last=channels_last))
    assert [len(labels) for _, labels in made] == [3, 3, 1]
    inputs = torch.cat([inputs for inputs, _ in made])
    assert inputs.dtype == dtype
    assert torch.equal(torch.cat([labels for _, labels in made]), data.test.labels)
    # Half a unit in the last place of the largest values, which lie between 1 and 2, and of float32 for the sums.
    tolerance = 1e-12 if dtype == torch.float64 else torch.finfo(dtype).eps + 1e-6
    torch.testing.assert_close(inputs.double(), plain(data.test.images, data), rtol=0, atol=tolerance)


@pytest.mark.usefixtures("path")
def test_a_train_split_without_augmentation_has_mean_zero_and_deviation_one() -> None:
    data = make_data(48)
    inputs = torch.cat([inputs for inputs, _ in statistics_batches(data, batch_size=8, seed=0)]).double()
    assert len(inputs) == 48
    torch.testing.assert_close(inputs.mean((0, 2, 3)), torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-6)
    torch.testing.assert_close(inputs.var((0, 2, 3), correction=0), torch.ones(3, dtype=torch.float64), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("images", "sizes"), [(None, [8] * 6), (20, [8] * 2), (5, [5]), (1000, [8] * 6)])
@pytest.mark.usefixtures("path")
def test_statistics_batches_are_full_and_of_different_train_images(images: int | None, sizes: list[int]) -> None:
    data = make_data(50)
    made = list(statistics_batches(data, batch_size=8, seed=0, images=images, dtype=torch.float64))
    assert [len(labels) for _, labels in made] == sizes
    assert_same(iter(made), statistics_batches(data, batch_size=8, seed=0, images=images, dtype=torch.float64))
    expected = plain(data.train.images, data)
    rows = []
    for inputs, labels in made:
        for image, label in zip(inputs, labels, strict=True):
            errors = (expected - image).abs().flatten(1).amax(1)
            rows.append(int(errors.argmin()))
            assert errors.min() < 1e-12
            assert label == data.train.labels[rows[-1]]
    assert len(set(rows)) == len(rows)


@pytest.mark.parametrize("augment", [False, True])
@pytest.mark.usefixtures("path")
def test_stacked_statistics_are_the_single_ones(augment: bool) -> None:
    data, seeds = make_data(50), [2, 7]
    stacked = list(stacked_statistics_batches(data, seeds, batch_size=8, images=30, augment=augment))
    for member, seed in enumerate(seeds):
        single = statistics_batches(data, batch_size=8, seed=seed, images=30, augment=augment)
        assert_same(((inputs[member], labels[member]) for inputs, labels in stacked), single)


def test_a_batch_can_be_overwritten_without_harm() -> None:
    data = make_data(50)
    for inputs, _ in training_batches(data, batch_size=8, seed=0, last_step=12):
        inputs.zero_()
    before = make_data(50)
    assert torch.equal(data.train.images, before.train.images)
    kept, spoilt = [], training_batches(data, batch_size=8, seed=0, last_step=12)
    for inputs, labels in spoilt:
        kept.append((inputs.clone(), labels.clone()))
        inputs.zero_()
    assert_same(iter(kept), training_batches(data, batch_size=8, seed=0, last_step=12))


def test_wrong_use_is_refused_before_any_batch() -> None:
    data = make_data(50)
    with pytest.raises(WinsomeError, match="batch_size 51 exceeds the 50 training images"):
        training_batches(data, batch_size=51, seed=0, last_step=1)
    with pytest.raises(WinsomeError, match="batch_size must be 1 or more"):
        training_batches(data, batch_size=0, seed=0, last_step=1)
    with pytest.raises(WinsomeError, match="first_step"):
        training_batches(data, batch_size=8, seed=0, first_step=3, last_step=2)
    with pytest.raises(WinsomeError, match="floating"):
        training_batches(data, batch_size=8, seed=0, last_step=1, dtype=torch.int64)
    with pytest.raises(WinsomeError, match="seeds"):
        stacked_batches(data, [], batch_size=8, last_step=1)
    with pytest.raises(WinsomeError, match="at least one image"):
        statistics_batches(data, batch_size=8, seed=0, images=0)
    with pytest.raises(WinsomeError, match="batch_size"):
        evaluation_batches(data.test, data, batch_size=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.usefixtures("path")
def test_a_gpu_makes_the_same_bits() -> None:
    data = make_data(50)
    on_gpu = training_batches(data.on("cuda"), batch_size=8, seed=0, last_step=12, channels_last=True)
    on_cpu = training_batches(data, batch_size=8, seed=0, last_step=12, channels_last=True)
    assert_same(((inputs.cpu(), labels.cpu()) for inputs, labels in on_gpu), on_cpu)

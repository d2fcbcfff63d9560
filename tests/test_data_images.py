"""Decoded sets: invariants, statistics of the train split, subsets and validation parts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from winsome.data.images import Augmentation, ImageData, ImageSet, channel_statistics, image_data, subset, with_validation
from winsome.errors import WinsomeError


def random_set(n_images: int, *, seed: int = 0, classes: int = 4) -> ImageSet:
    chance = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (n_images, 3, 6, 5), dtype=torch.uint8, generator=chance)
    return ImageSet(images, torch.arange(n_images) % classes)


def random_data(n_train: int = 600, n_test: int = 40) -> ImageData:
    return image_data("random", random_set(n_train), random_set(n_test, seed=1), tuple("abcd"))


def numpy_statistics(images_NCHW: Tensor) -> tuple[np.ndarray, np.ndarray]:
    values = images_NCHW.numpy().astype(np.float64) / 255
    return values.mean(axis=(0, 2, 3)), values.std(axis=(0, 2, 3))


def test_images_keep_their_values_and_lie_channels_last() -> None:
    images = torch.randint(256, (3, 2, 5, 4), dtype=torch.uint8)
    split = ImageSet(images, torch.zeros(3, dtype=torch.int64))
    assert torch.equal(split.images, images)
    assert split.pixels.is_contiguous()
    assert torch.equal(split.pixels, images.permute(0, 2, 3, 1))
    assert split.pixels.data_ptr() == split.images.data_ptr()


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (torch.zeros(2, 1, 3, 3), torch.zeros(2, dtype=torch.int64)),
        (torch.zeros(2, 3, 3, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64)),
        (torch.zeros(2, 1, 3, 3, dtype=torch.uint8), torch.zeros(3, dtype=torch.int64)),
        (torch.zeros(2, 1, 3, 3, dtype=torch.uint8), torch.zeros(2, dtype=torch.int32)),
        (torch.zeros(0, 1, 3, 3, dtype=torch.uint8), torch.zeros(0, dtype=torch.int64)),
    ],
)
def test_a_malformed_split_is_refused(images: Tensor, labels: Tensor) -> None:
    with pytest.raises(ValueError, match=r"must be|without images"):
        ImageSet(images, labels)


def test_statistics_are_those_of_the_train_split() -> None:
    data = random_data()
    mean, std = numpy_statistics(data.train.images)
    np.testing.assert_allclose(data.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(data.std, std, rtol=1e-12)
    other_test = image_data("random", data.train, random_set(7, seed=5), data.classes)
    assert (other_test.mean, other_test.std) == (data.mean, data.std)


def test_statistics_are_exact_for_the_brightest_images() -> None:
    # 700 white images and one black: sums of squares above 2^24, where a careless float32 sum loses counts.
    pixels = torch.full((701, 2, 2, 1), 255, dtype=torch.uint8)
    pixels[0] = 0
    (mean,), (std,) = channel_statistics(pixels)
    assert mean == pytest.approx(700 / 701, rel=1e-14)
    assert std == pytest.approx((700 / 701 / 701) ** 0.5, rel=1e-10)


def test_a_constant_channel_can_be_divided_by() -> None:
    pixels = torch.zeros(5, 2, 2, 2, dtype=torch.uint8)
    pixels[0, 0, 0, 0] = 9
    _, std = channel_statistics(pixels)
    assert 0 < std[0] < 1
    assert std[1] == 1.0


def test_subset_is_stratified_and_has_its_own_statistics() -> None:
    data = random_data()
    small = subset(data, train_images=100, test_images=8)
    assert (len(small.train), len(small.test)) == (100, 8)
    assert small.train.labels.bincount().tolist() == [25] * 4
    assert small.test.labels.bincount().tolist() == [2] * 4
    np.testing.assert_allclose(small.mean, numpy_statistics(small.train.images)[0], rtol=1e-12)
    again, other = subset(data, train_images=100), subset(data, train_images=100, seed=1)
    assert torch.equal(small.train.images, again.train.images)
    assert torch.equal(again.test.images, data.test.images)
    assert not torch.equal(small.train.images, other.train.images)


def test_validation_is_a_part_of_train_and_never_of_test() -> None:
    data = random_data()
    tuning = with_validation(data, fraction=0.25)
    assert (len(tuning.train), len(tuning.test)) == (450, 150)
    parts = torch.cat((tuning.train.images, tuning.test.images)).flatten(1)
    assert sorted(parts.tolist()) == sorted(data.train.images.flatten(1).tolist())
    np.testing.assert_allclose(tuning.mean, numpy_statistics(tuning.train.images)[0], rtol=1e-12)
    assert torch.equal(with_validation(data, images=150).test.images, tuning.test.images)


@pytest.mark.parametrize("part", [{}, {"images": 5, "fraction": 0.1}, {"fraction": 90.0}, {"images": 600}, {"images": 0}])
def test_an_impossible_validation_part_is_refused(part: dict[str, float]) -> None:
    with pytest.raises(WinsomeError, match="validation"):
        with_validation(random_data(), **part)  # type: ignore[arg-type]


def test_an_impossible_subset_is_refused() -> None:
    with pytest.raises(WinsomeError, match="train_images must be 1 or more"):
        subset(random_data(), train_images=0)
    with pytest.raises(WinsomeError, match="cannot choose 41 of 40 images"):
        subset(random_data(), test_images=41)


def test_splits_must_fit_together() -> None:
    train, test = random_set(8), random_set(4)
    with pytest.raises(WinsomeError, match="one shape"):
        image_data("x", train, ImageSet(test.images[:, :, 1:], test.labels), tuple("abcd"))
    with pytest.raises(WinsomeError, match="train labels run from 0 to 3, classes from 0 to 1"):
        image_data("x", train, test, ("a", "b"))
    with pytest.raises(WinsomeError, match="padding"):
        Augmentation(pad=-1)

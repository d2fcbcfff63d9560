"""Decoded image sets: uint8 images and labels, what augments them, and the statistics of their train split."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from winsome.data.splits import held_out, stratified
from winsome.data.stored import StoredSet
from winsome.errors import WinsomeError


@dataclass(frozen=True, eq=False)
class ImageSet:
    """One split, decoded: images uint8 [N, C, H, W], kept channels-last in memory, and labels int64 [N].

    Raises:
        WinsomeError: a split without images.
        ValueError: tensors of other types, shapes or devices.
    """

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        """Check types and shapes, and bring the images into channels-last memory, which crops are read from."""
        if self.images.dtype != torch.uint8 or self.images.ndim != 4:
            raise ValueError(f"images must be uint8 [N, C, H, W], got {self.images.dtype} {list(self.images.shape)}")
        if self.labels.dtype != torch.int64 or self.labels.shape != self.images.shape[:1]:
            raise ValueError(
                f"labels must be int64 [{len(self.images)}], one per image, got {self.labels.dtype} {list(self.labels.shape)}"
            )
        if len(self.images) == 0:
            raise WinsomeError("a split without images; train and test need at least one each")
        if self.images.device != self.labels.device:
            raise ValueError(f"images are on {self.images.device}, labels on {self.labels.device}; put both on one device")
        pixels_NHWC = self.images.permute(0, 2, 3, 1).contiguous()
        object.__setattr__(self, "images", pixels_NHWC.permute(0, 3, 1, 2))

    def __len__(self) -> int:
        """The number of images."""
        return len(self.images)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    @property
    def pixels(self) -> Tensor:
        """The same images as a contiguous uint8 [N, H, W, C]; no copy."""
        return self.images.permute(0, 2, 3, 1)

    def rows(self, rows: Tensor) -> ImageSet:
        """The images and labels of these row numbers, in this order; a copy."""
        rows = rows.to(self.labels.device)
        return ImageSet(self.pixels.index_select(0, rows).permute(0, 3, 1, 2), self.labels[rows])

    def on(self, device: torch.device | str) -> ImageSet:
        """The split on another device."""
        return ImageSet(self.images.to(device), self.labels.to(device))

    def contents(self) -> Iterator[bytes]:
        """Every image and label."""
        yield self.pixels.cpu().numpy().tobytes()
        yield self.labels.cpu().numpy().tobytes()

    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and population standard deviation of each channel."""
        return channel_statistics(self.pixels)


Split: TypeAlias = ImageSet | StoredSet  # in memory, or on disk


@dataclass(frozen=True)
class ResizedCrop:
    """A random box of a stored image, resized to the image size: torchvision's RandomResizedCrop.

    Raises:
        WinsomeError: a scale that is no share of the area, or a ratio that is not above 0.
    """

    scale: tuple[float, float] = (0.08, 1.0)  # area of the box, as a share of the image's
    ratio: tuple[float, float] = (3 / 4, 4 / 3)  # width over height

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise WinsomeError(f"the scale of a crop is a share of the area, in (0, 1], low before high; got {self.scale}")
        if not 0 < self.ratio[0] <= self.ratio[1]:
            raise WinsomeError(f"the ratio of a crop is width over height, above 0, low before high; got {self.ratio}")


@dataclass(frozen=True)
class Augmentation:
    """What is done to a training image: a random crop of the zero-padded image, then a mirror image half of the time.

    Of a stored set, whose images are larger than what networks take, a random resized crop takes the place of a padded one.

    Raises:
        WinsomeError: negative padding.
    """

    pad: int = 0  # pixels of zeros on every side, before normalisation
    flip: bool = False  # left to right, with probability 1/2
    crop: ResizedCrop | None = None

    def __post_init__(self) -> None:
        """Check the range of the padding."""
        if self.pad < 0:
            raise WinsomeError(f"padding must be 0 or more pixels, got {self.pad}; 0 switches random crops off")


@dataclass(frozen=True, eq=False)
class ImageData:
    """A data set for image classification, decoded: train and test split, class names, augmentation, statistics.

    Raises:
        WinsomeError: splits of different shapes, labels that are no classes, or crops that these images cannot take.
        ValueError: not one mean and standard deviation for each channel.
    """

    name: str
    train: Split
    test: Split
    classes: tuple[str, ...]
    augmentation: Augmentation
    mean: tuple[float, ...]  # of each channel over the train split, pixels in [0, 1]
    std: tuple[float, ...]  # the same; of the population, not of a sample

    def __post_init__(self) -> None:
        """Check that the splits, the classes and the statistics belong together."""
        if self.train.image_shape != self.test.image_shape:
            shapes = f"{list(self.train.image_shape)} in train, {list(self.test.image_shape)} in test"
            raise WinsomeError(f"{self.name}: images are {shapes}; give both splits one shape (image_size resizes)")
        if not len(self.mean) == len(self.std) == self.image_shape[0]:
            raise ValueError(f"mean and std need one value for each of {self.image_shape[0]} channels")
        for split, labels in (("train", self.train.labels), ("test", self.test.labels)):
            low, high = (int(value) for value in torch.aminmax(labels))
            if low < 0 or high >= len(self.classes):
                raise WinsomeError(
                    f"{self.name}: {split} labels run from {low} to {high}, classes from 0 to {self.n_classes - 1}"
                )
        if isinstance(self.train, StoredSet) and self.augmentation.pad:
            raise WinsomeError(f"{self.name}: padded crops are for images in memory; of stored ones take resized crops")
        if isinstance(self.train, ImageSet) and self.augmentation.crop is not None:
            raise WinsomeError(f"{self.name}: resized crops are for stored images; of those in memory take padded crops")

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        return self.train.image_shape

    def digest(self) -> str:
        """A digest of all images and labels: the same data has the same digest wherever it was read from."""
        sha = hashlib.sha256()
        for split in (self.train, self.test):
            for part in split.contents():
                sha.update(part)
        return sha.hexdigest()

    @property
    def n_classes(self) -> int:
        """The number of classes."""
        return len(self.classes)

    def on(self, device: torch.device | str) -> ImageData:
        """The data set on another device."""
        return dataclasses.replace(self, train=self.train.on(device), test=self.test.on(device))


def image_data(
    name: str, train: Split, test: Split, classes: tuple[str, ...], *, augmentation: Augmentation | None = None
) -> ImageData:
    """A data set of two decoded splits, with the mean and standard deviation of the train split, and of nothing else."""
    mean, std = train.statistics()
    return ImageData(name, train, test, classes, augmentation or Augmentation(), mean, std)


def channel_statistics(pixels: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and population standard deviation of each channel of uint8 [N, H, W, C], pixels in [0, 1].

    Sums are exact integers. A channel without any spread gets 1 for its standard deviation, so that it can be divided by.
    """
    n_images, height, width, channels = pixels.shape
    total = torch.zeros(height * width * channels, dtype=torch.float64, device=pixels.device)
    squares = torch.zeros_like(total)
    # 256 x 255^2 < 2^24: a float32 holds every partial sum of a chunk exactly, and is summed far faster than an integer.
    for chunk in torch.split(pixels.reshape(n_images, -1), 256):
        values = chunk.float()
        total += values.sum(0)
        squares += values.square_().sum(0)
    count = n_images * height * width
    mean = total.view(-1, channels).sum(0) / count
    variance = (squares.view(-1, channels).sum(0) / count - mean.square()).clamp_min(0)
    std = variance.sqrt()
    std = torch.where(std < 1e-6, 255.0, std)
    return tuple((mean / 255).tolist()), tuple((std / 255).tolist())


def subset(data: ImageData, *, train_images: int | None = None, test_images: int | None = None, seed: int = 0) -> ImageData:
    """A smaller data set: a stratified part of the train and of the test split; None keeps a split whole.

    Mean and standard deviation are those of the smaller train split.

    Raises:
        WinsomeError: a part is smaller than one image, or larger than the split.
    """
    train, test = data.train, data.test
    if train_images is not None:
        _at_least_one("train_images", train_images)
        train = train.rows(stratified(train.labels, train_images, seed=seed, purpose="train subset")[0])
    if test_images is not None:
        _at_least_one("test_images", test_images)
        test = test.rows(stratified(test.labels, test_images, seed=seed, purpose="test subset")[0])
    return image_data(data.name, train, test, data.classes, augmentation=data.augmentation)


def with_validation(data: ImageData, *, images: int | None = None, fraction: float | None = None, seed: int = 0) -> ImageData:
    """The data set whose test split is a stratified part of its train split: for tuning, where the test split chooses nothing.

    The part is given as a number of images or as a fraction of the train split, in (0, 1). The real test split is dropped,
    and mean and standard deviation are those of the train images that remain. A class's only image is trained on.

    Raises:
        WinsomeError: the part is given in both ways or in none, or is not smaller than the train split.
    """
    if (images is None) == (fraction is None):
        raise WinsomeError("give the validation part as images or as fraction, exactly one of the two")
    if fraction is not None and not 0 < fraction < 1:
        raise WinsomeError(f"the validation fraction must be in (0, 1), got {fraction}; 10 % is 0.1")
    n_train = len(data.train)
    count = images if images is not None else round((fraction or 0.0) * n_train)
    if not 1 <= count < n_train:
        raise WinsomeError(f"a validation part of {count:,} images out of {n_train:,}; take 1 to {n_train - 1:,}")
    validation, rest = held_out(data.train.labels, count, seed=seed, purpose="validation")
    train, test = data.train.rows(rest), data.train.rows(validation)
    return image_data(data.name, train, test, data.classes, augmentation=data.augmentation)


def _at_least_one(name: str, value: int) -> None:
    if value < 1:
        raise WinsomeError(f"{name} must be 1 or more, got {value}; leave it out to keep the whole split")

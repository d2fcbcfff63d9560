"""The embedded data set: scikit-learn's 1,797 real handwritten digits, 8x8 pixels."""

from __future__ import annotations

import torch

from winsome.data.encoded import DecodedSet
from winsome.data.images import ImageSet
from winsome.data.splits import stratified

TEST_IMAGES = 500


def read_digits() -> DecodedSet:
    """Alpaydin and Kaynak's digits (UCI, 1998) with a fixed stratified split: 1,297 images to train on, 500 to test on.

    Their pixels count 0 to 16. They are stored times 15, 0 to 240: the largest whole factor, so that nothing is rounded and
    normalisation by mean and standard deviation gives what the counts themselves would give.
    """
    from sklearn.datasets import load_digits

    counts, digit = load_digits(return_X_y=True)
    images = torch.from_numpy(counts * 15).to(torch.uint8).view(-1, 1, 8, 8)
    labels = torch.from_numpy(digit).to(torch.int64)
    test, train = stratified(labels, TEST_IMAGES, seed=0, purpose="digits test")
    every = ImageSet(images, labels)
    return DecodedSet(every.rows(train), every.rows(test), tuple("0123456789"))

"""The training images that a search shows to scores which look at data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from winsome.data.batches import statistics_batches
from winsome.errors import WinsomeError
from winsome.scores import Probe
from winsome.seeding import stream_seed
from winsome.training.conditions import Conditions


@dataclass(frozen=True)
class ProbeSpec:
    """Which training images a search shows to its score, and how.

    Attributes:
        images: chosen at random, for each search seed its own; in full batches.
        batch_size: images of one batch.
        augmented: whether they are augmented as in training.
        training: whether BatchNorm takes a batch's statistics; None: as the score's authors have it.

    Raises:
        WinsomeError: less than one image, or images that do not fill a batch.
    """

    images: int = 128
    batch_size: int = 128
    augmented: bool = False
    training: bool | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.batch_size <= self.images:
            raise WinsomeError(
                f"a probe has one batch or more of one image or more, got {self.images} images in batches of {self.batch_size}"
            )

    def record(self, modes: Mapping[str, bool] = MappingProxyType({})) -> dict[str, Any]:
        """The choice as JSON values.

        Args:
            modes: by search, whether its score is usually shown a network in training mode; what counts where it is not said.
        """
        usual: bool | dict[str, bool] = True if all(modes.values()) else dict(modes)
        return asdict(self) | {"training": usual if self.training is None else self.training}

    def of(self, conditions: Conditions, *, seed: int) -> Probe:
        """The probe of a search: batches on the device, in the memory layout of its network.

        Raises:
            WinsomeError: there are fewer training images.
        """
        data = conditions.data
        if self.images > len(data.train):
            raise WinsomeError(f"a probe of {self.images} images exceeds the {len(data.train)} training images; take fewer")
        batches = statistics_batches(
            data,
            batch_size=self.batch_size,
            seed=stream_seed(seed, "probe"),
            images=self.images,
            augment=self.augmented,
            channels_last=conditions.precision.channels_last,
        )
        (inputs, labels), *more = ((inputs.clone(), labels.clone()) for inputs, labels in batches)
        return Probe(inputs, labels, more=tuple(more), training=self.training)

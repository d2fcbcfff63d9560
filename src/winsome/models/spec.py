"""Which network: what it is made from, written down and read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from winsome.errors import WinsomeError
from winsome.models.catalogue import build
from winsome.models.residual import ImageShape


@dataclass(frozen=True)
class NetworkSpec:
    """Which network: its name and options, and the images that it takes, where they are known.

    Attributes:
        name: in `winsome.models.NETWORKS`, or of a torchvision classifier.
        options: keyword arguments of the network's function.
        image_shape: channels, height, width; None: as the data that it is used with.
        n_classes: outputs; None: as the data that it is used with.
    """

    name: str
    options: tuple[tuple[str, Any], ...] = ()
    image_shape: ImageShape | None = None
    n_classes: int | None = None

    def __post_init__(self) -> None:
        pairs = self.options.items() if isinstance(self.options, Mapping) else self.options
        # A list has no hash, and by its value a study is known again.
        options = tuple((name, tuple(value) if isinstance(value, list) else value) for name, value in pairs)
        object.__setattr__(self, "options", options)

    def of_images(self, image_shape: ImageShape, n_classes: int) -> NetworkSpec:
        """The same network for images of this shape and so many classes."""
        return replace(self, image_shape=image_shape, n_classes=n_classes)

    def build(self, seed: int) -> nn.Module:
        """The network, freshly initialised (see `winsome.models.build`).

        Raises:
            WinsomeError: it does not say its image shape and classes, or no network can be made of it.
        """
        if self.image_shape is None or self.n_classes is None:
            raise WinsomeError(f"the network {self.name!r} does not say for which images it is; give image shape and classes")
        options = dict(self.options)
        return build(self.name, image_shape=self.image_shape, n_classes=self.n_classes, seed=seed, **options)

    def record(self) -> dict[str, Any]:
        """All of it as JSON values: what runs and tickets keep."""
        shape = None if self.image_shape is None else list(self.image_shape)
        return {"name": self.name, "image_shape": shape, "n_classes": self.n_classes, "options": dict(self.options)}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> NetworkSpec:
        """What `record()` has written.

        Raises:
            WinsomeError: it is no record of a network.
        """
        try:
            shape, options = record["image_shape"], tuple(record["options"].items())
            known = None if shape is None else (int(shape[0]), int(shape[1]), int(shape[2]))
            return cls(record["name"], options, known, record["n_classes"])
        except (KeyError, TypeError, IndexError, ValueError, AttributeError) as error:
            raise WinsomeError(f"this is no record of a network ({error!r}): {record}") from error

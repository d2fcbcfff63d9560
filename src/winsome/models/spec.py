"""Which network: what it is made from, written down and read back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from winsome.errors import WinsomeError
from winsome.identity import code_text
from winsome.models.catalogue import build
from winsome.models.named import code_of
from winsome.models.residual import ImageShape
from winsome.models.weights import Weights


@dataclass(frozen=True)
class NetworkSpec:
    """Which network: its name and options, and the images that it takes, where they are known.

    Attributes:
        name: in `winsome.models.NETWORKS`, of a torchvision classifier, "timm:NAME", "FILE.py:NAME" or "PACKAGE.MODULE:NAME".
        options: keyword arguments of the network's function.
        image_shape: channels, height, width; None: as the data that it is used with.
        n_classes: outputs; None: as the data that it is used with.
        code: what the user's code is known by that makes it, where that is known (`NetworkSpec.named`): other code is refused.
        weights: a file that it starts from, in the place of random numbers.
    """

    name: str
    options: tuple[tuple[str, Any], ...] = ()
    image_shape: ImageShape | None = None
    n_classes: int | None = None
    code: str = ""
    weights: Weights | None = None

    def __post_init__(self) -> None:
        pairs = self.options.items() if isinstance(self.options, Mapping) else self.options
        # A list has no hash, and by its value a study is known again.
        options = tuple((name, tuple(value) if isinstance(value, list) else value) for name, value in pairs)
        object.__setattr__(self, "options", options)

    @classmethod
    def named(cls, name: str, options: tuple[tuple[str, Any], ...] = ()) -> NetworkSpec:
        """The network of a name; one of the user's with the digest of its code, which is loaded.

        Raises:
            WinsomeError: no code of the user's has this name.
        """
        return cls(name, options, code=code_of(name))

    @property
    def short_name(self) -> str:
        """The name without the file, module or library that it is from."""
        return self.name.rpartition(":")[2]

    def of_images(self, image_shape: ImageShape, n_classes: int) -> NetworkSpec:
        """The same network for images of this shape and so many classes."""
        return replace(self, image_shape=image_shape, n_classes=n_classes)

    def build(self, seed: int) -> nn.Module:
        """The network, freshly initialised (see `winsome.models.build`), with the weights that it starts from.

        Raises:
            WinsomeError: it does not say its image shape and classes, no network can be made of it, its code is another, or
                the weights do not fit.
        """
        if self.image_shape is None or self.n_classes is None:
            raise WinsomeError(f"the network {self.name!r} does not say for which images it is; give image shape and classes")
        if self.code and code_of(self.name) != self.code:
            raise WinsomeError(f"the code of the network {self.name!r} has changed: restore it, or begin a new run")
        options = dict(self.options)
        network = build(self.name, image_shape=self.image_shape, n_classes=self.n_classes, seed=seed, **options)
        if self.weights is not None:
            self.weights.put_into(network)
        return network

    def record(self) -> dict[str, Any]:
        """All of it as JSON values: what runs and tickets keep."""
        shape = None if self.image_shape is None else list(self.image_shape)
        code = json.loads(self.code) if self.code else {}
        record = {"name": self.name, "image_shape": shape, "n_classes": self.n_classes, "options": dict(self.options), **code}
        return record if self.weights is None else {**record, "weights": self.weights.record()}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> NetworkSpec:
        """What `record()` has written.

        Raises:
            WinsomeError: it is no record of a network.
        """
        try:
            shape, options = record["image_shape"], tuple(record["options"].items())
            known = None if shape is None else (int(shape[0]), int(shape[1]), int(shape[2]))
            weights = Weights.from_record(record["weights"]) if "weights" in record else None
            return cls(record["name"], options, known, record["n_classes"], code_text(record), weights)
        except (KeyError, TypeError, IndexError, ValueError, AttributeError) as error:
            raise WinsomeError(f"this is no record of a network ({error!r}): {record}") from error

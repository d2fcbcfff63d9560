"""What lines between networks are measured with: data on the device, a network of their shape, and settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from torch import nn

from winsome.analysis.connectivity import Statistics, network_profile
from winsome.analysis.line import Profile, points
from winsome.data.images import ImageData, subset
from winsome.stacking import one_thread, pays
from winsome.state import State
from winsome.training.precision import Precision, default_device, fast_precision


@dataclass(frozen=True)
class Settings:
    """How a line is measured: what is kept of one measurement serves only another of the same settings."""

    points: int = 11
    statistics: Statistics | None = Statistics()
    test_images: int | None = None  # None: the whole test split
    fast: bool = False  # bf16 where the machine gains from it; its rounding is noise of the size of a small barrier

    def record(self) -> dict[str, Any]:
        """The settings as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Ruler:
    """What lines are measured with: data on the device, any network of the shape, and the settings."""

    data: ImageData
    network: nn.Module
    settings: Settings

    @property
    def precision(self) -> Precision:
        """fp32, in the memory layout that is fast; bf16 where the settings ask for it and the machine gains from it."""
        fast = fast_precision(self.network, self.data.train.labels.device)
        return fast if self.settings.fast else replace(fast, bf16=False)

    def measure(self, first: State, second: State, on_point: Callable[[int], None] = lambda _: None) -> Profile:
        """Error and loss along one line."""
        stacked = pays(self.network, self.data.train.labels.device)
        with one_thread(on=stacked):
            return network_profile(
                first,
                second,
                self.network,
                self.data,
                alphas=points(self.settings.points),
                statistics=self.settings.statistics,
                precision=self.precision,
                stacked=stacked,
                on_point=on_point,
            )


def ruler(data: ImageData, network: nn.Module, settings: Settings) -> Ruler:
    """What lines between networks of this shape are measured with, on the default device."""
    points(settings.points)
    if settings.test_images is not None:
        data = subset(data, test_images=settings.test_images)
    return Ruler(data.on(default_device()), network, settings)

"""In which number format and memory layout a network trains: what the machine gains from, said once in the log."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd


@dataclass(frozen=True)
class Precision:
    """bf16 autocast and channels-last memory, on or off."""

    bf16: bool = False
    channels_last: bool = False

    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        """The context of a forward pass."""
        return torch.autocast(device.type, torch.bfloat16) if self.bf16 else nullcontext()

    @property
    def words(self) -> str:
        """For the log and the report."""
        return ("bf16 autocast" if self.bf16 else "fp32") + (", channels_last" if self.channels_last else "")


FP32 = Precision()


def fast_precision(model: nn.Module, device: torch.device) -> Precision:
    """What is fast for this network on this machine: bf16 and channels_last for convolutions, plain fp32 for the rest.

    On a CPU bf16 pays only with native instructions (avx512_bf16 or AMX); tiny linear networks gain from neither.
    """
    if not any(isinstance(module, _ConvNd) for module in model.modules()):
        return Precision()
    if device.type == "cuda":
        return Precision(bf16=torch.cuda.is_bf16_supported(), channels_last=True)
    return Precision(bf16=_cpu_has_bf16(), channels_last=True)


def _cpu_has_bf16() -> bool:
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return bool(supported())


def default_device() -> torch.device:
    """The first GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")

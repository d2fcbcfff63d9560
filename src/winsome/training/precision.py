"""How a training step computes: number format, memory layout, compiled or not; said once in the log."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from winsome.errors import WinsomeError


@dataclass(frozen=True)
class Precision:
    """bf16 autocast, channels-last memory and compilation, on or off."""

    bf16: bool = False
    channels_last: bool = False
    compiled: bool = False  # in training; a network is always judged as it is

    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        """The context of a forward pass."""
        return torch.autocast(device.type, torch.bfloat16) if self.bf16 else nullcontext()

    @property
    def label(self) -> str:
        """For the log and the report."""
        layout, compiled = ", channels_last" if self.channels_last else "", ", compiled" if self.compiled else ""
        return ("bf16 autocast" if self.bf16 else "fp32") + layout + compiled

    def forward_of(self, network: nn.Module, device: torch.device) -> Callable[[Tensor], Tensor]:
        """What to call in training in place of the network: itself or, compiled, its forward as one kernel graph.

        On a GPU the compiled forward and backward are replayed as CUDA graphs.
        """
        if not self.compiled:
            return network
        # torch keeps a few versions of a forward, and every training has hooks of its own: a later one would run uncompiled.
        torch.compiler.reset()
        return torch.compile(network, mode="reduce-overhead" if device.type == "cuda" else "default")


FP32 = Precision()


def fast_precision(model: nn.Module, device: torch.device) -> Precision:
    """What is fast for this network on this machine: bf16 and channels_last for convolutions, plain fp32 for the rest.

    bf16 pays only with native instructions: avx512_bf16 or AMX on a CPU, Ampere or later on a GPU (older ones emulate it). Tiny
    linear networks gain from neither. A network with a convolution of fewer than 8 channels keeps torch's own layout on a CPU:
    in channels_last its backward pass writes past its memory there (torch 2.15, AVX2).
    """
    convolutions = [module for module in model.modules() if isinstance(module, _ConvNd)]
    if not convolutions:
        return Precision()
    if device.type == "cuda":
        return Precision(bf16=torch.cuda.is_bf16_supported(including_emulation=False), channels_last=True)
    narrow = any(module.out_channels < _LEAST_CHANNELS_LAST for module in convolutions)
    return Precision(bf16=_cpu_has_bf16(), channels_last=not narrow)


def precision_for(model: nn.Module, device: torch.device, *, fast: bool, compiled: bool = False) -> Precision:
    """What is fast for this network where that is wanted, else plain fp32; compiled where that is wanted.

    Raises:
        WinsomeError: this machine cannot compile.
    """
    if compiled:
        _refuse_without_compiler(device)
    return replace(fast_precision(model, device) if fast else FP32, compiled=compiled)


def _refuse_without_compiler(device: torch.device) -> None:
    """Compile something small: what a compiler lacks shows in use only."""
    from torch._dynamo.exc import BackendCompilerFailed  # here, for it takes seconds to import

    try:
        torch.compile(torch.square)(torch.ones(2, device=device))
    except (BackendCompilerFailed, RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())[:300]
        raise WinsomeError(
            f"torch.compile does not work here: {reason}; install a C++ compiler, or train uncompiled"
        ) from error


_LEAST_CHANNELS_LAST = 8  # outputs of a convolution


def _cpu_has_bf16() -> bool:
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return bool(supported())


def default_device() -> torch.device:
    """The first GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")

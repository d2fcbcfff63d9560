"""Normalisation parameters psi = (gamma, beta): interpolated with their initial values while training, frozen, or reset."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

from winsome.about import described
from winsome.errors import WinsomeError
from winsome.signed_mask import SignedMask
from winsome.while_training import Progress

log = logging.getLogger("winsome")

# BatchNorm 1-3d, SyncBatchNorm and InstanceNorm are _NormBase; the classes without parameters are passed over.
NORM_LAYERS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


def norm_layers(model: nn.Module) -> dict[str, nn.Module]:
    """The normalisation layers of a model by name, those without parameters and statistics included."""
    return {name: module for name, module in model.named_modules() if isinstance(module, NORM_LAYERS)}


def norm_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """psi: the parameters of all normalisation layers, by their names in the model."""
    return {
        f"{name}.{kind}" if name else kind: parameter
        for name, layer in norm_layers(model).items()
        for kind, parameter in layer.named_parameters(recurse=False)
    }


def norm_state_names(model: nn.Module) -> frozenset[str]:
    """The state_dict names of everything in normalisation layers: parameters and running statistics."""
    return frozenset(
        f"{name}.{key}" if name else key for name, layer in norm_layers(model).items() for key in layer.state_dict()
    )


@torch.no_grad()
def reset_norm_parameters(model: nn.Module) -> None:
    """Set psi to psi_init in place: gamma = 1, beta = 0 (arXiv:2504.05357). Running statistics stay as they are."""
    for layer in norm_layers(model).values():
        for kind, parameter in layer.named_parameters(recurse=False):
            parameter.fill_(_initial(kind))


@described(
    "interpolated norms",
    "Every training step uses normalisation parameters drawn at random between their own and their initial values.",
    citations=("oh2025sign",),
    needs=("norms",),
    stacks=True,
)
@contextmanager
def interpolated_norms(model: nn.Module, seed: int | Sequence[int], _mask: SignedMask | None = None) -> Iterator[Progress]:
    """AWS: every training forward pass uses psi_used = alpha * psi + (1 - alpha) * psi_init (arXiv:2504.05357, section 4).

    One alpha ~ U(0, 1) a forward pass of `model` for all its layers; gradients to psi are thereby scaled by alpha. In
    evaluation mode psi itself is used. The alphas are a stream of their own: they depend on the seed and on the number of
    training forward passes alone, no other draw shifts them, and they are alike on all ranks that share the seed. Drawing
    them is arithmetic on tensors of the model's device: it neither waits for the device nor breaks a compiled graph.

    The parameters stay where they are, names and all: each normalisation layer sees the interpolated tensors under the
    names `weight` and `bias` during its own forward only.

    Args:
        model: the network whose `forward` is called once per mini-batch.
        seed: the stream's seed; a sequence of S seeds for a stack of S networks, whose psi have a leading axis S.

    Yields:
        The count of training forward passes, for a checkpoint: an int64 scalar that may be set in place.
    """
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    passes = torch.zeros((), dtype=torch.int64, device=device)
    seeds = torch.tensor(seed, dtype=torch.int64, device=device)
    alpha = torch.ones(seeds.shape, dtype=torch.float32, device=device)

    def draw(network: nn.Module, _args: Any) -> None:
        if network.training:
            alpha.copy_(uniform(seeds, passes))
            passes.add_(1)

    def shadow(layer: nn.Module, _args: Any) -> None:
        if layer.training:
            for kind, psi in layer._parameters.items():
                if psi is not None:
                    share = alpha.reshape(alpha.shape + (1,) * (psi.ndim - alpha.ndim)).to(psi.dtype)
                    # An entry of the instance's __dict__ hides the parameter of that name, which stays in place.
                    layer.__dict__[kind] = torch.lerp(torch.full_like(psi, _initial(kind)), psi, share)

    def unshadow(layer: nn.Module, _args: Any, _output: Any) -> None:
        for kind in layer._parameters:
            layer.__dict__.pop(kind, None)

    handles = [model.register_forward_pre_hook(draw)]
    for layer in norm_layers(model).values():
        if next(layer.parameters(recurse=False), None) is not None:
            handles += [layer.register_forward_pre_hook(shadow), layer.register_forward_hook(unshadow, always_call=True)]
    try:
        yield {"forward_passes": passes}
        if len(handles) > 1 and not int(passes):
            log.warning(
                "normalisation was not interpolated: alpha is drawn when the model itself is called in training mode, which "
                "never happened; call model(inputs), not a part of it"
            )
    finally:
        for handle in handles:
            handle.remove()


@described(
    "frozen norms",
    "Normalisation parameters stay at gamma = 1, beta = 0.",
    citations=("oh2025sign",),
    needs=("norms",),
    stacks=True,
)
@contextmanager
def frozen_norms(model: nn.Module, _seed: int | Sequence[int] = 0, _mask: SignedMask | None = None) -> Iterator[Progress]:
    """Train with psi fixed at psi_init: the control that every study of AWS should carry.

    psi is set to gamma = 1, beta = 0 and has no gradient inside the block, so that no optimizer moves it.
    """
    reset_norm_parameters(model)
    trained = [parameter for parameter in norm_parameters(model).values() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
        parameter.grad = None  # one from before the block would let an optimizer's momentum or weight decay act
    try:
        yield {}
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


@torch.no_grad()
def re_estimate_batch_norm(
    model: nn.Module, batches: Iterable[Tensor], forward: Callable[[Tensor], object] | None = None
) -> None:
    """Replace the running statistics of every BatchNorm, in place, by their mean over the batches.

    Do so before a network of AWS is judged: its stored statistics average over alpha. Hand over inputs as in training:
    `re_estimate_batch_norm(model, (images for images, _ in loader))`. Only BatchNorm layers are in training mode meanwhile;
    every module's mode is given back.

    Args:
        model: Any network; one without BatchNorm stays as it is, and no batch is taken.
        batches: Inputs of the model, each large enough for a mean and a variance.
        forward: What a batch goes through, where that is more than `model(batch)`.

    Raises:
        WinsomeError: there was no batch; the statistics are those of a fresh layer then.
    """
    layers = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    if not layers:
        return
    modes = [(module, module.training) for module in model.modules()]
    momenta = [layer.momentum for layer in layers]
    number = 0
    try:
        model.eval()
        for layer in layers:
            layer.reset_running_stats()
            layer.train()
        for number, inputs in enumerate(batches, start=1):
            for layer in layers:
                layer.momentum = 1 / number  # a plain mean; None does the same, but waits for the device in every layer
            (forward or model)(inputs)
    finally:
        for module, training in modes:
            module.training = training
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
    if not number:
        raise WinsomeError("no batch to re-estimate BatchNorm statistics from; hand over at least one")


def uniform(seed: Tensor, index: Tensor) -> Tensor:
    """The `index`-th number in (0, 1) of the stream `seed`: SplitMix64 (Steele et al. 2014) on int64 tensors.

    A counter-based generator: no state but the index, the same on every device, and part of a compiled graph like any
    arithmetic. Shapes broadcast; the result is float64 with 53 random bits.
    """
    z = seed + (index + 1) * _signed(0x9E3779B97F4A7C15)
    z = (z ^ _shifted(z, 30)) * _signed(0xBF58476D1CE4E5B9)
    z = (z ^ _shifted(z, 27)) * _signed(0x94D049BB133111EB)
    z = z ^ _shifted(z, 31)
    return (_shifted(z, 11).double() + 0.5) * 2.0**-53


def _signed(constant: int) -> int:
    return constant - (1 << 64) if constant >> 63 else constant


def _shifted(z: Tensor, bits: int) -> Tensor:
    """The logical right shift that int64 lacks: the sign bit's copies are masked away."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def _initial(kind: str) -> float:
    return 1.0 if kind == "weight" else 0.0

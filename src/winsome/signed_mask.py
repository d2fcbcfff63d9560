"""SignedMask: the sign (-1, 0 pruned, +1) of every prunable weight, and its enforcement on a model in training."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook
from torch.utils.hooks import RemovableHandle

from winsome import distributed
from winsome.errors import WinsomeError


@dataclass(frozen=True)
class LayerCount:
    """The counts of one layer: how many weights it has, keeps, and keeps with a positive sign."""

    total: int
    kept: int
    positive: int

    @property
    def density(self) -> float:
        """Fraction of the layer's weights kept, in [0, 1]; 1 for a layer without weights."""
        return self.kept / self.total if self.total else 1.0


class SignedMask(Mapping[str, Tensor]):
    """The sign of every prunable weight by parameter name: int8 tensors with values -1, 0 (pruned) and +1.

    The object of arXiv:2504.05357: which weights are kept and the sign that each must have. It is immutable: tensors are
    copied in, and `mask[name]` hands out copies. Order of names is the order given (a model's parameter order).

    Raises:
        WinsomeError: a tensor holds another value than -1, 0, +1.
    """

    def __init__(self, signs: Mapping[str, Tensor]) -> None:
        checked: dict[str, Tensor] = {}
        for name, sign in signs.items():
            if sign.is_floating_point() or sign.dtype != torch.int8:
                wide = sign.detach()
                sign = wide.to(torch.int8)
                if not torch.equal(sign.to(wide.dtype), wide):
                    raise WinsomeError(f"the signed mask of {name!r} holds values other than -1, 0, +1")
            if sign.numel() and int(sign.abs().max()) > 1:
                raise WinsomeError(f"the signed mask of {name!r} holds values other than -1, 0, +1")
            checked[name] = sign.detach().to("cpu", copy=True).contiguous()
        self._signs = checked

    @classmethod
    def of(cls, weights: Mapping[str, Tensor], kept: Mapping[str, Tensor]) -> SignedMask:
        """The signs of `weights` where `kept` (bool, same names and shapes) holds, 0 elsewhere.

        A kept weight that is exactly zero is kept, not pruned: it counts as positive.
        """
        signs: dict[str, Tensor] = {}
        for name, keep in kept.items():
            keep = keep.detach().to("cpu", torch.bool)
            negative = weights[name].detach().to("cpu") < 0
            signs[name] = torch.where(keep, 1 - 2 * negative.to(torch.int8), torch.zeros((), dtype=torch.int8))
        return cls(signs)

    def __getitem__(self, name: str) -> Tensor:
        return self._signs[name].clone()

    def __iter__(self) -> Iterator[str]:
        return iter(self._signs)

    def __len__(self) -> int:
        return len(self._signs)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SignedMask):
            return NotImplemented
        return list(self) == list(other) and all(torch.equal(sign, other._signs[name]) for name, sign in self._signs.items())

    def __hash__(self) -> int:
        return hash(self.digest())

    def __repr__(self) -> str:
        return f"SignedMask({len(self)} layers, {self.n_kept} of {self.n_weights} weights, density {self.density:.4g})"

    @property
    def n_weights(self) -> int:
        """How many prunable weights there are, kept or not."""
        return sum(sign.numel() for sign in self._signs.values())

    @property
    def n_kept(self) -> int:
        """How many weights are kept."""
        return sum(int(torch.count_nonzero(sign)) for sign in self._signs.values())

    @property
    def density(self) -> float:
        """Fraction of prunable weights kept, in [0, 1]."""
        return self.n_kept / self.n_weights if self.n_weights else 1.0

    def kept(self, name: str) -> Tensor:
        """Which weights of a parameter are kept: bool, of the parameter's shape."""
        return self._signs[name] != 0

    def layers(self) -> dict[str, LayerCount]:
        """The counts of every layer, by parameter name."""
        return {
            name: LayerCount(sign.numel(), int(torch.count_nonzero(sign)), int(torch.count_nonzero(sign > 0)))
            for name, sign in self._signs.items()
        }

    def empty_layers(self) -> tuple[str, ...]:
        """The layers that have lost every weight: the network may be collapsed."""
        return tuple(name for name, count in self.layers().items() if count.total and not count.kept)

    def digest(self) -> str:
        """SHA-256 over names, shapes and signs: equal masks have equal digests on every machine."""
        sha = hashlib.sha256()
        for name, sign in self._signs.items():
            sha.update(f"{name}:{tuple(sign.shape)};".encode())
            sha.update(sign.numpy().tobytes())
        return sha.hexdigest()

    @contextmanager
    def enforced_on(self, model: nn.Module) -> Iterator[None]:
        """Keep the pruned weights of `model` at exactly zero inside the block, whatever trains it.

        The forward stays the plain dense forward. Gradients are masked as they are accumulated, so that a clipped norm counts
        kept weights only and momentum never moves a pruned weight; weights are masked after every step of any
        `torch.optim` optimizer, so that momentum from before the block cannot revive one. This is the mathematics of
        `weight * mask` in the forward: the kept weights' trajectories are bit-identical to it.

        Raises:
            WinsomeError: the model lacks a masked parameter, or has it in another shape.
        """
        parameters = matching_parameters(self, model)
        kept = {name: self.kept(name) for name in parameters}
        weights: list[Tensor] = [parameter for name, parameter in parameters.items() if not bool(kept[name].all())]
        # The weights' own dtype and memory layout: both fused and plain products are fastest so.
        factors = [
            torch.empty_like(parameter, requires_grad=False).copy_(kept[name])
            for name, parameter in parameters.items()
            if not bool(kept[name].all())
        ]
        enforce = _Enforcement(weights, factors)
        handles: list[RemovableHandle] = [register_optimizer_step_post_hook(enforce)]
        for weight, factor in zip(weights, factors, strict=True):
            handles.append(_hooked(weight, _mask_gradient(factor)))
        enforce.mask_weights()
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
            enforce.mask_weights()


@dataclass(frozen=True)
class _Enforcement:
    """The weights to mask after every optimizer step, and their 0/1 factors."""

    weights: list[Tensor]
    factors: list[Tensor]

    @torch.no_grad()
    def mask_weights(self) -> None:
        if self.weights:
            torch._foreach_mul_(self.weights, self.factors)

    def __call__(self, _optimizer: Optimizer, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> None:
        self.mask_weights()


def _hooked(weight: Tensor, hook: Callable[[Tensor], None]) -> RemovableHandle:
    """Call a hook on every gradient of a weight, from when it is unfrozen on if it is frozen now."""
    trained = weight.requires_grad
    weight.requires_grad_(True)  # torch refuses hooks on others
    handle: RemovableHandle = weight.register_post_accumulate_grad_hook(hook)  # type: ignore[no-untyped-call]
    weight.requires_grad_(trained)
    return handle


def _mask_gradient(factor: Tensor) -> Callable[[Tensor], None]:
    def mask(weight: Tensor) -> None:
        if weight.grad is not None:
            weight.grad.mul_(factor)

    return mask


def stack_masks(masks: Sequence[SignedMask]) -> SignedMask:
    """One signed mask for a stack of networks of one shape: every tensor gains a leading axis, one entry a network."""
    return SignedMask({name: torch.stack([mask[name] for mask in masks]) for name in masks[0]})


def matching_parameters(wanted: Mapping[str, Tensor], model: nn.Module) -> dict[str, nn.Parameter]:
    """The model's parameters of the names in `wanted`, checked by the shapes of its tensors.

    Raises:
        WinsomeError: lists every name that is missing and every one of another shape; or a parameter is sharded.
    """
    distributed.refuse_sharded(model)
    parameters = dict(model.named_parameters())
    missing = [name for name in wanted if name not in parameters]
    reshaped = [
        f"{name} is {tuple(parameters[name].shape)} in the model, {tuple(value.shape)} in the ticket"
        for name, value in wanted.items()
        if name in parameters and parameters[name].shape != value.shape
    ]
    if missing or reshaped:
        parts = [f"the model lacks {', '.join(missing)}"] if missing else []
        parts += [f"of another shape: {'; '.join(reshaped)}"] if reshaped else []
        raise WinsomeError("; ".join(parts) + "; a ticket fits only the architecture that it was found in")
    return {name: parameters[name] for name in wanted}

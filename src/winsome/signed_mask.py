"""SignedMask: the sign (-1, 0 pruned, +1) of every prunable weight, and its enforcement on a model in training."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from winsome import distributed
from winsome.enforcement import kept_zero
from winsome.errors import WinsomeError
from winsome.shapes import differences, shapes_of


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
    copied in, and `mask[name]` hands out copies; shapes, counts and digest are computed once. Names are in the order given
    (a model's parameter order), but masks are equal whatever their order.

    Raises:
        WinsomeError: a tensor holds another value than -1, 0, +1.

    Example:
        >>> mask = SignedMask({"weight": torch.tensor([[1, 0], [-1, 0]])})
        >>> mask
        SignedMask(1 layers, 2 of 4 weights, density 0.5)
        >>> mask.kept("weight").tolist()
        [[True, False], [True, False]]
    """

    def __init__(self, signs: Mapping[str, Tensor]) -> None:
        self._signs = {name: _checked(name, sign) for name, sign in signs.items()}

    @classmethod
    def of(cls, weights: Mapping[str, Tensor], kept: Mapping[str, Tensor]) -> SignedMask:
        """The signs of `weights` where `kept` (bool, same names and shapes) holds, 0 elsewhere.

        A kept weight that is exactly zero is kept, not pruned: it counts as positive.

        Raises:
            WinsomeError: weights are complex numbers, which have no sign.
        """
        mask = cls({})
        for name, keep in kept.items():
            if weights[name].is_complex():
                raise WinsomeError(f"the weights of {name!r} are complex numbers, which have no sign")
            sign = 1 - 2 * (weights[name].detach() < 0).to("cpu", torch.int8)
            mask._signs[name] = sign.mul_(keep.detach().to("cpu", torch.bool)).contiguous()
        return mask

    def __getitem__(self, name: str) -> Tensor:
        return self._signs[name].clone()

    def __iter__(self) -> Iterator[str]:
        return iter(self._signs)

    def __len__(self) -> int:
        return len(self._signs)

    def __contains__(self, name: object) -> bool:
        return name in self._signs

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SignedMask):
            return NotImplemented
        return self.shapes == other.shapes and all(torch.equal(sign, other._signs[name]) for name, sign in self._signs.items())

    def __hash__(self) -> int:
        return hash(self.digest())

    def __repr__(self) -> str:
        return f"SignedMask({len(self)} layers, {self.n_kept} of {self.n_weights} weights, density {self.density:.4g})"

    @cached_property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The shape of every prunable parameter, by name."""
        return MappingProxyType(shapes_of(self._signs))

    @property
    def n_weights(self) -> int:
        """How many prunable weights there are, kept or not."""
        return sum(count.total for count in self._counts.values())

    @property
    def n_kept(self) -> int:
        """How many weights are kept."""
        return sum(count.kept for count in self._counts.values())

    @property
    def density(self) -> float:
        """Fraction of prunable weights kept, in [0, 1]."""
        return self.n_kept / self.n_weights if self.n_weights else 1.0

    def kept(self, name: str) -> Tensor:
        """Which weights of a parameter are kept: bool, of the parameter's shape."""
        return self._signs[name] != 0

    @cached_property
    def _counts(self) -> Mapping[str, LayerCount]:
        return {
            name: LayerCount(sign.numel(), int(torch.count_nonzero(sign)), int(torch.count_nonzero(sign > 0)))
            for name, sign in self._signs.items()
        }

    def layers(self) -> dict[str, LayerCount]:
        """The counts of every layer, by parameter name."""
        return dict(self._counts)

    def empty_layers(self) -> tuple[str, ...]:
        """The layers that have lost every weight: the network may be collapsed."""
        return tuple(name for name, count in self._counts.items() if count.total and not count.kept)

    def digest(self) -> str:
        """SHA-256 over names, shapes and signs: equal masks have equal digests on every machine, whatever their order."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        sha = hashlib.sha256()
        for name, sign in sorted(self._signs.items()):
            sha.update(f"{name}:{tuple(sign.shape)};".encode())
            sha.update(sign.numpy().data)
        return sha.hexdigest()

    def __getstate__(self) -> dict[str, Any]:
        return {"_signs": self._signs}  # without what is computed from it: a view of a dict does not pickle

    @contextmanager
    def enforced_on(self, model: nn.Module) -> Iterator[None]:
        """Keep the pruned weights of `model` at exactly zero inside the block, whatever trains it.

        The forward stays the plain dense forward. Gradients are masked as they are accumulated, so that a clipped norm counts
        kept weights only and momentum never moves a pruned weight; weights are masked after every step of a `torch.optim`
        optimizer that holds them, so that momentum from before the block cannot revive one, and before the model's next
        forward, whatever else moved them. This is the mathematics of `weight * mask` in the forward: the kept
        weights' trajectories are bit-identical to it. Zeros are written, so that no overflow makes NaN of them.

        Raises:
            WinsomeError: the model lacks a masked parameter, or has it in another shape, now or later inside the block.
        """
        names = [name for name in matching_parameters(self, model) if not bool(self.kept(name).all())]
        with kept_zero(model, {name: self.kept(name) for name in names}):
            yield


def _checked(name: str, given: Tensor) -> Tensor:
    """A tensor of its own of int8 signs on the CPU, -1, 0 or +1."""
    given = given.detach()
    sign = given.to("cpu", torch.int8, copy=True).contiguous()
    same = given.dtype == torch.int8 or torch.equal(sign.to(given.dtype), given.to("cpu"))
    if not same or (sign.numel() and (int(sign.min()) < -1 or int(sign.max()) > 1)):  # the absolute value of -128 overflows
        raise WinsomeError(f"the signed mask of {name!r} holds values other than -1, 0, +1")
    return sign


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
    shapes = wanted.shapes if isinstance(wanted, SignedMask) else shapes_of(wanted)
    if different := differences(shapes_of(parameters), shapes, "the model", "the ticket", surplus=False):
        raise WinsomeError(f"{different}; a ticket fits only the architecture that it was found in")
    return {name: parameters[name] for name in wanted}


@torch.no_grad()
def zero_pruned(weights: Mapping[str, Tensor], kept: Mapping[str, Tensor]) -> None:
    """Set weights to zero in place where they are not kept (bool by name); zeros are written, so that no NaN stays."""
    for name, weight in weights.items():
        weight.masked_fill_(~kept[name].to(weight.device), 0)

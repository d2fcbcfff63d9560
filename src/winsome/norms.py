"""Normalisation parameters psi = (gamma, beta): interpolated with their initial values while training, frozen, or reset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from winsome.about import described
from winsome.errors import WinsomeError
from winsome.interpolation import frozen, interpolated
from winsome.psi import Toward, Which, goals, hashable
from winsome.signed_mask import SignedMask
from winsome.while_training import Progress


@torch.no_grad()
def reset_norm_parameters(model: nn.Module, norms: Which = None) -> None:
    """Set psi to psi_init in place: gamma = 1, beta = 0 (arXiv:2504.05357). Running statistics stay as they are.

    Args:
        model: the network.
        norms: which parameters, by name, glob or predicate; those of all norms by default.

    Raises:
        WinsomeError: the identity of a parameter cannot be known; it is named, and nothing is changed.

    Example:
        >>> norm = nn.LayerNorm(2)
        >>> _ = norm.weight.data.fill_(3)
        >>> reset_norm_parameters(norm)
        >>> norm.weight.tolist()
        [1.0, 1.0]
    """
    for goal in goals(model, norms).values():
        goal.parameter.copy_(goal.like(goal.parameter))


@dataclass(frozen=True)
class OfChosen:
    """A part that acts on parameters of one's choice.

    Attributes:
        norms: which parameters, by name, glob or predicate (see `winsome.psi.Which`); those of all norms by default.
        toward: "identity", "start" or a number, see `winsome.psi.goals`.
        start: the state that a search began with; the search says it.

    Raises:
        WinsomeError: `toward` is another text.
    """

    norms: Which = None
    toward: Toward = "identity"
    start: Mapping[str, Tensor] | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "norms", hashable(self.norms))
        if isinstance(self.toward, str) and self.toward not in ("identity", "start"):
            raise WinsomeError(f'parameters go toward "identity", "start" or a number; got {self.toward!r}')


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

    One alpha ~ U(0, 1) a forward pass of `model` for all its layers; gradients to psi are thereby scaled by alpha. Several
    passes before one backward have each its own. Where the model is in evaluation mode, psi itself is used, also by layers
    that are in training mode to gather statistics; psi that is not trained is left alone. The alphas are a stream of their
    own: they depend on the seed and on the number of training forward passes alone, no other draw shifts them, and they are
    alike on all ranks that share the seed. Drawing them is arithmetic on tensors of the model's device: it neither waits for
    the device nor breaks a compiled graph.

    The parameters stay where they are, names and all: each normalisation layer sees the interpolated tensors under the
    names `weight` and `bias` during its own forward only. A copy of the model (deepcopy, pickle) is a plain model. Around
    *compiled* layers `torch.utils.checkpoint` recomputes with the alpha of the last pass: checkpoint inside what is compiled.

    Args:
        model: the network whose `forward` is called once per mini-batch.
        seed: the stream's seed; a sequence of S seeds for a stack of S networks, whose psi have a leading axis S.

    Yields:
        The count of training forward passes, for a checkpoint: an int64 scalar that may be set in place.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
        >>> with interpolated_norms(model, 0) as progress:
        ...     outputs = model(torch.rand(8, 4))
        >>> int(progress["forward_passes"])
        1
    """
    with interpolated(model, seed) as progress:
        yield progress


@described(
    "interpolated parameters",
    "Every training step uses chosen parameters drawn at random between their own and other values.",
    citations=("oh2025sign",),
    needs=("norms",),
    stacks=True,
)
@dataclass(frozen=True)
class Interpolated(OfChosen):
    """AWS for parameters of one's choice: `Interpolated("*.gamma")`, `Interpolated(biases)`, `Interpolated(toward="start")`.

    Example:
        >>> layer = nn.Linear(2, 2)
        >>> plain = layer(torch.ones(1, 2))
        >>> with Interpolated("bias", toward=100.0)(layer, seed=0):
        ...     moved = layer(torch.ones(1, 2)) - plain
        >>> bool((moved > 1).all())  # the bias was drawn toward 100 for this pass
        True
    """

    @contextmanager
    def __call__(self, model: nn.Module, seed: int | Sequence[int], _mask: SignedMask | None = None) -> Iterator[Progress]:
        """Interpolate while the block holds; see `interpolated_norms`."""
        with interpolated(model, seed, self.norms, self.toward, self.start) as progress:
            yield progress


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

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
        >>> with frozen_norms(model):
        ...     [name for name, parameter in model.named_parameters() if parameter.requires_grad]
        ['0.weight', '0.bias']
    """
    with frozen(model):
        yield {}


@described(
    "frozen parameters",
    "Chosen parameters stay at given values.",
    citations=("oh2025sign",),
    needs=("norms",),
    stacks=True,
)
@dataclass(frozen=True)
class Frozen(OfChosen):
    """The control for `Interpolated`: the same parameters stay where they are interpolated toward.

    Example:
        >>> layer = nn.Linear(2, 2)
        >>> with Frozen("bias", toward=0.0)(layer):
        ...     layer.bias.tolist(), layer.bias.requires_grad
        ([0.0, 0.0], False)
    """

    @contextmanager
    def __call__(self, model: nn.Module, _seed: int | Sequence[int] = 0, _mask: SignedMask | None = None) -> Iterator[Progress]:
        """Freeze while the block holds."""
        with frozen(model, self.norms, self.toward, self.start):
            yield {}

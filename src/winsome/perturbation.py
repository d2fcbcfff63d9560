"""Signs under attack: flips at random in the midst of training, or signs that may not change at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from winsome.about import described
from winsome.errors import WinsomeError
from winsome.hooks import after_steps_on, around_forward, in_backward
from winsome.places import Places
from winsome.seeding import generator
from winsome.signed_mask import SignedMask, matching_parameters
from winsome.while_training import Progress


@described(
    "sign flips",
    "At some training steps every surviving weight's sign flips with a probability.",
    citations=("gadhikar2024masks",),
    example={"probability": 0.3, "at": (1,)},
    stacks=True,
)
@dataclass(frozen=True)
class SignFlips:
    """At some training steps, every surviving weight's sign flips with a probability, independently (arXiv:2402.19262).

    A step is a training forward pass of the model: the flip happens just before it. Which weights flip follows from the
    seed, the layer's name and the flip's number alone. Optimizer state is left as it is.

    Attributes:
        probability: in [0, 1]; the paper's is 0.3.
        at: the training steps, from 0; see `flip_steps` for the paper's schedule.

    Raises:
        WinsomeError: a probability outside [0, 1], no step, or one below 0.
    """

    probability: float
    at: tuple[int, ...]

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise WinsomeError(f"the probability that a sign flips must be in [0, 1], got {self.probability:g}")
        if not self.at or min(self.at) < 0:
            raise WinsomeError(f"signs flip at training steps from 0 upwards, at least one; got {list(self.at)}")

    @contextmanager
    def __call__(self, model: nn.Module, seed: int | Sequence[int], mask: SignedMask) -> Iterator[Progress]:
        """Flip signs of the masked weights at the given steps inside the block.

        Yields:
            The count of training forward passes, for a checkpoint.
        """
        matching_parameters(mask, model)
        passes = torch.zeros((), dtype=torch.int64, device="cpu")

        def count(network: nn.Module) -> None:
            if network.training and not in_backward():  # a forward in there is one that runs again
                step = int(passes)
                passes.add_(1)
                if step in self.at:
                    self._flip(matching_parameters(mask, model), seed, self.at.index(step))

        with around_forward(model, count):
            yield {"forward_passes": passes}

    @torch.no_grad()
    def _flip(self, weights: dict[str, nn.Parameter], seed: int | Sequence[int], number: int) -> None:
        for name, weight in weights.items():
            # A stack's members draw from their own streams: a network's flips do not depend on its company.
            members = weight.unsqueeze(0) if isinstance(seed, int) else weight
            for member, own in zip(members, [seed] if isinstance(seed, int) else seed, strict=True):
                drawn = torch.rand(member.shape, device="cpu", generator=generator(own, f"sign flips of {name}", number))
                member.mul_(1 - 2 * (drawn < self.probability).to(member.device, member.dtype))


def flip_steps(*, every: int, epochs: int, steps_per_epoch: int) -> tuple[int, ...]:
    """The steps before epochs every - 1, 2 * every - 1, ... of a training: 29, 59, 89, ... for every = 30 (arXiv:2402.19262).

    Raises:
        WinsomeError: the training is too short for a single flip.
    """
    steps = tuple(epoch * steps_per_epoch for epoch in range(every - 1, epochs, every)) if every > 0 else ()
    if not steps:
        raise WinsomeError(f"signs flip every {every} epochs, but a level trains {epochs}: choose 1 to {epochs}")
    return steps


@described(
    "fixed signs",
    "No prunable weight may change its sign: one that would is put back to the other side of zero after every step.",
    citations=("gadhikar2024masks",),
    stacks=True,
)
@contextmanager
def fixed_signs(model: nn.Module, _seed: int | Sequence[int], mask: SignedMask) -> Iterator[Progress]:
    """Train under fixed signs: after every optimizer step w <- |w| * s, with s the signed mask (arXiv:2402.19262).

    Only the masked weights are held; biases, normalisation and an unpruned classifier train freely.
    """
    signs: dict[int, Tensor] = {}
    places = Places(model, ())

    def find() -> list[Tensor]:
        parameters = matching_parameters(mask, model)
        signs.clear()
        signs.update({id(p): torch.empty_like(p, requires_grad=False).copy_(mask[name]) for name, p in parameters.items()})
        places.look(parameters)
        return list(parameters.values())

    @torch.no_grad()
    def project(held: Sequence[Tensor]) -> None:
        if places.moved() or any(signs[id(w)].device != w.device or signs[id(w)].dtype != w.dtype for w in held):
            watch_for(held := find())
        if held:
            torch._foreach_abs_(list(held))
            torch._foreach_mul_(list(held), [signs[id(weight)] for weight in held])

    weights = find()
    with after_steps_on(weights, project, always=True) as watch_for:
        project(weights)
        yield {}

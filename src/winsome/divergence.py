"""Whether a network's parameters are finite still: looked at every so many steps, so that a level that diverged ends there."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from winsome.errors import Diverged, WinsomeError

LOOK_EVERY = 100  # training steps: each look waits for the device once


class Finite:
    """The parameters of a network that are finite at first, and when they were seen so last."""

    def __init__(self, model: nn.Module, level: int, step: int) -> None:
        numbers = {name: p for name, p in model.named_parameters() if p.is_floating_point() or p.is_complex()}
        bad = not_finite(numbers)
        self._watched = {name: parameter for name, parameter in numbers.items() if name not in bad}
        self._level, self._seen = level, step

    def look(self, step: int) -> None:
        """Look after `step` training steps.

        Raises:
            Diverged: a parameter holds NaN or infinity; names it, and the steps between which it happened.
        """
        if bad := not_finite(self._watched):
            more = f" and {len(bad) - 1} other parameters" if len(bad) > 1 else ""
            raise Diverged(
                f"level {self._level}: {bad[0]!r}{more} became NaN or infinite in training by step {step}, after step "
                f"{self._seen}; try a lower learning rate, warm-up or gradient clipping"
            )
        self._seen = step


def refuse_not_finite(model: nn.Module, wanted: Collection[str]) -> None:
    """Refuse NaN in parameters and normalisation statistics, and infinity where numbers are wanted: elsewhere it is a mask.

    Raises:
        WinsomeError: names the first.
    """
    parameters: dict[str, Tensor] = dict(model.named_parameters())
    named = parameters | {name: buffer for name, buffer in model.named_buffers() if name in wanted}
    for name in not_finite({name: value for name, value in named.items() if value.is_floating_point() or value.is_complex()}):
        value = named[name].float() if named[name].itemsize == 1 else named[name]
        if name in wanted or "bias" in name.rpartition(".")[2] or bool(torch.isnan(value).any()):
            kind = "parameter" if name in parameters else "statistic"
            raise WinsomeError(f"the {kind} {name!r} of the model holds NaN or infinite values before any training")


def refuse_diverged(model: nn.Module, level: int, *, odd: Collection[str], norms: Collection[str]) -> None:
    """Refuse a trained network whose parameters or normalisation statistics are not finite.

    Args:
        model: the network.
        level: for the sentence.
        odd: names of parameters that were not finite at first.
        norms: names of normalisation parameters and statistics.

    Raises:
        Diverged: names the first.
    """
    watched: dict[str, Tensor] = {name: parameter for name, parameter in model.named_parameters() if name not in odd}
    watched |= {name: b for name, b in model.named_buffers() if name in norms and b.is_floating_point()}
    if bad := not_finite(watched):
        raise Diverged(
            f"level {level}: {bad[0]!r} became NaN or infinite in training; "
            "try a lower learning rate, warm-up or gradient clipping"
        )


@torch.no_grad()
def not_finite(values: Mapping[str, Tensor]) -> list[str]:
    """The names of tensors that hold NaN or infinity, in their order."""
    if not values:
        return []
    finite = [_finite(value) for value in values.values()]
    if all(torch.stack([one.to(finite[0].device) for one in finite]).tolist()):
        return []
    return [name for name, one in zip(values, finite, strict=True) if not bool(one)]


def is_finite(value: Tensor) -> bool:
    """Whether a tensor of any number format holds no NaN and no infinity."""
    return bool(_finite(value))


def _finite(value: Tensor) -> Tensor:
    if value.is_quantized or value.layout is not torch.strided:
        return torch.tensor(True, device="cpu")
    short = value.is_floating_point() and value.itemsize == 1  # float8 has next to no operations
    return torch.isfinite(value.float() if short else value).all()

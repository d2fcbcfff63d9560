"""The strings of the command line, and what they stand for."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Sequence
from typing import Any

from winsome.errors import WinsomeError, unknown
from winsome.methods import METHODS, Method
from winsome.study.arms import ARMS, Arm

# Short names of the two methods that are compared all the time.
SHORT = {"lrr": "learning_rate_rewinding", "frozen": "lrr_with_frozen_norms", "wr": "weight_rewinding"}


def method(name: str, *, levels: int, rate: float, rewind_step: int) -> Method:
    """The method of this name, with its densities."""
    full = SHORT.get(name, name)
    if full not in METHODS:
        raise unknown("method", name, [*METHODS, *SHORT])
    options = {"step": rewind_step} if rewinds_to_a_step(full) else {}
    return METHODS[full](levels, rate, **options)


def rewinds_to_a_step(name: str) -> bool:
    """Whether the method of this name asks for a training step to go back to."""
    return "step" in inspect.signature(METHODS[SHORT.get(name, name)]).parameters


def arms(names: Sequence[str]) -> tuple[Arm, ...]:
    """The arms of these names."""
    for name in names:
        if name not in ARMS:
            raise unknown("arm", name, ARMS)
    return tuple(ARMS[name] for name in dict.fromkeys(names))


def network_options(pairs: Sequence[str]) -> tuple[tuple[str, Any], ...]:
    """`width=32` and the like as values; what is no Python literal is text."""
    options: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise WinsomeError(f"network options are written name=value, got {pair!r}")
        try:
            options[key.replace("-", "_")] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            options[key.replace("-", "_")] = value
    return tuple(sorted(options.items()))

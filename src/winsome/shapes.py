"""In which names and shapes two sets of tensors differ, in words."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

Shapes = Mapping[str, tuple[int, ...]]
SHOWN = 5  # differences that are named one by one


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor by name."""
    return {name: tuple(value.shape) for name, value in tensors.items()}


def differences(one: Shapes, other: Shapes, first: str, second: str, *, surplus: bool = True) -> str:
    """What differs, up to five things of each kind; empty where the names and shapes are the same.

    Args:
        one: shapes by name.
        other: shapes to compare them with.
        first: what `one` is called: "the model".
        second: what `other` is called.
        surplus: whether names that only `one` has count as a difference.
    """
    missing = [name for name in other if name not in one]
    more = [name for name in one if name not in other] if surplus else []
    both = [(name, one[name], shape) for name, shape in other.items() if name in one]
    reshaped = [f"{name} is {a} in {first}, {b} in {second}" for name, a, b in both if a != b]
    parts = [f"{who} lacks {_listed(names, ', ')}" for who, names in ((second, more), (first, missing)) if names]
    return "; ".join([*parts, *([_listed(reshaped, "; ")] if reshaped else [])])


def _listed(items: list[str], separator: str) -> str:
    return separator.join(items[:SHOWN]) + (f" and {len(items) - SHOWN} more" if len(items) > SHOWN else "")

"""Where the axis of channels is after a tensor was reshaped or its axes moved."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

Shape = tuple[int, ...]


def shape_of(node: Any) -> Shape:
    """The shape of a node's tensor; () of what is none."""
    value = getattr(node, "meta", {}).get("val")
    return tuple(getattr(value, "shape", ()))


def same_axis(before: Shape, after: Shape, axis: int) -> int | None:
    """The axis with the same index after numbers kept their order but got another shape, None where there is none.

    The numbers are in the order of the last axis first. So an index means the same wherever all axes up to it, or all from it
    on, are as they were.

    Example:
        >>> same_axis((2, 8, 5, 5), (2, 8, 25), 1), same_axis((2, 5, 8), (10, 8), 2), same_axis((2, 8, 5, 5), (2, 200), 1)
        (1, 1, None)
    """
    if math.prod(before) != math.prod(after):
        return None
    if after[: axis + 1] == before[: axis + 1]:
        return axis
    behind = len(before) - axis
    return len(after) - behind if len(after) >= behind and after[len(after) - behind :] == before[axis:] else None


def is_merged(before: Shape, after: Shape, axis: int) -> bool:
    """Whether an axis and all behind it became one axis, the last one."""
    return len(after) == axis + 1 and after[:axis] == before[:axis] and after[axis] == math.prod(before[axis:])


def moved_axis(operation: str, arguments: Sequence[Any], named: Mapping[str, Any], after: Shape, axis: int) -> int | None:
    """The axis of channels after an operation that moves, repeats, shortens or drops axes; None where it does so to that one.

    Args:
        operation: permute, transpose, t, expand, select, slice, mean or amax.
        arguments: of the operation, the tensor first.
        named: its arguments by name.
        after: the shape that it gives.
        axis: of the channels before.
    """
    n_axes = len(shape_of(arguments[0]))
    if operation in ("transpose", "t"):
        first, second = (a % n_axes for a in (arguments[1:3] if operation == "transpose" else (0, 1)))
        return {first: second, second: first}.get(axis, axis)
    if operation == "permute":
        return [a % n_axes for a in arguments[1]].index(axis)
    if operation == "expand":
        same = shape_of(arguments[0])[axis] == after[axis + len(after) - n_axes]
        return axis + len(after) - n_axes if same else None
    if operation == "slice":
        return axis if (arguments[1] if len(arguments) > 1 else 0) % n_axes != axis else None
    if operation == "select":
        gone = [arguments[1] % n_axes]
        keeps = False
    else:
        over = arguments[1] if len(arguments) > 1 else named.get("dim")
        gone = [a % n_axes for a in (over if isinstance(over, list | tuple) else range(n_axes) if over is None else [over])]
        keeps = bool(arguments[2] if len(arguments) > 2 else named.get("keepdim", False))
    if axis in gone:
        return None
    return axis if keeps else axis - sum(a < axis for a in gone)

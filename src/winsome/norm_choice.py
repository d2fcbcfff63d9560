"""Which parameters a method takes for normalisation, said once for all of its parts."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

from winsome.about import parts_of
from winsome.method import Method
from winsome.norms import Frozen, Interpolated, frozen_norms, interpolated_norms
from winsome.psi import Which
from winsome.while_training import AllOf, OnLevels, WhileTraining


def with_norms(method: Method, norms: Which) -> Method:
    """The same method, whose parts take the parameters of this choice for psi, unless they have a choice of their own."""

    def of(part: WhileTraining) -> WhileTraining:
        if isinstance(part, AllOf):
            return AllOf(tuple(of(one) for one in part.parts))
        if isinstance(part, OnLevels):
            return replace(part, part=of(part.part), otherwise=of(part.otherwise))
        if part in (interpolated_norms, frozen_norms):
            return Interpolated(norms) if part is interpolated_norms else Frozen(norms)
        chosen: WhileTraining = _with_choice(part, norms)
        return chosen

    def of_rewind(rewind: Any) -> Any:
        if _has(rewind, "rewind"):  # one around another
            return replace(rewind, rewind=of_rewind(rewind.rewind))
        return _with_choice(rewind, norms)

    return replace(method, rewind=of_rewind(method.rewind), while_training=of(method.while_training))


def asks_for_norms(method: Method) -> bool:
    """Whether a part of the method takes a choice of norms: one that acts on norms, and has no choice of its own."""

    def asks(part: Any) -> bool:
        return part in (interpolated_norms, frozen_norms) or _asks(part) or any(asks(one) for one in parts_of(part))

    return asks(method.while_training) or asks(method.rewind)


def _with_choice(part: Any, norms: Which) -> Any:
    return replace(part, norms=norms) if _asks(part) else part


def _asks(part: Any) -> bool:
    """Whether a part, of Winsome's or of the user's, has a field `norms` that nobody has set."""
    return _has(part, "norms") and part.norms is None


def _has(part: Any, field: str) -> bool:
    return is_dataclass(part) and not isinstance(part, type) and field in {one.name for one in fields(part)}


def norms_of(method: Method) -> Which:
    """Which parameters the method takes for psi: the first choice that one of its parts has; None where all norms are."""

    def choices(part: object) -> list[Which]:
        own = [getattr(part, "norms", None)]
        return [*own, *(choice for one in parts_of(part) for choice in choices(one))]

    found = [choice for part in (method.while_training, method.rewind) for choice in choices(part)]
    return next((choice for choice in found if choice is not None), None)

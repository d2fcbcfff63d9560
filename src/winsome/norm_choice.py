"""Which parameters a method takes for normalisation, said once for all of its parts."""

from __future__ import annotations

from dataclasses import replace

from winsome.about import parts_of
from winsome.method import Method
from winsome.norms import Frozen, Interpolated, OfChosen, frozen_norms, interpolated_norms
from winsome.psi import Which
from winsome.rewinding import KeepWeightsRewindNorms
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
        return replace(part, norms=norms) if isinstance(part, OfChosen) and part.norms is None else part

    rewind = method.rewind
    if isinstance(rewind, KeepWeightsRewindNorms) and rewind.norms is None:
        rewind = replace(rewind, norms=norms)
    return replace(method, rewind=rewind, while_training=of(method.while_training))


def norms_of(method: Method) -> Which:
    """Which parameters the method takes for psi: the first choice that one of its parts has; None where all norms are."""

    def choices(part: object) -> list[Which]:
        own = [part.norms] if isinstance(part, OfChosen | KeepWeightsRewindNorms) else []
        return [*own, *(choice for one in parts_of(part) for choice in choices(one))]

    found = [choice for part in (method.while_training, method.rewind) for choice in choices(part)]
    return next((choice for choice in found if choice is not None), None)

"""What a search is given, checked before anything is written: a method, a model, a probe, names of weights to prune."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from winsome import distributed
from winsome.about import about
from winsome.checks import taken_by
from winsome.errors import WinsomeError
from winsome.identity import identity, name_of
from winsome.method import Method
from winsome.prunable import prunable as default_prunable
from winsome.prunable import refuse_unmade, refuse_wrapped
from winsome.scores import Probe


def searched_weights(
    model: nn.Module, method: Method, probe: Probe | None, prunable: Sequence[str] | None
) -> dict[str, nn.Parameter]:
    """The weights that a search prunes, by name.

    Args:
        model: the network.
        method: how it is searched.
        probe: batches and a loss, for scores that look at data.
        prunable: names of the parameters to prune; all convolutions and linear layers but the classifier if None.

    Raises:
        WinsomeError: an argument is of another kind, the model cannot be searched as it is, a score that looks at data has no
            probe, or a weight is absent, complex, NaN or infinite.
    """
    _refuse_other_kinds(method, prunable)
    distributed.refuse_sharded(model)
    refuse_wrapped(model)
    refuse_unmade(model)
    _refuse_without_probe(method, probe)
    names = taken_by(method.allocate, tuple(prunable) if prunable is not None else default_prunable(model), model)
    parameters = dict(model.named_parameters())
    if unknown := [name for name in names if name not in parameters]:
        raise WinsomeError(f"the model has no parameter {', '.join(unknown)}; see winsome.plan(model) for its names")
    for name in names:
        if parameters[name].is_complex():
            raise WinsomeError(f"the parameter {name!r} holds complex numbers, which have no sign: leave it out of `prunable`")
        if not bool(torch.isfinite(parameters[name]).all()):
            raise WinsomeError(f"the parameter {name!r} of the model holds NaN or infinite values")
    return {name: parameters[name] for name in names}


def _refuse_other_kinds(method: object, prunable: object) -> None:
    if not isinstance(method, Method):
        what = f"the text {method!r}" if isinstance(method, str) else f"{getattr(method, '__name__', type(method).__name__)!r}"
        raise WinsomeError(
            f"a search takes a method, for example winsome.aws(levels=15); {what} is none (call it, if it makes one)"
        )
    if isinstance(prunable, str) or (prunable is not None and not prunable):
        wrong = f"the text {prunable!r}" if isinstance(prunable, str) else "no name at all"
        raise WinsomeError(f"`prunable` is a list of parameter names, or None for the usual ones; got {wrong}")


def _refuse_without_probe(method: Method, probe: Probe | None) -> None:
    for kind, part in method.parts.items():
        if probe is None and "probe" in about(part).needs:
            raise WinsomeError(
                f"{name_of(part)!r} ({kind}) looks at data: give the search a probe, "
                "find_tickets(..., probe=winsome.Probe(inputs, labels))"
            )


def looks_at_probe(method: Method) -> bool:
    """Whether results may follow from the probe; code that is not Winsome's may look at it without saying so."""
    return "probe" in method.needs or isinstance(identity(method.score), dict)

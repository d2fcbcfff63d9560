"""What a search is given, checked before anything is written: a method, a model, a probe, names of weights to prune."""

from __future__ import annotations

import logging
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from winsome import distributed
from winsome.about import about, parts_of
from winsome.errors import WinsomeError
from winsome.identity import identity, name_of
from winsome.method import Method
from winsome.norm_choice import asks_for_norms, with_norms
from winsome.prunable import refuse_unmade, refuse_wrapped
from winsome.psi import Which
from winsome.runs.configuration import differences
from winsome.scope import names_to_prune, norm_names
from winsome.scores import Probe
from winsome.while_training import OnLevels, WhileTraining

log = logging.getLogger("winsome")


@dataclass(frozen=True, eq=False)
class Searched:
    """What a search acts on.

    Attributes:
        method: with the choice of norms in its parts.
        weights: those that it prunes, by name.
        norms: names of the parameters and statistics that it takes for normalisation.
    """

    method: Method
    weights: dict[str, nn.Parameter]
    norms: frozenset[str]


def searched(
    model: nn.Module,
    method: Method,
    probe: Probe | None,
    *,
    prunable: Sequence[str] | None,
    classifier: str | Sequence[str] | None,
    norms: Which,
) -> Searched:
    """What a search acts on, once all that it is given has been looked at.

    Args:
        model: the network.
        method: how it is searched.
        probe: batches and a loss, for scores that look at data.
        prunable: names of the parameters to prune; if None all weights but embeddings' and classifiers'.
        classifier: module names of the output layers, where they are not what is found.
        norms: which parameters are psi, by name, glob or predicate; those of all norms that are found if None.

    Raises:
        WinsomeError: an argument is of another kind, the model cannot be searched as it is, a score that looks at data has no
            probe, or a weight is absent, complex, NaN or infinite.
    """
    _refuse_other_kinds(model, method, probe)
    if norms is not None:
        if not asks_for_norms(method):
            log.warning("`norms` does not count: no part of %s takes a choice of them", method.label or "the method")
        method = with_norms(method, norms)
    distributed.refuse_sharded(model)
    refuse_wrapped(model)
    refuse_unmade(model)
    _refuse_without_probe(method, probe)
    _tell_levels_beyond(method.while_training, len(method.densities) - 1)
    names = names_to_prune(model, prunable, classifier, method.allocate)
    parameters = dict(model.named_parameters())
    if unknown := [name for name in names if name not in parameters]:
        raise WinsomeError(f"the model has no parameter {', '.join(unknown)}; see winsome.plan(model) for its names")
    for name in names:
        if parameters[name].is_complex():
            raise WinsomeError(f"the parameter {name!r} holds complex numbers, which have no sign: leave it out of `prunable`")
    return Searched(method, {name: parameters[name] for name in names}, norm_names(model, method))


def _refuse_other_kinds(model: object, method: object, probe: object) -> None:
    if not isinstance(method, Method):
        what = f"the text {method!r}" if isinstance(method, str) else f"{getattr(method, '__name__', type(method).__name__)!r}"
        raise WinsomeError(
            f"a search takes a method, for example winsome.aws(levels=15); {what} is none (call it, if it makes one)"
        )
    if not isinstance(model, nn.Module):
        raise WinsomeError(f"a search takes a model, an nn.Module, first; got {_kind(model)}")
    if probe is not None and not isinstance(probe, Probe):
        raise WinsomeError(f"`probe` is a winsome.Probe(inputs, labels), or None; got {_kind(probe)}")


def refuse_no_loop(train: object) -> None:
    """Refuse what cannot be called as a training loop.

    Raises:
        WinsomeError: says what is wanted.
    """
    if not callable(train):
        raise WinsomeError(f"`train` is a function that trains, train(model, level); got {_kind(train)}")


def whole_seed(seed: object) -> int:
    """The seed as an int.

    Raises:
        WinsomeError: it is no whole number.
    """
    if not isinstance(seed, numbers.Integral):
        raise WinsomeError(f"`seed` is a whole number; got {seed!r}")
    return int(seed)


def _kind(thing: object) -> str:
    return f"the class {thing.__name__}" if isinstance(thing, type) else f"a {type(thing).__name__}"


def _refuse_without_probe(method: Method, probe: Probe | None) -> None:
    for kind, part in method.parts.items():
        if probe is None and "probe" in about(part).needs:
            raise WinsomeError(
                f"{name_of(part)!r} ({kind}) looks at data: give the search a probe, "
                "find_tickets(..., probe=winsome.Probe(inputs, labels))"
            )


def _tell_levels_beyond(part: WhileTraining, last: int) -> None:
    if isinstance(part, OnLevels) and min(part.levels) > last:
        levels = ", ".join(map(str, part.levels))
        log.warning("%r is to hold on levels %s, but the last level is %d: it never does", name_of(part.part), levels, last)
    for one in parts_of(part):
        _tell_levels_beyond(one, last)


def tell_changed_parts(method: Method, before: Mapping[str, object]) -> bool:
    """Whether a part of a method has changed itself since its record was taken; what has changed is told."""
    if not (changed := differences("method", before, method.record())):
        return False
    log.warning(
        "a part of the method changes itself, which a search that is resumed in another process would not know: %s",
        "; ".join(changed),
    )
    return True


def looks_at_probe(method: Method) -> bool:
    """Whether results may follow from the probe; code that is not Winsome's may look at it without saying so."""
    return "probe" in method.needs or isinstance(identity(method.score), dict)

"""What of a network a search acts on: the weights that it prunes, and psi; what it does not find is said."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from torch import nn

from winsome.about import about, parts_of
from winsome.bare_scales import bare_scales, globs_of
from winsome.checks import taken_by
from winsome.classifiers import output_layers
from winsome.errors import WinsomeError
from winsome.method import Method
from winsome.norms import frozen_norms, interpolated_norms
from winsome.prunable import plan, warn_of_much_dense
from winsome.prunable import prunable as default_prunable
from winsome.psi import FOUND, Which, chosen, goals, norm_state_names

log = logging.getLogger("winsome")


def names_to_prune(
    model: nn.Module,
    prunable: Sequence[str] | None,
    classifier: str | Sequence[str] | None,
    allocate: Callable[..., object],
) -> tuple[str, ...]:
    """The names given, or the usual ones, of what the allocation can take.

    Matrices that would stay dense for no usual reason are said, and several outputs.

    Raises:
        WinsomeError: both names and a classifier are given; nothing is prunable.
    """
    if prunable is not None:
        others = [] if isinstance(prunable, str) else [name for name in prunable if not isinstance(name, str)]
        if isinstance(prunable, str) or not prunable or others:
            wrong = f"the text {prunable!r}" if isinstance(prunable, str) else "no name at all"
            wrong = f"a {type(others[0]).__name__} in it" if others else wrong
            raise WinsomeError(f"`prunable` is a list of parameter names, or None for the usual ones; got {wrong}")
        if classifier is not None:
            raise WinsomeError("`prunable` says every weight that is pruned: leave `classifier` out, or `prunable`")
        return taken_by(allocate, tuple(prunable), model)
    names = default_prunable(model, classifier=classifier)
    warn_of_much_dense(model, names, plan(model, classifier=classifier))
    if classifier is None and len(heads := output_layers(model)) > 1:
        log.info("%s has %d output layers, which stay dense: %s", type(model).__name__, len(heads), ", ".join(heads))
    return taken_by(allocate, names, model)


def norm_names(model: nn.Module, method: Method) -> frozenset[str]:
    """The names of psi and its statistics for a search, after what the method does to them was looked at.

    Raises:
        WinsomeError: the method moves parameters toward an identity that cannot be known; a name that matches nothing.
    """
    which: Which = getattr(method.rewind, "norms", None)
    found = norm_state_names(model, which)
    takes_all: list[str] = []  # the labels of parts that act on all norms
    nothing: list[str] = []  # and of those that act on none
    if "norms" in about(method.rewind).needs:
        (nothing if not found else takes_all if which is None else []).append(about(method.rewind).label)
    for part in _leaves(method.while_training):
        if "norms" not in about(part).needs:
            continue
        its_choice = getattr(part, "norms", None)
        if part in (interpolated_norms, frozen_norms) or hasattr(part, "toward"):
            goals(model, its_choice, getattr(part, "toward", "identity"))
        (nothing if not chosen(model, its_choice) else takes_all if its_choice is None else []).append(about(part).label)
    whose = method.label or "the search", type(model).__name__
    if nothing:
        log.warning(
            "%s: %s has no normalisation parameters that are found, so that %s changes nothing; if it has some, name them "
            "(norms=..., --norms): globs of parameters or of modules",
            *(*whose, " and ".join(dict.fromkeys(nothing))),
        )
    if takes_all and (bare := bare_scales(model)):
        names = ", ".join(list(bare)[:3]) + (f" and {len(bare) - 3} more" if len(bare) > 3 else "")
        log.warning(
            "%s: %s has scales or shifts outside of norms (%s), which stay out of %s; to take them as well, name them beside "
            "the norms that are found: norms=%r",
            *(*whose, names, " and ".join(dict.fromkeys(takes_all)), (FOUND, *globs_of(model, bare))),
        )
    return found


def _leaves(part: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    inner = parts_of(part)
    if not inner:
        yield part
    for one in inner:
        yield from _leaves(one)

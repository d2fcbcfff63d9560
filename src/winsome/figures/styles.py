"""Which colour, marker and dash belong to which arm and which search method, alike in all figures of a study."""

from __future__ import annotations

from collections.abc import Sequence

from winsome.figures.results import METHOD_LABELS, Results, methods_of
from winsome.figures.theme import COLOURS, INK, MARKERS, Dash, Style

_FIRST = ("aws", "lrr", "imp", "frozen")  # take the first colours, as in the report of a usual study
_DASHES: tuple[Dash, ...] = ("-", (0, (4, 1.6)), (0, (1.2, 1.4)), (0, (6, 1.4, 1.2, 1.4)))


def arm_styles(results: Results) -> dict[str, Style]:
    """A style per arm: planted arms differ in colour; a search's own network wears the colour of what is planted from it."""
    arms = results["study"]["arms"]
    planted = [arm["name"] for arm in arms if arm["kind"] == "planted"]
    styles = {name: _cycled(index) for index, name in enumerate(planted)}
    by_method = _method_colours(results)
    seen: dict[str, int] = {}
    for arm in arms:
        if arm["kind"] == "dense":
            styles[arm["name"]] = Style(INK)
        elif arm["kind"] == "network":
            method = arm["method"] or arm["name"]
            nth = seen[method] = seen.get(method, -1) + 1
            index = by_method.setdefault(method, len(planted) + len(seen) - 1)
            base = _cycled(index)
            styles[arm["name"]] = Style(base.colour, base.marker, _DASHES[nth % len(_DASHES)], hollow=nth % 2 == 1)
    return styles


def method_styles(results: Results) -> dict[str, Style]:
    """A style per search method: the colour of what is planted from it."""
    by_method = _method_colours(results)
    free = len([arm for arm in results["study"]["arms"] if arm["kind"] == "planted"])
    styles = {}
    for method in methods_of(results):
        if method not in by_method:
            by_method[method] = free
            free += 1
        styles[method] = _cycled(by_method[method])
    return styles


def styles_of(methods: Sequence[str]) -> dict[str, Style]:
    """A style per search method where there are no arms: known methods look alike in every figure, whatever is beside them."""
    known = list(dict.fromkeys(METHOD_LABELS[name] for name in _FIRST + tuple(METHOD_LABELS)))
    free = iter(range(len(known), len(known) + len(methods)))
    return {name: _cycled(known.index(METHOD_LABELS[name]) if name in METHOD_LABELS else next(free)) for name in methods}


def _method_colours(results: Results) -> dict[str, int]:
    planted = [arm for arm in results["study"]["arms"] if arm["kind"] == "planted"]
    indices: dict[str, int] = {}
    for index, arm in enumerate(planted):
        method = arm["method"]
        if method and (method not in indices or arm["name"] == f"planted_{method}"):
            indices[method] = index
    return indices


def _cycled(index: int) -> Style:
    lap = index // len(COLOURS)
    # From the second lap on, hollow markers and dashes tell arms of one colour apart.
    marker = MARKERS[(index + lap) % len(MARKERS)]
    return Style(COLOURS[index % len(COLOURS)], marker, _DASHES[lap % len(_DASHES)], hollow=lap % 2 == 1)

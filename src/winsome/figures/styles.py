"""Which colour, marker and dash belong to which arm and which search: what is well known looks alike in all figures."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import chain, count

from winsome.evidence.results import METHOD_LABELS, Results, methods_of
from winsome.figures.theme import COLOURS, INK, MARKERS, Dash, Style

# Places in the cycle of styles. A mask alone and IMP share one: hardly a study has both.
_ARMS = {"planted_aws": 0, "planted_lrr": 1, "mask_only": 2, "random_mask": 3, "planted_frozen": 4, "planted_lrr_absorbed": 5}
_METHODS = {"AWS": 0, "LRR": 1, "IMP": 2, "LRR, frozen norms": 4}
_DASHES: tuple[Dash, ...] = ("-", (0, (4, 1.6)), (0, (1.2, 1.4)), (0, (6, 1.4, 1.2, 1.4)))


def arm_styles(results: Results) -> dict[str, Style]:
    """A style per arm: planted arms differ in colour; a search's own network wears the colour of what is planted from it."""
    by_arm, by_method = _places(results)
    styles = {name: _cycled(place) for name, place in by_arm.items()}
    seen: dict[str, int] = {}
    for arm in results["study"]["arms"]:
        if arm["kind"] == "dense":
            styles[arm["name"]] = Style(INK)
        elif arm["kind"] == "network":
            method = arm["method"] or arm["name"]
            nth = seen[method] = seen.get(method, -1) + 1
            base = _cycled(by_method[method])
            styles[arm["name"]] = Style(base.colour, base.marker, _DASHES[nth % len(_DASHES)], hollow=nth % 2 == 1)
    return styles


def method_styles(results: Results) -> dict[str, Style]:
    """A style per search: the colour of what is planted from it."""
    _, by_method = _places(results)
    return {method: _cycled(by_method[method]) for method in methods_of(results)}


def styles_of(methods: Sequence[str]) -> dict[str, Style]:
    """A style per search where there are no arms."""
    return {method: _cycled(place) for method, place in _placed_methods(methods).items()}


def _places(results: Results) -> tuple[dict[str, int], dict[str, int]]:
    """The places of the planted arms and of the searches."""
    arms = results["study"]["arms"]
    planted = [arm for arm in arms if arm["kind"] == "planted"]
    by_arm = _placed([arm["name"] for arm in planted], _ARMS)
    by_method: dict[str, int] = {}
    for arm in planted:
        method = arm["method"]
        if method and (method not in by_method or arm["name"] == f"planted_{method}"):
            by_method[method] = by_arm[arm["name"]]
    networks = [arm["method"] or arm["name"] for arm in arms if arm["kind"] == "network"]
    others = [method for method in dict.fromkeys((*networks, *methods_of(results))) if method not in by_method]
    return by_arm, by_method | _placed_methods(others, taken=by_arm.values())


def _placed_methods(methods: Sequence[str], taken: Collection[int] = ()) -> dict[str, int]:
    places = _placed([METHOD_LABELS.get(method, method) for method in methods], _METHODS, taken)
    return {method: places[METHOD_LABELS.get(method, method)] for method in methods}


def _placed(names: Sequence[str], known: Mapping[str, int], taken: Collection[int] = ()) -> dict[str, int]:
    """A place for each name: its own where it is known and free; for others, those last that are somebody's who is not here."""
    wanted: dict[str, int] = {}
    for name in names:
        if name in known and known[name] not in (*taken, *wanted.values()):
            wanted[name] = known[name]
    lap = range(len(COLOURS))
    unowned_first = sorted(lap, key=lambda place: place in known.values())
    free = (place for place in chain(unowned_first, count(len(lap))) if place not in (*taken, *wanted.values()))
    return {name: wanted[name] if name in wanted else next(free) for name in names}


def _cycled(index: int) -> Style:
    lap = index // len(COLOURS)
    # From the second lap on, hollow markers and dashes tell arms of one colour apart.
    marker = MARKERS[(index + lap) % len(MARKERS)]
    return Style(COLOURS[index % len(COLOURS)], marker, _DASHES[lap % len(_DASHES)], hollow=lap % 2 == 1)

"""Which colour, marker and dash belong to which arm and which search: what is well known looks alike in all figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, count

from winsome.about import about
from winsome.evidence.results import ArmRecord, Results
from winsome.figures.theme import COLOURS, INK, MARKERS, Dash, Style
from winsome.methods import METHODS

# Places in the cycle of styles that searches and arms of these names prefer; any other takes one that is free.
_PREFERRED = {
    **dict.fromkeys(("aws", "planted_aws"), 0),
    **dict.fromkeys(("lrr", "learning_rate_rewinding", "planted_lrr"), 1),
    **dict.fromkeys(("imp", "wr", "weight_rewinding", "planted_imp"), 2),
    "random_mask": 3,
    **dict.fromkeys(("frozen", "lrr_with_frozen_norms", "planted_frozen"), 4),
    "planted_lrr_absorbed": 5,
    "mask_only": 6,
}
_DASHES: tuple[Dash, ...] = ("-", (0, (4, 1.6)), (0, (1.2, 1.4)), (0, (6, 1.4, 1.2, 1.4)))


def arm_styles(results: Results) -> dict[str, Style]:
    """A style per arm: planted arms differ in colour; a search's own network wears the colour of what is planted from it."""
    places = _places(results)
    styles: dict[str, Style] = {}
    seen: dict[str, int] = {}
    for arm in results["study"]["arms"]:
        if arm["kind"] == "dense":
            styles[arm["name"]] = Style(INK)
        elif arm["kind"] == "planted":
            styles[arm["name"]] = _cycled(places[arm["name"]])
        else:
            search = _search_of(arm)
            nth = seen[search] = seen.get(search, -1) + 1
            base = _cycled(places[search])
            styles[arm["name"]] = Style(base.colour, base.marker, _DASHES[nth % len(_DASHES)], hollow=nth % 2 == 1)
    return styles


def search_styles(results: Results) -> dict[str, Style]:
    """A style per search: the colour of what is planted from it."""
    places = _places(results)
    return {search["name"]: _cycled(places[search["name"]]) for search in results["study"]["searches"]}


def styles_of(searches: Sequence[str]) -> dict[str, Style]:
    """A style per search where there are no arms."""
    return {search: _cycled(place) for search, place in _placed(searches).items()}


def label_of_method(name: str) -> str:
    """How a named method is written, known by its name or its short one; the name itself of any other."""
    found = (about(make) for known, make in METHODS.items() if name in (known, getattr(about(make), "short", "")))
    return next((one.label for one in found), name.replace("_", " "))


def method_labels(said: Mapping[str, str]) -> dict[str, str]:
    """A label for each of some methods or searches: what its record says, else what a named method is called; no two alike.

    Args:
        said: by name, the label in its record; empty where there is none.
    """
    labels = {name: label or label_of_method(name) for name, label in said.items()}
    often = Counter(labels.values())
    return {name: label if often[label] == 1 else f"{label} ({name.replace('_', ' ')})" for name, label in labels.items()}


def _search_of(arm: ArmRecord) -> str:
    return arm["search"] or arm["name"]


def _places(results: Results) -> dict[str, int]:
    """The places of planted arms and of searches; a search shares that of its signed mask, planted."""
    arms = results["study"]["arms"]
    planted = [arm["name"] for arm in arms if arm["kind"] == "planted"]
    networks = [_search_of(arm) for arm in arms if arm["kind"] == "network"]
    searches = dict.fromkeys((*networks, *(search["name"] for search in results["study"]["searches"])))
    shared = {name: f"planted_{name}" for name in searches if f"planted_{name}" in planted}
    places = _placed([*planted, *(name for name in searches if name not in shared)])
    return places | {name: places[arm] for name, arm in shared.items()}


def _placed(names: Iterable[str]) -> dict[str, int]:
    """A place for each name: its own where that is free; for others, those last that are somebody's who is not here."""
    places: dict[str, int] = {}
    strangers = []
    for name in dict.fromkeys(names):
        if name in _PREFERRED and _PREFERRED[name] not in places.values():
            places[name] = _PREFERRED[name]
        else:
            strangers.append(name)
    # The least known first: hardly a reader misses the colour of a mask alone where there is none.
    taken = set(places.values())
    free = (place for place in chain(reversed(range(len(COLOURS))), count(len(COLOURS))) if place not in taken)
    for name in strangers:
        places[name] = next(free)
    return places


def _cycled(index: int) -> Style:
    lap = index // len(COLOURS)
    # From the second lap on, hollow markers and dashes tell arms of one colour apart.
    marker = MARKERS[(index + lap) % len(MARKERS)]
    return Style(COLOURS[index % len(COLOURS)], marker, _DASHES[lap % len(_DASHES)], hollow=lap % 2 == 1)

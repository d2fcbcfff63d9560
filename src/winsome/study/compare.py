"""A study of any searches: what each of them finds, beside the others, on shared fresh starts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from winsome.about import about
from winsome.errors import WinsomeError
from winsome.method import Method
from winsome.methods import METHODS
from winsome.study.arms import ARMS, CLAIMS, Arm, Dense, arms_of_search
from winsome.study.design import SearchSpec, Study

_JUDGED = ("network", "planted", "mask_only")  # of every search


def compare(base: Study, searches: Mapping[str, Method], *, levels: Sequence[int] = ()) -> Study:
    """The same study of these searches: the dense network, and of each its network, its signed mask, and its mask alone.

    Every two signed masks are compared, paired by search seed; the papers' claims are those whose arms are all there. A method
    of one's own that is called as one of Winsome's has other arms, of which the papers claim nothing.

    Args:
        base: data, network and trainings, and what is searched otherwise.
        searches: by name; each has the densities at which arms are judged.
        levels: of the first search, at which arms are judged; by default those of `base` whose densities all of them have, or
            the last.

    Raises:
        WinsomeError: no searches, or one without a density at which arms are judged.
    """
    if not searches:
        raise WinsomeError("no methods to compare; name at least one: --methods lrr aws")
    arms: list[Arm] = [Dense()]
    labels = _labels(searches)
    for name in searches:
        own = arms_named(name, labels[name])
        arms += [own[f"{kind}_{name}"] for kind in _JUDGED]
    there = {arm.name for arm in arms if ARMS.get(arm.name, arm) == arm}
    return replace(
        base,
        levels=tuple(levels) or _shared(base.levels, list(searches.values())),
        searches=tuple(searches.items()),
        arms=tuple(arms),
        claims=tuple(claim for claim in CLAIMS if there.issuperset(claim.contrast)),
        reference=None,
        each_other=tuple(f"planted_{name}" for name in searches),
    )


def _shared(levels: Sequence[int], methods: Sequence[Method]) -> tuple[int, ...]:
    """Those of the first method's levels whose densities all have, or its last."""
    densities, others = (
        methods[0].densities,
        [SearchSpec(method) for method in methods if method.densities != methods[0].densities],
    )
    there = [level for level in levels if level < len(densities)]
    return tuple(k for k in there if all(other.level_of(densities[k]) is not None for other in others)) or (len(densities) - 1,)


def _labels(searches: Mapping[str, Method]) -> dict[str, str]:
    """What figures and tables call every search: no two of them alike."""
    said = {name: method.label or name for name, method in searches.items()}
    twice = {label for label, count in Counter(said.values()).items() if count > 1}
    return {
        name: f"{label} ({name})" if label in twice and _of_winsome().get(name) != label else label
        for name, label in said.items()
    }


def _of_winsome() -> dict[str, str]:
    return {about(make).short: about(make).label for make in METHODS.values() if about(make).short}


def arms_named(search: str, label: str) -> dict[str, Arm]:
    """Every arm of one search by name; those of the papers as these call them, if it is the search that they speak of."""
    own = arms_of_search(search, label)
    return {name: ARMS.get(name, arm) for name, arm in own.items()} if _of_winsome().get(search, label) == label else own


def arms_of(study: Study) -> dict[str, Arm]:
    """Every arm that a study can have by name: those of the papers, and those of its own searches."""
    found = dict(ARMS)
    labels = _labels({name: spec.method for name, spec in study.search_specs.items()})
    for name, label in labels.items():
        found |= arms_named(name, label)
    return found

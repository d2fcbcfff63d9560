"""Which layers have lost all their weights, in which searches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from winsome.evidence.results import SearchRow
from winsome.wording import ranges

_NAMED = 4  # seeds that a sentence names; more would bury what else is warned of


def collapses(searches: Sequence[SearchRow]) -> list[str]:
    """A sentence for each layer of each kind of search that some level has emptied: at which seeds and levels."""
    found: dict[tuple[str, str], dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for search in searches:
        for level in search["levels"]:
            for name, layer in level["layers"].items():
                if not layer["kept"]:
                    found[search["search"], name][search["search_seed"]].append(level["number"])
    counts = {name: sum(one["search"] == name for one in searches) for name, _ in found}
    return [
        f"search {name}, {_where(seeds, counts[name])}: {layer} has lost all its weights"
        for (name, layer), seeds in found.items()
    ]


def _where(seeds: dict[int, list[int]], n_searches: int) -> str:
    """The seeds with the levels of each; how many there are, where there are several."""
    named = [f"seed {seed} at {_levels(levels)}" for seed, levels in list(seeds.items())[:_NAMED]]
    more = [f"{len(seeds) - _NAMED} more"] if len(seeds) > _NAMED else []
    listed = "; ".join((*named, *more))
    return listed if len(seeds) == 1 else f"{len(seeds)} of {n_searches} seeds ({listed})"


def _levels(levels: Sequence[int]) -> str:
    return f"level {levels[0]}" if len(levels) == 1 else f"levels {ranges(levels)}"

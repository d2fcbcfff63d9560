"""The sentences on layers that have lost all their weights."""

from __future__ import annotations

from winsome.evidence.results import SearchRow
from winsome.evidence.rows import collapses


def search(name: str, seed: int, *levels: tuple[int, int]) -> SearchRow:
    """A search of two layers, of which each level keeps so many weights."""
    return {
        "search": name,
        "search_seed": seed,
        "levels": [
            {"number": number, "layers": {"a": {"kept": a, "total": 9}, "b": {"kept": b, "total": 9}}}  # type: ignore[typeddict-item]
            for number, (a, b) in enumerate(levels)
        ],
    }


def test_nothing_is_said_where_every_layer_keeps_a_weight() -> None:
    assert collapses([search("lrr", 0, (9, 9), (1, 1))]) == []
    assert collapses([]) == []


def test_seeds_and_levels_of_one_layer_stand_in_one_sentence() -> None:
    found = [
        search("aws", 3, (9, 9), (0, 4), (0, 2), (0, 1)),
        search("aws", 5, (9, 9), (3, 4), (1, 2), (0, 1)),
        search("aws", 8, (9, 9), (3, 4), (1, 2), (1, 1)),
        search("lrr", 3, (9, 9), (3, 4), (1, 2), (1, 0)),
    ]
    assert collapses(found) == [
        "search aws, 2 of 3 seeds (seed 3 at levels 1\u20133; seed 5 at level 3): a has lost all its weights",
        "search lrr, seed 3 at level 3: b has lost all its weights",
    ]


def test_many_seeds_are_counted() -> None:
    (sentence,) = collapses([search("aws", seed, (9, 9), (0, 1)) for seed in range(7)])
    assert sentence.startswith("search aws, 7 of 7 seeds (seed 0 at level 1; ")
    assert sentence.endswith("seed 3 at level 1; 3 more): a has lost all its weights")


def test_a_layer_that_comes_back_is_named_where_it_was_empty() -> None:
    assert collapses([search("ac_dc", 0, (0, 1), (4, 1), (0, 1))]) == [
        "search ac_dc, seed 0 at levels 0, 2: a has lost all its weights"
    ]

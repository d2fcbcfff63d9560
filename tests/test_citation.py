"""BibTeX: well-formed entries, keyed as they are listed, each given once."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from contract import check_described
from winsome.about import about
from winsome.allocation import ALLOCATIONS
from winsome.citation import CITATIONS, bibtex
from winsome.data.catalogue import DATA_SETS
from winsome.errors import WinsomeError
from winsome.mask_swap import BORROWS, LayerCountsOf, MasksOf, SignsOf
from winsome.methods import METHODS, WHILE_TRAINING
from winsome.optimizer_state import OPTIMIZER_STATES
from winsome.rewinding import REWINDS
from winsome.scores import SCORES
from winsome.scoring import Rounds

ENTRY = re.compile(r"@(\w+)\{(\w+),\n((?:  \w+ += \{.*\},?\n)+)\}")


@pytest.mark.parametrize("key", CITATIONS)
def test_every_entry_parses_and_has_what_a_citation_needs(key: str) -> None:
    match = ENTRY.fullmatch(CITATIONS[key])
    assert match is not None
    kind, written_key, body = match.groups()
    fields = dict(re.findall(r"  (\w+) += \{(.*)\}", body))
    assert written_key == key
    assert {"title", "author", "year"} <= fields.keys()
    assert key.lower().find(fields["author"].split(",")[0].lower().replace(" ", "")) == 0
    assert fields["year"] in key
    assert kind != "inproceedings" or "booktitle" in fields
    assert CITATIONS[key].count("{") == CITATIONS[key].count("}")


def test_every_line_but_the_last_field_ends_in_a_comma() -> None:
    for entry in CITATIONS.values():
        *fields, last, closing = entry.splitlines()[1:]
        assert all(line.endswith("},") for line in fields)
        assert last.endswith("}")
        assert closing == "}"


@pytest.mark.parametrize(
    ("key", "number"),
    [
        ("oh2025sign", "2504.05357"),
        ("gadhikar2024masks", "2402.19262"),
        ("frankle2019lottery", "1803.03635"),
        ("renda2020comparing", "2003.02389"),
        ("han2015learning", "1506.02626"),
        ("evci2020rigl", "1911.11134"),
        ("frankle2020linear", "1912.05671"),
    ],
)
def test_arxiv_numbers(key: str, number: str) -> None:
    assert f"{{{number}}}" in bibtex([key])


def test_order_is_kept_and_a_key_given_twice_is_printed_once() -> None:
    text = bibtex(["renda2020comparing", "oh2025sign", "renda2020comparing"])
    assert re.findall(r"@\w+\{(\w+),", text) == ["renda2020comparing", "oh2025sign"]
    assert bibtex([]) == ""


def test_an_unknown_key_is_refused_with_the_nearest() -> None:
    with pytest.raises(WinsomeError, match=r"unknown citation 'oh2025signs'.*oh2025sign"):
        bibtex(["oh2025signs"])


def test_bibtex_of_ones_own_is_an_entry_itself() -> None:
    own = "@misc{mine2026,\n  title = {Mine}\n}"
    assert bibtex(["oh2025sign", own, own]) == f"{CITATIONS['oh2025sign']}\n\n{own}"


def test_every_entry_is_cited_by_some_part_method_or_data_set_and_every_key_is_known() -> None:
    parts: list[Callable[..., object]] = [
        *METHODS.values(),
        *SCORES.values(),
        *ALLOCATIONS.values(),
        *REWINDS.values(),
        *WHILE_TRAINING.values(),
    ]
    parts += [*BORROWS.values(), MasksOf, LayerCountsOf, SignsOf, Rounds, *OPTIMIZER_STATES.values()]
    used = {key for part in parts for key in about(part).citations}
    used |= {key for data_set in DATA_SETS.values() for key in data_set.citations}
    assert used == set(CITATIONS)


@pytest.mark.parametrize("name", BORROWS)
def test_every_way_to_borrow_masks_describes_itself(name: str) -> None:
    check_described(BORROWS[name])

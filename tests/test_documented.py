"""What a page of the docs shows of its commands' output is what they print, but for numbers that depend on the machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from documented import mail, refreshed, run_page, shown

DOCS = Path(__file__).parents[1] / "docs"


def test_a_page_is_read_as_its_reader_does() -> None:
    page = (
        "Look:\n\n    winsome a   # first\n    winsome b\n\n    printed 1.5\n\ntext\n\n    winsome c\n\n    not code\n    ...\n"
    )
    assert [(one.command, one.lines) for one in shown(page)] == [
        ("winsome a", ()),
        ("winsome b", ("printed 1.5",)),
        ("winsome c", ("not code", "...")),
    ]


def test_lines_are_refreshed_where_numbers_alone_differ() -> None:
    printed = ["starts", "accuracy  97.25 %", "kept: 1,234 of 5 with more"]
    assert refreshed(["accuracy 96 %", "...", "kept: 12 of ..."], printed) == ["accuracy  97.25 %", "...", "kept: 1,234 of ..."]
    assert refreshed(["loss 1.0", "accuracy 1 %"], printed) == [None, "accuracy  97.25 %"]


@pytest.mark.parametrize("page", ["hand-a-ticket.md", pytest.param("first-ticket.md", marks=pytest.mark.slow)])
def test_the_output_on_a_page_is_what_its_commands_print(page: str, tmp_path: Path) -> None:
    text = (DOCS / page).read_text()
    for number in range(96):  # "photos/CLASS/..."
        place = tmp_path / "photos" / ("daisy", "rose")[number % 2] / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number, 255 * (number % 2), 0)).save(place)
    ran = run_page(text, tmp_path, before=mail(tmp_path))
    checked = [(one.command, line, now) for one, lines in ran for line, now in zip(one.lines, lines, strict=True)]
    assert len(checked) >= 10
    assert [(command, line) for command, line, now in checked if now is None] == []
    # How many weights a density keeps depends on nothing else.
    exact = [(line, now) for _, line, now in checked if "prunable weights kept" in line]
    assert exact
    assert all(line == now for line, now in exact)

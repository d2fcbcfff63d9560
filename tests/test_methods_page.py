"""docs/methods.md lists every method and part as these describe themselves; this file run as a script writes it anew."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from winsome.about import about
from winsome.allocation import ALLOCATIONS
from winsome.citation import CITATIONS
from winsome.mask_swap import BORROWS
from winsome.methods import METHODS, WHILE_TRAINING
from winsome.rewinding import REWINDS
from winsome.scores import SCORES

PAGE = Path(__file__).parents[1] / "docs" / "methods.md"
BEGIN, END = "<!-- generated from `about` -->\n", "<!-- end -->\n"
WHILE = {
    "plain": "(the default)",
    "interpolated_norms": "`--method aws`",
    "Interpolated": "`--method aws --norms '*.gamma'`",
    "frozen_norms": "`--method frozen`",
    "Frozen": "`--method frozen --norms '*.gamma'`",
    "fixed_signs": "`--fixed-signs`",
    "SignFlips": "`--flip-signs 0.3`",
    "SignIn": "`--sign-in 4`",
    "HAM": "`--ham 20`",
}


def sources(keys: tuple[str, ...]) -> str:
    """The papers by arXiv number, linked."""
    numbers = [found[1] for key in keys if (found := re.search(r"eprint\s*=\s*\{([\d.]+)\}", CITATIONS.get(key, key)))]
    return ", ".join(f"[{number}](https://arxiv.org/abs/{number})" for number in numbers) or "this project"


def table(title: str, parts: Mapping[str, Callable[..., Any]], command: Callable[[str], str]) -> Iterator[str]:
    yield f"## {title}\n"
    yield "| name | what it does | source | with `winsome find` |"
    yield "|---|---|---|---|"
    for name, part in parts.items():
        said = about(part)
        label = f"**{said.label}**: " if said.label.lower().replace(" ", "_") != name.lower() else ""
        sentence = said.sentence.replace("|", r"\|")
        yield f"| `{name}` | {label}{sentence} | {sources(said.citations)} | {command(name)} |"
    yield ""


def tables() -> str:
    """The generated part of the page."""
    lines = [
        *table("Methods", METHODS, lambda name: f"`--method {about(METHODS[name]).short or name}`"),
        *table("Scores", SCORES, lambda name: f"`--score {name}`"),
        *table("Allocations", ALLOCATIONS, lambda name: f"`--allocate {'2:4' if name == 'n_of_m' else name}`"),
        *table("Where a level restarts", REWINDS, lambda name: f"`--rewind {name}`"),
        *table("While a level trains", WHILE_TRAINING, lambda name: WHILE[name]),
        *table("Borrowed masks", BORROWS, lambda name: f"`--masks-of RUN --borrow {about(BORROWS[name]).short}`"),
    ]
    return "\n".join(lines) + "\n"


def test_the_page_says_what_the_parts_say_of_themselves() -> None:
    text = PAGE.read_text()
    inside = text[text.index(BEGIN) + len(BEGIN) : text.index(END)]
    assert inside == tables(), "run `python tests/test_methods_page.py`"


if __name__ == "__main__":
    page = PAGE.read_text()
    PAGE.write_text(page[: page.index(BEGIN) + len(BEGIN)] + tables() + page[page.index(END) :])

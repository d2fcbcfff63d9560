"""docs/your-trainer.md runs whole, section by section; what needs a library that is absent is skipped."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path
from typing import Any

import pytest

import winsome

PAGE = (Path(__file__).parents[1] / "docs" / "your-trainer.md").read_text(encoding="utf-8")
SECTIONS = {
    part.partition("\n")[0]: re.findall(r"^```python\n(.*?)^```$", part, flags=re.M | re.S) for part in PAGE.split("\n## ")
}
NEEDED = {
    "A loop of your own": (),
    "Lightning": ("lightning",),
    "The Trainer of transformers": ("transformers", "accelerate"),
    "A loop around an Accelerator": ("accelerate",),
}


def test_every_section_with_code_is_run() -> None:
    (beginning, *sections) = [name for name, blocks in SECTIONS.items() if blocks]
    assert beginning == "# Your model, your trainer"
    assert sections == list(NEEDED)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("section", NEEDED)
def test_a_section_runs_and_its_search_is_read_back(section: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for package in NEEDED[section]:
        pytest.importorskip(package, reason=f"needs winsome[{package}]")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": section}
    printed: list[str] = []
    monkeypatch.setattr("builtins.print", lambda *values: printed.append(" ".join(map(str, values))))
    for block in [*SECTIONS["# Your model, your trainer"], *SECTIONS[section]]:
        exec(compile(block, section, "exec"), names)
    assert names["level"].ticket.density == pytest.approx(0.64, abs=0.01)
    assert len([line for line in printed if not line.startswith("{")]) == 3
    (folder,) = {path.parent for path in tmp_path.glob("runs/*/level-02.ticket")}
    assert winsome.read(folder / "level-02.ticket").mask == names["level"].ticket.mask


def test_the_extras_that_the_page_names_exist() -> None:
    known = importlib.metadata.metadata("winsome").get_all("Provides-Extra") or []
    named = re.findall(r"winsome\[(\w+)\]", PAGE)
    assert len(named) == 3
    assert set(named) <= set(known)

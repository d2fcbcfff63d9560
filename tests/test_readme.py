"""The README: its own loop runs as it is pasted, its links lead somewhere, and it cites what `winsome cite` prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from winsome.citation import own_entry
from winsome.cli import COMMANDS, GROUPS

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_loop_runs_as_it_is_pasted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.M | re.S)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {"__name__": "pasted"})
    *levels, planted = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in levels] == [str(number) for number in range(7)]
    assert float(levels[-1].split()[1]) == pytest.approx(0.8**6, abs=1e-3)
    assert float(planted.split()[-1]) > 0.9
    assert (tmp_path / "runs/own-loop/level-06.ticket").exists()


@pytest.mark.parametrize("page", sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]), ids=lambda path: path.stem)
def test_links_lead_to_files_that_are_there(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    links = re.findall(r"\]\((?!https?://|#)([^)#\s]+)", text)
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_winsome_itself_is_cited() -> None:
    assert own_entry() in PAGE


def test_the_page_of_the_command_line_has_every_command_and_exit_code() -> None:
    page = (ROOT / "docs/command-line.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `winsome ([a-z ]+)` \|", page, flags=re.M)
    assert listed == [
        name for command in COMMANDS for name in ([f"{command} {own}" for own in GROUPS.get(command, ())] or [command])
    ]
    assert re.findall(r"^\| (\d+) \|", page, flags=re.M) == ["0", "1", "2", "130"]

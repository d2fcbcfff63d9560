"""Shell completion: what a shell is told is every command, and every option of each."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from commands import said
from winsome.cli import COMMANDS, GROUPS, command_of, main
from winsome.cli.completion import SHELLS, completion
from winsome.cli.words import options_of


@pytest.fixture(scope="module")
def bash() -> str:
    return completion("bash")


def test_every_command_and_option_is_in_it(bash: str) -> None:
    found = re.search(r"^COMPLETION_SPEC = (.*)$", bash, flags=re.M)
    assert found is not None
    spec: dict[str, Any] = ast.literal_eval(found[1])
    assert set(spec["subcommands"]) == set(COMMANDS)
    for group, commands in GROUPS.items():
        assert set(spec["subcommands"][group]["subcommands"]) == set(commands)
    for name in ("study", "barrier"):
        flags = {flag.removeprefix("--") for one in spec["subcommands"][name]["options"] for flag in one["flags"]}
        assert {option for option, _ in options_of(command_of(name))} <= flags


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("tick", {"ticket"}),
        ("ticket ", set(GROUPS["ticket"])),
        ("barrier --base", {"--base-line"}),
        ("s", {"study", "signs", "sweep"}),
    ],
)
def test_bash_offers_what_fits(typed: str, offered: set[str], bash: str, tmp_path: Path) -> None:
    (tmp_path / "completion").write_text(bash)
    function = re.findall(r"^complete .*-F (\S+) winsome", bash, flags=re.M)[-1]
    words = " ".join(f"'{word}'" for word in ["winsome", *typed.split(" ")])
    program = (
        f"source completion; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); {function}; echo ${{COMPREPLY[@]}}"
    )
    ended = subprocess.run(["bash", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert offered <= set(ended.stdout.split()), ended.stderr


@pytest.mark.parametrize("shell", SHELLS[1:])
def test_other_shells_have_theirs(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--print-completion", shell])
    script = capsys.readouterr().out
    assert "COMPLETION_SPEC" in script
    assert {"zsh": "#compdef winsome", "fish": "_tyro_winsome"}[shell] in script


def test_another_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "unknown shell 'tcsh'; " in said(["--print-completion", "tcsh"], capsys)
    assert "bash" in said(["--print-completion"], capsys)

"""What is answered at once: who asks for help, or mistypes, waits for no torch; public names come when they are asked for."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest

import winsome
from winsome import ticket_file
from winsome.about import about
from winsome.cli import COMMANDS, GROUPS, choices, command_of, main
from winsome.errors import WinsomeError
from winsome.lazy import places
from winsome.methods import METHODS

ALL_COMMANDS = [name for name in COMMANDS if name not in GROUPS] + [
    f"{g} {name}" for g, names in GROUPS.items() for name in names
]
# Each takes from a third of a second to several.
HEAVY = ("torch", "numpy", "scipy", "matplotlib", "sklearn", "torchvision", "datasets", "jinja2", "ray", "onnx")


def loaded(*statements: str) -> list[str]:
    """Which of the heavy packages a fresh process has imported after these statements."""
    program = "\n".join(("import sys", *statements, f"print('loaded:', *(name for name in {HEAVY} if name in sys.modules))"))
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "loaded:" in out.stdout, out.stderr
    return out.stdout.splitlines()[-1].split()[1:]


def ended(words: list[str]) -> str:
    """Statements that run a command whatever its exit code."""
    return f"import winsome.cli\ntry: winsome.cli.main({words})\nexcept SystemExit: pass"


def test_help_version_and_mistakes_need_no_torch() -> None:
    mistaken = (["fnd"], ["ticket", "shw"], ["report", "--flder", "x"], ["ticket", "show"], ["neuron", "--d", "x"])
    asked: tuple[list[str], ...] = ([], ["--help"], ["--version"], ["ticket", "--help"])
    assert loaded(*map(ended, (*asked, *mistaken))) == []


def test_help_of_commands_needs_no_torch() -> None:
    assert loaded(*(ended([*name.split(), "--help"]) for name in ALL_COMMANDS)) == []


def test_help_lists_what_methods_say_of_themselves() -> None:
    lines = choices.method_lines().splitlines()
    assert len(lines) == len(METHODS)
    for line, (name, make) in zip(lines, METHODS.items(), strict=True):
        said = about(make)
        assert line.split(maxsplit=1) == [name, f"{said.sentence} (short: {said.short})" if said.short else said.sentence]
    assert all(line in (command_of("find").__doc__ or "") for line in lines)


def test_citations_need_no_torch(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"citations": ["oh2025sign"]}')
    ticket = winsome.Ticket(winsome.SignedMask({}), provenance={"citations": ["oh2025sign"]})
    winsome.write(ticket, tmp_path / "a.ticket")
    assert loaded(ended(["cite", str(tmp_path)]), ended(["cite", str(tmp_path / "a.ticket")])) == []


def test_provenance_is_read_alone_and_refuses_what_a_whole_reading_refuses(tmp_path: Path) -> None:
    path = tmp_path / "a.ticket"
    winsome.write(winsome.Ticket(winsome.SignedMask({}), provenance={"seed": 3, "name": "ä"}), path)
    assert ticket_file.read_provenance(path) == ticket_file.read(path).provenance == {"seed": 3, "name": "ä"}
    for content in (b"", b"no ticket", path.read_bytes()[:40]):
        path.write_bytes(content)
        sentences = []
        for read in (ticket_file.read_provenance, ticket_file.read):
            with pytest.raises(WinsomeError, match=r"a\.ticket") as refused:
                read(path)
            sentences.append(str(refused.value))
        assert sentences[0] == sentences[1]
    with pytest.raises(WinsomeError, match="No such file"):
        ticket_file.read_provenance(tmp_path / "absent")


@pytest.mark.parametrize("name", ALL_COMMANDS)
def test_the_list_says_the_first_sentence_of_every_command(name: str) -> None:
    group, _, own = name.rpartition(" ")
    sentence = (GROUPS[group] if group else COMMANDS)[own]
    assert (inspect.getdoc(command_of(name)) or "").partition("\n")[0] == sentence


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--version"])
    assert capsys.readouterr().out == f"winsome {metadata.version('winsome')}\n"
    assert winsome.__version__ == metadata.version("winsome")


@pytest.mark.parametrize("package", [winsome, ticket_file])
def test_public_names_are_those_of_their_modules(package: ModuleType) -> None:
    listed = places(inspect.getsource(package))
    assert len(listed) > 5
    for name, (module, original) in listed.items():
        assert getattr(package, name) is getattr(importlib.import_module(module), original)
        assert name in dir(package)


def test_importing_the_package_takes_nothing_with_it_and_a_function_keeps_its_name() -> None:
    assert loaded("import winsome, winsome.ticket_file, winsome.cli", "dir(winsome)") == []
    assert callable(winsome.prunable)  # also the name of its module, which has been imported by now
    assert importlib.import_module("winsome.prunable").prunable is winsome.prunable
    assert isinstance(winsome.norms, ModuleType)
    with pytest.raises(AttributeError, match="'winsome' has no attribute 'nonsense'"):
        getattr(winsome, "nonsense")  # noqa: B009 - mypy knows that it is not there
    with pytest.raises(ImportError, match="cannot import name 'nonsense'"):
        exec("from winsome import nonsense")


def test_a_module_that_lacks_what_it_imports_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "__init__.py").write_text("from winsome.lazy import import_on_use\nimport_on_use(__name__)\n")
    (tmp_path / "made" / "broken.py").write_text("import a_package_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    made = importlib.import_module("made")
    with pytest.raises(ModuleNotFoundError, match="a_package_that_is_not_there"):
        _ = made.broken

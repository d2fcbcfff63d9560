"""The house itself: how large its rooms are, that one name means one thing, and that the glossary knows every public class."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from winsome.cli import COMMANDS, GROUPS, command_of

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "winsome"
MODULES = {path.relative_to(SOURCE).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in SOURCE.rglob("*.py")}
FACES = {"__init__.py"}  # a package's face imports what it shows


def functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    for place, tree in MODULES.items():
        yield from ((place, node) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def parameters(function: ast.FunctionDef) -> list[str]:
    arguments = function.args
    named = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return [name for name in named if name not in ("self", "cls")]


def lines(function: ast.FunctionDef) -> int:
    """Without its docstring."""
    first = function.body[0]
    is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    text = (first.end_lineno or 0) - first.lineno + 1 if is_text else 0
    return (function.end_lineno or 0) - function.lineno + 1 - text


def own_imports(tree: ast.Module) -> set[str]:
    """The modules of this package that a module imports, at its top or inside of a function, for types only or not."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "winsome":
            inner = {f"{node.module}.{name.name}" for name in node.names}
            found |= {name if _is_module(name) else str(node.module) for name in inner}
    return found


def _is_module(name: str) -> bool:
    path = SOURCE.parent.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def public_classes() -> Iterator[tuple[str, str]]:
    """Every class at the top of a module whose name is no private one, with its module."""
    for place, tree in MODULES.items():
        yield from ((node.name, place) for node in tree.body if isinstance(node, ast.ClassDef) and node.name[0] != "_")


def test_no_function_takes_more_than_twelve_parameters() -> None:
    many = {f"{place}: {f.name}": len(parameters(f)) for place, f in functions() if len(parameters(f)) > 12}
    assert not many


def test_no_module_imports_more_than_twelve_of_the_others() -> None:
    counts = {place: len(own_imports(tree)) for place, tree in MODULES.items() if Path(place).name not in FACES}
    assert not {place: count for place, count in counts.items() if count > 12}


def test_files_and_functions_stay_small() -> None:
    long_files = {path.name: n for path in SOURCE.rglob("*.py") if (n := path.read_text(encoding="utf-8").count("\n")) > 300}
    assert not long_files
    assert not {f"{place}: {f.name}": lines(f) for place, f in functions() if lines(f) > 50}


def raises_itself(function: ast.FunctionDef) -> bool:
    """Whether the body has a `raise` with an error of its own; what functions inside of it raise is theirs."""
    todo: list[ast.AST] = list(function.body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Raise) and node.exc is not None:
            return True
        if not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda):
            todo += ast.iter_child_nodes(node)
    return False


def public_functions() -> Iterator[tuple[str, ast.FunctionDef, str]]:
    """Public functions and methods with what documents them: of what makes an object, its class."""
    for place, tree in MODULES.items():
        owners: list[ast.Module | ast.ClassDef] = [tree]
        owners += [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name[0] != "_"]
        for owner in owners:
            for node in owner.body:
                if isinstance(node, ast.FunctionDef):
                    makes = node.name in ("__init__", "__post_init__")
                    if node.name[0] != "_" or makes or node.name == "__call__":
                        yield place, node, ast.get_docstring(owner if makes else node) or ""


def test_what_raises_says_so() -> None:
    """But for commands, whose docstring is their help."""
    commands = {command_of(name).__name__ for name in COMMANDS if name not in GROUPS}
    silent = [
        f"{place}: {function.name}"
        for place, function, text in public_functions()
        if raises_itself(function) and "Raises:" not in text and not (place.startswith("cli/") and function.name in commands)
    ]
    assert not silent


def test_no_two_public_classes_have_one_name() -> None:
    counts = Counter(name for name, _ in public_classes())
    twice = {name: [place for other, place in public_classes() if other == name] for name, n in counts.items() if n > 1}
    assert not twice


def test_the_glossary_knows_every_public_class_once() -> None:
    page = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    listed = Counter(re.findall(r"^\| `(\w+)` \| `([\w.]+)` \|", page, flags=re.M))
    there = {(name, place.removesuffix(".py").removesuffix("/__init__").replace("/", ".")) for name, place in public_classes()}
    assert listed == Counter(there), "docs/glossary.md lists each public class once, with its module"

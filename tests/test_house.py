"""The house itself: how large its rooms are, that one name means one thing, and that the glossary knows every public class."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from measures import FACE, ROOT, functions, modules, n_lines, n_parameters, own_imports
from winsome.cli import COMMANDS, GROUPS, command_of

MODULES = modules()


def public_classes() -> Iterator[tuple[str, str]]:
    """Every class at the top of a module whose name is no private one, with its module."""
    for place, tree in MODULES.items():
        yield from ((node.name, place) for node in tree.body if isinstance(node, ast.ClassDef) and node.name[0] != "_")


def test_no_function_takes_more_than_twelve_parameters() -> None:
    takes = {f"{place}: {f.name}": n_parameters(f) for place, tree in MODULES.items() for f in functions(tree)}
    assert not {name: count for name, count in takes.items() if count > 12}


def test_no_module_imports_more_than_twelve_of_the_others() -> None:
    knows = {place: own_imports(tree) for place, tree in MODULES.items() if Path(place).name != FACE}
    assert not {place: sorted(others) for place, others in knows.items() if len(others) > 12}


def test_files_and_functions_stay_small() -> None:
    files = {place: (ROOT / "src" / "winsome" / place).read_text(encoding="utf-8").count("\n") for place in MODULES}
    assert not {place: count for place, count in files.items() if count > 300}
    lines = {f"{place}: {f.name}": n_lines(f) for place, tree in MODULES.items() for f in functions(tree)}
    assert not {name: count for name, count in lines.items() if count > 50}


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

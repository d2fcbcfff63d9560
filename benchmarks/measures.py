"""How large the rooms of the house are: files, functions, parameters, imports. `tests/test_house.py` sets the limits.

uv run python benchmarks/measures.py [ROOT]
"""

from __future__ import annotations

import ast
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FACE = "__init__.py"  # a package's face imports what it shows


def modules(root: Path = ROOT) -> dict[str, ast.Module]:
    """Every module of the package by its path below `src/winsome`."""
    source = root / "src" / "winsome"
    return {path.relative_to(source).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in source.rglob("*.py")}


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    """Every function, methods and inner ones too."""
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def n_parameters(function: ast.FunctionDef) -> int:
    """How many parameters a function has beside self and cls."""
    arguments = function.args
    named = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return sum(name not in ("self", "cls") for name in named)


def n_lines(function: ast.FunctionDef) -> int:
    """The lines of a function without its docstring."""
    first, end = function.body[0], function.end_lineno or 0
    is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    return end - function.lineno + 1 - ((first.end_lineno or 0) - first.lineno + 1 if is_text else 0)


def own_imports(tree: ast.Module, root: Path = ROOT) -> set[str]:
    """The modules of this package that a module imports, at its top or inside of a function, for types only or not."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "winsome":
            inner = {f"{node.module}.{name.name}" for name in node.names}
            found |= {name if _is_module(name, root) else str(node.module) for name in inner}
    return found


def _is_module(name: str, root: Path) -> bool:
    path = (root / "src").joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def _non_blank(paths: Iterator[Path]) -> int:
    return sum(bool(line.strip()) for path in paths for line in path.read_text(encoding="utf-8").splitlines())


def _over(counts: Sequence[int], *limits: int) -> str:
    return ", ".join(str(sum(count > limit for count in counts)) for limit in limits) + f"; {max(counts)}"


def measures(root: Path) -> dict[str, str]:
    """The table: what is measured, and how much it is."""
    trees = modules(root)
    every = [function for tree in trees.values() for function in functions(tree)]
    lengths = sorted(n_lines(function) for function in every)
    takes = [n_parameters(function) for function in every]
    knows = [len(own_imports(tree, root)) for place, tree in trees.items() if Path(place).name != FACE]
    files = [path.read_text(encoding="utf-8").count("\n") for path in (root / "src").rglob("*.py")]
    code, tests = (_non_blank((root / folder).rglob("*.py")) for folder in ("src", "tests"))
    return {
        "files, lines (not blank)": f"{len(trees)}, {code:,}",
        "median file, lines": f"{statistics.median(files):.0f}",
        "functions": f"{len(every):,}",
        "median and p95 of their lines": f"{statistics.median(lengths):.0f} / {lengths[int(0.95 * len(lengths))]}",
        "files over 250, over 300 lines; most": _over(files, 250, 300),
        "functions over 40, over 50 lines; most": _over(lengths, 40, 50),
        "functions over 8, over 12 parameters; most": _over(takes, 8, 12),
        "modules over 10, over 12 own imports; most": _over(knows, 10, 12),
        "tests : code": f"{tests / code:.2f}",
    }


if __name__ == "__main__":
    for what, how_much in measures(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT).items():
        print(f"| {what} | {how_much} |")

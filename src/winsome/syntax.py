"""What a function's code says: its syntax without comments, docstrings, annotations and decorators, read from its text."""

from __future__ import annotations

import ast
import functools
import hashlib
import linecache
import sys
from collections.abc import Iterator
from types import CodeType, FunctionType

_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_HAS_DOCSTRING = 0x4000000  # of code objects, from Python 3.13
_CHANGES = frozenset(
    {"add", "append", "clear", "discard", "extend", "insert", "pop", "popleft", "remove", "setdefault", "update"}
)


def code_digest(function: FunctionType) -> str:
    """A digest that changes when the code of a function does, and with nothing else.

    Of its syntax, or where its text is nowhere or is not what runs (the file was edited since), of what the interpreter runs.
    """
    definition = definition_of(function)
    text = repr(_compiled(function.__code__)) if definition is None else ast.unparse(_Bare().visit(definition))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def definition_of(function: FunctionType) -> _Definition | None:
    """The syntax of a function, a copy; None where its text is not at hand."""
    code = function.__code__
    linecache.checkcache(code.co_filename)
    text = "".join(linecache.getlines(code.co_filename, function.__globals__))
    if not text or _compiled(code) not in _functions_in(text):
        return None
    found = [node for node in ast.walk(ast.parse(text)) if isinstance(node, _Definition) and _is_of(node, code)]
    return found[0] if len(found) == 1 else next((node for node in found if _holds(node, code)), None)


def filled_by(definition: _Definition | None) -> frozenset[str]:
    """The names whose values a function changes itself: a list that it appends to, a count that it keeps."""
    if definition is None:
        return frozenset()
    names: set[str] = set()
    for node in ast.walk(definition):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=change)) if change in _CHANGES:
                names.add(name)
            case ast.Subscript(value=ast.Name(id=name), ctx=ast.Store() | ast.Del()):
                names.add(name)
            case ast.AugAssign(target=ast.Name(id=name)):
                names.add(name)
            case ast.Global(names=changed) | ast.Nonlocal(names=changed):
                names.update(changed)
    return frozenset(names)


def codes_in(code: CodeType) -> Iterator[CodeType]:
    """A code object and those inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes_in(constant)


class _Bare(ast.NodeTransformer):
    """Takes out what does not run: docstrings, annotations of arguments, and the decorators around it all.

    A decorator that does something has put a function of its own around this one.
    """

    depth = 0

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        if not self.depth:
            node.decorator_list = []
        if ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        self.depth += 1
        self.generic_visit(node)
        self.depth -= 1
        return node

    visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore[assignment]

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node


@functools.lru_cache(maxsize=32)
def _functions_in(text: str) -> frozenset[object]:
    """What the interpreter would run for every function in a text."""
    try:
        return frozenset(_compiled(code) for code in codes_in(compile(text, "", "exec", dont_inherit=True)))
    except SyntaxError:  # of a notebook's own, for example
        return frozenset()


def _compiled(code: CodeType) -> tuple[object, ...]:
    """What the interpreter runs, without the places in the file; alike in every process."""
    # Up to Python 3.12 the first constant of a function is its docstring or None; later ones have a flag.
    first = isinstance(next(iter(code.co_consts), None), str)
    documented = first and (sys.version_info < (3, 13) or bool(code.co_flags & _HAS_DOCSTRING))
    constants = (None, *code.co_consts[1:]) if documented else code.co_consts
    plain = tuple(_compiled(c) if isinstance(c, CodeType) else _constant(c) for c in constants)
    return (code.co_name, code.co_code, code.co_names, code.co_varnames, code.co_freevars, plain)


def _constant(value: object) -> str:
    return str(sorted(map(repr, value))) if isinstance(value, frozenset) else repr(value)


def _is_of(node: _Definition, code: CodeType) -> bool:
    if isinstance(node, ast.Lambda):
        return code.co_name == "<lambda>" and node.lineno == code.co_firstlineno
    first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
    return node.name == code.co_name and first == code.co_firstlineno


def _holds(node: _Definition, code: CodeType) -> bool:
    """Whether the code is of this one of several lambdas that begin in a line: by where its last instruction stands."""
    if not isinstance(node, ast.Lambda):
        return False
    lines = [(line, column) for line, _, column, _ in code.co_positions() if line is not None and column is not None]
    start, end = (node.body.lineno, node.body.col_offset), (node.body.end_lineno or 0, node.body.end_col_offset or 0)
    return bool(lines) and start <= lines[-1] < end and all(start <= place <= end for place in lines[1:])

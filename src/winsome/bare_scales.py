"""Scales and shifts that a module holds itself, outside of norms: nothing takes them for psi unless it is told to."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from torch import nn

from winsome.matrices import LAYERS, is_embedding
from winsome.psi import Chosen, chosen, everything
from winsome.read_by import has_forward

# Words of a parameter's name that say that it scales or shifts channels, and that it does something else.
_SCALES = frozenset({"gamma", "beta", "scale", "scales", "shift", "gain", "ls", "norm", "ln", "bn", "rms", "layerscale"})
_OTHERS = frozenset(
    {"logit", "logits", "temperature", "tau", "token", "tokens", "pos", "position", "embed", "embedding", "table"}
)
_NORMALISING = ("layer_norm", "group_norm", "batch_norm", "instance_norm", "rms_norm")
_BY_HAND = re.compile(r"\brsqrt\b|\.std\(|\.var\(|\bvar_mean\b|\bstd_mean\b")
_OPERATORS = (ast.Mult, ast.Add, ast.Sub)


def bare_scales(model: nn.Module) -> dict[str, Chosen]:
    """The scales and shifts of channels that stand in a module of their own or in a block, outside of norms, by name.

    A trained parameter with one value a channel, of several, that is no psi and no bias, and whose name says that it scales or
    shifts (`gamma`, `layer_scale`, `ls1`; of a list or dict of parameters the name of that, too); or that its module's forward,
    as far as its source can be read, hands to a function that normalises (`F.layer_norm(x, shape, self.w, self.b)`), or
    multiplies by or adds where it normalises by hand. Tokens, positions and temperatures are none.
    """
    psi = chosen(model)
    return {name: one for name, one in everything(model).items() if name not in psi and _is_bare_scale(name, one)}


def globs_of(model: nn.Module, names: Iterable[str]) -> tuple[str, ...]:
    """Patterns that choose these parameters of a model and beside them only psi: `*.gamma`, or the names themselves."""
    wanted = tuple(names)
    others = [name for name in everything(model) if name not in {*wanted, *chosen(model)}]
    for parts in (1, 2, 3):
        ends = dict.fromkeys(".".join(name.split(".")[-parts:]) for name in wanted)
        short = tuple(end if end in wanted else f"*.{end}" for end in ends)
        if not any(end.isdigit() or fnmatchcase(name, glob) for end, glob in zip(ends, short, strict=True) for name in others):
            return short
    return wanted


def _is_bare_scale(name: str, one: Chosen) -> bool:
    parameter, owner = one.parameter, one.owner
    several = parameter.is_floating_point() and parameter.numel() == max(parameter.shape, default=1) > 1
    if not several or not parameter.requires_grad or one.computes or isinstance(owner, LAYERS) or is_embedding(owner):
        return False
    parts = name.split(".")
    called = parts[-1] if has_forward(owner) else ".".join(parts[-2:])
    words = set(re.split(r"[_.\d]+", called.lower()))
    words |= {word.removesuffix("s") for word in words}
    if words & _OTHERS or (has_forward(owner) and type(owner).__module__.startswith("torch.")):
        return False
    handed, calculated = _uses(one.reader)
    if one.path in handed:
        return True
    return "bias" not in words and bool(words & _SCALES or one.path in calculated)


def _uses(module: nn.Module) -> tuple[set[str], set[str]]:
    """Which attributes a module's forward hands to a function that normalises, and which it calculates with by hand."""
    try:
        source = textwrap.dedent(inspect.getsource(type(module).forward))
        (tree,) = ast.parse(source).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return set(), set()
    if not isinstance(tree, ast.FunctionDef) or not tree.args.args:
        return set(), set()
    own = tree.args.args[0].arg  # what it calls itself
    handed, calculated = set[str](), set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name_of(node.func) in _NORMALISING:
            handed.update(_attributes([*node.args, *(one.value for one in node.keywords)], own))
        elif isinstance(node, ast.BinOp) and isinstance(node.op, _OPERATORS) and _BY_HAND.search(source):
            calculated.update(_attributes([node.left, node.right], own))
    return handed, calculated


def _attributes(nodes: list[ast.expr], own: str) -> Iterator[str]:
    """The attributes of the module that expressions are, reshaped or not: `self.w`, `self.w.view(1, -1)`, `self.norms["w"]`."""
    for node in nodes:
        at, key = node, ""
        while not (isinstance(at, ast.Attribute) and isinstance(at.value, ast.Name) and at.value.id == own):
            if isinstance(at, ast.Subscript):
                key = f".{at.slice.value!s}" if isinstance(at.slice, ast.Constant) else key
                at = at.value
            elif isinstance(at, ast.Call):
                at = at.func
            elif isinstance(at, ast.Attribute):
                key = f".{at.attr}" if isinstance(at.value, ast.Attribute) else key
                at = at.value
            else:
                break
        else:
            yield at.attr
            yield at.attr + key


def _name_of(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""

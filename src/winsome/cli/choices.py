"""The strings of the command line, and what they stand for."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from winsome.about import about, made_with, parameters_of
from winsome.errors import WinsomeError, unknown
from winsome.user_code import Named, UserFile, by_name, running

if TYPE_CHECKING:  # options are known before torch is imported
    from winsome.allocation import Allocate
    from winsome.method import Method
    from winsome.rewinding import Rewind
    from winsome.study.arms import Arm


def method_names() -> dict[str, Callable[..., Method]]:
    """Every method by its name, and by its short one."""
    from winsome.methods import METHODS

    return METHODS | {about(make).short: make for make in METHODS.values() if about(make).short}


def method(name: str, /, **options: Any) -> Method:
    """The method of this name, made with those of the options that it takes.

    Args:
        name: one of `METHODS`, its short name, or one's own as FILE.py:NAME or PACKAGE.MODULE:NAME: a `Method`, or a
            function that returns one.
        options: such as `levels`, `rate` and `step`.
    """
    from winsome.method import Method, make_method

    found = by_name(name, method_names(), "method").value
    with running("method", name):
        return found if isinstance(found, Method) else make_method(found, **options)


def refuse_untaken(name: str, options: Iterable[str]) -> None:
    """Refuse options for a method that takes none of their names.

    Raises:
        WinsomeError: names the first of them, and what the method takes.
    """
    from winsome.method import Method

    found = by_name(name, method_names(), "method").value
    if isinstance(found, Method) and (given := ", ".join(options)):
        raise WinsomeError(f"{name} is a Method and takes no options, such as {given}: name a function that returns one")
    if isinstance(found, Method) or not callable(found):
        return
    for option in options:
        if option not in (parameters := parameters_of(found)):
            raise unknown(f"option of the method {name}", option, parameters)


def method_lines() -> str:
    """A line for every method, for help: its name, what it does, and its short name where that is another.

    Read from the text of the methods' modules, for these wait for torch.
    """
    modules = sorted(Path(__file__).parents[1].glob("methods*.py"))
    nodes = [node for module in modules for node in ast.parse(module.read_text(encoding="utf-8")).body]
    (listed,) = (
        node.value for node in nodes if isinstance(node, ast.AnnAssign) and node.value and ast.unparse(node.target) == "METHODS"
    )
    order = [node.id for node in ast.walk(listed) if isinstance(node, ast.Name)]
    said = {
        node.name: _said(node.decorator_list[0]) for node in nodes if isinstance(node, ast.FunctionDef) if node.name in order
    }
    width = max(map(len, said))
    return "\n".join(f"  {name:{width}}  {said[name]}" for name in order if name in said)


def _said(decorator: ast.expr) -> str:
    """What `named_method(label, sentence, short=...)` says of a method, for help."""
    match decorator:
        case ast.Call(args=[_, ast.Constant(str(sentence))], keywords=options):
            short = "".join(ast.literal_eval(one.value) for one in options if one.arg == "short")
            return f"{sentence} (short: {short})" if short else sentence
    raise AssertionError(ast.unparse(decorator))


def files_of(names: Sequence[str]) -> tuple[UserFile | None, ...]:
    """The files of the user's that methods of these names are from, which workers have to load."""
    return tuple(by_name(name, method_names(), "method").file for name in names)


def search_name(name: str) -> str:
    """What a search by this method is called in a study: the method's name without the file or module that it is from."""
    return name.rpartition(":")[2]


def takes(name: str, option: str) -> bool:
    """Whether the method of this name is made with an option, such as the `step` of training to go back to."""
    from winsome.method import Method

    found = by_name(name, method_names(), "method").value
    return not isinstance(found, Method) and option in parameters_of(found)


def rewind(name: str, *, step: int) -> Rewind:
    """The rewind of this name: a class, made for a step, or an object of one's own."""
    from winsome.rewinding import REWINDS

    found = by_name(name, REWINDS, "rewind").value
    with running("rewind", name):
        made: Rewind = made_with(found, {"step": step}, f"the rewind {name!r}") if isinstance(found, type) else found
    return made


def allocation(name: str) -> Allocate:
    """The allocation of this name: one of `ALLOCATIONS`, N:M as 2:4 or ending-in-2:4, or one's own.

    Raises:
        WinsomeError: there is none of this name, or it takes numbers.
    """
    from winsome.allocation import ALLOCATIONS, n_of_m

    if found := re.fullmatch(r"(ending-in-)?(\d+):(\d+)", name):
        return n_of_m(int(found[2]), int(found[3]), even=not found[1])
    made: Allocate = by_name(name, ALLOCATIONS, "allocation").value
    if isinstance(made, type):
        raise WinsomeError(f"the allocation {name!r} takes numbers: write 2:4 for two of every four, or ending-in-2:4")
    return made


def while_training(name: str) -> Named:
    """The part of this name that holds while networks train, and the file of the user's that it is from.

    Raises:
        WinsomeError: there is none of this name, or it takes arguments, which a name does not give.
    """
    from winsome.methods import WHILE_TRAINING

    ready = {one: part for one, part in WHILE_TRAINING.items() if not isinstance(part, type)}
    found = by_name(name, ready, "part that holds while networks train")
    if isinstance(found.value, type):
        raise WinsomeError(f"{name} takes arguments: name an object made with them, as in mine = {found.value.__name__}(...)")
    return found


def arms(names: Sequence[str], known: Mapping[str, Arm]) -> tuple[Arm, ...]:
    """The arms of these names.

    Raises:
        WinsomeError: there is no arm of a name.
    """
    for name in names:
        if name not in known:
            raise unknown("arm", name, known)
    return tuple(known[name] for name in dict.fromkeys(names))


def values(pairs: Sequence[str], option: str) -> dict[str, Any]:
    """`width=32` and the like as values; what is no Python literal is text.

    Raises:
        WinsomeError: a pair is not written name=value.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise WinsomeError(f"{option} are written name=value, got {pair!r}")
        try:
            found[key.replace("-", "_")] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            found[key.replace("-", "_")] = value
    return found


def network_options(pairs: Sequence[str]) -> tuple[tuple[str, Any], ...]:
    """The options of a network, sorted."""
    return tuple(sorted(values(pairs, "network options").items()))

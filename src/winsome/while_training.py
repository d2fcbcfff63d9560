"""What holds while a level trains: a context around its training, and how such contexts are put together."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, is_dataclass, replace
from typing import Protocol, TypeVar

from torch import Tensor, nn

from winsome.about import described
from winsome.calls import check_call
from winsome.errors import WinsomeError
from winsome.identity import name_of
from winsome.raised import note, noting
from winsome.signed_mask import SignedMask

T = TypeVar("T")
Progress = dict[str, Tensor]  # what a resumed level restores in place, beside weights and optimizer


class WhileTraining(Protocol):
    """A context around the training of a level, or of a stack of levels."""

    def __call__(self, model: nn.Module, seed: int | Sequence[int], mask: SignedMask, /) -> AbstractContextManager[Progress]:
        """The context.

        Args:
            model: what trains: a network, or a stack of S networks whose tensors have a leading axis S.
            seed: of the context's random stream; S of them for a stack.
            mask: the signed mask that training starts with, on the model enforced already; stacked for a stack.
        """
        ...


@described("plain", "Levels train as they are.", stacks=True)
@contextmanager
def plain(_model: nn.Module, _seed: int | Sequence[int] = 0, _mask: SignedMask | None = None) -> Iterator[Progress]:
    """Train as is."""
    yield {}


@described("several at once", "Several parts hold while a level trains.", stacks=True)
@dataclass(frozen=True)
class AllOf:
    """Several of them at once, entered in order: `AllOf((interpolated_norms, SignFlips(0.3, at=(100,))))`.

    Raises:
        WinsomeError: they are no tuple of parts.
    """

    parts: tuple[WhileTraining, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.parts, tuple | list):
            raise WinsomeError(f"AllOf takes a tuple of parts, AllOf((a, b)); got {self.parts!r}")
        for part in self.parts:
            check_call("while_training", part)

    @contextmanager
    def __call__(self, model: nn.Module, seed: int | Sequence[int], mask: SignedMask) -> Iterator[Progress]:
        """Enter every part; the progress of each is kept under its place."""
        with ExitStack() as stack:
            entered = [stack.enter_context(entering(part, model, seed, mask)) for part in self.parts]
            yield {f"{place}.{key}": value for place, progress in enumerate(entered) for key, value in progress.items()}


@described("on some levels", "A part holds on some levels of a search only.", stacks=True)
@dataclass(frozen=True)
class OnLevels:
    """One of them on some levels of a search only; the other levels train as is, or as `otherwise` says.

    Raises:
        WinsomeError: no level is named, or one below 0; or what is to hold there is no part.
    """

    levels: tuple[int, ...]
    part: WhileTraining
    otherwise: WhileTraining = plain

    def __post_init__(self) -> None:
        if not isinstance(self.levels, tuple | list) or not self.levels or min(self.levels) < 0:
            raise WinsomeError(f"levels are a tuple of numbers from 0 upwards, at least one; got {self.levels!r}")
        for part in self.parts:
            check_call("while_training", part)

    @property
    def parts(self) -> tuple[WhileTraining, ...]:
        """What it is made of."""
        return (self.part, self.otherwise)

    @contextmanager
    def __call__(self, model: nn.Module, seed: int | Sequence[int], mask: SignedMask) -> Iterator[Progress]:
        """The part itself, for a training that is no level of a search."""
        with entering(self.part, model, seed, mask) as progress:
            yield progress

    def at(self, level: int) -> WhileTraining:
        """What holds on this level."""
        return self.part if level in self.levels else self.otherwise


@contextmanager
def entering(part: WhileTraining, model: nn.Module, seed: int | Sequence[int], mask: SignedMask) -> Iterator[Progress]:
    """Enter a part, checked: what it yields, once, is a mapping of tensors, or nothing. It hides no error of the training.

    Raises:
        WinsomeError: it is no context manager, yields something else, or not just once; names the part.
    """
    who = f"{name_of(part)!r} (while_training)"
    with noting(who):
        context: object = part(model, seed, mask)
    if not isinstance(context, AbstractContextManager):
        raise WinsomeError(
            f"{who} gives a {type(context).__name__} and no context manager: "
            "write it with `yield` under @contextlib.contextmanager"
        )
    with _yielding_once(context, who) as progress:
        named = {} if progress is None else progress
        if not isinstance(named, Mapping) or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in named.items()):
            raise WinsomeError(
                f"{who} yields {_kinds(named)}; what a checkpoint is to restore are tensors by name, or nothing: `yield {{}}`"
            )
        yield dict(named)


@contextmanager
def _yielding_once(context: AbstractContextManager[T], who: str) -> Iterator[T]:
    """The context itself; where it raises, it is named, and what ended the training inside it comes first."""
    inside: BaseException | None = None
    try:
        with context as yielded:
            try:
                yield yielded
            except BaseException as error:
                inside = error
                raise
    except BaseException as error:
        if error is inside:
            raise
        if (slip := _slip(error)) and inside is None:
            raise WinsomeError(f"{who} {slip}") from error
        if slip and inside is not None:
            raise inside  # noqa: B904 - the part's own slip comes second
        ended = "" if inside is None else f", as it ended a training that had raised {type(inside).__name__}: {inside}"
        note(error, who + ended)
        raise
    if inside is not None:  # the part caught it
        raise inside


def _slip(error: BaseException) -> str:
    """What is wrong with a function under @contextmanager where contextlib itself complains; "" for any other error."""
    *_, last = traceback.extract_tb(error.__traceback__)
    if last.filename != contextlib.__file__:
        return ""
    match error:
        case AttributeError():
            return "gives one context manager for several levels, which is over after the first: make one at every call"
        case RuntimeError() if "stop" in str(error):
            return "yields more than once: one `yield`, around which the level trains, then what takes out what was put in"
        case RuntimeError() | TypeError():
            return "never yields: one `yield {}` at the place where the level is to train"
        case _:
            return ""


def _kinds(progress: object) -> str:
    if not isinstance(progress, Mapping):
        return f"a {type(progress).__name__}"
    return ", ".join(f"{key!r}: {type(value).__name__}" for key, value in progress.items())


def on_level(part: WhileTraining, level: int) -> WhileTraining:
    """What holds on this level of a search, where a part may ask for some levels only."""
    while isinstance(part, OnLevels):
        part = part.at(level)
    return AllOf(tuple(on_level(one, level) for one in part.parts)) if isinstance(part, AllOf) else part


def starting_from(part: WhileTraining, start: Mapping[str, Tensor]) -> WhileTraining:
    """The part, told of the network that the search began with, where it has a field `start` that nobody has set."""
    if isinstance(part, AllOf):
        return AllOf(tuple(starting_from(one, start) for one in part.parts))
    asks = is_dataclass(part) and not isinstance(part, type) and getattr(part, "start", start) is None
    told: WhileTraining = replace(part, start=start) if asks else part  # type: ignore[type-var]
    return told

"""Chosen parameters that are interpolated with other values, or frozen at them, while a model trains.

A training loop may swap layers or move the model: the parameters are followed by name, or a sentence says what was swapped.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from winsome.alphas import Alphas
from winsome.errors import WinsomeError
from winsome.hooks import OnForward, after_steps_on, around_forward
from winsome.places import Places, following, read_instead, stands_in
from winsome.psi import Goal, Toward, Which, chosen, goals
from winsome.while_training import Progress

log = logging.getLogger("winsome")


@contextmanager
def interpolated(
    model: nn.Module,
    seed: int | Sequence[int],
    which: Which = None,
    toward: Toward = "identity",
    start: Mapping[str, Tensor] | None = None,
) -> Iterator[Progress]:
    """Every training forward pass uses alpha * parameter + (1 - alpha) * value; see `norms.interpolated_norms`.

    Args:
        model: the network whose `forward` is called once per mini-batch.
        seed: of the alphas; S of them for a stack.
        which: which parameters; see `psi.goals`, for `toward` and `start` as well.
        toward: the values.
        start: the network that `toward="start"` means.

    Raises:
        WinsomeError: the loop swapped what is interpolated for what nothing can interpolate, or under a compiled forward.
    """
    alphas = Alphas(model, seed)
    shadows = _Shadows(_Choice(model, which, toward, start, acts="interpolates"), alphas)
    with ExitStack() as stack:
        stack.enter_context(around_forward(model, shadows.before_forward, alphas.end))
        stack.callback(shadows.release)
        shadows.hook()
        stack.enter_context(following(model, shadows.follow))
        stack.enter_context(after_steps_on([], shadows.refuse_swapped, always=True))
        yield {"forward_passes": alphas.passes}
        if shadows.choice.goals and not int(alphas.passes):
            log.warning(
                "normalisation was not interpolated: alpha is drawn when the model itself is called in training mode, which "
                "never happened; call model(inputs), not a part of it, after model.train()"
            )
        elif unseen := shadows.trained_unseen():
            log.warning(
                "%s%s trained, but was not interpolated: the layer that holds it was never called, so that what reads it is "
                "not known; call the layer (norm(x), not F.layer_norm(x, shape, norm.weight, norm.bias))",
                *(", ".join(unseen[:3]), f" and {len(unseen) - 3} more" if len(unseen) > 3 else ""),
            )


@contextmanager
def frozen(
    model: nn.Module, which: Which = None, toward: Toward = "identity", start: Mapping[str, Tensor] | None = None
) -> Iterator[None]:
    """Inside the block parameters have the values that they go toward, and do not train; arguments as of `psi.goals`.

    Raises:
        WinsomeError: the loop swapped what is frozen for what nothing can freeze.
    """
    choice = _Choice(model, which, toward, start, acts="freezes")
    trained: list[nn.Parameter] = []
    names: set[str] = set()  # of those that train outside the block, whatever stands in their places

    @torch.no_grad()
    def freeze() -> None:
        for name, goal in choice.goals.items():
            goal.parameter.copy_(goal.like(goal.parameter))
            if goal.parameter.requires_grad or name in names:
                names.add(name)
                trained.append(goal.parameter)
                goal.parameter.requires_grad_(False)
                goal.parameter.grad = None  # one from before the block would let momentum or weight decay act

    def follow(*_: object) -> None:
        if not torch.compiler.is_compiling() and choice.moved():
            choice.find_again()
            freeze()

    def before_forward(_model: nn.Module) -> None:
        follow()
        if not torch.compiler.is_compiling() and choice.stand_ins():  # frozen as well, for this call
            there = [(goal, goal.owner._parameters.get(goal.kind)) for goal in choice.goals.values()]
            read_instead(model, {id(one): goal.like(one) for goal, one in there if one is not None and stands_in(one)})

    freeze()
    try:
        with around_forward(model, before_forward), following(model, follow), after_steps_on([], follow, always=True):
            yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


class _Choice:
    """Parameters with where they go, found again by name where a loop swapped some."""

    def __init__(
        self, model: nn.Module, which: Which, toward: Toward, start: Mapping[str, Tensor] | None, *, acts: str
    ) -> None:
        if toward == "start" and start is None:  # what they are now, not when they are found again
            start = {name: one.parameter.detach().clone() for name, one in chosen(model, which).items()}
        self.model, self._which, self._toward, self._start, self._acts = model, which, toward, start, acts
        self.goals = goals(model, which, toward, start)
        self._places = Places(model, self.goals)

    def moved(self) -> bool:
        """Whether something else stands in the place of one, or of a layer on the way to it."""
        return self._places.moved()

    def stand_ins(self) -> bool:
        """Whether some have another tensor in their place for one call."""
        return self._places.stand_ins()

    def find_again(self) -> None:
        """Take what stands in the model now.

        Raises:
            WinsomeError: nothing does in the place of one, or something of another shape than its value.
        """
        now = dict(self.model.named_parameters(remove_duplicate=False))
        self._refuse_gone(now)
        found = goals(self.model, self._which, self._toward, self._start)
        self._refuse_gone(found)
        for name, goal in found.items():
            before = self.goals.get(name)
            if before is not None and isinstance(goal.value, Tensor) and goal.parameter.shape != before.parameter.shape:
                raise WinsomeError(
                    f"{name!r} was swapped inside the training loop for a parameter of shape {tuple(goal.parameter.shape)}, "
                    f"but it goes toward its start, of {tuple(before.parameter.shape)}; change layers before the search"
                )
        self.goals = found
        self._places.look(found)

    def swapped(self) -> str:
        """The names of what something else stands in the place of now."""
        modules = dict(self.model.named_modules(remove_duplicate=False))
        return self._called(
            name
            for name, goal in self.goals.items()
            if modules.get(name.rpartition(".")[0]) is not goal.owner
            or goal.owner._parameters.get(goal.kind) is not goal.parameter
        )

    @property
    def called(self) -> str:
        """What the parameters are called together."""
        return "normalisation" if self._which is None else f"what Winsome {self._acts}"

    def _called(self, names: Iterable[str]) -> str:
        """Names of parameters for a sentence: those of their layers, where all norms are meant."""
        called = [name.rpartition(".")[0] or name if self._which is None else name for name in names]
        return ", ".join(map(repr, dict.fromkeys(called)))

    def _refuse_gone(self, there: Mapping[str, object]) -> None:
        if gone := [name for name in self.goals if name not in there]:
            raise WinsomeError(
                f"{self.called} {self._called(gone)} was swapped inside the training loop for what nothing {self._acts}; "
                "change layers before the search"
            )


class _Shadows:
    """Interpolated tensors that hide parameters during the forwards of the modules that read them."""

    def __init__(self, choice: _Choice, alphas: Alphas) -> None:
        self.choice, self._alphas = choice, alphas
        self._hidden: list[Goal] = []
        self._hooks = ExitStack()
        self._seen: set[nn.Module] = set()  # modules whose forward was called, outside of what is compiled
        self._compiled = _n_compiled()
        self._begun = {name: goal.parameter.detach().clone() for name, goal in choice.goals.items()}

    def hook(self) -> None:
        """Interpolate what stands in the model now."""
        self.release()
        if any(map(_is_compiled, self.choice.model.modules())):
            torch.compiler.reset()  # what was compiled before knows nothing of these hooks, and is not compiled anew for them
        self._hidden = list(self.choice.goals.values())
        by_reader: dict[nn.Module, list[Goal]] = {}
        for goal in self._hidden:
            by_reader.setdefault(goal.reader, []).append(goal)
        for reader, its_goals in by_reader.items():
            first = reader is not self.choice.model  # whose alpha is drawn before
            around = _shadowing(its_goals, self._alphas, self._seen)
            self._hooks.enter_context(around_forward(reader, *around, first=first))

    def before_forward(self, model: nn.Module) -> None:
        """Follow what a loop swapped, and draw the pass's alpha."""
        if model.training and not torch.compiler.is_compiling() and self.choice.moved():
            self._find_again()
        self._alphas.begin(model)

    def follow(self) -> None:
        """Go on with layers, and on the device, that the model has now."""
        if self.choice.moved():
            self._find_again()
        self._alphas.follow()

    def refuse_swapped(self, _held: Sequence[Tensor]) -> None:
        """After a step: under a compiled forward nothing was followed."""
        if self.choice.moved():
            raise WinsomeError(
                f"{self.choice.called} of the model was swapped inside the training loop ({self.choice.swapped()}), and the "
                "forward is compiled: nothing interpolates it; change layers before level.steps(...)"
            )

    def release(self) -> None:
        """No hooks and no shadows: an interrupt between two hooks leaves one behind."""
        self._hooks.close()
        for goal in self._hidden:
            _show(goal)

    def trained_unseen(self) -> list[str]:
        """The names of parameters that trained although the module that reads them was never called; [] if that is unclear."""
        if not self._seen or _n_compiled() != self._compiled:
            return []  # a compiled layer is not seen
        unseen = {name: goal.parameter for name, goal in self.choice.goals.items() if goal.reader not in self._seen}
        return [name for name, now in unseen.items() if name in self._begun and not _same(now, self._begun[name])]

    def _find_again(self) -> None:
        self.choice.find_again()
        self.hook()


def _shadowing(its_goals: Sequence[Goal], alphas: Alphas, seen: set[nn.Module]) -> tuple[OnForward, OnForward]:
    """What is done before a module's forward, and after it, for the parameters that it reads."""

    def shadow(reader: nn.Module) -> None:
        if not torch.compiler.is_compiling():
            seen.add(reader)
        if (alpha := alphas.of_layer()) is None:
            return
        for goal in its_goals:
            psi = goal.owner._parameters[goal.kind]
            if psi is not None and (psi.requires_grad or (stands_in(psi) and goal.parameter.requires_grad)):
                share = alpha.reshape(alpha.shape + (1,) * (psi.ndim - alpha.ndim)).to(psi.device, psi.dtype)
                _hide(goal, torch.lerp(goal.like(psi), psi, share))

    def unshadow(_reader: nn.Module) -> None:
        for goal in its_goals:
            _show(goal)

    return shadow, unshadow


def _hide(goal: Goal, value: Tensor) -> None:
    """Let a layer read another tensor under a parameter's name, which stays in its place."""
    if isinstance(goal.owner, nn.RNNBase):  # it reads a list of its own
        goal.owner._flat_weights[goal.owner._flat_weights_names.index(goal.kind)] = value
    else:
        goal.owner.__dict__[goal.kind] = value  # an entry of the instance's hides the parameter of that name


def _show(goal: Goal) -> None:
    """Let a layer read its parameter again."""
    if isinstance(goal.owner, nn.RNNBase):
        goal.owner._flat_weights[goal.owner._flat_weights_names.index(goal.kind)] = goal.owner._parameters[goal.kind]
    else:
        goal.owner.__dict__.pop(goal.kind, None)


def _n_compiled() -> int:
    """How many functions torch.compile has looked at in this process."""
    return sum(torch._dynamo.utils.counters["frames"].values()) if "torch._dynamo" in sys.modules else 0


def _same(now: Tensor, begun: Tensor) -> bool:
    return now.is_meta or now.shape != begun.shape or torch.equal(now, begun.to(now.device, now.dtype))


def _is_compiled(module: nn.Module) -> bool:
    """Whether a module inside of a model is compiled, by torch.compile(module) or module.compile()."""
    return type(module).__name__ == "OptimizedModule" or module._compiled_call_impl is not None

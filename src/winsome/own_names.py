"""What a part may do to a model's names while it trains, and what it has to give back.

A part may hide a weight behind a parametrisation (`torch.nn.utils.parametrize`) and add parameters of its own. What is kept of
the network in the midst of it has the model's own names and the values that its layers see; afterwards the model is as it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from winsome.errors import WinsomeError
from winsome.identity import name_of
from winsome.left_behind import Marks, left_behind
from winsome.places import follow_now
from winsome.signed_mask import SignedMask
from winsome.state import State, copied, refuse_lost
from winsome.while_training import Progress, WhileTraining, entering


@dataclass(frozen=True, eq=False)
class OwnNames:
    """A model's state and parameters by their names, as they were before a part changed anything."""

    model: nn.Module
    part: WhileTraining
    mask: SignedMask
    names: tuple[str, ...]  # of its state_dict
    parameters: Mapping[nn.Module, Mapping[str, nn.Parameter | None]]  # of every module, in their order
    entered: set[str] = field(default_factory=set)  # names of the state_dict once the part had made its changes
    left: set[str] = field(default_factory=set)  # and when the loop was done, before the part took them back

    def state(self) -> State:
        """A copy of the state on the CPU, under the model's own names, with the values that its layers see.

        Raises:
            WinsomeError: a value is nowhere to be found or lost, or a pruned weight that the part hides is not zero; names it.
        """
        there = self.model.state_dict()
        state = {name: there[name] if name in there else self._hidden(name) for name in self.names}
        refuse_lost(state)
        changed = self._changed()
        for name in (name for name in self.mask if name in changed):
            if bool((state[name].detach().to("cpu")[~self.mask.kept(name)] != 0).any()):
                raise WinsomeError(
                    f"{self._who} lets pruned weights of {name!r} live: multiply the weight that it makes by its mask, "
                    "mask.kept(name)"
                )
        return copied(state)

    def follow(self) -> None:
        """Whatever acts on parameters and layers by name looks whether the loop swapped some."""
        follow_now(self.model)

    @torch.no_grad()
    def give_back(self) -> None:
        """After the part: every parameter is the one it was, in its place, with the value that the part left under its name.

        Raises:
            WinsomeError: the part, or the training loop, left names behind or took some away, or lets a pruned weight live.
        """
        now = dict.fromkeys(self.model.state_dict())
        made_by_model = {name for name, _ in self.model.named_buffers()} - self.entered  # in its first forward
        surplus = [n for n in now if n not in self.names and n not in made_by_model]
        missing = [n for n in self.names if n not in now]
        by_loop = [n for n in missing if n in self.entered - self.left], [n for n in surplus if n in self.left - self.entered]
        if by_loop[0] or by_loop[1]:
            problems = [f"lacks {', '.join(by_loop[0])}"] if by_loop[0] else []
            problems += [f"has {', '.join(by_loop[1])} beside it"] if by_loop[1] else []
            raise WinsomeError(
                f"the training loop changes the model for good: its state {' and '.join(problems)}; change layers before the "
                "search, or change them back before `train` returns"
            )
        if surplus or missing:
            problems = [f"leaves {', '.join(surplus)} behind"] if surplus else []
            problems += [f"lacks {', '.join(missing)}"] if missing else []
            raise WinsomeError(
                f"{self._who} changes the model for good: its state {' and '.join(problems)}; take out after `yield` what was "
                "put in before it (torch.nn.utils.parametrize.remove_parametrizations)"
            )
        if not self._changed() and all(list(module._parameters) == list(own) for module, own in self.parameters.items()):
            return
        self.state()
        for module, own in self.parameters.items():
            left = dict(module._parameters)
            module._parameters.clear()  # in the order they had: an optimizer's state goes by it
            for name, parameter in own.items():
                value = left.pop(name, None)
                if parameter is not None and value is not None and value is not parameter:
                    if (value.device, value.dtype) != (parameter.device, parameter.dtype):
                        module._parameters[name] = value  # the loop moved the model
                        continue
                    parameter.copy_(value)
                module._parameters[name] = parameter
            module._parameters.update(left)

    def _changed(self) -> set[str]:
        """The names whose parameter is hidden, or another object than it was."""
        now = dict(self.model.named_parameters(remove_duplicate=False))
        names = {module: name for name, module in self.model.named_modules(remove_duplicate=False)}
        own = {
            f"{names[module]}.{name}" if names[module] else name: parameter
            for module, parameters in self.parameters.items()
            if module in names
            for name, parameter in parameters.items()
            if parameter is not None
        }
        return {name for name, parameter in own.items() if now.get(name) is not parameter}

    def _hidden(self, name: str) -> Tensor:
        """The value of a weight that is behind a parametrisation."""
        path, _, leaf = name.rpartition(".")
        try:
            owner = self.model.get_submodule(path)
            value = getattr(owner, leaf)
        except AttributeError:
            value, owner = None, self.model
        if isinstance(value, Tensor) and leaf not in vars(owner):  # a plain attribute may be of before the last step
            return value
        raise WinsomeError(
            f"{self._who} takes the weight {name!r} away: what the level starts from or ends in cannot be kept; "
            "put it behind a parametrisation (torch.nn.utils.parametrize), under whose name its value stays"
        )

    @property
    def _who(self) -> str:
        return f"{name_of(self.part)!r} (while_training)"


@contextmanager
def holding(
    part: WhileTraining, model: nn.Module, seed: int | Sequence[int], mask: SignedMask
) -> Iterator[tuple[OwnNames, Progress]]:
    """Train under a part, checked: what it yields, and that the model is its own again after it.

    Yields:
        The model's own names, for what is kept of it meanwhile, and the part's progress, for a checkpoint.

    Raises:
        WinsomeError: the part yields what a checkpoint cannot keep, or changes the model for good; names it.
    """
    parameters = {module: dict(module._parameters) for module in model.modules()}
    own = OwnNames(model, part, mask, tuple(model.state_dict()), parameters)
    before = Marks.of(model)
    with entering(part, model, seed, mask) as progress:
        own.entered.update(model.state_dict())
        inside = Marks.of(model)
        yield own, progress
        own.follow()  # what a loop swaps at its very end (load_state_dict with assign=True) is masked, too
        own.left.update(model.state_dict())
    own.give_back()
    if left := left_behind(before, inside, Marks.of(model)):
        raise WinsomeError(
            f"{name_of(part)!r} (while_training) leaves behind {', '.join(left[:3])}{', ...' if left[3:] else ''}, under which "
            "later levels would train too: take out after `yield` what was put in before it (hook.remove())"
        )

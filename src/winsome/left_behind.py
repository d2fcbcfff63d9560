"""What a part has put into a model beside its state, and left there: hooks, frozen parameters, other layers and forwards.

The next level would train under it too, and a search that goes on in another process would not.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from torch import nn

_OF_MODULES = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")
_OF_TENSORS = ("_backward_hooks", "_post_accumulate_grad_hooks")


@dataclass(frozen=True)
class Marks:
    """What a model has beside its state, at one moment: each with the words for it."""

    found: dict[Hashable, str]

    @classmethod
    def of(cls, model: nn.Module) -> Marks:
        """Those of a model as it is."""
        found: dict[Hashable, str] = {}
        for path, module in model.named_modules():
            found[path, id(module)] = f"another layer ({type(module).__name__}) as {path!r}"
            if (forward := vars(module).get("forward")) is not None:
                found[id(module), "forward", id(forward)] = f"another forward of {path or 'the model'!r}"
            for kind in _OF_MODULES:
                for key in getattr(module, kind, ()):
                    found[id(module), kind, key] = f"a hook on {path or 'the model'!r}"
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:
                found[name, "frozen"] = f"{name!r} frozen (requires_grad)"
            for kind in _OF_TENSORS:
                for key in getattr(parameter, kind, None) or ():
                    found[id(parameter), kind, key] = f"a hook on {name!r}"
        return cls(found)


def left_behind(before: Marks, inside: Marks, after: Marks) -> tuple[str, ...]:
    """What was put in and is there still.

    Args:
        before: as the model was.
        inside: once the part had begun; what the training loop changes later is its own.
        after: once the part has ended.
    """
    left = (said for mark, said in inside.found.items() if mark not in before.found and mark in after.found)
    return tuple(dict.fromkeys(left))

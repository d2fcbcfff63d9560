"""A network as a graph of torch's own operations, with its parameters and buffers by name.

Traced by `make_fx` over fake tensors: it takes what `torch.export` takes, in a tenth of the time, and nothing is computed.
What depends on the values of tensors cannot be followed, and is refused.
"""

from __future__ import annotations

import operator
import warnings
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn
from torch.func import functional_call
from torch.fx.experimental.proxy_tensor import make_fx

from winsome.errors import WinsomeError
from winsome.exports.outputs import Example, arguments, tensors_in

# Operations whose result is, or may be, another sight of the memory of their first argument.
RESHAPED = "view _unsafe_view reshape flatten unflatten squeeze unsqueeze expand transpose permute t movedim"
TAKEN = "select slice narrow detach alias contiguous chunk split split_with_sizes unbind to dropout"
SIGHTS = frozenset(f"{RESHAPED} {TAKEN}".split())


@dataclass(frozen=True)
class Trace:
    """The operations of a network's forward pass in their order, and which of their inputs are its parameters and buffers."""

    nodes: tuple[fx.Node, ...]
    names: dict[fx.Node, str]

    def uses(self, name: str) -> int:
        """How many operations take this parameter or buffer."""
        return sum(len(node.users) for node, known in self.names.items() if known == name)


def trace(model: nn.Module, example: Example) -> Trace:
    """The graph of a network's forward pass on an example, in the mode that the network is in.

    Raises:
        WinsomeError: the forward pass depends on values of tensors, or writes into a part of one that is read again.
    """
    positional, named = arguments(example)
    state = {**dict(model.named_parameters()), **dict(model.named_buffers())}

    def forward(values: list[Tensor], *inputs: object) -> list[Tensor]:
        given = dict(zip(state, values, strict=True))
        by_name = dict(zip(named, inputs[len(positional) :], strict=True))
        return tensors_in(functional_call(model, given, inputs[: len(positional)], by_name))

    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # one operation for a whole layer says nothing of its channels
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = make_fx(forward, tracing_mode="fake", pre_dispatch=True, _allow_non_fake_inputs=True)
            graph = made(list(state.values()), *positional, *named.values()).graph
    except Exception as error:  # whatever a user's forward does that cannot be followed
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise WinsomeError(
            f"{type(model).__name__} cannot be traced ({type(error).__name__}: {reason}): its forward pass must run on "
            "the example, and must not depend on the values of tensors"
        ) from error
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    nodes = tuple(graph.nodes)
    given = [node for node in nodes if node.op == "placeholder"]
    found = Trace(nodes, dict(zip(given[: len(state)], state, strict=True)))
    _refuse_shared_writes(found, type(model).__name__)
    return found


def operation(node: fx.Node) -> str:
    """The name of a node's operation, alike where it writes in place: `relu` of `aten.relu_.default`; "" of none."""
    if node.op != "call_function":
        return ""
    if node.target is operator.getitem:
        return "getitem"
    schema = getattr(node.target, "_schema", None)
    return "" if schema is None else str(schema.name).removeprefix("aten::").rstrip("_")


def _writes(node: fx.Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return schema is not None and schema.is_mutable


def _refuse_shared_writes(trace: Trace, model: str) -> None:
    """Refuse what writes into memory of which another sight is read later: its value is not that of the node.

    Raises:
        WinsomeError: there is such a write.
    """
    place = {node: number for number, node in enumerate(trace.nodes)}
    root: dict[fx.Node, fx.Node] = {}
    for node in trace.nodes:
        first = node.args[0] if node.args and isinstance(node.args[0], fx.Node) else None
        shares = first is not None and (_writes(node) or operation(node) in SIGHTS or operation(node) == "getitem")
        root[node] = root[first] if shares and first is not None else node
    for node in trace.nodes:
        if not _writes(node):
            continue
        others = [other for other in trace.nodes if root[other] is root[node] and place[other] < place[node]]
        later = any(place[user] > place[node] for other in others for user in other.users)
        if later or root[node] in trace.names:
            raise WinsomeError(
                f"{model} cannot be followed: {operation(node)}_ writes into memory that is read again under another name; "
                f"use the form without the underscore, {operation(node)}"
            )

"""Follow channels through a network's graph, operation by operation; what is unknown here keeps all channels that it reads."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from winsome.exports import shapes_followed
from winsome.exports.channels import Channels, Cut, Flow, Reader, row_values
from winsome.exports.shapes_followed import shape_of
from winsome.exports.tracing import Trace, operation
from winsome.exports.walk import Walk

Rule = Callable[[Walk, fx.Node], Flow | None]


def channels_of(trace: Trace, model: nn.Module, *, literal: bool = True) -> Channels:
    """The channels of a traced network.

    Args:
        trace: its graph, in evaluation mode.
        model: the network; zeros in its weights are what is not read.
        literal: whether shapes that the forward pass may hold as numbers may change.
    """
    # A buffer that is in no state_dict cannot be cut along: a file would not hold it.
    state = model.state_dict()
    floats = {name: value.detach().to("cpu", torch.float64) for name, value in state.items() if value.is_floating_point()}
    walk = Walk(trace, dict(model.named_modules()), floats, Channels(), literal)
    for node in trace.nodes:
        rule = RULES.get(operation(node))
        walk.flows[node] = rule(walk, node) if rule is not None else None
        if walk.flows[node] is None:
            walk.channels.fixed += [flow.ids for read in node.all_input_nodes if (flow := walk.flows[read]) is not None]
    return walk.channels


def unary(walk: Walk, node: fx.Node) -> Flow | None:
    """A function of every number by itself: of a constant, a constant."""
    flow = walk.flow(node.args[0])
    if flow is None or len(node.all_input_nodes) > 1 or not node.meta["val"].is_floating_point():
        return None
    if operation(node) in ("clone", "contiguous", "detach", "alias", "dropout", "feature_dropout", "to", "_to_copy"):
        return flow  # evaluation mode: dropout is nothing
    return Flow(flow.axis, flow.ids, _evaluated(node, flow.values))


def _evaluated(node: fx.Node, *values: Tensor) -> Tensor:
    """The node's operation on constants, with its other arguments; NaN stays NaN."""
    given: list[Any] = list(node.args)
    given[: len(values)] = [value.clone() for value in values]
    result: Tensor = node.target(*given, **node.kwargs)  # type: ignore[operator]
    known = torch.stack([value.isfinite().expand_as(result) for value in values]).all(0)
    return torch.where(known, result, torch.nan)


def binary(walk: Walk, node: fx.Node) -> Flow | None:
    """Sums, products and the like: both sides' channels are joined; a parameter with one entry a channel is cut along."""
    sides = node.args[:2]
    flows = [flow for flow in map(walk.flow, sides) if flow is not None]
    places = {flow.axis - len(shape_of(side)) for side in sides if (flow := walk.flow(side)) is not None}
    if len(sides) < 2 or len(places) != 1 or not node.meta["val"].is_floating_point():
        return None
    place, shape = places.pop(), shape_of(node)
    size = shape[place]
    lead = next((flow for flow in flows if len(flow.ids) == size), None)
    if lead is None or not all(_fits(walk, side, size, place) for side in sides):
        return None
    values = [_side_values(walk, side, size, place, lead) for side in sides]
    found = _evaluated(node, *values)
    if operation(node) == "mul":  # nothing times anything is nothing
        found = torch.where((values[0] == 0) | (values[1] == 0), 0.0, found)
    return Flow(len(shape) + place, lead.ids, found)


def _fits(walk: Walk, side: Any, size: int, place: int) -> bool:
    """Whether a side of an operation has one number for all channels, or channels that can be cut along with the others."""
    if not isinstance(side, fx.Node) or walk.flow(side) is not None or walk.name(side) in walk.state:
        return True
    shape = shape_of(side)
    return -place > len(shape) or shape[place] == 1 or size == 1


def _side_values(walk: Walk, side: Any, size: int, place: int, lead: Flow) -> Tensor:
    """One side's constants for every channel; it is joined with the leading side, or cut along with it."""
    unknown = torch.full((size,), torch.nan, dtype=torch.float64)
    if not isinstance(side, fx.Node):
        return torch.full((size,), float(side), dtype=torch.float64)
    if (flow := walk.flow(side)) is not None:
        if len(flow.ids) == size:
            walk.channels.join(flow.ids, lead.ids)
            return flow.values
        walk.channels.fixed.append(flow.ids)
        return flow.values.expand(size)
    name = walk.name(side)
    if name is None or name not in walk.state:
        return unknown
    value = walk.state[name]
    if value.numel() == 1:
        return value.reshape(1).expand(size)
    if -place > value.ndim or value.shape[place] != size:
        return unknown
    walk.channels.cuts.append(Cut(name, value.ndim + place, lead.ids))
    return value.reshape(-1) if value.numel() == size else unknown


def linear(walk: Walk, node: fx.Node) -> Flow | None:
    """A linear layer: it reads the last axis."""
    return _read(walk, node, nn.Linear, len(shape_of(node)) - 1, 1, padded=False)


def convolution(walk: Walk, node: fx.Node) -> Flow | None:
    """A convolution: it reads the axis after the batch's."""
    padding = _argument(node, 4, "padding", 0)
    kernel = shape_of(node.args[1])[2:]
    if isinstance(padding, str):
        padded = padding != "valid" and max(kernel) > 1
    else:
        padded = any(padding) if isinstance(padding, list | tuple) else bool(padding)
    if len(shape_of(node)) != len(kernel) + 2:  # without a batch
        return None
    return _read(walk, node, _ConvNd, 1, _argument(node, 6, "groups", 1), padded=padded)


def _read(walk: Walk, node: fx.Node, kind: type[nn.Module], axis: int, groups: int, *, padded: bool) -> Flow | None:
    given = [_argument(node, 1, "weight", None), _argument(node, 2, "bias", None)]
    weight, bias = map(walk.name, given)
    layer, _, own = (weight or "").rpartition(".")
    owner = walk.layers.get(layer)
    known = isinstance(owner, kind) and not isinstance(owner, _ConvTransposeNd) and own == "weight"
    if (
        weight is None
        or weight not in walk.state
        or not known
        or (given[1] is not None and bias != f"{layer}.bias".lstrip("."))
    ):
        return None
    flow = walk.flow(node.args[0])
    if flow is None or flow.axis != axis:
        if flow is not None:
            walk.channels.fixed.append(flow.ids)
        size = shape_of(node.args[0])[axis]
        flow = Flow(axis, walk.fixed(size), torch.full((size,), torch.nan, dtype=torch.float64))
    matrix = walk.state[weight]
    rows = walk.channels.new(matrix.shape[0])
    walk.channels.readers.append(Reader(weight, bias, groups, padded, flow, rows))
    values = row_values(matrix, None if bias is None else walk.state[bias], flow, groups, padded=padded)
    return Flow(axis, rows, values)


def _argument(node: fx.Node, place: int, name: str, default: Any) -> Any:
    return node.args[place] if len(node.args) > place else node.kwargs.get(name, default)


def batch_norm(walk: Walk, node: fx.Node) -> Flow | None:
    """Normalisation by stored statistics: a scale and a shift a channel; with scale 0 the shift alone."""
    flow = walk.flow(node.args[0])
    training, epsilon = node.args[5], node.args[7]
    given = [walk.name(value) for value in node.args[1:5]]
    scale, shift, mean, variance = (None if name is None else walk.state.get(name) for name in given)
    whole = all((name is None) == (value is None) for name, value in zip(given, node.args[1:5], strict=True))
    if flow is None or flow.axis != 1 or training or mean is None or variance is None or not whole:
        return None
    walk.channels.cuts += [Cut(name, 0, flow.ids) for name in given if name is not None]
    found = (flow.values - mean) / (variance + epsilon).sqrt()  # type: ignore[operator]
    if scale is not None:
        found = torch.where(scale == 0, 0.0, found * scale)
    return Flow(1, flow.ids, found if shift is None else found + shift)


def pooling(walk: Walk, node: fx.Node) -> Flow | None:
    """Pooling and resizing over the axes behind the channels': a constant stays one, but where zeros are averaged in."""
    flow = walk.flow(node.args[0])
    n_axes = int(operation(node)[-2]) + 2  # max_pool2d: images in batches
    if flow is None or flow.axis != 1 or len(shape_of(node)) != n_axes:
        return None
    padding = _argument(node, 3, "padding", 0) if operation(node).startswith("avg_pool") else 0
    padded = any(padding) if isinstance(padding, list | tuple) else bool(padding)
    # With ceil_mode (4) or a divisor of its own (6) an average may count what is not there.
    odd = operation(node).startswith("avg_pool") and (_argument(node, 4, "ceil_mode", False) or len(node.args) > 6)
    return Flow(1, flow.ids, torch.where(flow.values == 0, 0.0, torch.nan)) if padded or odd else flow


def concatenation(walk: Walk, node: fx.Node) -> Flow | None:
    """One after another along the channels' axis."""
    parts, axis = node.args[0], _argument(node, 1, "dim", 0) % len(shape_of(node))
    assert isinstance(parts, list | tuple)
    flows = [walk.flow(part) for part in parts]
    if any(flow is not None and flow.axis != axis for flow in flows) or not any(flow is not None for flow in flows):
        return None
    ids, values = [], []
    for part, flow in zip(parts, flows, strict=True):
        size = shape_of(part)[axis]
        ids.append(walk.fixed(size) if flow is None else flow.ids)
        values.append(torch.full((size,), torch.nan, dtype=torch.float64) if flow is None else flow.values)
    return Flow(axis, torch.cat(ids), torch.cat(values))


def padding(walk: Walk, node: fx.Node) -> Flow | None:
    """More places around an image, none before or behind the channels: only what equals them stays constant."""
    flow = walk.flow(node.args[0])
    around = node.args[1]
    assert isinstance(around, list | tuple)
    if flow is None:
        return None
    behind = len(shape_of(node)) - 1 - flow.axis
    if any(around[2 * behind : 2 * behind + 2]):
        return None
    by_value = operation(node) == "constant_pad_nd" or _argument(node, 2, "mode", "constant") == "constant"
    place = 2 if operation(node) == "constant_pad_nd" else 3
    value = float(_argument(node, place, "value", 0) or 0)
    values = torch.where(flow.values == value, flow.values, torch.nan) if by_value and any(around) else flow.values
    return Flow(flow.axis, flow.ids, values)


def reshaped(walk: Walk, node: fx.Node) -> Flow | None:
    """Another shape of the same numbers in the same order."""
    flow = walk.flow(node.args[0])
    if flow is None or (not walk.literal and operation(node) not in ("flatten", "squeeze", "unsqueeze")):
        return None
    before, after = shape_of(node.args[0]), shape_of(node)
    axis = shapes_followed.same_axis(before, after, flow.axis)
    if axis is not None:
        return Flow(axis, flow.ids, flow.values)
    if not shapes_followed.is_merged(before, after, flow.axis):
        return None
    each = math.prod(before[flow.axis + 1 :])
    return Flow(flow.axis, flow.ids.repeat_interleave(each), flow.values.repeat_interleave(each))


def moved(walk: Walk, node: fx.Node) -> Flow | None:
    """Axes in another order, or one fewer, none of them the channels'."""
    flow = walk.flow(node.args[0])
    if flow is None or (operation(node) == "expand" and not walk.literal):
        return None
    axis = shapes_followed.moved_axis(operation(node), node.args, node.kwargs, shape_of(node), flow.axis)
    return None if axis is None else Flow(axis, flow.ids, flow.values)


def _rules(rule: Rule, names: str) -> dict[str, Rule]:
    return dict.fromkeys(names.split(), rule)


# What is known of torch's operations, by name; everything else keeps the channels that it reads.
RULES: dict[str, Rule] = {
    "linear": linear,
    "batch_norm": batch_norm,
    "cat": concatenation,
    **_rules(convolution, "conv1d conv2d conv3d"),
    **_rules(binary, "add sub mul div"),
    **_rules(padding, "pad constant_pad_nd"),
    **_rules(reshaped, "view _unsafe_view reshape flatten unflatten squeeze unsqueeze"),
    **_rules(moved, "permute transpose t expand select slice mean amax"),
    **_rules(
        pooling,
        "max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d "
        "adaptive_avg_pool3d upsample_nearest2d upsample_bilinear2d",
    ),
    **_rules(
        unary,
        "relu relu6 gelu silu mish sigmoid tanh hardtanh hardswish hardsigmoid leaky_relu elu selu celu softplus softsign "
        "clamp clamp_min clamp_max abs neg exp square sqrt rsqrt pow clone contiguous detach alias dropout feature_dropout "
        "to _to_copy",
    ),
}

"""What `winsome ticket show` and `winsome ticket diff` print."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from winsome import ticket_file
from winsome.analysis.overlap import Overlap, agreeing_signs, overlap, summed
from winsome.cli.console import open_console, say
from winsome.cli.conversion import network_for
from winsome.cli.tables import add_row, open_table, show
from winsome.exports import layer_costs, total_cost
from winsome.models.spec import NetworkSpec
from winsome.signed_mask import LayerCount


def print_ticket(file: Path) -> None:
    """Density, layers, signs, provenance and size of a ticket file."""
    ticket = ticket_file.read(file)
    layers = ticket.mask.layers()
    total = _total(layers)
    console = open_console()
    say(console, f"{file}: density {total.density:.4g}, {total.kept:,} of {total.total:,} prunable weights kept")
    say(console, f"signs: {_share(total.positive, total.kept)} of the kept weights are positive")
    unpruned = sum(value.numel() for value in ticket.signs.values())
    say(console, f"unpruned: {unpruned:,} signs of {len(ticket.signs)} parameters; trained normalisation: {len(ticket.norms)}")
    size, least = file.stat().st_size, ticket_file.least_bytes(ticket)
    say(
        console,
        f"size: {size:,} bytes; {least:,.0f} are the entropy at the layers' own densities and a bit for each sign, "
        f"{size - least:,.0f} ({1 - least / size:.1%}) names, shapes, checksums and provenance",
    )
    say(console, f"mask: {ticket.mask.digest()} (SHA-256)")
    for name in ticket.mask.empty_layers():
        say(console, f"warning: {name} has lost all its weights")
    table = open_table("layer", "shape", "weights", "kept", "density", "positive")
    for name, count in layers.items():
        add_row(table, name, "x".join(map(str, ticket.mask.shapes[name])) or "scalar", *_counts(count))
    add_row(table, "total", "", *_counts(total))
    show(console, table)
    table = open_table("provenance", "value")
    for key, value in _flat("", ticket.provenance).items():
        add_row(table, key, value)
    show(console, table)


def print_costs(file: Path, network: NetworkSpec | None) -> None:
    """Parameters, FLOPs and bytes of every layer, dense and kept, for one image."""
    ticket = ticket_file.read(file)
    spec = network_for(file, ticket, network)
    costs = layer_costs(spec.build(0), ticket.mask, torch.zeros(1, *(spec.image_shape or ()), device="cpu"))
    console = open_console()
    say(
        console,
        f"FLOPs of one image of {'x'.join(map(str, spec.image_shape or ()))}; kept: what would be left if zeros cost nothing",
    )
    table = open_table("layer", "parameters", "kept", "FLOPs", "kept ", "bytes", "kept  ", "FLOPs kept")
    for name, cost in [*costs.items(), ("total", total_cost(costs))]:
        pairs = (cost.parameters, cost.flops, cost.n_bytes)
        add_row(
            table, name or "(root)", *(f"{value:,}" for pair in pairs for value in pair), _share(cost.flops[1], cost.flops[0])
        )
    show(console, table)
    for name, cost in costs.items():
        if not cost.counted:
            say(console, f"warning: torch counts no products of the weights of {name}: its FLOPs are not in the table")


def print_comparison(a: Path, b: Path) -> None:
    """What two ticket files have in common, and where they come from."""
    first, second = ticket_file.read(a), ticket_file.read(b)
    layers = overlap(first.mask, second.mask)
    total = summed(layers.values())
    console = open_console()
    if first.mask == second.mask:
        say(console, "the signed masks are equal")
    say(
        console,
        f"kept: {total.kept_a:,} and {total.kept_b:,} of {total.total:,}; "
        f"{total.both:,} in both, {total.expected_both:,.0f} by chance",
    )
    say(
        console,
        f"signs: {_percent(total.sign_agreement)} of the shared weights have the same sign, "
        f"{_percent(total.chance_sign_agreement)} by chance",
    )
    agreeing, common = agreeing_signs(first.signs, second.signs)
    if common:
        say(console, f"unpruned signs: {_share(agreeing, common)} of {common:,} are the same")
    table = open_table(
        "layer", "kept a", "kept b", "shared", "by chance", "score", "Jaccard", "by chance", "same sign", "by chance"
    )
    for name, layer in [*layers.items(), ("total", total)]:
        add_row(table, name, *_comparison(layer))
    show(console, table)
    one, other = _flat("", first.provenance), _flat("", second.provenance)
    different = [key for key in {**one, **other} if one.get(key) != other.get(key)]
    table = open_table("provenance", "a", "b")
    for key in different:
        add_row(table, key, one.get(key, "-"), other.get(key, "-"))
    if different:
        show(console, table)
    else:
        say(console, "provenance: the same")


def _total(layers: Mapping[str, LayerCount]) -> LayerCount:
    counts = list(layers.values())
    return LayerCount(sum(c.total for c in counts), sum(c.kept for c in counts), sum(c.positive for c in counts))


def _counts(count: LayerCount) -> tuple[str, ...]:
    return f"{count.total:,}", f"{count.kept:,}", f"{count.density:.4f}", _share(count.positive, count.kept)


def _comparison(layer: Overlap) -> tuple[str, ...]:
    return (
        f"{layer.kept_a:,}",
        f"{layer.kept_b:,}",
        f"{layer.both:,}",
        f"{layer.expected_both:,.1f}",
        "-" if math.isnan(layer.standard_score) else f"{layer.standard_score:+.1f}",
        "-" if math.isnan(layer.jaccard) else f"{layer.jaccard:.3f}",
        "-" if math.isnan(layer.chance_jaccard) else f"{layer.chance_jaccard:.3f}",
        _percent(layer.sign_agreement),
        _percent(layer.chance_sign_agreement),
    )


def _flat(place: str, value: Any) -> dict[str, str]:
    """The entries of nested provenance by dotted name."""
    if isinstance(value, Mapping) and (value or not place):
        return {k: v for key, inner in value.items() for k, v in _flat(f"{place}.{key}" if place else key, inner).items()}
    return {place: json.dumps(value, ensure_ascii=False)}


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{share:.1%}"


def _share(part: int, whole: int) -> str:
    return _percent(part / whole if whole else math.nan)

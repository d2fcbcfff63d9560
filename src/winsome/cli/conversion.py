"""What `winsome ticket convert` does: other tools' checkpoints to tickets, tickets to other tools' files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from winsome import exports, neighbours, ticket_file
from winsome.cli.ticket import Kind
from winsome.errors import WinsomeError
from winsome.models.spec import NetworkSpec
from winsome.neighbours import Exported
from winsome.ticket import Ticket

KINDS: dict[str, Kind] = {".ticket": "ticket", ".safetensors": "dense", ".onnx": "onnx"}


def kind_of(target: Path) -> Kind:
    """What the ending of a file to write stands for.

    Raises:
        WinsomeError: nothing.
    """
    kind = KINDS.get(target.suffix)
    if kind is None:
        raise WinsomeError(f"{target} does not say what to write; end it in {', '.join(KINDS)}, or say it with --to")
    return kind


def network_of(
    name: str | None, image_shape: tuple[int, int, int], classes: int, options: Sequence[tuple[str, Any]]
) -> NetworkSpec | None:
    """The network of this name, if one is named."""
    return NetworkSpec.named(name, tuple(options)).of_images(image_shape, classes) if name else None


def to_ticket(
    source: Path,
    target: Path,
    kind: Kind,
    *,
    layout: str | None,
    weights: Path | None,
    network: NetworkSpec | None,
    norms: bool,
) -> str:
    """Write the ticket of another tool's checkpoint; returns what became of each of its entries, and a sentence on the ticket.

    Raises:
        WinsomeError: something else was to be written, or the checkpoint cannot be read.
    """
    if kind != "ticket":
        raise WinsomeError(f"{source} is no ticket; convert it to a .ticket file first, then that with --weights {source}")
    model = network.build(0) if network else None
    imported = neighbours.import_file(source, layout=layout, weights=weights, model=model, norms=norms)
    ticket = imported.ticket.with_provenance(network=network.record()) if network else imported.ticket
    ticket_file.write(ticket, target)
    counts = f"density {ticket.mask.density:.4g}, {ticket.mask.n_kept:,} of {ticket.mask.n_weights:,} weights kept"
    return f"{imported}\n{target}: {counts}, layout {imported.layout}"


def export(source: Path, target: Path, kind: Kind, weights: Path, network: NetworkSpec | None) -> Exported:
    """Write a ticket and its network's weights as another tool's file.

    Raises:
        WinsomeError: a ticket was to be written, or weights or network are missing or do not fit.
    """
    if kind == "ticket":
        raise WinsomeError(f"{source} is a ticket already; copy it")
    ticket, state = ticket_and_weights(source, weights)
    if kind == "small":
        return exports.write_small(ticket, state, target)
    if kind == "dense":
        return neighbours.write_dense(ticket.mask, state, target)
    if kind == "torch-prune":
        return neighbours.write_torch_prune(ticket.mask, state, target)
    network = network_for(source, ticket, network)
    model = network.build(0)
    _load(model, state, weights)
    example = torch.randn(4, *(network.image_shape or ()), generator=torch.Generator().manual_seed(0), device="cpu")
    return neighbours.write_onnx(ticket.mask, model, example, target)


def ticket_and_weights(source: Path, weights: Path) -> tuple[Ticket, dict[str, torch.Tensor]]:
    """A ticket and its network's weights.

    Raises:
        WinsomeError: one of the files is missing or no such file.
    """
    ticket = ticket_file.read(source)
    if not weights.exists():
        raise WinsomeError(
            f"a ticket holds no magnitudes, and {weights} is not there; name the network's weights: --weights FILE"
        )
    return ticket, neighbours.read_checkpoint(weights)


def network_for(source: Path, ticket: Ticket, network: NetworkSpec | None) -> NetworkSpec:
    """The network of a ticket: the one that was named, or the one that the ticket says.

    Raises:
        WinsomeError: neither is there.
    """
    record = ticket.provenance.get("network")
    if network is None and isinstance(record, dict):
        network = NetworkSpec.from_record(record)
    if network is None:
        raise WinsomeError(
            f"{source} does not say which network it is for; name it: --network NAME --image-shape C H W --classes N"
        )
    return network


def is_small(source: Path) -> bool:
    """Whether a file is a small checkpoint."""
    return (exports.head_of(source) or {}).get("form") == "small"


def from_small(source: Path, target: Path, kind: Kind) -> str:
    """Write the ticket or the dense state of a small checkpoint; returns a sentence on what was written.

    Raises:
        WinsomeError: something else was to be written, or the file is damaged.
    """
    ticket, state = exports.read_small(source)
    if kind == "dense":
        return str(neighbours.write_dense(ticket.mask, state, target))
    if kind != "ticket":
        raise WinsomeError(f"{source} is a small checkpoint, of which a .ticket or a dense .safetensors file can be made")
    ticket_file.write(ticket, target)
    return f"{target}: density {ticket.mask.density:.4g}, {ticket.mask.n_kept:,} of {ticket.mask.n_weights:,} weights kept"


def _load(model: nn.Module, state: Mapping[str, torch.Tensor], weights: Path) -> None:
    try:
        model.load_state_dict(dict(state))
    except RuntimeError as error:
        raise WinsomeError(f"{weights} does not fit the ticket's network: {' '.join(str(error).split())}") from error

"""`winsome ticket`: look into ticket files, compare them, convert them from and to other tools' files, and share them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from tyro.conf import Positional, UseAppendAction

from winsome import models, neighbours, ticket_file
from winsome.analysis.overlap import Overlap, agreeing_signs, overlap, summed
from winsome.cli import choices
from winsome.cli.tables import add_row, open_console, open_table
from winsome.errors import WinsomeError
from winsome.neighbours import Exported
from winsome.signed_mask import LayerCount

Kind = Literal["ticket", "dense", "torch-prune", "onnx"]
KINDS: dict[str, Kind] = {".ticket": "ticket", ".safetensors": "dense", ".onnx": "onnx"}


def show(file: Positional[Path], /) -> None:
    """Show what a ticket file holds: density, layers, balance of signs, provenance, and its size against the least possible.

    Args:
        file: A .ticket file.
    """
    ticket = ticket_file.read(file)
    layers = ticket.mask.layers()
    total = _total(layers)
    console = open_console()
    console.print(f"{file}: density {total.density:.4g}, {total.kept:,} of {total.total:,} prunable weights kept", markup=False)
    console.print(f"signs: {_share(total.positive, total.kept)} of the kept weights are positive", markup=False)
    unpruned = sum(value.numel() for value in ticket.signs.values())
    console.print(f"unpruned: {unpruned:,} signs of {len(ticket.signs)} parameters; trained normalisation: {len(ticket.norms)}")
    size, least = file.stat().st_size, ticket_file.least_bytes(ticket)
    console.print(
        f"size: {size:,} bytes; {least:,.0f} are the entropy at the layers' own densities and a bit for each sign, "
        f"{size - least:,.0f} ({1 - least / size:.1%}) names, shapes, checksums and provenance"
    )
    console.print(f"mask: {ticket.mask.digest()} (SHA-256)")
    for name in ticket.mask.empty_layers():
        console.print(f"warning: {name} has lost all its weights", markup=False)
    table = open_table("layer", "shape", "weights", "kept", "density", "positive")
    for name, count in layers.items():
        add_row(table, name, "x".join(map(str, ticket.mask[name].shape)) or "scalar", *_counts(count))
    add_row(table, "total", "", *_counts(total))
    console.print(table)
    table = open_table("provenance", "value")
    for key, value in _flat("", ticket.provenance).items():
        add_row(table, key, value)
    console.print(table)


def diff(a: Positional[Path], b: Positional[Path], /) -> None:
    """Compare two tickets of one network: shared weights against chance, agreement of signs, and where they come from.

    Chance: places drawn independently at the same layer densities. Score: how many standard deviations above chance.

    Args:
        a: A .ticket file.
        b: Another one of the same network.
    """
    first, second = ticket_file.read(a), ticket_file.read(b)
    layers = overlap(first.mask, second.mask)
    total = summed(layers.values())
    console = open_console()
    if first.mask == second.mask:
        console.print("the signed masks are equal")
    console.print(
        f"kept: {total.kept_a:,} and {total.kept_b:,} of {total.total:,}; "
        f"{total.both:,} in both, {total.expected_both:,.0f} by chance"
    )
    console.print(
        f"signs: {_percent(total.sign_agreement)} of the shared weights have the same sign, "
        f"{_percent(total.chance_sign_agreement)} by chance"
    )
    agreeing, common = agreeing_signs(first.signs, second.signs)
    if common:
        console.print(f"unpruned signs: {_share(agreeing, common)} of {common:,} are the same")
    table = open_table(
        "layer", "kept a", "kept b", "shared", "by chance", "score", "Jaccard", "by chance", "same sign", "by chance"
    )
    for name, layer in [*layers.items(), ("total", total)]:
        add_row(table, name, *_comparison(layer))
    console.print(table)
    one, other = _flat("", first.provenance), _flat("", second.provenance)
    different = [key for key in {**one, **other} if one.get(key) != other.get(key)]
    table = open_table("provenance", "a", "b")
    for key in different:
        add_row(table, key, one.get(key, "-"), other.get(key, "-"))
    console.print(table if different else "provenance: the same")


def convert(
    source: Positional[Path],
    target: Positional[Path],
    /,
    *,
    to: Kind | None = None,
    weights: Path | None = None,
    layout: str | None = None,
    norms: bool = False,
    network: str | None = None,
    network_option: UseAppendAction[tuple[str, ...]] = (),
    image_shape: tuple[int, int, int] = (3, 224, 224),
    classes: int = 1000,
) -> None:
    """Turn another tool's checkpoint into a ticket, or a ticket and its network's weights into another tool's file.

    A ticket holds no magnitudes: what is made from it takes them from --weights, by default the .safetensors file beside it
    that a search leaves.

    Args:
        source: A checkpoint (safetensors, PyTorch), a folder of open_lth, or a .ticket file.
        target: The file to write: .ticket, .safetensors (dense with zeros), .onnx.
        to: What to write, where the target's ending does not say it: torch-prune is the form of torch.nn.utils.prune.
        weights: File with the network's weights: of a ticket's network, or for masks that are in a file of their own.
        layout: How the checkpoint says what is pruned: torch-prune, fixed_m, mask-buffers, open_lth or zeros.
        norms: Put the trained normalisation parameters into the ticket too.
        network: Name of the checkpoint's network, so that `winsome plant` can make it; needed for .onnx if the ticket has none.
        network_option: An option of the network, name=value; may be given several times.
        image_shape: Channels, height and width of that network's images.
        classes: Number of that network's outputs.
    """
    kind = to or KINDS.get(target.suffix)
    if kind is None:
        raise WinsomeError(f"{target} does not say what to write; end it in {', '.join(KINDS)}, or say it with --to")
    record = (
        models.network_record(network, image_shape, classes, dict(choices.network_options(network_option))) if network else None
    )
    if source.suffix != ".ticket":
        if kind != "ticket":
            raise WinsomeError(f"{source} is no ticket; convert it to a .ticket file first, then that with --weights {source}")
        model = models.from_record(record, 0) if record else None
        ticket = neighbours.ticket_from_file(source, layout=layout, weights=weights, model=model, norms=norms)
        ticket = ticket.with_provenance(network=record) if record else ticket
        ticket_file.write(ticket, target)
        found, mask = ticket.provenance["imported"]["layout"], ticket.mask
        print(f"{target}: density {mask.density:.4g}, {mask.n_kept:,} of {mask.n_weights:,} weights kept, layout {found}")
    elif kind == "ticket":
        raise WinsomeError(f"{source} is a ticket already; copy it")
    else:
        print(_exported(source, target, kind, weights or source.with_suffix(".safetensors"), record))


def push(file: Positional[Path], repo: Positional[str], /, *, private: bool = False) -> None:
    """Upload a ticket to the Hugging Face Hub, with a model card made from its provenance.

    Needs `pip install 'winsome[hub]'` and `hf auth login`. A card that the repository has already stays as it is.

    Args:
        file: A .ticket file.
        repo: The model repository, user/name; it is made if it is not there.
        private: Make a new repository private.
    """
    print(neighbours.push(file, repo, private=private))


def pull(
    repo: Positional[str],
    folder: Positional[Path] = Path(),
    /,
    *,
    file: str | None = None,
    revision: str | None = None,
    overwrite: bool = False,
) -> None:
    """Download a ticket from the Hugging Face Hub; it is checked before it is put in place.

    Args:
        repo: The model repository, user/name.
        folder: Where to put the file.
        file: Which file of the repository, where it has several tickets.
        revision: Branch, tag or commit; a commit's hash pins the exact file.
        overwrite: Replace another file of that name.
    """
    print(neighbours.pull(repo, folder, name=file, revision=revision, overwrite=overwrite))


TICKET_COMMANDS: dict[str, Callable[..., None]] = {"show": show, "diff": diff, "convert": convert, "push": push, "pull": pull}


def _exported(source: Path, target: Path, kind: Kind, weights: Path, record: Mapping[str, Any] | None) -> Exported:
    ticket = ticket_file.read(source)
    if not weights.exists():
        raise WinsomeError(
            f"a ticket holds no magnitudes, and {weights} is not there; name the network's weights: --weights FILE"
        )
    state = neighbours.read_checkpoint(weights)
    if kind == "dense":
        return neighbours.write_dense(ticket.mask, state, target)
    if kind == "torch-prune":
        return neighbours.write_torch_prune(ticket.mask, state, target)
    record = record or ticket.provenance.get("network")
    if not isinstance(record, dict):
        raise WinsomeError(
            f"{source} does not say which network it is for; name it: --network NAME --image-shape C H W --classes N"
        )
    model = models.from_record(record, 0)
    _load(model, state, weights)
    example = torch.randn(4, *record["image_shape"], generator=torch.Generator().manual_seed(0))
    return neighbours.write_onnx(ticket.mask, model, example, target)


def _load(model: nn.Module, state: Mapping[str, torch.Tensor], weights: Path) -> None:
    try:
        model.load_state_dict(dict(state))
    except RuntimeError as error:
        raise WinsomeError(f"{weights} does not fit the ticket's network: {' '.join(str(error).split())}") from error


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

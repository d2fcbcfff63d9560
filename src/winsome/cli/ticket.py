"""`winsome ticket`: look into ticket files, compare them, convert them from and to other tools' files, and share them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from tyro.conf import Positional, UseAppendAction

Kind = Literal["ticket", "dense", "torch-prune", "onnx", "small"]
Form = Literal["shrink", "csr", "2:4", "small"]
Precision = Literal["bf16", "fp16", "fp32"]


def show(
    file: Positional[Path],
    /,
    *,
    flops: bool = False,
    network: str | None = None,
    network_option: UseAppendAction[tuple[str, ...]] = (),
    image_shape: tuple[int, int, int] = (3, 224, 224),
    classes: int = 1000,
) -> None:
    """Show what a ticket file holds: density, layers, signs, provenance, and its size against the least possible.

    Args:
        file: A .ticket file.
        flops: Count parameters, FLOPs and bytes of every layer too, dense and with what is kept; a multiplication and an
            addition are two.
        network: Of --flops: name of the ticket's network, if the ticket does not say it.
        network_option: An option of that network, name=value; may be given several times.
        image_shape: Channels, height and width of that network's images.
        classes: Number of that network's outputs.
    """
    from winsome.cli import choices, conversion
    from winsome.cli.ticket_tables import print_costs, print_ticket

    print_ticket(file)
    if flops:
        named = conversion.network_of(network, image_shape, classes, choices.network_options(network_option))
        print_costs(file, named)


def diff(a: Positional[Path], b: Positional[Path], /) -> None:
    """Compare two tickets of one network: shared weights against chance, agreement of signs, and where they come from.

    Chance: places drawn independently at the same layer densities. Score: how many standard deviations above chance.

    Args:
        a: A .ticket file.
        b: Another one of the same network.
    """
    from winsome.cli.ticket_tables import print_comparison

    print_comparison(a, b)


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
        to: What to write, where the target's ending does not say it: torch-prune is the form of torch.nn.utils.prune,
            small the ticket with the kept magnitudes as they are.
        weights: File with the network's weights: of a ticket's network, or for masks that are in a file of their own.
        layout: How the checkpoint says what is pruned, where it is not found by itself: a name in docs/neighbours.md.
        norms: Put the trained normalisation parameters into the ticket too.
        network: Name of the checkpoint's network, so that `winsome plant` can make it; needed for .onnx if the ticket has none.
        network_option: An option of the network, name=value; may be given several times.
        image_shape: Channels, height and width of that network's images.
        classes: Number of that network's outputs.
    """
    from winsome.cli import choices, conversion

    named = conversion.network_of(network, image_shape, classes, choices.network_options(network_option))
    kind = to or conversion.kind_of(target)
    if source.suffix == ".ticket":
        print(conversion.export(source, target, kind, weights or source.with_suffix(".safetensors"), named))
    elif conversion.is_small(source):
        print(conversion.from_small(source, target, kind))
    else:
        print(conversion.to_ticket(source, target, kind, layout=layout, weights=weights, network=named, norms=norms))


def export(
    file: Positional[Path],
    /,
    *,
    form: Form,
    save_to: Path,
    anyway: bool = False,
    batch: int = 1,
    threads: int | None = None,
    precision: Precision = "bf16",
    weights: Path | None = None,
    network: str | None = None,
    network_option: UseAppendAction[tuple[str, ...]] = (),
    image_shape: tuple[int, int, int] = (3, 224, 224),
    classes: int = 1000,
) -> None:
    """Write a ticket's network in a form that is smaller or faster, or say why it does not pay.

    What is written is loaded back, compared with the dense network's outputs, and measured on this machine beside the dense
    network's fastest forms: eager, channels_last, onnxruntime. A form that is slower is not written.

    Args:
        file: A .ticket file.
        form: shrink takes dead and constant channels away, csr runs layers as compressed rows on a CPU, 2:4 is for GPUs,
            small is a checkpoint of the kept weights.
        save_to: The file to write; winsome.exports.load reads it.
        anyway: Write a form that is slower than the dense network, too.
        batch: How many images the network is measured with.
        threads: How many threads it is measured with; by default as many as PyTorch takes.
        precision: Of small: bf16 or fp32 (as they are); of 2:4: bf16 or fp16.
        weights: File with the network's weights; by default the .safetensors file beside the ticket.
        network: Name of the ticket's network, if the ticket does not say it.
        network_option: An option of the network, name=value; may be given several times.
        image_shape: Channels, height and width of that network's images.
        classes: Number of that network's outputs.
    """
    from winsome.cli import choices, conversion, exporting

    named = conversion.network_of(network, image_shape, classes, choices.network_options(network_option))
    source = exporting.ExportSource(file, weights or file.with_suffix(".safetensors"), named)
    exporting.export(source, form, save_to, anyway=anyway, batch=batch, n_threads=threads, precision=precision)


def push(file: Positional[Path], repo: Positional[str], /, *, private: bool = False) -> None:
    """Upload a ticket to the Hugging Face Hub, with a model card made from its provenance.

    Needs `pip install huggingface-hub` and `hf auth login`. A card that the repository has already stays as it is.

    Args:
        file: A .ticket file.
        repo: The model repository, user/name; it is made if it is not there.
        private: Make a new repository private.
    """
    from winsome import neighbours

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
    from winsome import neighbours

    print(neighbours.pull(repo, folder, name=file, revision=revision, overwrite=overwrite))

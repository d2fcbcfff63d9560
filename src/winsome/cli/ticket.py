"""`winsome ticket`: look into ticket files, compare them, convert them from and to other tools' files, and share them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from tyro.conf import Positional, UseAppendAction

Kind = Literal["ticket", "dense", "torch-prune", "onnx"]


def show(file: Positional[Path], /) -> None:
    """Show what a ticket file holds: density, layers, signs, provenance, and its size against the least possible.

    Args:
        file: A .ticket file.
    """
    from winsome.cli.ticket_tables import print_ticket

    print_ticket(file)


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
        to: What to write, where the target's ending does not say it: torch-prune is the form of torch.nn.utils.prune.
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
    else:
        print(conversion.to_ticket(source, target, kind, layout=layout, weights=weights, network=named, norms=norms))


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

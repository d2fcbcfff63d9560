"""How other tools lay a pruned network out in files: which entries are weights, which are masks, which are neither.

A layout is a function that takes a `Source` apart, or gives None where the source is not in it, and one line in `LAYOUTS`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from winsome.about import about, described
from winsome.errors import WinsomeError, unknown
from winsome.neighbours.source import (
    Pruned,
    Source,
    State,
    beside,
    has_bias,
    is_mask,
    is_matrix,
    masks_alone,
    named_after,
    prunes,
    some,
    taken_apart_by,
    unpruned,
    with_files,
)

Layout = Callable[[Source], Pruned | None]


@described("torch.nn.utils.prune", "Every pruned parameter is there as NAME_orig with NAME_mask.")
def torch_prune(source: Source) -> Pruned | None:
    """`torch.nn.utils.prune`: every pruned parameter is there as `NAME_orig` with `NAME_mask`."""
    names = [key.removesuffix("_orig") for key in source.state if key.endswith("_orig")]
    return taken_apart_by(source, {n: (f"{n}_orig", f"{n}_mask") for n in names if f"{n}_mask" in source.state})


@described("AWS_ICLR2025", "LAYER.fixed_m beside LAYER.weight, the weight itself not masked.", citations=("oh2025sign",))
def fixed_m(source: Source) -> Pruned | None:
    """The authors' code of arXiv:2504.05357: `LAYER.fixed_m` beside `LAYER.weight`, the weight itself not masked."""
    return taken_apart_by(source, beside(source.state, ".fixed_m"))


@described("TurboPrune", "LAYER.mask beside LAYER.weight, the weight itself not masked.")
def mask_buffers(source: Source) -> Pruned | None:
    """TurboPrune: `LAYER.mask` beside `LAYER.weight`, the weight itself not masked."""
    return taken_apart_by(source, beside(source.state, ".mask"))


@described("Synaptic-Flow, NVIDIA ModelOpt, apex", "A mask under its parameter's name beside it: weight_mask, _weight_mask.")
def weight_masks(source: Source) -> Pruned | None:
    """Masks named after the parameter beside them: `weight_mask` (Synaptic-Flow), `_weight_mask` (ModelOpt), or as a dict.

    Where some prune and others keep everything, the latter's parameters count as unpruned: the classifier, biases.
    """
    state = source.state
    owners = {key: named_after(key) for key in state}
    entries = {
        name: (name, key)
        for key, name in owners.items()
        if name in state and (state[key].shape == state[name].shape or is_matrix(name, state))  # of another shape: refused
    }
    pruned = taken_apart_by(source, entries)
    if pruned is None:
        return None
    whole = tuple(name for name, kept in pruned.kept.items() if bool(kept.all()))
    return replace(unpruned(pruned, whole), whole=whole) if len(whole) < len(pruned.kept) else pruned


@described("open_lth's PrunedModel", "model.NAME with mask_NAME, whose dots are written as three underscores.")
def pruned_model(source: Source) -> Pruned | None:
    """open_lth's `PrunedModel` in memory or saved whole: `model.NAME` with `mask_NAME`, dots of NAME written as `___`."""
    masks = {key.removeprefix("mask_").replace("___", "."): key for key in source.state if key.startswith("mask_")}
    entries = {f"model.{name}": (f"model.{name}", key) for name, key in masks.items()}
    pruned = taken_apart_by(source, {name: pair for name, pair in entries.items() if name in source.state})
    if pruned is None:
        return None
    parts = (pruned.weights, pruned.kept, pruned.others)
    weights, kept, others = ({name.removeprefix("model."): value for name, value in part.items()} for part in parts)
    return replace(pruned, weights=weights, kept=kept, others=others)


@described("open_lth", "Masks by parameter name in mask.pth, networks in model_ep*_it*.pth beside it.")
def open_lth(source: Source) -> Pruned | None:
    """open_lth: zeros and ones by parameter name in a file of their own (`mask.pth`), the weights in another.

    Of a folder the last network is taken. The masks may be of any type; other tools' mask files are alike.

    Raises:
        WinsomeError: there are no weights, or they lack a masked parameter.
    """
    if source.path is not None and source.path.is_dir():
        if not (source.path / "mask.pth").exists():
            return None
        networks = source.path.glob("model_ep*_it*.pth")
        last = max(networks, key=lambda path: [int(part) for part in re.findall(r"\d+", path.stem)], default=None)
        source = Source.at(source.path / "mask.pth", source.weights_path or last)
    masks = {name: value for name, value in source.state.items() if value.ndim}
    if not masks or not all(is_mask(value) for value in masks.values()):
        return None
    return masks_alone(source, masks)


@described("code of arXiv:2402.19262", "A list of masks, mask_NAME_k.pt, beside the network, model_NAME_k.pt.")
def mask_list(source: Source) -> Pruned | None:
    """The authors' code of arXiv:2402.19262: `mask_NAME_k.pt`, a list of masks without names, beside `model_NAME_k.pt`.

    The list has the order of the network's convolutions. It is written after pruning at the end of level k: Winsome's k + 1.

    Raises:
        WinsomeError: there are no weights, or their matrices are not those of the list.
    """
    if not source.unnamed:
        return None
    path = source.path
    if source.weights is None and path is not None and path.name.startswith("mask_"):
        beside = path.with_name(path.name.replace("mask_", "model_", 1))
        source = replace(Source.at(path, beside), asked=source.asked) if beside.exists() else source
    if source.weights is None:
        raise WinsomeError(
            f"a list of {len(source.unnamed)} masks has neither names nor signs: give the network's weights too (--weights "
            "model_NAME_k.pt, of the same k)"
        )
    matrices = {name: value for name, value in source.weights.items() if is_matrix(name, source.weights)}
    if [value.shape for value in matrices.values()] != [mask.shape for mask in source.unnamed]:
        raise WinsomeError(
            f"the {len(source.unnamed)} masks of the list are not those of the {len(matrices)} matrices of the weights "
            f"({', '.join(matrices)}) in this order; give the weights of the same network"
        )
    pruned = masks_alone(source, dict(zip(matrices, source.unnamed, strict=True)))
    level = re.search(r"_(\d+)$", path.stem) if path is not None else None
    note = f"the mask of its level {level[1]} is that of Winsome's level {int(level[1]) + 1}" if level else ""
    return replace(pruned, notes=(*pruned.notes, note) if note else pruned.notes)


@described("zeros", "A plain state_dict: the zeros in the matrices of layers are pruned.")
def zeros(source: Source) -> Pruned | None:
    """A plain state_dict: in matrices of layers that hold exact zeros, the zeros are pruned.

    A matrix that holds none is taken for unpruned, which planting does not distinguish from "everything kept". So is, unless
    this layout is asked for by name, one that is all zero or has zeros in whole rows alone: a projection that begins at zero,
    the padding of a table.

    Raises:
        WinsomeError: there are zeros in such places only.
    """
    state = source.state
    many = {name: value for name, value in state.items() if value.ndim >= 2 and value.is_floating_point()}
    having = [name for name, value in many.items() if bool((value == 0).any())]
    doubts = {name: doubt for name in having if (doubt := _doubt(name, state, source.asked))}
    names = [name for name in having if name not in doubts]
    listed = "; ".join(f"{name}: {doubt}" for name, doubt in doubts.items())
    if not names and doubts:
        raise WinsomeError(
            f"its only zeros are no pruned layer's, it seems ({listed}): name the network (--network, model=), or ask for "
            "--layout zeros if they are pruned"
        )
    weights = {name: state[name] for name in names}
    notes = (f"zeros that were not counted as pruned: {listed}",) if doubts else ()
    others = {name: value for name, value in state.items() if name not in weights}
    return with_files(Pruned(weights, {n: w != 0 for n, w in weights.items()}, others, notes=notes), source) if names else None


def layout_of(source: Source) -> str:
    """Which of LAYOUTS a source is in: by its entries' names, and "zeros" where nothing else fits.

    Raises:
        WinsomeError: it is in several; or there are masks that are alone, or that no layout knows.
    """
    found = [name for name, layout in LAYOUTS.items() if layout is not zeros and layout(source) is not None]
    if len(found) > 1:
        raise WinsomeError(f"it is in the layouts {' and '.join(found)} at once; say which one is meant (--layout)")
    if not found:
        refuse_strange_masks(source.state)
    return found[0] if found else "zeros"


def refuse_strange_masks(state: State) -> None:
    """Refuse masks that no layout knows: their zeros would be missed.

    Raises:
        WinsomeError: names them.
    """
    shapes = {value.shape for name, value in state.items() if is_matrix(name, state)}
    if strange := [name for name, value in state.items() if value.shape in shapes and prunes(value)]:
        raise WinsomeError(
            f"{some(strange)}: zeros and ones, like masks, but no layout says whose; --layout zeros leaves them alone; "
            f"known: {_known()}"
        )


def taken_apart(source: Source, layout: str) -> Pruned:
    """A source of the named layout taken apart.

    Raises:
        WinsomeError: the layout is unknown, or the source is not in it.
    """
    if layout not in LAYOUTS:
        raise unknown("layout", layout, LAYOUTS)
    pruned = LAYOUTS[layout](source)
    if pruned is not None:
        return pruned
    if source.path is not None and source.path.is_dir():
        raise WinsomeError("it is no folder that a layout reads (a folder of open_lth has a mask.pth); name a file in it")
    remedy = "no weight in it is exactly zero; prune the network first" if layout == "zeros" else "it has no masks in it"
    raise WinsomeError(f"the checkpoint is not in the layout {layout!r}: {remedy}")


def _doubt(name: str, state: State, asked: bool) -> str:
    """Why the zeros of an entry may be no pruned weights; nothing where they are."""
    value = state[name]
    if not is_matrix(name, state):
        return "no matrix of a layer"
    if asked:
        return ""
    if not bool(value.any()):
        return "all zero"
    empty = value == 0
    whole_rows = value.ndim == 2 and not has_bias(name, state) and int(empty.sum()) == int(empty.all(1).sum()) * value.shape[1]
    return "whole rows are zero, as the padding of a table" if whole_rows else ""


def _known() -> str:
    return "; ".join(f"{name} ({about(layout).label})" for name, layout in LAYOUTS.items())


LAYOUTS: dict[str, Layout] = {
    "torch-prune": torch_prune,
    "fixed_m": fixed_m,
    "mask-buffers": mask_buffers,
    "weight-masks": weight_masks,
    "pruned-model": pruned_model,
    "open_lth": open_lth,
    "mask-list": mask_list,
    "zeros": zeros,
}

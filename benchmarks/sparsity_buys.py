"""What sparsity buys: sizes, and times of a forward pass dense, shrunk and in compressed rows, at four densities.

    uv run python benchmarks/sparsity_buys.py              # at most 15 minutes on 2 free cores; results/sparsity_buys.json
    uv run python benchmarks/sparsity_buys.py --page       # the same, and writes the tables of docs/sparsity.md
    uv run python benchmarks/sparsity_buys.py --dry-run    # tiny sizes; writes nothing

Every row is kept as soon as it is measured; a later call measures what is missing (`--again` all of it). A network has a
process of its own.

- Forms: dense in PyTorch, dense in channels_last, dense in onnxruntime; shrunk, where channels are dead or constant;
  compressed rows (CSR) in those layers where they are measured to be faster. Each with one thread and with two, interleaved.
- ResNet-18 and -50 take one image of 224x224, ViT-B's MLP block the 197 tokens of one, BERT-base's encoder 128 tokens, the
  wide MLP (2048-8192-2048) 32 inputs. Weights are fresh, BatchNorm's statistics those of random images. Masks are those of
  global magnitude over weights whose scale differs between layers (those of `ticket_file.py`); in blocks of linear layers
  one density.
- "Half dead": ResNet-18 of which half of the channels inside of every block are pruned as a whole, what a shrunk network can
  gain.

Bars: shrunk outputs within 1e-5 of the dense network's, relatively; what the first two thirds of the rounds would have
written, for it was no slower than the best dense form, is no slower in the last third; the wide MLP at density .05 is twice as
fast in compressed rows as its best dense form. The exit status is 1 if one is missed. What a network in compressed rows takes
over what its layers promised, each measured by itself, is a figure without a bar: it is why whole networks are measured.
"""

from __future__ import annotations

import argparse
import copy
import importlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from measuring import RESULTS, Figure, in_own_process, machine, print_figures, print_machine
from sparsity_page import write_page
from ticket_file import global_magnitude, one_density
from winsome import models
from winsome.errors import WinsomeError
from winsome.exports import csr, layer_costs, read_small, shrink, total_cost, with_compressed_rows, write_small
from winsome.exports.comparison import eager, no_slower, onnx_run, torch_runs, write_for_onnxruntime
from winsome.exports.outputs import difference, outputs
from winsome.exports.shrinking import write_shrunk
from winsome.exports.timing import milliseconds, peak_bytes
from winsome.norm_statistics import re_estimate_batch_norm
from winsome.prunable import prunable
from winsome.signed_mask import SignedMask, matching_parameters, zero_pruned
from winsome.threads import threads
from winsome.ticket import Ticket

FILE = RESULTS / "sparsity_buys.json"
PAGE = Path(__file__).parents[1] / "docs" / "sparsity.md"
SHRUNK_EXACT, MLP_GAIN = 1e-5, 2.0
TIME = 840.0  # seconds for all networks


@dataclass(frozen=True)
class Subject:
    """A network and what it is called with."""

    name: str
    make: Callable[[], nn.Module]
    example: Callable[[], Tensor]
    densities: tuple[float, ...] = (0.2, 0.1, 0.05, 0.02)
    mask: str = "global"  # or "one density", or "half dead"


def mlp(width: int, inner: int) -> nn.Module:
    """An MLP block: linear, GELU, linear."""
    return nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width))


class Encoder(nn.Module):
    """The encoder of a BERT of transformers, fresh, on vectors of words."""

    def __init__(self, **sizes: int) -> None:
        super().__init__()
        transformers = importlib.import_module("transformers")
        self.encoder = transformers.BertModel(transformers.BertConfig(**sizes), add_pooling_layer=False).encoder

    def forward(self, words: Tensor) -> Tensor:
        """[B, words, width] to the same."""
        out: Tensor = self.encoder(words)[0]
        return out


def images(side: int) -> Tensor:
    """One image of noise."""
    return torch.randn(1, 3, side, side)


def subjects() -> dict[str, Subject]:
    """The networks of the page."""
    resnet18, resnet50 = (
        partial(models.build, name, image_shape=(3, 224, 224), n_classes=1000, seed=0) for name in ("resnet18", "resnet50")
    )
    found = [
        Subject("ResNet-18", resnet18, partial(images, 224)),
        Subject("ResNet-18, half dead", resnet18, partial(images, 224), (0.5,), "half dead"),
        Subject("ResNet-50", resnet50, partial(images, 224)),
        Subject("ViT-B, MLP block", partial(mlp, 768, 3072), partial(torch.randn, 1, 197, 768), mask="one density"),
        Subject("wide MLP", partial(mlp, 2048, 8192), partial(torch.randn, 32, 2048), mask="one density"),
        Subject("BERT-base, encoder", Encoder, partial(torch.randn, 1, 128, 768), mask="one density"),
    ]
    return {one.name: one for one in found}


def tiny_subjects() -> dict[str, Subject]:
    """The same with tiny sizes, whose figures mean nothing."""
    resnet = partial(models.build, "resnet8", image_shape=(3, 8, 8), n_classes=4, seed=0)
    found = [
        Subject("ResNet-18", resnet, partial(images, 8), (0.05,)),
        Subject("ResNet-18, half dead", resnet, partial(images, 8), (0.5,), "half dead"),
        Subject("wide MLP", partial(mlp, 32, 64), partial(torch.randn, 4, 32), (0.05,), "one density"),
        Subject(
            "BERT-base, encoder",
            partial(Encoder, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, vocab_size=10),
            partial(torch.randn, 1, 4, 16),
            (0.05,),
            "one density",
        ),
    ]
    return {one.name: one for one in found}


SUBJECTS = {False: subjects, True: tiny_subjects}


def mask_of(subject: Subject, network: nn.Module, density: float) -> SignedMask:
    """The mask of a network at a density."""
    parameters = dict(network.named_parameters())
    block = subject.mask == "one density"  # a classifier would be its last layer
    names = [n for n, p in parameters.items() if p.ndim > 1] if block else list(prunable(network))
    draw = torch.Generator().manual_seed(0)
    if subject.mask == "half dead":
        kept = {name: torch.ones(parameters[name].shape, dtype=torch.bool) for name in names}
        for name in (name for name in names if name.endswith("conv1.weight") and name.count(".") > 1):
            kept[name][torch.randperm(len(kept[name]), generator=draw)[: round((1 - density) * len(kept[name]))]] = False
        return SignedMask.of(parameters, kept)
    drawn = {n: torch.randn(parameters[n].shape, generator=draw) * parameters[n].shape[1:].numel() ** -0.25 for n in names}
    found = one_density(drawn, density, seed=1) if block else global_magnitude(drawn, density)
    return SignedMask.of(parameters, {name: found.kept(name) for name in names})


def pruned(subject: Subject, dense: nn.Module, density: float, example: Tensor) -> tuple[nn.Module, Ticket]:
    """The network with zeros, statistics of its own, in evaluation mode, and its ticket."""
    network = copy.deepcopy(dense)
    mask = mask_of(subject, network, density)
    zero_pruned(matching_parameters(mask, network), {name: mask.kept(name) for name in mask})
    if example.ndim == 4:
        re_estimate_batch_norm(network, [torch.cat([torch.randn_like(example)] * 2)])
    return network.eval(), Ticket(mask)


def sizes_of(ticket: Ticket, network: nn.Module, folder: Path) -> dict[str, int]:
    """Bytes on disk of the dense state and of the small checkpoint, which must come back bit for bit."""
    state = network.state_dict()
    found = {"dense": sum(value.numel() * value.element_size() for value in state.values())}
    for precision in ("bf16", "fp32"):
        found[f"small, {precision}"] = write_small(ticket, state, folder / "small", precision=precision).n_bytes
    back = read_small(folder / "small")[1]
    if not all(torch.equal(back[name], value) for name, value in state.items()):
        raise AssertionError("the small checkpoint changed the state")
    return found


@dataclass(frozen=True)
class Prepared:
    """A network at one density, made once for all numbers of threads.

    Attributes:
        network: with its zeros.
        said: what a row says of it whatever the threads.
        shrunk: the network without dead and constant channels; None where there are none.
        onnx: the ONNX files of the dense and of the shrunk network, as far as they can be written.
    """

    network: nn.Module
    said: dict[str, Any]
    shrunk: nn.Module | None
    onnx: dict[str, Path]


def prepared(
    subject: Subject, dense: nn.Module, density: float, example: Tensor, folder: Path, onnx: dict[str, Path]
) -> Prepared:
    """A network at a density; the dense ONNX file is that of the first density, for it is as fast whatever the weights are."""
    network, ticket = pruned(subject, dense, density, example)
    said: dict[str, Any] = {"network": subject.name, "density": density, "bytes": sizes_of(ticket, network, folder)}
    said["flops"] = total_cost(layer_costs(network, ticket.mask, example)).flops
    wanted = {} if "dense" in onnx else {"dense": network}
    smaller = None
    try:
        shrunk = shrink(network, example)
        smaller = wanted["shrink"] = shrunk.network
        lost = sum(before - after for before, after in shrunk.channels.values())
        said["shrink"] = {"channels": lost, "parameters": shrunk.parameters, "difference": shrunk.difference}
        said["shrink"]["bytes"] = write_shrunk(shrunk, folder / "shrunk")
    except WinsomeError as error:
        said["nothing to shrink"] = str(error)
    for name, one in wanted.items():
        with suppress(WinsomeError):
            write_for_onnxruntime(one, example, folder / f"{name}-{density:g}.onnx")
            onnx = onnx | {name: folder / f"{name}-{density:g}.onnx"}
    return Prepared(network, said, smaller, onnx)


def timed_row(one: Prepared, example: Tensor, seconds: float, folder: Path) -> dict[str, Any]:
    """Times, peaks and differences of every form with the threads that torch has now."""
    runs = torch_runs("dense", one.network, example, 0)
    runs |= torch_runs("shrink", one.shrunk, example, 0) if one.shrunk is not None else {}
    runs |= {f"{name}, onnxruntime": onnx_run(path, example) for name, path in one.onnx.items()}
    choices: dict[str, csr.LayerChoice] = {}
    with suppress(WinsomeError):  # no layer is sparse enough to be tried
        choices = csr.choices(one.network, example, seconds=seconds / 50)
    chosen = [name for name, choice in choices.items() if choice.sparse]
    rows: dict[str, Any] = {"chosen": len(chosen), "layers": len(choices)}
    if chosen:
        sparse = with_compressed_rows(one.network, chosen)
        runs["csr, eager"] = eager(sparse, example, 0)
        rows["saved"] = sum(choices[name].dense_ms - choices[name].sparse_ms for name in chosen)
        rows["bytes"] = csr.write_compressed(sparse, folder / "csr")
        rows["difference"] = difference(outputs(one.network, example), outputs(sparse, example))
    peaks = {name: peak_bytes(run.call) for name, run in runs.items()}
    held = {name: None if peak is None else peak + runs[name].held for name, peak in peaks.items()}
    return {
        **one.said,
        "threads": torch.get_num_threads(),
        "csr": rows,
        "peak": held,
        "ms": milliseconds({name: run.call for name, run in runs.items()}, seconds=seconds, least=3),
    }


def measure(name: str, tiny: bool, file: Path | None) -> list[dict[str, Any]]:
    """The rows of a network that are not in the file yet, each written as soon as it is measured."""
    subject, rows = SUBJECTS[tiny]()[name], []
    onnx: dict[str, Path] = {}
    torch.manual_seed(0)
    dense, example = subject.make(), subject.example()
    with tempfile.TemporaryDirectory() as place:
        for density in subject.densities:
            missing = [n for n in ((1,) if tiny else (1, 2)) if file is None or key(name, density, n) not in read_rows(file)]
            if not missing:
                continue
            one = prepared(subject, dense, density, example, Path(place), onnx)
            onnx = {form: path for form, path in one.onnx.items() if form == "dense"}
            for n_threads in missing:
                with threads(n_threads):
                    rows.append(timed_row(one, example, 0.2 if tiny else 6.0, Path(place)))
                if file is not None:
                    keep(file, rows[-1])
    return rows


def key(network: str, density: float, n_threads: int) -> str:
    """What a row is known by."""
    return f"{network}, density {density:g}, {n_threads} {'thread' if n_threads == 1 else 'threads'}"


def read_rows(file: Path) -> dict[str, dict[str, Any]]:
    """The rows that are there."""
    return dict(json.loads(file.read_text())["rows"]) if file.exists() else {}


def keep(file: Path, row: Mapping[str, Any]) -> None:
    """Write a row beside those that are there."""
    rows = read_rows(file) | {key(row["network"], row["density"], row["threads"]): dict(row)}
    file.parent.mkdir(exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")
    part.replace(file)


def figures(rows: Mapping[str, Mapping[str, Any]]) -> list[Figure]:
    """Every row's times as figures, with the bars."""
    found = []
    for name, row in rows.items():
        ms: Mapping[str, Sequence[float]] = row["ms"]
        found += [Figure(f"{name}: {form}, ms", tuple(times)) for form, times in ms.items()]
        if "shrink" in row:
            found.append(Figure(f"{name}: shrunk, difference", (row["shrink"]["difference"],), SHRUNK_EXACT))
        if "csr, eager" in ms:
            whole = median(ms["dense, eager"])
            promised = max(whole - row["csr"]["saved"], whole / 20)
            found.append(Figure(f"{name}: csr over its layers' promise", tuple(t / promised for t in ms["csr, eager"])))
        found += [
            Figure(f"{name}: {form} claims x {claim:.3g}; again", (again,), 1.0, at_least=True)
            for form, (claim, again) in claims(ms).items()
        ]
    gain = mlp_gain(rows)
    return found if gain is None else [*found, Figure("wide MLP, density 0.05: best dense over csr", (gain,), MLP_GAIN, True)]


def claims(ms: Mapping[str, Sequence[float]]) -> dict[str, tuple[float, float]]:
    """Forms that would be written by the first two thirds of a row's rounds: how many times as fast, and in the last third.

    Args:
        ms: milliseconds by form, one for each round.
    """
    found = {}
    for form in (form for form in ms if not form.startswith("dense")):
        begun = 2 * len(ms[form]) // 3
        if begun and no_slower(ms[form][:begun], ms[_best_dense(ms, slice(begun))][:begun]):
            found[form] = _gain(ms, form, slice(begun)), _gain(ms, form, slice(begun, None))
    return found


def _best_dense(ms: Mapping[str, Sequence[float]], rounds: slice) -> str:
    return min((form for form in ms if form.startswith("dense")), key=lambda form: median(ms[form][rounds]))


def _gain(ms: Mapping[str, Sequence[float]], form: str, rounds: slice) -> float:
    return median(ms[_best_dense(ms, rounds)][rounds]) / median(ms[form][rounds])


def mlp_gain(rows: Mapping[str, Mapping[str, Any]]) -> float | None:
    """How much faster the wide MLP at .05 is than its best dense form, each with its best number of threads."""
    times = [row["ms"] for row in rows.values() if row["network"] == "wide MLP" and row["density"] == 0.05]
    ours = [median(ms["csr, eager"]) for ms in times if "csr, eager" in ms]
    dense = [median(values) for ms in times for form, values in ms.items() if form.startswith("dense")]
    return min(dense) / min(ours) if ours and len(times) == 2 else None


def main() -> None:
    """Measure what is missing, print every figure, and write the page where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", action="store_true", help="write the tables of docs/sparsity.md")
    parser.add_argument("--again", action="store_true", help="measure again what is there already")
    parser.add_argument("--dry-run", action="store_true", help="tiny sizes, to see that everything works; nothing is kept")
    options = parser.parse_args()
    print_machine()
    if options.dry_run:
        for name in tiny_subjects():
            found = in_own_process(measure, name, True, None)
            print_figures(figures({key(name, row["density"], row["threads"]): row for row in found}))
        return
    if options.again:
        FILE.unlink(missing_ok=True)
    end = time.monotonic() + TIME
    for name in subjects():
        try:
            in_own_process(measure, name, False, FILE, seconds=max(0.0, end - time.monotonic()))
        except TimeoutError:
            print(f"{name}: the time is over; run the same command again for what is missing")
    rows = read_rows(FILE)
    measured = figures(rows)
    print_figures(measured)
    if options.page:
        write_page(PAGE, json.loads(FILE.read_text()))
    wanted = [key(name, density, n) for name, one in subjects().items() for density in one.densities for n in (1, 2)]
    missing = [name for name in wanted if name not in rows]
    print(f"wrote {FILE}; {len(missing)} of {len(wanted)} rows are missing")
    sys.exit(1 if missing or any(figure.met is False for figure in measured) else 0)


if __name__ == "__main__":
    main()

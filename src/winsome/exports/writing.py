"""Write a ticket's network in a form that pays, or say why not: verified and measured on this machine before it is written."""

from __future__ import annotations

import copy
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save
from torch import Tensor, nn

from winsome.errors import WinsomeError
from winsome.exports import csr, semi_structured
from winsome.exports.comparison import DENSE, FormRow, Runnable, best, compared, cuda_run, eager, no_slower, runs_of
from winsome.exports.outputs import COARSE, Example, difference, outputs
from winsome.exports.shrinking import read_shrunk, shrink, write_shrunk
from winsome.exports.small import read_small, write_small
from winsome.files import write_whole
from winsome.signed_mask import matching_parameters, zero_pruned
from winsome.threads import threads
from winsome.ticket import Ticket

LARGEST_DIFFERENCE = 1e-4  # of sums in another order, onnxruntime's too, relative to the largest output
Form = Literal["shrink", "csr", "2:4", "small"]


@dataclass(frozen=True)
class ExportRequest:
    """What is to be written.

    Attributes:
        ticket: what is kept.
        network: with its weights and exact zeros where they are pruned, in evaluation mode.
        example: inputs of the batch size that it is to run with.
        record: which network it is (`NetworkSpec.record()`), if that is known.
        anyway: write a form that is slower than the dense network, too.
        precision: of the form small "bf16" or "fp32", of 2:4 "bf16" or "fp16".
        seconds: for measuring.
    """

    ticket: Ticket
    network: nn.Module
    example: Example
    record: Mapping[str, Any] | None = None
    anyway: bool = False
    precision: str = "bf16"
    seconds: float = 10.0


@dataclass(frozen=True)
class ExportOutcome:
    """What came of an export.

    Attributes:
        rows: the table.
        said: what is to be known of it, in sentences.
        refused: why nothing was written; "" where it was.
    """

    rows: tuple[FormRow, ...]
    said: tuple[str, ...]
    refused: str = ""


def requested(ticket: Ticket, network: nn.Module, state: Mapping[str, Tensor], example: Example, **more: Any) -> ExportRequest:
    """A request from a fresh network and a state_dict; both stay as they are.

    Args:
        ticket: what is kept.
        network: of the ticket's architecture.
        state: its weights.
        example: inputs.
        more: the other entries of `ExportRequest`.

    Raises:
        WinsomeError: the state or the ticket does not fit the network.
    """
    ready = copy.deepcopy(network).eval()
    try:
        ready.load_state_dict(dict(state))
    except RuntimeError as error:
        raise WinsomeError(f"the weights do not fit the ticket's network: {' '.join(str(error).split())}") from error
    zero_pruned(matching_parameters(ticket.mask, ready), {name: ticket.mask.kept(name) for name in ticket.mask})
    return ExportRequest(ticket, ready, example, **more)


def export(form: Form, request: ExportRequest, path: str | os.PathLike[str], *, n_threads: int | None = None) -> ExportOutcome:
    """Write a network in a form, if it is as exact as it says and no slower than the dense network's best form.

    Args:
        form: shrink, csr, 2:4 or small.
        request: what is to be written.
        path: the file; it is there only if nothing was refused.
        n_threads: of torch and of onnxruntime; torch's own number if None.

    Raises:
        WinsomeError: the form finds nothing to act on, cannot run here, or gives other outputs than the dense network.
    """
    with threads(n_threads), tempfile.TemporaryDirectory() as folder:
        expected = outputs(request.network, request.example)
        made = Path(folder) / "export.safetensors"
        runs, said = FORMS[form](request, made)
        rows = compared(runs, [value.float() for value in expected], seconds=request.seconds) if runs else []
        refused = _refusal(form, rows)
        if not refused or request.anyway:
            write_whole(Path(path), made.read_bytes())
            return ExportOutcome(tuple(rows), (*said, *([f"written anyway: {refused}"] if refused else [])))
        return ExportOutcome(tuple(rows), tuple(said), refused)


def _refusal(form: Form, rows: list[FormRow]) -> str:
    """Why a form is not to be written by its table; "" where it is.

    Raises:
        WinsomeError: its outputs differ by more than rounding explains; that is never written.
    """
    for row in rows:
        if form in ("shrink", "csr") and not row.is_dense and not row.difference <= LARGEST_DIFFERENCE:
            raise WinsomeError(
                f"{row.form} gives other outputs than the dense network (by {row.difference:.1e}, relatively): not written"
            )
    ours, dense = best(rows, dense=False), best(rows, dense=True)
    if form == "small" or ours is None or dense is None:
        return ""
    times = f"{ours.form} takes {ours.median:.3g} ms and {dense.form} {dense.median:.3g} ms"
    if ours.median > dense.median:
        return f"{times}: it is slower here"
    if not no_slower(ours.ms, dense.ms):
        return f"{times}, but it is faster in one half of the rounds only: that is chance, or the machine has other work"
    return ""


def _dense(request: ExportRequest) -> tuple[dict[str, Runnable], list[str]]:
    return runs_of(DENSE, request.network, request.example, len(save(_plain(request.network))))


def _plain(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}


def _shrink(request: ExportRequest, path: Path) -> tuple[dict[str, Runnable], list[str]]:
    shrunk = shrink(request.network, request.example)
    n_bytes = write_shrunk(shrunk, path, record=request.record)
    loaded = read_shrunk(path, copy.deepcopy(request.network))
    dense, said = _dense(request)
    ours, more = runs_of("shrink", loaded, request.example, n_bytes)
    return dense | ours, [str(shrunk), *said, *more]


def _csr(request: ExportRequest, path: Path) -> tuple[dict[str, Runnable], list[str]]:
    found = csr.choices(request.network, request.example)
    chosen = [name for name, choice in found.items() if choice.sparse]
    said = [
        f"{name}: density {one.density:.3f}, dense {one.dense_ms:.3g} ms, compressed rows {one.sparse_ms:.3g} ms: "
        f"{'compressed rows' if one.sparse else 'dense'}"
        for name, one in found.items()
    ]
    if not chosen and not request.anyway:
        nearest = min(one.sparse_ms / one.dense_ms for one in found.values())
        raise WinsomeError(
            f"none of {len(found)} layers is faster as compressed rows at this batch size with {torch.get_num_threads()} "
            f"threads (the nearest takes {nearest:.2g} times as long); nothing was written, "
            " --anyway takes all of them"
        )
    sparse = csr.with_compressed_rows(request.network, chosen or list(found))
    n_bytes = csr.write_compressed(sparse, path, record=request.record)
    loaded = csr.read_compressed(path, copy.deepcopy(request.network))
    dense, more = _dense(request)
    kind = f"csr ({len(chosen or found)} of {len(found)} layers), eager"
    return dense | {kind: eager(loaded, request.example, n_bytes)}, [*said, *more]


def _small(request: ExportRequest, path: Path) -> tuple[dict[str, Runnable], list[str]]:
    written = write_small(request.ticket, _plain(request.network), path, precision=request.precision)
    loaded = copy.deepcopy(request.network)
    loaded.load_state_dict(read_small(path)[1])
    dense, said = _dense(request)
    return dense | {f"small ({request.precision}), eager": eager(loaded, request.example, written.n_bytes)}, [
        written.speed,
        *said,
    ]


def _semi_structured(request: ExportRequest, path: Path) -> tuple[dict[str, Runnable], list[str]]:
    names = semi_structured.layers_in_pattern(request.network)
    dtype = semi_structured.TYPES.get(request.precision)
    if dtype is None:
        raise WinsomeError(f"2:4 takes --precision {' or '.join(semi_structured.TYPES)}, got {request.precision!r}")
    n_bytes = semi_structured.write_packed(request.network, names, path, dtype=dtype, record=request.record)
    said = [f"{len(names)} linear layers are in the pattern 2:4: {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}"]
    if not torch.cuda.is_available():
        if not request.anyway:
            raise WinsomeError(
                "2:4 runs on a GPU (NVIDIA's of compute capability 8.0 and higher), and there is none here to measure "
                "it; --anyway writes the packed file without"
            )
        return {}, [*said, f"not measured, for there is no GPU; the packed file has {n_bytes:,} bytes"]
    half = copy.deepcopy(request.network).to("cuda", dtype).eval()
    loaded = semi_structured.read_packed(path, copy.deepcopy(request.network))
    runs = {
        f"{DENSE}, {request.precision} on the GPU": cuda_run(half, request.example, len(save(_plain(half)))),
        f"2:4, {request.precision} on the GPU": cuda_run(loaded, request.example, n_bytes),
    }
    differs = difference(*(run.call() for run in runs.values()))
    if not differs <= COARSE:
        raise WinsomeError(
            f"2:4 gives other outputs than the dense network in {request.precision} (by {differs:.1e}, relatively): not written"
        )
    return runs, said


FORMS: dict[Form, Callable[[ExportRequest, Path], tuple[dict[str, Runnable], list[str]]]] = {
    "shrink": _shrink,
    "csr": _csr,
    "2:4": _semi_structured,
    "small": _small,
}

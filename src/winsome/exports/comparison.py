"""The table at the end: how large, how fast and how exact a form is beside the dense network's own best ones."""

from __future__ import annotations

import copy
import importlib
import importlib.util
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from winsome.errors import WinsomeError
from winsome.exports.outputs import Example, arguments, difference, outputs, tensors_in
from winsome.exports.timing import Call, gpu_peak_bytes, milliseconds, peak_bytes
from winsome.neighbours.onnx import write_onnx
from winsome.signed_mask import SignedMask

DENSE = "dense"  # what the dense network's forms are called before the comma


@dataclass(frozen=True)
class Runnable:
    """A network that is ready to be called on an example.

    Attributes:
        call: gives its float outputs.
        held: bytes of its parameters and buffers in memory.
        n_bytes: of its file on disk.
        peak: the bytes that a call needs beside them at most, by the call; None where the system does not say.
    """

    call: Callable[[], list[Tensor]]
    held: int
    n_bytes: int
    peak: Callable[[Call], int | None] = peak_bytes


@dataclass(frozen=True)
class FormRow:
    """One form in the table.

    Attributes:
        form: its name and how it runs: "shrink, channels_last".
        n_bytes: of its file on disk.
        ms: milliseconds of a call on the example, one for each round.
        threads: that it ran with.
        peak: bytes of its weights and of what a call needs beside them at most; None where the system does not say.
        difference: the largest of any output from the dense network's, relative to the largest output.
    """

    form: str
    n_bytes: int
    ms: tuple[float, ...]
    threads: int
    peak: int | None
    difference: float

    @property
    def is_dense(self) -> bool:
        """Whether it is the dense network."""
        return self.form.startswith(f"{DENSE},")

    @property
    def median(self) -> float:
        """Milliseconds over the rounds."""
        return median(self.ms)


def runs_of(name: str, network: nn.Module, example: Example, n_bytes: int) -> tuple[dict[str, Runnable], list[str]]:
    """A network of plain layers in all forms in which it may be fastest on a CPU, and sentences on those that are not possible.

    Args:
        name: what it is called.
        network: the network, in evaluation mode.
        example: inputs.
        n_bytes: of its file.
    """
    runs = torch_runs(name, network, example, n_bytes)
    with tempfile.TemporaryDirectory() as folder:
        try:
            write_for_onnxruntime(network, example, Path(folder) / "network.onnx")
        except WinsomeError as error:
            return runs, [f"{name}, onnxruntime is not in the table: {error}"]
        return runs | {f"{name}, onnxruntime": onnx_run(Path(folder) / "network.onnx", example)}, []


def torch_runs(name: str, network: nn.Module, example: Example, n_bytes: int) -> dict[str, Runnable]:
    """A network as PyTorch runs it: eager, and with images in channels_last memory."""
    runs = {f"{name}, eager": eager(network, example, n_bytes)}
    positional, named = arguments(example)
    if any(isinstance(value, Tensor) and value.ndim == 4 for value in (*positional, *named.values())):
        last = copy.deepcopy(network).to(memory_format=torch.channels_last)
        runs[f"{name}, channels_last"] = eager(last, _channels_last(example), n_bytes)
    return runs


def eager(network: nn.Module, example: Example, n_bytes: int) -> Runnable:
    """A network as PyTorch runs it."""
    tensors = [*network.parameters(), *network.buffers()]
    return Runnable(lambda: outputs(network, example), sum(map(_bytes, tensors)), n_bytes)


def _bytes(value: Tensor) -> int:
    if value.layout == torch.sparse_csr:
        return sum(_bytes(part) for part in (value.crow_indices(), value.col_indices(), value.values()))
    packed = getattr(value.data, "packed", None)  # of 2:4: values and their places
    if isinstance(packed, Tensor):
        return _bytes(packed)
    return value.numel() * value.element_size()


def _channels_last(example: Example) -> Example:
    def last(value: Any) -> Any:
        four = isinstance(value, Tensor) and value.ndim == 4
        return value.contiguous(memory_format=torch.channels_last) if four else value

    if isinstance(example, Mapping):
        return {name: last(value) for name, value in example.items()}
    return tuple(map(last, example)) if isinstance(example, tuple) else last(example)


def write_for_onnxruntime(network: nn.Module, example: Example, path: Path) -> None:
    """Write a network as ONNX, for any batch size.

    Raises:
        WinsomeError: a package is missing, the network takes more than one tensor, or it cannot be exported.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        raise WinsomeError("it needs pip install 'winsome[onnx]'")
    if not isinstance(example, Tensor):
        raise WinsomeError("it is measured for networks that take one tensor")
    write_onnx(SignedMask({}), network, example if len(example) > 1 else torch.cat([example, example]), path)


def onnx_run(path: Path, example: Example) -> Runnable:
    """An ONNX file as onnxruntime runs it, with as many threads as torch has."""
    runtime: Any = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    assert isinstance(example, Tensor)
    given, n_bytes = {session.get_inputs()[0].name: example.numpy()}, path.stat().st_size
    return Runnable(lambda: [torch.from_numpy(value) for value in session.run(None, given)], n_bytes, n_bytes)


def compared(runs: Mapping[str, Runnable], expected: list[Tensor], *, seconds: float = 10.0) -> list[FormRow]:
    """A row for every form: all are timed in the same rounds, with the threads that torch has now.

    Args:
        runs: by name.
        expected: the dense network's outputs on the example.
        seconds: for all rounds together, at the least five.
    """
    peaks, differences = {}, {}
    for name, run in runs.items():
        differences[name] = difference(expected, [value.float() for value in run.call()])
        grown = run.peak(run.call)
        peaks[name] = None if grown is None else grown + run.held
    times = milliseconds({name: run.call for name, run in runs.items()}, seconds=seconds)
    n_threads = torch.get_num_threads()
    return [FormRow(name, run.n_bytes, times[name], n_threads, peaks[name], differences[name]) for name, run in runs.items()]


def best(rows: list[FormRow], *, dense: bool) -> FormRow | None:
    """The fastest row of the dense network, or of the others."""
    return min((row for row in rows if row.is_dense is dense), key=lambda row: row.median, default=None)


def no_slower(ours: Sequence[float], others: Sequence[float]) -> bool:
    """Whether times are no longer than others of the same rounds, by their medians, in either half of the rounds."""
    middle = len(ours) // 2
    halves = (slice(middle), slice(middle, None)) if middle else (slice(None),)
    return all(median(ours[half]) <= median(others[half]) for half in halves)


def cuda_run(network: nn.Module, example: Example, n_bytes: int) -> Runnable:
    """A network on the GPU in its own precision; inputs of floats are put into it too."""
    dtype = next(value.dtype for value in network.parameters() if value.is_floating_point())

    def there(value: Any) -> Any:
        return value.to("cuda", dtype if value.is_floating_point() else None) if isinstance(value, Tensor) else value

    positional, named = arguments(example)
    placed = (tuple(map(there, positional)), {name: there(value) for name, value in named.items()})

    def call() -> list[Tensor]:
        with torch.inference_mode():
            return tensors_in(network(*placed[0], **placed[1]))

    return Runnable(call, sum(map(_bytes, [*network.parameters(), *network.buffers()])), n_bytes, gpu_peak_bytes)

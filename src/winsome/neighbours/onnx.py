"""A pruned network as ONNX, checked against PyTorch by onnxruntime."""

from __future__ import annotations

import contextlib
import copy
import importlib
import logging
import os
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from winsome.errors import WinsomeError
from winsome.files import write_whole
from winsome.neighbours.exports import Exported
from winsome.signed_mask import SignedMask, matching_parameters
from winsome.wording import counted

SPEED = (
    "It runs wherever ONNX runs, at the speed of the dense network: onnxruntime's kernels multiply the zeros too, and the file "
    "is as large as the dense one's (it compresses well). Only a runtime with sparse kernels of its own gains from the zeros."
)
TOLERANCE = 1e-4  # largest difference of the outputs, relative to the largest output


@torch.no_grad()
def write_onnx(
    mask: SignedMask, model: nn.Module, example: Tensor, path: str | os.PathLike[str], *, tolerance: float = TOLERANCE
) -> Exported:
    """Write a network with the mask's zeros as ONNX, in evaluation mode, for any batch size, and check it by onnxruntime.

    Args:
        mask: what is pruned.
        model: the network with its weights; it is not changed.
        example: inputs of two or more examples, first axis the batch; the check compares outputs on them.
        path: the file to write; it is there only if the check holds.
        tolerance: largest difference allowed between onnxruntime's and PyTorch's outputs, relative to the largest output.

    Raises:
        WinsomeError: a package is missing, the network cannot be exported, or the outputs differ by more than allowed.
    """
    _require_packages()
    if example.ndim < 1 or len(example) < 2:
        raise WinsomeError(
            f"the example must hold two or more inputs, got shape {tuple(example.shape)}; the first axis is the batch"
        )
    path = Path(path)
    network = copy.deepcopy(model).to("cpu").eval()
    for name, parameter in matching_parameters(mask, network).items():
        parameter.mul_(mask.kept(name).to(parameter.dtype))
    example = example.to("cpu")
    data = _exported(network, example)
    difference = _check(network, example, data, tolerance)
    write_whole(path, data)
    return Exported(
        path, len(data), f"onnxruntime's outputs differ from PyTorch's by {difference:.1e} at most, relatively. {SPEED}"
    )


def _require_packages() -> None:
    missing = []
    for name in ("onnx", "onnxscript", "onnxruntime"):
        try:
            importlib.import_module(name)
        except ImportError:
            missing.append(name)
    if missing:
        raise WinsomeError(f"ONNX export needs {', '.join(missing)}; install them: pip install {' '.join(missing)}")


def _exported(network: nn.Module, example: Tensor) -> bytes:
    batch = torch.export.Dim("batch")
    try:
        with _quiet():
            program = torch.onnx.export(network, (example,), dynamo=True, dynamic_shapes=({0: batch},), verbose=False)
        if program is None:
            raise RuntimeError("torch.onnx.export gave nothing")
        return bytes(program.model_proto.SerializeToString())
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise WinsomeError(
            f"PyTorch cannot export the network to ONNX: {reason}; torch.export must be able to trace it"
        ) from error


def _check(network: nn.Module, example: Tensor, data: bytes, tolerance: float) -> float:
    """The largest difference of the outputs relative to the largest output, for the example and for one input of it."""
    runtime: Any = importlib.import_module("onnxruntime")
    try:
        session = runtime.InferenceSession(data, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise WinsomeError(f"onnxruntime cannot load the exported network: {error}; nothing was written") from error
    worst = 0.0
    for inputs in (example, example[:1]):
        expected = network(inputs)
        try:
            outputs = session.run(None, {session.get_inputs()[0].name: inputs.numpy()})
        except Exception as error:
            size = counted(len(inputs), "input")
            raise WinsomeError(
                f"onnxruntime cannot run the exported network on {size}: {error}; nothing was written: "
                "a forward that takes the number of inputs as a Python number (len(x)) is exported for that number alone"
            ) from error
        if not isinstance(expected, Tensor) or len(outputs) != 1:
            raise WinsomeError("the network must give one tensor for the ONNX export to be checked; wrap it in one that does")
        got = torch.from_numpy(outputs[0])
        if got.shape != expected.shape:
            raise WinsomeError(f"onnxruntime gives outputs of shape {tuple(got.shape)}, PyTorch {tuple(expected.shape)}")
        largest = float(expected.abs().max().clamp_min(torch.finfo(torch.float32).tiny))
        worst = max(worst, float((got - expected).abs().max()) / largest)
    if not worst <= tolerance:  # NaN compares false too
        raise WinsomeError(
            f"onnxruntime's outputs differ from PyTorch's by {worst:.1e} relatively, more than {tolerance:.1e} allows; "
            "nothing was written: look for layers that behave otherwise in ONNX, or allow more"
        )
    return worst


@contextlib.contextmanager
def _quiet() -> Any:
    """Without the exporter's notes on opsets and its progress."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)

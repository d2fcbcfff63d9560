"""What all benchmarks share: interleaved rounds, figures with their spread and bar, own processes, and which machine it was."""

from __future__ import annotations

import multiprocessing
import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import torch

Result = TypeVar("Result")
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Figure:
    """One measured figure: a value for each round, and the bar that their median should meet.

    Attributes:
        name: what it is, with its unit where it is no ratio.
        values: one for each round.
        bar: what the median should be; None where nothing is promised.
        at_least: whether the bar is a least value; else it is a greatest.
    """

    name: str
    values: tuple[float, ...]
    bar: float | None = None
    at_least: bool = False

    @property
    def median(self) -> float:
        """Over the rounds."""
        return statistics.median(self.values)

    @property
    def met(self) -> bool | None:
        """Whether the median meets the bar; None without a bar."""
        if self.bar is None:
            return None
        return self.median >= self.bar if self.at_least else self.median <= self.bar

    @property
    def bar_words(self) -> str:
        """The bar as a table shows it."""
        return "" if self.bar is None else f"{'>=' if self.at_least else '<='} {self.bar:g}"

    def line(self) -> str:
        """Name, median, spread and bar on one line."""
        spread = f"({_short(min(self.values))} to {_short(max(self.values))})" if len(self.values) > 1 else ""
        verdict = "" if self.met is None else "met" if self.met else "MISSED"
        return f"{self.name:66}{_short(self.median):>10}  {spread:26}{self.bar_words:>9}  {verdict}".rstrip()

    def record(self) -> dict[str, Any]:
        """The figure as JSON values."""
        bar = {} if self.bar is None else {"bar": self.bar_words, "met": self.met}
        return {"name": self.name, "median": self.median, "least": min(self.values), "most": max(self.values)} | bar


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) >= 10 else f"{value:.3f}"


def interleaved(subjects: Mapping[str, Callable[[], float]], *, rounds: int, warm_up: int = 1) -> dict[str, list[float]]:
    """What each subject returns in every round; a round runs all, so that what else the machine does meets all alike."""
    values: dict[str, list[float]] = {name: [] for name in subjects}
    for number in range(warm_up + rounds):
        for name, measure in subjects.items():
            value = measure()
            if number >= warm_up:
                values[name].append(value)
    return values


def ratio(
    name: str, top: Sequence[float], bottom: Sequence[float], *, bar: float | None = None, at_least: bool = False
) -> Figure:
    """The figure of two subjects' ratio, taken within each round."""
    return Figure(name, tuple(a / b for a, b in zip(top, bottom, strict=True)), bar, at_least)


def in_own_process(function: Callable[..., Result], *arguments: Any, seconds: float | None = None) -> Result:
    """Call a module's function in a fresh process that ends with it: its peak memory is its own.

    Raises:
        TimeoutError: it took longer than `seconds`, and its process was ended.
        BrokenProcessPool: the process died.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(function, *arguments).result(seconds)
        except TimeoutError:
            for process in pool._processes.values():
                process.kill()
            raise


def reset_peak() -> int:
    """Let the peak of `peak_bytes` start from what is resident now (Linux); returns that."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak_bytes()


def peak_bytes() -> int:
    """The greatest resident size of this process since it began or since `reset_peak` (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def machine() -> dict[str, Any]:
    """Processor, cores, GPU with its memory, versions, and how busy the machine was."""
    gpu = torch.cuda.get_device_properties(0) if torch.cuda.is_available() else None
    return {
        "processor": processor(),
        "avx512_bf16": torch.cpu._is_avx512_bf16_supported(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "gpu": gpu and f"{gpu.name}, {gpu.total_memory / 2**30:.0f} GiB",
        "cuda": torch.version.cuda if gpu else None,
        "load_at_start": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        **{name: version(name) for name in ("winsome", "torch", "torchvision", "numpy")},
    }


def processor() -> str:
    """The processor's name, where the system says it."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())


def print_machine() -> None:
    """Say on what the figures below were measured."""
    print(", ".join(f"{key} {value}" for key, value in machine().items() if value is not None))


def print_figures(figures: Sequence[Figure]) -> None:
    """One line for each figure: median, (least to most), bar, verdict."""
    for figure in figures:
        print(figure.line(), flush=True)

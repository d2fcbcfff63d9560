"""Every benchmark runs with tiny sizes, so that none can rot; what a figure says of itself is checked by hand."""

from __future__ import annotations

import math
import mmap
import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import all as every  # the benchmark of that name
import choose_default
import gpu
import imagenet_pipeline
import measuring
import medium_scale
import medium_step
import noise
import sparsity_buys
import sparsity_page
import stacked_convolutions
from image_files import picture, png
from measuring import Figure
from study_share import Clock
from winsome.data import load
from winsome.data.image_store import StoreSpec
from winsome.study import presets


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# What starts processes of its own, or torch's compiler, takes long.
SLOW = ("barrier", "masking", "medium_step", "threshold", "memory", "study_share")
QUICK = [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in every.quick_parts()]


@pytest.mark.parametrize("name", QUICK)
def test_a_benchmark_runs_with_tiny_sizes(name: str) -> None:
    figures = every.quick_parts()[name]()
    assert figures
    assert len({figure.name for figure in figures}) == len(figures), "each figure has a name of its own"
    assert all(math.isfinite(value) for figure in figures for value in figure.values)
    assert all(figure.line() and figure.record() for figure in figures)


def test_traffic_counts_what_operations_read_and_write_but_no_views() -> None:
    one, other = torch.zeros(4, 8), torch.zeros(8)
    with medium_step.Traffic() as traffic:
        (one.view(2, 16) + 1.0).T.sum()
        torch.add(one, other)
    assert traffic.bytes == 4 * (32 + 32) + 4 * (32 + 1) + 4 * (32 + 8 + 32)


def test_stacked_convolutions_compute_the_same_in_every_form() -> None:
    inputs, weights = stacked_convolutions.layer(3, 4, 5)
    first, *others = (form(inputs, weights) for form in stacked_convolutions.FORMS.values())
    for other in others:
        torch.testing.assert_close(other, first)


def test_the_long_settings_are_of_the_same_benchmarks() -> None:
    assert list(every.parts()) == list(every.quick_parts())


def test_the_default_study_is_one_of_those_compared_and_none_saw_its_seeds_or_the_test_split() -> None:
    default, compared = presets.digits(), choose_default.sweep()
    settings = [(study.search_training, study.warmup_epochs, study.training) for study in compared]
    assert settings.count((default.search_training, default.warmup_epochs, default.training)) == 1
    assert all(study.data.validation for study in compared)
    assert not {seed for study in compared for seed in study.search_seeds} & set(default.search_seeds)


def test_the_medium_scale_is_one_of_the_set_ups_compared_and_none_saw_its_seeds_or_the_test_split() -> None:
    chosen, compared = presets.photographs(), medium_scale.compared()
    tickets = [(study.search_training, study.warmup_epochs, study.training) for study in compared]
    assert tickets.count((chosen.search_training, chosen.warmup_epochs, chosen.training)) == 1
    assert all(study.data.validation and study.network == chosen.network for study in compared)
    assert not {seed for study in compared for seed in study.search_seeds} & set(chosen.search_seeds)
    for make in (medium_scale.full_size, medium_scale.full_size_decay, medium_scale.full_size_longer):
        (study,) = make().studies.values()
        assert study.densities == pytest.approx((0.47**4,))


@pytest.mark.slow
def test_the_gpu_benchmark_goes_through_on_a_cpu() -> None:
    run = gpu.figures(gpu.TINY)
    assert not run.missing
    names = [figure.name for figure in run.found]
    for part in ("matrix peak", "AWS compiled", "masked over dense", "s per epoch", "extrapolated"):
        assert any(part in name for name in names), part


def test_what_fails_on_a_gpu_leaves_the_rest_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small GPU: steps fit with 8 images, an epoch kills its process; and the time is over before the study."""
    asked: list[int] = []

    def in_process(function: Callable[..., Any], *arguments: Any, seconds: float) -> Any:
        assert 0 <= seconds <= 500
        if function is gpu.matrix_peak:
            return 1e12
        if function is gpu.step_figures:
            asked.append(arguments[2])
            if arguments[2] > 8:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            return [Figure(f"steps of {arguments[2]}", (1.0,))]
        if function is gpu.epoch_figures:
            raise BrokenProcessPool("a process in the pool was terminated abruptly")
        raise TimeoutError

    monkeypatch.setattr(gpu, "in_own_process", in_process)
    monkeypatch.setattr(gpu, "LEAST_BATCH", 8)
    sizes = replace(gpu.TINY, steps=(("resnet8", 32, 32), ("resnet8", 64, 12)))
    kept: list[int] = []
    run = gpu.figures(sizes, lambda run: kept.append(len(run.found)), seconds=500)
    assert asked == [32, 16, 8, 12]
    assert [figure.name for figure in run.found] == ["bf16 matrix peak, 64 squared: TFLOP/s", "steps of 8"]
    assert kept == [2, 2, 2, 2]
    assert [line.partition(": ")[0] for line in run.missing] == [
        "resnet8 64x64, batches of 12",
        "epochs, batches of 16",
        "the study",
    ]
    assert run.missing[2].endswith("the time is over")


def test_a_process_of_its_own_ends_when_its_time_is_over() -> None:
    with pytest.raises(TimeoutError):
        measuring.in_own_process(time.sleep, 600, seconds=3)
    assert not multiprocessing.active_children()
    assert measuring.in_own_process(abs, -3, seconds=60) == 3


@pytest.mark.slow
def test_a_network_of_another_size_is_compiled_for_its_own_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch takes the second size of an input for a sign that it changes, and compiles slower code for every size."""
    sizes_are_symbols: list[bool] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[Any]) -> Any:
        sizes_are_symbols.append(any(isinstance(value, torch.SymInt) for value in inputs))
        return graph

    compiled = torch.compile
    monkeypatch.setattr(gpu, "ON_GPU", False)
    monkeypatch.setattr(torch, "compile", lambda function, **_: compiled(function, backend=backend))
    for size, batch in ((32, 4), (40, 2)):
        assert gpu.step_figures("resnet8", size, batch, 1e12, gpu.TINY)
    assert sizes_are_symbols
    assert not any(sizes_are_symbols)


def test_a_figure_is_judged_by_its_median() -> None:
    values = (1.0, 1.02, 9.0)
    assert Figure("x", values, 1.03).met is True
    assert Figure("x", values, 1.01).met is False
    assert Figure("x", values, 1.02, at_least=True).met is True
    assert Figure("x", values, 1.03, at_least=True).met is False
    assert Figure("x", values).met is None
    assert Figure("x", values, 1.03).record() == {
        "name": "x",
        "median": 1.02,
        "least": 1.0,
        "most": 9.0,
        "bar": "<= 1.03",
        "met": True,
    }
    assert "MISSED" in Figure("x", values, 1.01).line()


def test_ratios_are_taken_within_a_round() -> None:
    calls: list[str] = []
    readings = iter(range(1, 100))

    def measure(name: str) -> float:
        calls.append(name)
        return float(next(readings))

    found = measuring.interleaved({"a": lambda: measure("a"), "b": lambda: measure("b")}, rounds=2, warm_up=1)
    assert calls == ["a", "b"] * 3
    assert found == {"a": [3.0, 5.0], "b": [4.0, 6.0]}
    assert measuring.ratio("a over b", found["a"], found["b"]).values == (3 / 4, 5 / 6)


def test_the_clock_counts_every_moment_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("study_share.time.perf_counter", lambda: now[0])
    clock = Clock()
    with clock.part("whole"):
        now[0] += 1
        with clock.part("inner"):
            now[0] += 10
            with suppress(ValueError), clock.part("whole"):
                now[0] += 100
                raise ValueError("a part that fails is counted too")
            now[0] += 20
        now[0] += 2
    now[0] += 1000
    assert clock.seconds == {"whole": 103.0, "inner": 30.0}


def test_the_folder_of_noise_holds_the_images_of_noise(tmp_path: Path) -> None:
    made, read = noise.noise_images(20, 10), load(str(noise.noise_folder(tmp_path / "set", 20, 10)), cache=tmp_path)
    assert torch.equal(made.train.images, read.train.images)
    assert torch.equal(made.test.labels, read.test.labels)
    assert read.augmentation == made.augmentation


def test_peak_memory_is_seen() -> None:
    before = measuring.reset_peak()
    with mmap.mmap(-1, 32_000_000) as pages:  # new ones: what Python and torch ask for may lie in memory that they have already
        pages.write(b"1" * 1000 * 32_000)
    assert 30e6 < measuring.peak_bytes() - before < 80e6


@pytest.mark.filterwarnings("ignore:The image decoding:DeprecationWarning")
def test_the_path_of_photographs_is_timed(tmp_path: Path) -> None:
    photographs = [imagenet_pipeline.enlarged(png(picture(seed, size=64))) for seed in range(12)]
    data = imagenet_pipeline.store(photographs, StoreSpec.for_images_of(56), tmp_path / "store")
    assert imagenet_pipeline.evaluate_on(data) == len(photographs)
    assert imagenet_pipeline.decode_all(photographs) == imagenet_pipeline.torchvision_decode_all(photographs) == 12


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The image decoding:DeprecationWarning")
def test_the_benchmark_of_photographs_goes_through(tmp_path: Path) -> None:
    few = [{"bytes": imagenet_pipeline.enlarged(png(picture(seed, size=64))), "path": None} for seed in range(12)]
    pq.write_table(pa.table({"image": few * 11}), tmp_path / "valid.parquet")
    figures = imagenet_pipeline.figures(tmp_path, 132, 1)
    assert len({figure.name for figure in figures}) == len(figures) == 16
    assert all(figure.median > 0 for figure in figures)


def sparsity_row(**more: Any) -> dict[str, Any]:
    """What `sparsity_buys.py` keeps of a network at one density."""
    return {
        "network": "wide MLP",
        "density": 0.05,
        "threads": 1,
        "bytes": {"dense": 4_000_000, "small, bf16": 200_000, "small, fp32": 300_000},
        "flops": [1000, 50],
        "nothing to shrink": "no channel is dead",
        "csr": {"chosen": 2, "layers": 2, "saved": 6.0, "bytes": 400_000, "difference": 2e-7},
        "peak": {"dense, eager": 5_000_000, "csr, eager": None},
        "ms": {"dense, eager": [10.0, 9.0, 12.0], "dense, onnxruntime": [8.0, 8.0, 8.5], "csr, eager": [4.0, 3.5, 4.5]},
    } | more


def test_what_sparsity_buys_is_kept_row_by_row_and_judged(tmp_path: Path) -> None:
    file = tmp_path / "results" / "a.json"
    sparsity_buys.keep(file, sparsity_row())
    slow = {"dense, eager": [7.0], "csr, eager": [70.0]}
    shrunk = {"channels": 3, "parameters": [9, 6], "difference": 2e-5, "bytes": 100_000}
    sparsity_buys.keep(file, sparsity_row(threads=2, ms=slow | {"shrink, eager": [5.0]}, shrink=shrunk))
    rows = sparsity_buys.read_rows(file)
    assert list(rows) == ["wide MLP, density 0.05, 1 thread", "wide MLP, density 0.05, 2 threads"]
    judged = {figure.name: figure for figure in sparsity_buys.figures(rows)}
    assert judged["wide MLP, density 0.05: best dense over csr"].median == 7 / 4, "each with its best number of threads"
    assert judged["wide MLP, density 0.05, 1 thread: csr over its layers' promise"].median == 1.0
    assert judged["wide MLP, density 0.05, 1 thread: csr, eager claims x 2.13; again"].median == 8.5 / 4.5
    assert not [name for name in judged if "2 threads" in name and "claims" in name], "one round, and slower"
    fell = sparsity_row()["ms"] | {"csr, eager": [4.0, 4.0, 9.0]}
    (again,) = (one for one in sparsity_buys.figures({"a": sparsity_row(ms=fell)}) if "claims" in one.name)
    assert again.met is False
    assert judged["wide MLP, density 0.05, 2 threads: shrunk, difference"].met is False


def test_the_page_of_sparsity_has_the_tables_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "sparsity.md"
    page.write_text(f"before\n{sparsity_page.BEGIN}\nold\n{sparsity_page.END}\nafter\n")
    where = {"processor": "a CPU", "cores": 2, "torch": "2.15"}
    rows = {"a": sparsity_row(), "b": sparsity_row(threads=2, csr={"chosen": 0, "layers": 2}, ms={"dense, eager": [7.0]})}
    for _ in range(2):
        sparsity_page.write_page(page, {"machine": where, "rows": rows})
    lines = page.read_text().splitlines()
    assert lines[0] == "before"
    assert lines[-1] == "after"
    assert "old" not in lines
    assert (
        "| 0.05 | 1 | 10 (9 to 12) | 8 (8 to 8.5) onnxruntime | 4 (3.5 to 4.5) (2 of 2) | 2.00 | nothing to shrink | - |"
        in lines
    )
    assert "| 0.05 | 2 | 7 (7 to 7) | 7 (7 to 7) eager | none faster (of 2) | - | nothing to shrink | - |" in lines
    assert "| 0.05 | 5.0% | 4 | 0.2 | 0.3 | 0.4 | 5 / - | 0 | - / 2e-07 |" in lines
    assert sparsity_page.BEGIN in sparsity_buys.PAGE.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("name", list(sparsity_buys.tiny_subjects()))
def test_what_sparsity_buys_is_measured_with_tiny_sizes(name: str) -> None:
    rows = sparsity_buys.measure(name, True, None)
    assert [row["threads"] for row in rows] == [1]
    assert ("shrink" in rows[0]) != ("nothing to shrink" in rows[0])
    if name == "ResNet-18, half dead":
        assert rows[0]["csr"] == {"chosen": 0, "layers": 0}, "3x3 convolutions have no sparse kernel"
        assert rows[0]["shrink"]["parameters"][1] < rows[0]["shrink"]["parameters"][0]
    if name == "wide MLP":
        torch.manual_seed(0)
        subject = sparsity_buys.tiny_subjects()[name]
        mask = sparsity_buys.mask_of(subject, subject.make(), 0.05)
        read, written = mask.kept("0.weight").any(1), mask.kept("2.weight").any(0)
        assert rows[0]["shrink"]["channels"] == int((~(read & written)).sum()), "units that read nothing, or that nothing reads"
    assert all(value > 0 for times in rows[0]["ms"].values() for value in times)
    assert rows[0]["bytes"]["small, bf16"] < rows[0]["bytes"]["small, fp32"]

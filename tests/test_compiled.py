"""Compiled training: the mathematics of eager, the mask holds, every training is compiled, a missing compiler is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from winsome import SignedMask, interpolated_norms, models, prunable
from winsome.alphas import uniform
from winsome.data import ImageData, load, steps_per_epoch, subset
from winsome.files import read_json
from winsome.signed_mask import stack_masks
from winsome.stacking import stack
from winsome.training.loop import Networks, train
from winsome.training.precision import FP32, Precision, precision_for
from winsome.training.settings import SGD, Constant, Training

pytestmark = pytest.mark.filterwarnings("ignore")  # of the compiler, about itself
COMPILED = Precision(compiled=True)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return subset(load("digits"), train_images=192, test_images=50)


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], int]]:
    """How many graphs were captured; they run as they are, for inductor takes half a minute for each."""
    from torch._dynamo.utils import counters

    compile_of_torch = torch.compile

    def as_it_is(network: nn.Module, *, mode: str) -> Any:
        assert mode == "default"
        return compile_of_torch(network, backend="aot_eager")

    monkeypatch.setattr(torch, "compile", as_it_is)
    counters.clear()
    yield lambda: int(counters["stats"]["unique_graphs"])
    torch.compiler.reset()


def trained(make: Callable[[], nn.Module], digits: ImageData, precision: Precision, *, members: int | None = None) -> nn.Module:
    """Two epochs of AWS under a mask that keeps half of the weights."""
    network = make() if members is None else stack([make() for _ in range(members)])
    weights = {name: network.get_parameter(name) for name in prunable(make())}
    if members is None:
        mask = SignedMask.of(weights, {name: w.abs() > w.abs().median() for name, w in weights.items()})
    else:
        mask = stack_masks([SignedMask.of(w, {n: v > 0 for n, v in w.items()}) for w in unstacked(weights, members)])
    training = Training(2, 64, SGD(0.05), Constant())
    seeds = [1] if members is None else list(range(members))
    with mask.enforced_on(network), interpolated_norms(network, 5 if members is None else seeds):
        train(
            Networks(network, seeds, stacked=members is not None),
            digits,
            training,
            training.optimizer(network.parameters(), stacked=members is not None),
            range(2 * steps_per_epoch(digits, 64)),
            precision=precision,
        )
    for name in weights:
        assert bool((network.get_parameter(name)[mask[name] == 0] == 0).all()), f"{name}: a pruned weight moved"
    return network


def unstacked(weights: dict[str, nn.Parameter], members: int) -> list[dict[str, torch.Tensor]]:
    return [{name: weight[member] for name, weight in weights.items()} for member in range(members)]


def small_conv() -> nn.Module:
    return models.build("small_conv", image_shape=(1, 8, 8), n_classes=10, seed=0)


def residual_mlp() -> nn.Module:
    return models.build("residual_mlp", image_shape=(1, 8, 8), n_classes=10, seed=0, width=16, blocks=2)


CASES: dict[str, tuple[Callable[[], nn.Module], int | None]] = {
    "convolutions": (small_conv, None),
    "linear": (residual_mlp, None),
    "a stack": (residual_mlp, 3),
}


def alike(eager: nn.Module, compiled: nn.Module) -> None:
    for name, value in compiled.state_dict().items():
        assert torch.allclose(value, eager.state_dict()[name], rtol=1e-3, atol=1e-4), name


@pytest.mark.parametrize("case", CASES)
def test_compiled_training_is_eager_training(case: str, digits: ImageData, graphs: Callable[[], int]) -> None:
    make, members = CASES[case]
    eager = trained(make, digits, FP32, members=members)
    assert graphs() == 0
    alike(eager, trained(make, digits, COMPILED, members=members))
    assert graphs() == 1


def test_the_tenth_training_of_a_network_is_compiled_too(digits: ImageData, graphs: Callable[[], int]) -> None:
    # torch keeps eight versions of a forward and runs what comes after them uncompiled; a search has 16 levels.
    network, training = residual_mlp(), Training(1, 64, SGD(0.05), Constant())
    for number in range(10):
        with interpolated_norms(network, number):
            optimizer = training.optimizer(network.parameters())
            train(Networks(network, [number]), digits, training, optimizer, range(2), precision=COMPILED)
        assert graphs() == number + 1


def test_all_that_a_compiled_forward_changes_lies_at_fixed_addresses() -> None:
    """What CUDA graphs ask for: torch runs a forward that changes other inputs, such as alpha's count, without them."""
    from torch._inductor.compile_fx import compile_fx

    changed: list[int] = []
    elsewhere: list[str] = []

    def inspected(graph: Any, _inputs: Any, *, static_input_idxs: Any = (), is_backward: bool = False, **_rest: Any) -> Any:
        places = [node for node in graph.graph.nodes if node.op == "placeholder"]
        for node in graph.graph.nodes:
            if not is_backward and node.op == "call_function" and "copy_" in str(node.target) and node.args[0] in places:
                changed.append(places.index(node.args[0]))
                if changed[-1] not in static_input_idxs:
                    elsewhere.append(node.args[0].name)
        run: Any = lambda arguments: graph.forward(*arguments)  # noqa: E731 - it takes an attribute
        run._boxed_call = True
        return run

    network = small_conv()
    torch.compiler.reset()
    with interpolated_norms(network, 3) as progress:
        compiled = torch.compile(network, backend=lambda graph, inputs: compile_fx(graph, inputs, inner_compile=inspected))
        for _ in range(2):
            compiled(torch.zeros(4, 1, 8, 8)).sum().backward()
        assert int(progress["forward_passes"]) == 2
    norms = sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    assert len(changed) == 1 + 3 * norms, "the count of passes, and running statistics"
    assert elsewhere == []
    torch.compiler.reset()


def test_words_say_that_a_network_trains_compiled() -> None:
    assert COMPILED.label == "fp32, compiled"
    assert Precision(bf16=True, channels_last=True, compiled=True).label == "bf16 autocast, channels_last, compiled"


def run_python(code: str, cache: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    settings = os.environ | {"TORCHINDUCTOR_CACHE_DIR": str(cache)} | environment
    return subprocess.run([sys.executable, "-c", code], env=settings, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_without_a_compiler_compilation_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    code = "from winsome.cli import main; main(['find', 'digits', '--compiled', '--levels', '1', '--save-to', 'found'])"
    ended = run_python(f"import os; os.chdir({str(tmp_path)!r}); {code}", tmp_path / "cache", CXX="/bin/false")
    assert ended.returncode == 2
    words = " ".join((ended.stdout + ended.stderr).split())
    assert "torch.compile does not work here" in words
    assert "install a C++ compiler" in words
    assert not (tmp_path / "found").exists()


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_inductor_trains_alike(case: str, digits: ImageData) -> None:
    make, members = CASES[case]
    assert precision_for(make(), CPU, fast=False, compiled=True) == COMPILED
    alike(trained(make, digits, FP32, members=members), trained(make, digits, COMPILED, members=members))
    torch.compiler.reset()


@pytest.mark.slow
def test_a_compiled_search_says_so_and_judges_as_any(tmp_path: Path) -> None:
    from winsome.cli import main

    arguments = ["--levels", "1", "--level-epochs", "2", "--train-images", "256", "--network-option", "width=16"]
    found: dict[str, Any] = {}
    for kind in ("compiled", "no-compiled"):
        main(["find", "digits", *arguments, f"--{kind}", "--save-to", str(tmp_path / kind)])
        found[kind] = read_json(tmp_path / kind / "config.json")["precision"], read_json(tmp_path / kind / "level-01.json")
    assert found["compiled"][0] == "fp32, compiled"
    assert found["no-compiled"][0] == "fp32"
    accuracy = {kind: level["metrics"]["accuracy"] for kind, (_, level) in found.items()}
    assert accuracy["compiled"] == pytest.approx(accuracy["no-compiled"], abs=0.02)
    torch.compiler.reset()


@pytest.mark.parametrize("how", ["torch.compile", "compile()"])
def test_parts_that_were_compiled_before_the_search_are_interpolated(how: str) -> None:
    norm = nn.LayerNorm(4)
    nn.init.constant_(norm.bias, 2.0)
    part = nn.Sequential(nn.Linear(4, 4), norm)
    if how == "torch.compile":
        part_now: Any = torch.compile(part, backend="eager")
    else:
        part.compile(backend="eager")
        part_now = part
    model, inputs = nn.Sequential(part_now, nn.Identity()), torch.randn(3, 4)
    plain = model(inputs)  # compiled now, without the hooks
    for seed in (5, 6):  # levels
        with interpolated_norms(model, seed):
            alpha = uniform(torch.tensor(seed), torch.tensor(0)).float()
            torch.testing.assert_close(plain - model(inputs), (1 - alpha) * torch.full((3, 4), 2.0))
    torch.compiler.reset()

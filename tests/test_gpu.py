"""On a GPU: a model that moves inside the loop, the trainers' devices, two passes a step, CUDA graphs and fp16's overflows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import winsome
from winsome import Level, Method
from winsome.alphas import uniform
from winsome.norms import interpolated_norms

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
    pytest.mark.filterwarnings("ignore"),
]

INPUTS = torch.randn(48, 6, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(48) % 3
METHODS: dict[str, Callable[[], Method]] = {
    "aws": lambda: winsome.aws(1, rate=0.5),
    "frozen": lambda: winsome.lrr_with_frozen_norms(1, rate=0.5),
    "rewinding": lambda: winsome.weight_rewinding(1, rate=0.5, step=2),
    "fixed signs": lambda: Method((1.0, 0.5), winsome.KeepWeights(), while_training=winsome.perturbation.fixed_signs),
    "Sign-In": lambda: winsome.methods.lrr_with_sign_in(1, rate=0.5, every=2),
}


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 8), nn.LayerNorm(8), nn.Linear(8, 3))


def loss_of(model: nn.Module, rows: slice = slice(0, 16)) -> Tensor:
    device = next(model.parameters()).device
    return F.cross_entropy(model(INPUTS[rows].to(device)), LABELS[rows].to(device))


def pruned_are_zero(model: nn.Module, level: Level) -> bool:
    weights = dict(model.named_parameters())
    return not any(weights[name].detach().cpu()[~level.mask.kept(name)].any() for name in level.mask)


def check_levels(levels: list[Level]) -> None:
    assert [level.ticket.mask.n_kept for level in levels][-1] == round(0.5 * levels[-1].ticket.mask.n_weights)
    for level in levels:
        for name in level.ticket.mask:
            assert not level.state[name][~level.ticket.mask.kept(name)].any()
            assert level.state[name].device.type == "cpu"


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_a_model_that_moves_inside_train_is_followed(method: str, back: bool, tmp_path: Path) -> None:
    def train(model: nn.Module, level: Level) -> None:
        if method != "Sign-In":  # whose factors take the place of weights: it is moved before
            model.cuda()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        for step in level.steps(6, optimizer=optimizer, save_every=2):
            optimizer.zero_grad()
            loss_of(model, slice(step, step + 16)).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            assert pruned_are_zero(model, level)
        if back and method != "Sign-In":
            model.cpu()

    model = network().cuda() if method == "Sign-In" else network()
    check_levels(list(winsome.find_tickets(model, METHODS[method](), train, save_to=tmp_path)))


def test_a_model_that_moves_between_two_steps_is_followed() -> None:
    """Optimizers do not follow a move, the masks and the interpolation do."""

    def train(model: nn.Module, level: Level) -> None:
        for step in level.steps(4):
            model.to("cuda" if step % 2 else "cpu")
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            optimizer.zero_grad()
            loss_of(model).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            assert pruned_are_zero(model, level)
        model.cpu()

    check_levels(list(winsome.find_tickets(network(), winsome.aws(1, rate=0.5), train)))


def test_the_alphas_of_a_moved_model_are_those_of_the_stream() -> None:
    """Pass by pass, on whatever device, the forward is that with alpha * psi + (1 - alpha) * psi_init put in by hand."""
    model, twin = network().double(), network().double()
    with torch.no_grad():
        for one in (model, twin):
            for place in (1, 4):
                one.get_submodule(str(place)).weight.add_(0.5)  # type: ignore[operator]
    psi = {name: value.detach().clone() for name, value in twin.named_parameters() if name.startswith(("1.", "4."))}
    inputs = INPUTS.double()
    with interpolated_norms(model, 7) as progress:
        for number, device in enumerate(["cpu", "cuda", "cuda", "cpu", "cuda"]):
            out = model.to(device)(inputs.to(device)).cpu()
            alpha = uniform(torch.tensor(7), torch.tensor(number)).float().double()
            with torch.no_grad():
                for name, value in psi.items():
                    identity = float(name.endswith("weight"))
                    twin.get_parameter(name).copy_(alpha * value + (1 - alpha) * identity)
            torch.testing.assert_close(out, twin(inputs), rtol=1e-6, atol=1e-8)
        assert int(progress["forward_passes"]) == 5


def test_two_forward_passes_before_one_backward_have_an_alpha_each() -> None:
    model = network().cuda().double()
    with torch.no_grad():
        model.get_submodule("4").weight.add_(0.5)  # type: ignore[operator]
    inputs = INPUTS.double().cuda()
    with interpolated_norms(model, 3):
        first, second = model(inputs), model(inputs)
        (first + second).square().mean().backward()
        assert not torch.equal(first, second)
    expected = network().cuda().double()
    expected.load_state_dict(model.state_dict())
    outputs = []
    for number in range(2):
        alpha = uniform(torch.tensor(3), torch.tensor(number)).float().double().cuda()
        names = {name: value for name, value in expected.named_parameters() if name.startswith(("1.", "4."))}
        used = {
            name: torch.lerp(torch.full_like(value, float(name.endswith("weight"))), value, alpha)
            for name, value in names.items()
        }
        outputs.append(torch.func.functional_call(expected, used, (inputs,)))
    (outputs[0] + outputs[1]).square().mean().backward()
    for name, parameter in expected.named_parameters():
        torch.testing.assert_close(model.get_parameter(name).grad, parameter.grad, rtol=1e-6, atol=1e-9)


def test_a_step_of_aws_is_captured_as_one_cuda_graph() -> None:
    """Replays train on as eager steps do: masks hold, and every replay has the next alpha of the stream."""
    kept = winsome.SignedMask.of(
        {name: network().get_parameter(name) for name in ("0.weight", "3.weight")},
        {"0.weight": torch.rand(12, 6, generator=torch.Generator().manual_seed(1)) < 0.5,
         "3.weight": torch.rand(8, 12, generator=torch.Generator().manual_seed(1)) < 0.5},
    )  # fmt: skip
    inputs, labels = INPUTS.cuda(), LABELS.cuda()

    def run(*, captured: bool) -> tuple[nn.Module, int]:
        model = network().cuda()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)

        def step() -> None:
            optimizer.zero_grad(set_to_none=False)
            F.cross_entropy(model(inputs), labels).backward()  # type: ignore[no-untyped-call]
            optimizer.step()

        with kept.enforced_on(model), interpolated_norms(model, 11) as progress:
            side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(3):
                    step()
            torch.cuda.current_stream().wait_stream(side)
            if not captured:
                for _ in range(4):
                    step()
                return model, int(progress["forward_passes"])
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                step()
            for _ in range(4):
                graph.replay()
            torch.cuda.synchronize()
            return model, int(progress["forward_passes"])

    (eager, eager_passes), (replayed, passes) = run(captured=False), run(captured=True)
    assert passes == eager_passes == 7
    for name, value in eager.state_dict().items():
        torch.testing.assert_close(replayed.state_dict()[name], value, rtol=1e-4, atol=1e-5)
    for name in kept:
        assert not replayed.get_parameter(name).detach().cpu()[~kept.kept(name)].any()


def test_a_scaler_that_meets_an_overflow_skips_the_step_and_keeps_the_zeros() -> None:
    """fp16: the first scale overflows, its step is skipped; where it does not, pruned weights stay zero and others move."""
    skipped: list[bool] = []

    def train(model: nn.Module, level: Level) -> None:
        model.cuda()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        scaler = torch.amp.GradScaler("cuda", init_scale=2.0**40, growth_interval=1000)
        for _ in level.steps(40, optimizer=optimizer, also={"scaler": scaler}):
            before = scaler.get_scale()
            optimizer.zero_grad()
            with torch.autocast("cuda", dtype=torch.float16):
                loss = loss_of(model)
            scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            scaler.step(optimizer)
            scaler.update()
            skipped.append(scaler.get_scale() < before)
            assert pruned_are_zero(model, level)
            assert all(bool(torch.isfinite(parameter).all()) for parameter in model.parameters())

    levels = list(winsome.find_tickets(model := network(), winsome.aws(1, rate=0.5), train))
    check_levels(levels)
    assert any(skipped[:40])
    assert not all(skipped[:40])
    assert not torch.equal(levels[0].state["0.weight"], network().state_dict()["0.weight"])
    assert model.training


@pytest.mark.parametrize("precision", ["32-true", "16-mixed", "bf16-mixed"])
def test_lightning_puts_it_on_the_gpu_itself(precision: str, tmp_path: Path) -> None:
    lightning = pytest.importorskip("lightning.pytorch", reason="needs winsome[lightning]")
    devices: list[str] = []

    class Classifier(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self, net: nn.Module) -> None:
            super().__init__()
            self.net = net

        def training_step(self, batch: list[Tensor], _index: int) -> Tensor:
            devices.append(self.device.type)
            return F.cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)

    def make_trainer(_level: Level) -> Any:
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
        return lightning.Trainer(
            max_epochs=2, accelerator="gpu", devices=1, precision=precision, gradient_clip_val=1.0, **quiet
        )  # fmt: skip

    loader = DataLoader(TensorDataset(INPUTS, LABELS), 16, shuffle=True)
    train = winsome.with_lightning(make_trainer, loader, module=Classifier)
    check_levels(list(winsome.find_tickets(network(), winsome.aws(1, rate=0.5), train, save_to=tmp_path)))
    assert set(devices) == {"cuda"}


@pytest.fixture
def fresh_accelerate() -> Any:
    """Accelerate without the state that another Accelerator of the process, with another precision, left in it."""
    accelerate = pytest.importorskip("accelerate", reason="needs winsome[accelerate]")
    accelerate.state.AcceleratorState._reset_state(True)
    yield accelerate
    accelerate.state.AcceleratorState._reset_state(True)


class WithLoss(nn.Module):
    """A network as transformers' Trainer takes one."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.devices = network(), set[str]()

    def forward(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        self.devices.add(inputs.device.type)
        return {"loss": F.cross_entropy(self.net(inputs), labels)}


@pytest.mark.usefixtures("fresh_accelerate")
@pytest.mark.parametrize("precision", [{}, {"fp16": True}, {"bf16": True}])
def test_the_trainer_of_transformers_puts_it_on_the_gpu_itself(precision: dict[str, bool], tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="needs winsome[transformers]")
    rows = [{"inputs": row, "labels": int(label)} for row, label in zip(INPUTS, LABELS, strict=True)]

    def make_trainer(model: nn.Module, _level: Level) -> Any:
        quiet = {"save_strategy": "no", "report_to": [], "disable_tqdm": True}
        arguments = transformers.TrainingArguments(
            str(tmp_path / "hf"), num_train_epochs=2, per_device_train_batch_size=16, learning_rate=0.1, **quiet, **precision
        )
        return transformers.Trainer(model, arguments, train_dataset=rows)

    model, train = WithLoss(), winsome.with_transformers(make_trainer, save_every=2)
    check_levels(list(winsome.find_tickets(model, winsome.aws(1, rate=0.5), train, save_to=tmp_path / "search")))
    assert model.devices == {"cuda"}


@pytest.mark.parametrize("precision", ["no", "fp16", "bf16"])
def test_an_accelerator_puts_it_on_the_gpu_itself(precision: str, fresh_accelerate: Any, tmp_path: Path) -> None:
    devices: set[str] = set()

    def make_parts(model: nn.Module, _level: Level) -> tuple[Any, ...]:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        return optimizer, DataLoader(TensorDataset(INPUTS, LABELS), 16, shuffle=True)

    def loss(model: nn.Module, batch: list[Tensor]) -> Tensor:
        devices.add(batch[0].device.type)
        return F.cross_entropy(model(batch[0]), batch[1])

    train = winsome.with_accelerate(
        make_parts, loss, epochs=2, clip=1.0, save_every=2,
        make_accelerator=lambda _level: fresh_accelerate.Accelerator(mixed_precision=precision),
    )  # fmt: skip
    check_levels(list(winsome.find_tickets(network(), winsome.aws(1, rate=0.5), train, save_to=tmp_path)))
    assert devices == {"cuda"}

"""The training loop and how networks are judged: against hand-computed rates and plain PyTorch."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from winsome import models
from winsome.data import ImageData, load, statistics_batches, steps_per_epoch, subset, training_batches
from winsome.errors import Diverged, WinsomeError
from winsome.stacking import stack
from winsome.training.evaluation import evaluate, re_estimate_statistics
from winsome.training.loop import Networks, train
from winsome.training.precision import FP32, Precision, fast_precision
from winsome.training.settings import SGD, Adam, Constant, Cosine, StepDecay, Training


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return subset(load("digits"), train_images=400, test_images=130)


def network(seed: int = 0, name: str = "residual_mlp") -> nn.Module:
    return models.build(name, image_shape=(1, 8, 8), n_classes=10, seed=seed)


def test_schedules() -> None:
    assert [Constant()(epoch, 40) for epoch in (0, 20, 39.9)] == [1, 1, 1]
    decay = StepDecay((0.5, 0.75), 0.1)
    assert [decay(epoch, 40) for epoch in (0, 19.99, 20, 29.99, 30, 39)] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
    cosine = Cosine(final=0.2)
    assert [cosine(epoch, 10) for epoch in (0, 5, 10)] == pytest.approx([1, 0.6, 0.2])
    assert Cosine(final=0.0)(2.5, 10) == pytest.approx((1 + math.sqrt(0.5)) / 2)


def test_the_rate_of_a_step() -> None:
    training = Training(8, 128, SGD(0.4), StepDecay((0.5, 0.75), 0.1), warmup_epochs=2)
    # 10 steps an epoch: 20 steps of growth, the peak, then a tenth from epoch 4 and a hundredth from epoch 6.
    expected = {0: 0.02, 9: 0.2, 19: 0.4, 20: 0.4, 39: 0.4, 40: 0.04, 59: 0.04, 60: 0.004, 79: 0.004}
    assert {step: training.rate(step, 10) for step in expected} == pytest.approx(expected)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"epochs": 0}, "epochs must be 1 or more, got 0"),
        ({"epochs": 2, "batch_size": 0}, "batch_size must be 1 or more"),
        ({"epochs": 2, "optimizer": SGD(0.0)}, "learning rate must be above 0"),
        ({"epochs": 2, "optimizer": SGD(float("nan"))}, "learning rate must be above 0"),
        ({"epochs": 2, "warmup_epochs": 3}, "warm-up must take 0 to 2 epochs, got 3"),
    ],
)
def test_settings_that_train_nothing_are_refused(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(WinsomeError, match=sentence):
        Training(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("optimizer", [SGD(0.1, 0.9, 1e-3), Adam(1e-3, 1e-5)])
def test_the_loop_is_the_plain_pytorch_loop(digits: ImageData, optimizer: SGD | Adam) -> None:
    training = Training(4, 64, optimizer, StepDecay((0.5, 0.75), 0.1), warmup_epochs=1)
    per_epoch = steps_per_epoch(digits, 64)
    ours, plain = network(), network()
    mean_loss = train(Networks(ours, [3]), digits, training, optimizer(ours.parameters()), range(4 * per_epoch))

    if isinstance(optimizer, SGD):
        stepper: torch.optim.Optimizer = torch.optim.SGD(
            plain.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3, fused=True
        )
    else:
        stepper = torch.optim.Adam(plain.parameters(), lr=1e-3, weight_decay=1e-5, fused=True)
    plain.train()
    losses = []
    for step, (inputs, labels) in enumerate(training_batches(digits, batch_size=64, seed=3, last_step=4 * per_epoch)):
        epoch = step / per_epoch
        factor = (step + 1) / per_epoch if epoch < 1 else 1.0 if epoch < 2 else 0.1 if epoch < 3 else 0.1 * 0.1
        stepper.param_groups[0]["lr"] = optimizer.learning_rate * factor
        loss = F.cross_entropy(plain(inputs), labels)
        stepper.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        stepper.step()
        losses.append(float(loss.detach()))
    assert len(losses) == 4 * per_epoch
    for key, value in plain.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[key], value, rtol=1e-5, atol=1e-6)
    assert mean_loss.tolist() == pytest.approx([sum(losses[-per_epoch:]) / per_epoch], rel=1e-5)


@pytest.mark.parametrize("cut", [5, 6, 7])
def test_resumed_in_the_middle_is_run_through(digits: ImageData, cut: int) -> None:
    training = Training(3, 64, SGD(0.1, 0.9, 1e-3), Cosine())
    whole, first = network(), network()
    train(Networks(whole, [3]), digits, training, training.optimizer(whole.parameters()), range(18))
    optimizer = training.optimizer(first.parameters())
    train(Networks(first, [3]), digits, training, optimizer, range(cut))
    second = network(9)
    second.load_state_dict(first.state_dict())
    resumed = training.optimizer(second.parameters())
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    train(Networks(second, [3]), digits, training, resumed, range(cut, 18))
    assert all(torch.equal(value, second.state_dict()[key]) for key, value in whole.state_dict().items())


def test_the_loss_of_a_resumed_epoch_is_the_mean_since(digits: ImageData) -> None:
    training = Training(1, 64, SGD(1e-9), Constant())  # so slow that every step's loss is that of the network as it is
    losses = []
    with torch.no_grad():
        model = network().train()
        for inputs, labels in training_batches(digits, batch_size=64, seed=3, last_step=6):
            losses.append(float(F.cross_entropy(model(inputs), labels)))
    for first in (0, 2, 5):
        model = network()
        loss = train(Networks(model, [3]), digits, training, training.optimizer(model.parameters()), range(first, 6))
        assert loss.tolist() == pytest.approx([sum(losses[first:]) / (6 - first)], rel=1e-5)


def test_losses_that_are_large_and_finite_are_no_divergence(digits: ImageData) -> None:
    class Large(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(()))

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return 1e38 * self.weight * torch.eye(10)[0].expand(len(inputs), 10)

    model, training = Large(), Training(1, 2, SGD(1.0), Constant())
    losses = train(Networks(model, [3]), digits, training, torch.optim.SGD(model.parameters(), lr=0.0), _without_steps(model))
    assert not bool(torch.isnan(losses).any())


def _without_steps(model: nn.Module) -> Iterator[int]:
    for step in range(200):  # 200 x 1e38 is no float32
        with torch.no_grad():
            model.get_parameter("weight").fill_(1)
        yield step


@pytest.mark.parametrize("stacked", [False, True])
def test_a_diverging_loss_is_said(digits: ImageData, stacked: bool) -> None:
    training = Training(2, 64, SGD(1e9), Constant())
    model = stack([network(0), network(1)]) if stacked else network()
    seeds = [70, 71][: 1 + stacked]
    with pytest.raises(Diverged, match=r"^seed 7[01]: the loss became (nan|inf) at step \d+ \(learning rate 1e\+09\); try"):
        train(Networks(model, seeds, stacked=stacked), digits, training, training.optimizer(model.parameters()), range(12))
    model = stack([network(0), network(1)]) if stacked else network()
    called = ["level 2", "level 2"][: len(seeds)]
    with pytest.raises(Diverged, match=r"^level 2: the loss"):
        train(
            Networks(model, seeds, called, stacked=stacked), digits, training, training.optimizer(model.parameters()), range(12)
        )


def test_evaluation_is_brute_force(digits: ImageData) -> None:
    model = network()
    model.train()
    (accuracy,), (loss,) = (value.tolist() for value in evaluate(model, digits))
    assert all(module.training for module in model.modules()), "the mode is given back"
    model.eval()
    mean, std = digits.mean[0], digits.std[0]
    correct, losses = 0, []
    with torch.no_grad():
        for image, label in zip(digits.test.images, digits.test.labels, strict=True):
            logits = model((image.float()[None] / 255 - mean) / std)[0].double()
            correct += int(logits.argmax() == label)
            losses.append(float(logits.logsumexp(0) - logits[label]))
    assert accuracy == correct / 130
    assert loss == pytest.approx(sum(losses) / 130, rel=1e-5)


def test_a_stack_is_evaluated_member_by_member(digits: ImageData) -> None:
    members = [network(seed).eval() for seed in range(3)]
    accuracy, loss = evaluate(stack(members), digits, members=3)
    alone = [evaluate(member, digits) for member in members]
    assert accuracy.tolist() == pytest.approx([float(a) for a, _ in alone], abs=1 / 130)
    torch.testing.assert_close(loss, torch.cat([one for _, one in alone]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("augment", [True, False])
def test_statistics_are_the_mean_over_batches(digits: ImageData, augment: bool) -> None:
    """The first layer's batch statistics do not depend on other layers': by hand, in float64."""
    single, convolution = network(), network(0, "small_conv")
    others = [network(1), network(2)]
    together = stack([single, *others])
    with torch.no_grad():
        expected = [_by_hand(digits, model, augment) for model in (single, *others)]
        expected_convolution = _by_hand(digits, convolution, augment)
    for model in (single, convolution):
        model.get_submodule("2" if model is single else "1").get_buffer("running_mean").fill_(7)  # stale
        re_estimate_statistics(model, digits, images=300, batch_size=100, augment=augment, seed=5)
    re_estimate_statistics(together, digits, members=3, images=300, batch_size=100, augment=augment, seed=5)
    for norm, (mean, variance) in (
        (single.get_submodule("2"), expected[0]),
        (convolution.get_submodule("1"), expected_convolution),
    ):
        torch.testing.assert_close(norm.get_buffer("running_mean").double(), mean, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(norm.get_buffer("running_var").double(), variance, rtol=1e-4, atol=1e-5)
        assert norm.momentum == 0.1, "as it was"
        assert int(norm.get_buffer("num_batches_tracked")) == 3
    stacked = together.get_submodule("2")
    for member, (mean, variance) in enumerate(expected):
        torch.testing.assert_close(stacked.get_buffer("running_mean")[member].double(), mean, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(stacked.get_buffer("running_var")[member].double(), variance, rtol=1e-4, atol=1e-5)


def _by_hand(data: ImageData, model: nn.Module, augment: bool) -> tuple[torch.Tensor, torch.Tensor]:
    stem = nn.Sequential(*list(model.children())[: 2 if isinstance(model.get_submodule("0"), nn.Flatten) else 1]).double()
    means, variances = [], []
    for inputs, _ in statistics_batches(data, batch_size=100, seed=5, images=300, augment=augment):
        values = copy.deepcopy(stem)(inputs.double())
        axes = [0] if values.ndim == 2 else [0, 2, 3]
        means.append(values.mean(axes))
        variances.append(values.var(axes, unbiased=True))
    stem.float()
    return torch.stack(means).mean(0), torch.stack(variances).mean(0)


def test_a_network_without_batch_norm_is_left_alone(digits: ImageData) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(64, 10))
    before = copy.deepcopy(model.state_dict())
    re_estimate_statistics(model, digits)
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in before.items())


def test_precision() -> None:
    assert FP32.label == "fp32"
    assert Precision(bf16=True, channels_last=True).label == "bf16 autocast, channels_last"
    assert Precision(channels_last=True).label == "fp32, channels_last"
    cpu = torch.device("cpu")
    assert fast_precision(network(), cpu) == FP32, "linear networks gain from neither"
    assert fast_precision(network(0, "small_conv"), cpu).channels_last
    layer, inputs = nn.Linear(4, 4), torch.zeros(1, 4)
    for precision, dtype in ((FP32, torch.float32), (Precision(bf16=True), torch.bfloat16)):
        with precision.autocast(cpu):
            assert layer(inputs).dtype == dtype


@pytest.mark.parametrize(("major", "bf16"), [(7, False), (8, True), (9, True)])
def test_a_gpu_that_emulates_bf16_trains_in_fp32(major: int, bf16: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    # torch says that a V100 or T4 supports bf16, and computes it by conversion, far slower than fp32.
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(major=major))
    monkeypatch.setattr(torch.cuda, "_check_bf16_tensor_supported", lambda _: True)
    monkeypatch.setattr(torch.version, "hip", None)
    assert fast_precision(network(0, "small_conv"), torch.device("cuda")) == Precision(bf16=bf16, channels_last=True)

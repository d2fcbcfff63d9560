"""An epoch of training never waits for the device: nothing reads a tensor's value, and a compiled network compiles once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from winsome import SignedMask, interpolated_norms, models, prunable
from winsome.data import ImageData, load, steps_per_epoch, subset
from winsome.signed_mask import stack_masks
from winsome.stacking import stack
from winsome.training.evaluation import evaluate, re_estimate_statistics
from winsome.training.loop import Networks, train
from winsome.training.precision import FP32, Precision
from winsome.training.settings import SGD, Adam, StepDecay, Training

# What the host waits for on a GPU: a tensor's value (item(), float(), bool(), tolist()), or a size that depends on values.
WAITS = ("_local_scalar_dense", "is_nonzero", "equal", "nonzero", "masked_select", "unique", "_unique2")


class Waits(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the operations that wait for the device."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func.overloadpacket.__name__ in WAITS
        return func(*args, **(kwargs or {}))


class Reads(TorchFunctionMode):
    """Counts the calls that copy a tensor to the host, which on a CPU no operation shows."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += getattr(func, "__name__", "") in ("tolist", "cpu", "numpy", "__array__")
        return func(*args, **(kwargs or {}))


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return subset(load("digits"), train_images=256, test_images=50)


def network(name: str, seed: int = 0) -> nn.Module:
    return models.build(name, image_shape=(1, 8, 8), n_classes=10, seed=seed)


def half_mask(model: nn.Module) -> SignedMask:
    weights: dict[str, torch.Tensor] = {name: model.get_parameter(name) for name in prunable(model)}
    return SignedMask.of(weights, {name: w.detach().abs() > w.detach().abs().median() for name, w in weights.items()})


def waits_by_epoch(
    data: ImageData,
    model: nn.Module,
    optimizer: SGD | Adam,
    *,
    mask: SignedMask | None = None,
    members: int = 0,
    bf16: bool = False,
) -> list[int]:
    """Trains three epochs under a mask with AWS; how often the host waited within and after each of them."""
    training = Training(3, 64, optimizer, StepDecay((0.5,), 0.1))
    per_epoch = steps_per_epoch(data, 64)
    seeds = list(range(max(1, members)))
    seen: list[int] = []
    with ExitStack() as contexts:
        contexts.enter_context((mask or half_mask(model)).enforced_on(model))
        contexts.enter_context(interpolated_norms(model, seeds if members else 0))
        stepper = optimizer(model.parameters(), stacked=members > 0)
        waits, reads = contexts.enter_context(Waits()), contexts.enter_context(Reads())

        def steps() -> Any:
            for step in range(3 * per_epoch):
                if step % per_epoch == 0:
                    seen.append(waits.count + reads.count)
                yield step
                if step % per_epoch == per_epoch - 2:  # an epoch but for its last step, after which the losses are looked at
                    seen.append(waits.count + reads.count)

        precision = Precision(bf16=bf16, channels_last=bf16)
        train(Networks(model, seeds, stacked=members > 0), data, training, stepper, steps(), precision=precision)
        seen.append(waits.count + reads.count)
    return seen


@pytest.mark.parametrize(("name", "bf16"), [("small_conv", False), ("small_conv", True), ("residual_mlp", False)])
@pytest.mark.parametrize("optimizer", [SGD(0.05), Adam(1e-3)])
def test_an_epoch_under_a_mask_with_aws_waits_only_at_its_end(
    digits: ImageData, name: str, bf16: bool, optimizer: SGD | Adam
) -> None:
    assert waits_by_epoch(digits, network(name), optimizer, bf16=bf16) == [0, 0, 1, 1, 2, 2, 3]


def test_an_epoch_of_a_stack_waits_only_at_its_end(digits: ImageData) -> None:
    networks = [network("residual_mlp", seed) for seed in range(3)]
    mask = stack_masks([half_mask(member) for member in networks])
    assert waits_by_epoch(digits, stack(networks), SGD(0.05), mask=mask, members=3) == [0, 0, 1, 1, 2, 2, 3]


def test_the_counter_sees_what_waits() -> None:
    model = network("small_conv")
    looks: tuple[Callable[[torch.Tensor], object], ...] = (torch.Tensor.item, float, bool, torch.nonzero, torch.Tensor.unique)
    copies: tuple[Callable[[torch.Tensor], object], ...] = (
        torch.Tensor.tolist,
        torch.Tensor.cpu,
        torch.Tensor.numpy,
        np.asarray,
    )
    for look in looks + copies:
        with Waits() as waits, Reads() as reads:
            look(torch.ones(1))
        assert waits.count + reads.count >= 1, look
    with Waits() as waits:
        model(torch.zeros(2, 1, 8, 8)).sum().backward()
    assert waits.count == 0


def test_evaluation_and_statistics_wait_for_nothing(digits: ImageData) -> None:
    model = network("small_conv")
    with Waits() as waits:
        re_estimate_statistics(model, digits, images=200)
        evaluate(model, digits, batch_size=7)
    assert waits.count == 0


@pytest.mark.filterwarnings("ignore")
def test_a_compiled_network_trains_alike_in_one_graph_whatever_alpha_and_rate(digits: ImageData) -> None:
    from torch._dynamo.utils import counters

    training = Training(3, 64, SGD(0.05), StepDecay((0.4, 0.7), 0.1))
    eager, model = network("small_conv"), network("small_conv")
    torch._dynamo.reset()
    counters.clear()
    compiled: Any = torch.compile(model, backend="aot_eager", fullgraph=True)
    graphs: list[int] = []
    for trained, forward in ((eager, eager), (model, compiled)):
        with half_mask(trained).enforced_on(trained), interpolated_norms(trained, 5):
            train(
                Networks(forward, [1]),
                digits,
                training,
                training.optimizer(trained.parameters()),
                range(3 * steps_per_epoch(digits, 64)),
                precision=FP32,
                on_epoch=lambda *_: graphs.append(counters["stats"]["unique_graphs"]),
            )
    assert graphs[:3] == [0, 0, 0], "the eager network compiles nothing"
    assert graphs[3] == graphs[5] == 1, "one graph, not compiled again for another alpha or learning rate"
    assert not counters["graph_break"]
    for name, value in eager.named_parameters():
        assert torch.allclose(value, model.get_parameter(name), rtol=1e-4, atol=1e-5), name
    torch._dynamo.reset()

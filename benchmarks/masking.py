"""What masking, interpolation and bf16 cost or gain: steps of ResNet-18 and ResNet-20 on 32x32 images, as ratios.

    uv run python benchmarks/masking.py [--networks resnet18 resnet20] [--rounds 7] [--compile]

The masked step over the dense step, the step of AWS over that of LRR (which is the masked step), the dense and the masked step
of AWS over the plain fp32 dense step of PyTorch. Rounds are interleaved; every figure is the median of ratios within one round,
with the least and the greatest round. `--compile` adds the step compiled by `torch.compile` (inductor) over the eager one, and
the seconds that compiling took.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from measuring import Figure, in_own_process, interleaved, print_figures, print_machine, ratio
from winsome import SignedMask, interpolated_norms, models, prunable
from winsome.training.precision import FP32, Precision, default_device, fast_precision

Step = Callable[[], AbstractContextManager[Callable[[], object]]]  # opened, it gives what to call
BATCH = 128
MASKED_OVER_DENSE, AWS_OVER_LRR = 1.03, 1.05
OVER_FP32 = {"resnet18": 0.45, "resnet20": 0.5}


def built(name: str, precision: Precision, size: int = 32) -> nn.Module:
    """A network on the device, in its layout."""
    network = models.build(name, image_shape=(3, size, size), n_classes=10, seed=0).to(default_device())
    return network.to(memory_format=torch.channels_last) if precision.channels_last else network


def random_mask(network: nn.Module) -> SignedMask:
    """A random signed mask of density 0.1."""
    weights: dict[str, Tensor] = {name: network.get_parameter(name) for name in prunable(network)}
    return SignedMask.of(weights, {name: torch.rand(w.shape, device=w.device) < 0.1 for name, w in weights.items()})


def step_function(
    name: str,
    precision: Precision,
    stack: ExitStack,
    *,
    masked: bool = False,
    aws: bool = False,
    batch: int = BATCH,
    size: int = 32,
    compiled: dict[str, Any] | None = None,
) -> Step:
    """One training step of a network on a fixed batch; `compiled` are options of torch.compile for forward and loss.

    The mask holds while the step is open only: it looks at every optimizer's step, and would cost the other subjects time.
    """
    device = default_device()
    network = built(name, precision, size)
    inputs = torch.randn(batch, 3, size, size, device=device)
    inputs = inputs.contiguous(memory_format=torch.channels_last if precision.channels_last else torch.contiguous_format)
    labels = torch.randint(10, (batch,), device=device)
    # PyTorch's own defaults for the plain step, the engine's for ours.
    fused = None if precision == FP32 else True
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, fused=fused)
    mask = random_mask(network) if masked else SignedMask({})
    if aws:
        stack.enter_context(interpolated_norms(network, 0))

    def loss_of(inputs: Tensor, labels: Tensor) -> Tensor:
        with precision.autocast(device):
            logits = network(inputs)
        return F.cross_entropy(logits.float(), labels)

    loss_function = loss_of if compiled is None else torch.compile(loss_of, **compiled)

    def step() -> None:
        loss = loss_function(inputs, labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    @contextmanager
    def opened() -> Iterator[Callable[[], object]]:
        with mask.enforced_on(network) if masked else nullcontext():
            yield step

    return opened


def seconds(opened: Step, repeats: int) -> float:
    """Of one step, over a few, after one that is not counted."""
    with opened() as step:
        step()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(repeats):
            step()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return (time.perf_counter() - start) / repeats


def figures(
    networks: Sequence[str] = ("resnet18", "resnet20"),
    rounds: int = 7,
    repeats: int = 3,
    *,
    batch: int = BATCH,
    compiled: bool = False,
) -> list[Figure]:
    """Milliseconds of every step, and the ratios that have a bar.

    Every network is measured in a process of its own: what one leaves in the allocator makes the next one's fp32 steps faster.
    """
    found = []
    for name in networks:
        found += in_own_process(_figures_of, name, rounds, repeats, batch, compiled)
    return found


def _figures_of(name: str, rounds: int, repeats: int, batch: int, compiled: bool) -> list[Figure]:
    found = []
    with ExitStack() as stack:
        fast = fast_precision(built(name, FP32), default_device())
        make = partial(step_function, name, stack=stack, batch=batch)
        steps = {
            "plain fp32": make(FP32),
            "dense": make(fast),
            "LRR": make(fast, masked=True),
            "AWS": make(fast, masked=True, aws=True),
        }
        if compiled:
            steps["AWS compiled"] = make(fast, masked=True, aws=True, compiled={})
            start = time.perf_counter()
            seconds(steps["AWS compiled"], 1)
            found.append(Figure(f"{name}: two first compiled steps, s", (time.perf_counter() - start,)))
        times = interleaved({kind: partial(seconds, step, repeats) for kind, step in steps.items()}, rounds=rounds, warm_up=0)
    bar = OVER_FP32.get(name) if fast.bf16 else None  # without bf16 nothing is promised
    found += [Figure(f"{name}: {kind} step, ms", tuple(1000 * value for value in times[kind])) for kind in steps]
    found += [
        ratio(f"{name}: masked over dense", times["LRR"], times["dense"], bar=MASKED_OVER_DENSE),
        ratio(f"{name}: AWS over LRR", times["AWS"], times["LRR"], bar=AWS_OVER_LRR),
        ratio(f"{name}: {fast.label}, dense, over plain fp32", times["dense"], times["plain fp32"], bar=bar),
        ratio(f"{name}: {fast.label}, masked with AWS, over plain fp32", times["AWS"], times["plain fp32"]),
    ]
    if compiled:
        found.append(ratio(f"{name}: AWS compiled over eager", times["AWS compiled"], times["AWS"]))
    return found


def main() -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["resnet18", "resnet20"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    print_machine()
    print_figures(figures(options.networks, options.rounds, options.repeats, compiled=options.compile))


if __name__ == "__main__":
    main()

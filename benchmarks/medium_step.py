"""Images per second of training the medium scale's network: Winsome's, plain PyTorch's with a DataLoader, the machine's limits.

    uv run python benchmarks/medium_step.py [--rounds 5] [--seconds 5]

ResNet-20 of width 8 on 16x16 pixels, batches of 128, SGD with momentum and weight decay.

- "Winsome" trains as `winsome study` does there: a process of one thread for each core, in the number format that is fast on
  the machine, under a mask with AWS, data path and all. So it does more than the other, which trains the dense network.
- "PyTorch" is the loop that most people write: eager, fp32, one process with all threads, images in memory as PIL images,
  cropped, mirrored, converted and normalised by torchvision in a DataLoader, with as many worker processes as there are
  threads, or with none, whichever is faster.
- Two limits: the FLOPs of a step's products at the rate of large square matrices, and the bytes that its operations read and
  write, each by itself, at the speed of a copy. Where operations share a cache the second can be beaten.

The bar is 3 times PyTorch's images per second.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from barrier import matrix_rate
from data_path import PilImages
from measuring import Figure, interleaved, print_figures, print_machine, ratio
from noise import noise_images
from side_by_side import BATCH, NETWORKS, Load, images_per_second, processes
from winsome import models
from winsome.data import ImageData

OVER_PYTORCH = 3.0


class Traffic(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of the tensors that every operation takes and gives; views cost nothing."""

    def __init__(self) -> None:
        """Nothing so far."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call the operation, and count."""
        found = func(*args, **(kwargs or {}))
        if not func.is_view:
            tensors = [leaf for leaf in tree_leaves((args, kwargs, found)) if isinstance(leaf, Tensor)]
            self.bytes += sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        return found


def built(data: ImageData, network: str) -> nn.Module:
    """The network, fresh."""
    name, width, _ = NETWORKS[network]
    return models.build(name, image_shape=data.image_shape, n_classes=data.n_classes, seed=0, width=width)


class Eager:
    """The plain training loop, whose network goes on from call to call."""

    def __init__(self, data: ImageData, network: str, workers: int) -> None:
        """Make network, optimizer and loader."""
        self.network = built(data, network)
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=0.1, momentum=0.9, weight_decay=2e-3)
        images = PilImages(data)
        self.loader = DataLoader(
            images, BATCH, shuffle=True, num_workers=workers, drop_last=True, persistent_workers=workers > 0
        )

    def step(self, inputs: Tensor, labels: Tensor) -> None:
        """One training step."""
        loss = F.cross_entropy(self.network(inputs), labels)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()

    def images_per_second(self, seconds: float) -> float:
        """Over whole epochs that take at least so long."""
        images, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            images += self._epoch(self.loader)
        return images / (time.perf_counter() - start)

    def _epoch(self, batches: Iterable[Any]) -> int:
        images = 0
        for inputs, labels in batches:
            self.step(inputs, labels)
            images += len(labels)
        return images


def work_of_an_image(data: ImageData, network: str) -> tuple[float, float]:
    """FLOPs of products, and bytes that operations read and write, of a training step for each image of the batch."""
    eager = Eager(data, network, 0)
    batch = next(iter(eager.loader))
    eager.step(*batch)
    with FlopCounterMode(display=False) as flops:
        eager.step(*batch)
    with Traffic() as traffic:
        eager.step(*batch)
    return flops.get_total_flops() / BATCH, traffic.bytes / BATCH


def copy_rate(size: int) -> float:
    """Bytes per second that a copy of so many reads and writes."""
    there = torch.ones(size, dtype=torch.uint8)
    here = torch.empty_like(there)
    here.copy_(there)
    start = time.perf_counter()
    here.copy_(there)
    return 2 * size / (time.perf_counter() - start)


def figures(
    rounds: int = 5, network: str = "resnet20-small", *, seconds: float = 5.0, images: int = 5000, memory: int = 1 << 29
) -> list[Figure]:
    """Images per second of both, their ratio, and the shares of the limits."""
    data, threads = noise_images(images, size=NETWORKS[network][2]), torch.get_num_threads()
    flops, traffic = work_of_an_image(data, network)
    with processes(threads) as connections:
        plain = {f"PyTorch, {workers} loading": Eager(data, network, workers) for workers in (0, threads)}
        subjects: dict[str, Callable[[], float]] = {
            "Winsome": partial(_ours, connections, network, seconds),
            "Winsome, one process": partial(_ours, connections[:1], network, seconds),
            **{name: partial(eager.images_per_second, seconds) for name, eager in plain.items()},
            "products": lambda: matrix_rate(torch.float32, 2048) / flops,
            "copies": lambda: copy_rate(memory) / traffic,
        }
        rates = interleaved(subjects, rounds=rounds)
    best = max(plain, key=lambda name: sum(rates[name]))
    found = [Figure(f"{network}: {name}: images per second", tuple(values)) for name, values in rates.items()]
    found.append(Figure(f"{network}: million FLOPs of products, an image", (flops / 1e6,)))
    found.append(Figure(f"{network}: million bytes read and written, an image", (traffic / 1e6,)))
    limits = ("products", "copies")
    found += [ratio(f"{network}: Winsome over the limit of {limit}", rates["Winsome"], rates[limit]) for limit in limits]
    over = f"{network}: Winsome over PyTorch eager fp32 with a DataLoader"
    return [*found, ratio(over, rates["Winsome"], rates[best], bar=OVER_PYTORCH, at_least=True)]


def _ours(connections: Any, network: str, seconds: float) -> float:
    rate = images_per_second(connections, Load(network, 1, seconds))
    if isinstance(rate, str):
        raise RuntimeError(rate)
    return rate


def main() -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each subject in each round")
    options = parser.parse_args()
    print_machine()
    print_figures(figures(options.rounds, seconds=options.seconds))


if __name__ == "__main__":
    main()

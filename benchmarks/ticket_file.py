"""Size and speed of the ticket file for signed masks of ResNet-50: `python benchmarks/ticket_file.py`.

Bars: a file within 1 % of the entropy (each layer's mask at its own density, one bit for each kept weight's sign), and 100
million weights a second both ways on two cores. Masks are random: "one density" prunes every layer alike; "global" prunes the
smallest of normal weights whose standard deviation is fan_in^-1/4, so that densities differ between layers by a factor of 500.
The file carries a typical provenance and counts whole.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from importlib.metadata import version
from typing import Any

import torch
import torchvision
from torch import Tensor

from measuring import processor
from winsome import ticket_file
from winsome.signed_mask import SignedMask
from winsome.ticket import Ticket

DENSITIES = (0.2, 0.1, 0.05, 0.02)
REPEATS = 7
PROVENANCE: dict[str, Any] = {
    "method": "aws",
    "network": {"name": "resnet50", "arguments": {"num_classes": 1000}},
    "data": {"name": "imagenet", "train": 1281167, "test": 50000, "digest": "0" * 64},
    "level": 10,
    "seed": 1,
    "metrics": {"test_accuracy": 0.7612345678901234, "test_loss": 0.9612345678901234, "train_loss": 0.8612345678901234},
    "versions": {"winsome": "0.1.0", "torch": "2.15.0", "python": "3.11.9"},
    "parent": "0" * 64,
    "citations": ["oh2025sign", "gadhikar2024masks"],
}


def drawn_weights(seed: int) -> dict[str, Tensor]:
    """Normal weights in the shapes of ResNet-50's convolutions and classifier, 25.5 million."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {name: p.shape for name, p in torchvision.models.resnet50().named_parameters() if p.ndim > 1}
    return {name: torch.randn(shape, generator=generator) * shape[1:].numel() ** -0.25 for name, shape in shapes.items()}


def one_density(weights: dict[str, Tensor], density: float, seed: int) -> SignedMask:
    """Every layer keeps the same fraction, in random places."""
    generator = torch.Generator().manual_seed(seed)
    return SignedMask.of(weights, {name: torch.rand(w.shape, generator=generator) < density for name, w in weights.items()})


def global_magnitude(weights: dict[str, Tensor], density: float) -> SignedMask:
    """The largest weights of all layers together are kept."""
    magnitudes = torch.cat([weight.abs().flatten() for weight in weights.values()])
    threshold = magnitudes.kthvalue(round((1 - density) * magnitudes.numel())).values
    return SignedMask.of(weights, {name: weight.abs() > threshold for name, weight in weights.items()})


def measure(mask: SignedMask) -> tuple[int, float, float]:
    """Bytes of the file, and the median seconds to encode and to decode."""
    ticket = Ticket(mask, provenance=PROVENANCE)
    encoding, decoding = [], []
    for _ in range(REPEATS):
        start = time.perf_counter()
        data = ticket_file.encode(ticket)
        middle = time.perf_counter()
        decoded = ticket_file.decode(data)
        encoding.append(middle - start)
        decoding.append(time.perf_counter() - middle)
    if decoded.mask != mask:
        sys.exit("the round trip changed the mask")
    return len(data), statistics.median(encoding), statistics.median(decoding)


def main() -> None:
    """Print the table."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy", "constriction", "safetensors"))
    print(f"{processor()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}")
    print(f"{'layers':12} {'density':>7} {'size MB':>8} {'entropy MB':>10} {'over':>6} {'encode M/s':>10} {'decode M/s':>10}")
    weights = drawn_weights(seed=0)
    for density in DENSITIES:
        for kind, mask in (
            ("one density", one_density(weights, density, seed=1)),
            ("global", global_magnitude(weights, density)),
        ):
            size, encoding, decoding = measure(mask)
            entropy = ticket_file.entropy_bytes(mask)
            million = mask.n_weights / 1e6
            print(
                f"{kind:12} {mask.density:7.3f} {size / 1e6:8.3f} {entropy / 1e6:10.3f} {size / entropy - 1:6.2%} "
                f"{million / encoding:10.0f} {million / decoding:10.0f}"
            )


if __name__ == "__main__":
    main()

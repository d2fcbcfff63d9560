"""Size and speed of the ticket file for signed masks of ResNet-50, on one thread.

    uv run python benchmarks/ticket_file.py [--rounds 7]

Bars: a file within 1 % of the entropy (each layer's mask at its own density, one bit for each kept weight's sign), and 100
million weights a second both ways on two cores. Masks are random: "one density" prunes every layer alike; "global" prunes the
smallest of normal weights whose standard deviation is fan_in^-1/4, so that densities differ between layers by a factor of 500.
The file carries a typical provenance and counts whole.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

import torch
import torchvision
from torch import Tensor

from measuring import Figure, print_figures, print_machine
from winsome import ticket_file
from winsome.signed_mask import SignedMask
from winsome.ticket import Ticket

DENSITIES = (0.2, 0.1, 0.05, 0.02)
ABOVE_ENTROPY, RATE = 0.01, 100  # million weights a second
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


def drawn_weights(network: str, seed: int) -> dict[str, Tensor]:
    """Normal weights in the shapes of a network's convolutions and classifier; 25.5 million for ResNet-50."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {name: p.shape for name, p in torchvision.models.get_model(network).named_parameters() if p.ndim > 1}
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


def seconds(ticket: Ticket) -> tuple[float, float]:
    """To encode and to decode a ticket, which must come back as it was."""
    start = time.perf_counter()
    data = ticket_file.encode(ticket)
    middle = time.perf_counter()
    decoded = ticket_file.decode(data)
    end = time.perf_counter()
    if decoded.mask != ticket.mask:
        raise AssertionError("the round trip changed the mask")
    return middle - start, end - middle


def figures(rounds: int = 7, densities: Sequence[float] = DENSITIES, network: str = "resnet50") -> list[Figure]:
    """Size, size over the entropy, and millions of weights a second both ways, for each density and kind of mask."""
    weights, found = drawn_weights(network, seed=0), []
    for density in densities:
        for kind, mask in {
            "one density": one_density(weights, density, seed=1),
            "global": global_magnitude(weights, density),
        }.items():
            ticket, words = Ticket(mask, provenance=PROVENANCE), f"density {density:g}, {kind}"
            size, million = len(ticket_file.encode(ticket)), mask.n_weights / 1e6
            times = [seconds(ticket) for _ in range(rounds)]
            found += [
                Figure(f"{words}: MB", (size / 1e6,)),
                Figure(f"{words}: above the entropy", (size / ticket_file.entropy_bytes(mask) - 1,), ABOVE_ENTROPY),
                Figure(f"{words}: encoded, million weights/s", tuple(million / a for a, _ in times), RATE, at_least=True),
                Figure(f"{words}: decoded, million weights/s", tuple(million / b for _, b in times), RATE, at_least=True),
            ]
    return found


def main() -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    print_machine()
    print_figures(figures(options.rounds))


if __name__ == "__main__":
    main()

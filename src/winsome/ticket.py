"""A ticket is data: the signed mask, the signs of what is not pruned, and where it came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from winsome import distributed
from winsome.files import as_json
from winsome.html_table import html_table
from winsome.prunable import unpruned_signed
from winsome.signed_mask import SignedMask
from winsome.version import versions


@dataclass(frozen=True, eq=False)
class Ticket:
    """What a search found, ready to be planted in any initialisation of the same architecture (arXiv:2504.05357).

    Attributes:
        mask: the signed mask of every prunable parameter.
        signs: int8 signs (-1, +1) of unpruned weights and biases (classifier, biases of convolutions and linear layers).
        norms: trained normalisation parameters, float; empty unless asked for. Planting them too is the paper's "phi only".
        provenance: where the ticket came from, JSON values only (method, network, data, seed, level, metrics, versions).

    Example:
        >>> ticket = Ticket(SignedMask({"weight": torch.tensor([1, 0, 0, -1])}), provenance={"method": "mine"})
        >>> ticket.density, dict(ticket.provenance)
        (0.5, {'method': 'mine'})
    """

    mask: SignedMask
    signs: Mapping[str, Tensor] = field(default_factory=dict)
    norms: Mapping[str, Tensor] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def density(self) -> float:
        """Fraction of prunable weights kept, in [0, 1]."""
        return self.mask.density

    def _repr_html_(self) -> str:
        layers = self.mask.layers()
        rows = [
            (name, "x".join(map(str, self.mask.shapes[name])), f"{one.total:,}", f"{one.kept:,}", f"{one.density:.4f}",
             f"{one.positive / one.kept:.1%}" if one.kept else "")
            for name, one in layers.items()
        ]  # fmt: skip
        title = f"Ticket: density {self.density:.4g}, {self.mask.n_kept:,} of {self.mask.n_weights:,} prunable weights kept"
        said = [f"{key}: {value}" for key, value in self.provenance.items() if isinstance(value, str | int | float)]
        return html_table(title, ("layer", "shape", "weights", "kept", "density", "positive"), rows, [", ".join(said)])

    def with_provenance(self, **more: Any) -> Ticket:
        """The same ticket with more said about where it came from."""
        return replace(self, provenance={**self.provenance, **more})

    def with_norms(self, norms: Mapping[str, Tensor]) -> Ticket:
        """The same ticket with trained normalisation parameters, for planting "phi only"."""
        return replace(self, norms={name: value.detach().to("cpu", copy=True) for name, value in norms.items()})


def signs_of(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The sign of every value as int8 -1 or +1; an exact zero counts as positive."""
    return {name: 1 - 2 * (value.detach().to("cpu") < 0).to(torch.int8) for name, value in values.items()}


def ticket_of(
    model: nn.Module,
    prunable_names: Sequence[str],
    kept: Mapping[str, Tensor],
    values: Mapping[str, Tensor] | None = None,
    **provenance: Any,
) -> Ticket:
    """The ticket that a trained model holds: the signs of its kept weights, of its classifier and of its biases.

    Args:
        model: the trained network.
        prunable_names: names of its prunable parameters.
        kept: which of their weights are kept, bool by parameter name.
        values: whose signs are read, by parameter name; the model's own if None.
        provenance: what to record of where it came from; JSON values.
    """
    parameters = dict(model.named_parameters()) if values is None else values
    mask = SignedMask.of({name: parameters[name] for name in prunable_names}, {name: kept[name] for name in prunable_names})
    signs = signs_of({name: parameters[name] for name in unpruned_signed(model, prunable_names)})
    return Ticket(mask, signs, provenance=provenance)


def origin(level: int, density: float, metrics: object, *, parent: str | None) -> dict[str, Any]:
    """What a ticket says of the level that it is from, beside what it says of the search.

    Args:
        level: its number.
        density: fraction kept.
        metrics: of the trained network; rank 0's count, as JSON values.
        parent: digest of the signed mask of the level before; None for the first.
    """
    plain = distributed.from_main(lambda: as_json(metrics))
    return {"level": level, "density": density, "metrics": plain, "versions": versions(), "parent": parent}

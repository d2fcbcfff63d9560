"""What a plan is: every parameter of a network, prunable or why not, as a table to print and for a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from winsome.html_table import html_table

_COLUMNS = ("parameter", "layer", "shape", "weights", "prunable")


@dataclass(frozen=True)
class PlannedParameter:
    """One line of the plan: a parameter, and whether it may be pruned or why not."""

    name: str  # as in model.named_parameters(): a shared parameter is listed once, under its first name
    layer: str  # type of the layer that holds it
    shape: tuple[int, ...]
    prunable: bool
    reason: str  # why it is prunable or not
    psi: bool = False  # whether it is normalisation: what AWS interpolates

    @property
    def n_weights(self) -> int:
        """How many weights the parameter has."""
        count = 1
        for side in self.shape:
            count *= side
        return count


class Plan(tuple[PlannedParameter, ...]):
    """Every parameter of a network in its order; a notebook shows it as a table."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return html_table("What is pruned", _COLUMNS, map(_cells, self), _totals(self))


def format_plan(lines: Sequence[PlannedParameter]) -> str:
    """The plan as an aligned table: parameter, layer, shape, weights, prunable or why not.

    Example:
        >>> from winsome import plan
        >>> print(format_plan(plan(nn.Sequential(nn.Linear(4, 3, bias=False), nn.Linear(3, 2, bias=False)))))
        parameter  layer   shape  weights  prunable
        0.weight   Linear  3x4         12  yes
        1.weight   Linear  2x3          6  no: classifier
        12 of 18 parameters are prunable
    """
    rows = [_COLUMNS, *map(_cells, lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    alignment = "<<<><"
    text = [
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(row, alignment, widths, strict=True)) for row in rows
    ]
    return "\n".join((*text, *_totals(lines)))


def _totals(lines: Sequence[PlannedParameter]) -> list[str]:
    total = sum(line.n_weights for line in lines if line.prunable)
    said = [f"{total:,} of {sum(line.n_weights for line in lines):,} parameters are prunable"]
    if psi := [line for line in lines if line.psi]:
        said.append(f"{sum(line.n_weights for line in psi):,} are psi, in {len(psi)} parameters")
    return said


def _cells(line: PlannedParameter) -> tuple[str, ...]:
    shape, pruned = "x".join(map(str, line.shape)), "yes" if line.prunable else f"no: {line.reason}"
    return (line.name, line.layer, shape, f"{line.n_weights:,}", pruned)

"""A recipe: the studies behind one figure or table of a paper, and what is read from them once they are finished."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from winsome.errors import WinsomeError
from winsome.raised import noting

if TYPE_CHECKING:  # the command line knows scales before it trains or draws, and torch and matplotlib take seconds to import
    from winsome.evidence.results import Results, Verdict
    from winsome.figures.plots import Plot
    from winsome.study.design import Study

Scale = Literal["small", "medium", "paper"]  # digits, minutes; photographs, most of an hour on two cores; the paper's own


@dataclass(frozen=True)
class Table:
    """One table of a recipe: becomes NAME.csv."""

    name: str
    caption: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Evidence:
    """What finished studies say.

    Attributes:
        tables: the numbers, with spread and seeds.
        plots: the figures.
        verdicts: whether claims show; each says on which study where there are several.
        notes: what a reader has to know.
    """

    tables: tuple[Table, ...]
    plots: tuple[Plot, ...]
    verdicts: tuple[Verdict, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finished:
    """A study of a recipe that has been run: its folder and what was collected."""

    study: Study
    folder: Path
    results: Results


Analyse = Callable[[Mapping[str, Finished]], Evidence]


@dataclass(frozen=True)
class Recipe:
    """What `winsome reproduce NAME` runs.

    Attributes:
        title: of the figure or table, in a few words.
        source: the paper, with section or figure.
        claim: what the paper says there.
        studies: by a short label, which names its folder; none where the evidence is computed directly.
        analyse: reads the finished studies.
    """

    title: str
    source: str
    claim: str
    studies: Mapping[str, Study] = field(default_factory=dict)
    analyse: Analyse = field(kw_only=True)

    def evidence(self, name: str, finished: Mapping[str, Finished]) -> Evidence:
        """What the analysis finds in finished studies; an error in it names the recipe.

        Raises:
            WinsomeError: it gives something else.
        """
        with noting(f"the analysis of the recipe {name!r}"):
            found: object = self.analyse(finished)
        if not isinstance(found, Evidence):
            raise WinsomeError(
                f"the analysis of the recipe {name!r} gives a {type(found).__name__}; a winsome Evidence is wanted"
            )
        return found


MakeRecipe = Callable[[Scale], Recipe]


def of_study(verdict: Verdict, label: str, finished: Mapping[str, Finished]) -> Verdict:
    """A verdict that says which study it is on, where there are several."""
    return {**verdict, "study": label} if len(finished) > 1 else verdict

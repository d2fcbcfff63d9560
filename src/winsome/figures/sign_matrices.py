"""Signs as matrices of shaded cells: flips by layer and level, agreement between methods."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator

from winsome.analysis.signs import Agreement, SignDynamics
from winsome.errors import WinsomeError
from winsome.evidence.finished import FinishedSearch, FinishedStudy, agreements_of, signs_of_all
from winsome.figures.labels import elide, fit, text_width
from winsome.figures.layers import short_name
from winsome.figures.signs import by_method, labels_of
from winsome.figures.styles import method_labels, styles_of
from winsome.figures.theme import COLOURS, INK, WIDE, is_narrow, look

_DARKEST = 0.72  # opacity of the fullest cell: text on it stays legible
_CELL = 0.165  # inches: the lowest cell


def sign_layers(
    counted: Sequence[SignDynamics] | FinishedStudy | FinishedSearch, *, width: float = WIDE, on_page: bool = False
) -> Figure:
    """How many of each layer's weights changed their sign in each level, in percent: one matrix per method, mean over seeds.

    Of the weights alive in the level. A cell is empty where the layer has none.
    """
    counted = signs_of_all(counted)
    with look(on_page=on_page):
        methods = by_method(counted)
        labels = labels_of(methods)
        names = [short_name(name) for name in counted[0].flips]
        figure = Figure(figsize=(width, 1.0))
        shown = [elide(figure, name, 7.5, 0.3 * width) for name in names]
        left = text_width(figure, shown, 7.5) + 0.12
        columns = 1 if is_narrow(width) else min(2, len(methods))
        lines = math.ceil(len(methods) / columns)
        height, top, below, gap = _CELL * len(names), 0.34, 0.44, 0.16
        total = lines * (top + height + below)
        figure.set_size_inches(width, total)
        panel = (width - left - 0.08 - gap * (columns - 1)) / columns
        found = {method: _layer_cells(searches) for method, searches in methods.items()}
        fullest = max(share for cells in found.values() for row in cells for share in row if not math.isnan(share)) or 1.0
        styles = styles_of(list(methods))
        for index, (method, cells) in enumerate(found.items()):
            line, column = divmod(index, columns)
            bottom = total - (line + 1) * (top + height) - line * below
            place = (left + column * (panel + gap), bottom, panel, height)
            axes = figure.add_axes((place[0] / width, place[1] / total, place[2] / width, place[3] / total))
            texts = [[f"{share:.0f}" for share in row] for row in cells]
            _cells(axes, cells, texts, styles[method].colour, fullest, legible=panel / len(cells[0]) > 0.15)
            axes.set_yticks(range(len(names)), shown if column == 0 else [""] * len(names), color=INK)
            axes.set_title(f"{labels[method]}: flipped in the level (%)", pad=5, fontsize=8)
            axes.set_xlabel("level")
        return figure


def sign_agreement(
    agreeing: Sequence[Agreement] | FinishedStudy,
    said: Mapping[str, str] = {},
    *,
    width: float = WIDE,
    on_page: bool = False,
) -> Figure:
    """What tickets share at the deepest level, means over pairs of searches: the mask (Jaccard) and, in it, the signs.

    Off the diagonal two methods by the same search seed, on it one method by two seeds; in small, what chance gives at the
    same layer densities and sign balance.

    Args:
        agreeing: what tickets share, of any levels.
        said: how records write the methods, by name.
        width: inches.
        on_page: whether text must stay text.

    Raises:
        WinsomeError: there are no two searches.
    """
    agreeing = agreements_of(agreeing)
    last = max((pair.level for pair in agreeing), default=None)
    pairs = [pair for pair in agreeing if pair.level == last]
    if not pairs:
        raise WinsomeError("there are no two searches whose agreement could be drawn")
    with look(on_page=on_page):
        methods = list(dict.fromkeys(method for pair in pairs for method in pair.methods))
        labels = list(method_labels({method: said.get(method, "") for method in methods}).values())
        figure = Figure(figsize=(width, 1.0))
        left = text_width(figure, labels, 7.5) + 0.12
        columns = 1 if is_narrow(width) else 2
        top, below, gap = 0.34, 0.44, left + 0.1
        panel = min((width - left - 0.08 - gap * (columns - 1)) / columns, 0.95 * len(methods))
        height = 0.36 * len(methods)
        total = (2 // columns) * (top + height + below)
        figure.set_size_inches(width, total)
        for index, title in enumerate(("Masks in common (Jaccard, %)", "Same sign in common places (%)")):
            line, column = divmod(index, columns)
            bottom = total - (line + 1) * (top + height) - line * below
            place = (left + column * (panel + gap), bottom, panel, height)
            axes = figure.add_axes((place[0] / width, place[1] / total, place[2] / width, place[3] / total))
            _matrix(axes, methods, pairs, signs=index == 1)
            wrapped = ["\n".join(fit(figure, label, 7.5, panel / len(methods))) for label in labels]
            axes.set_xticks(range(len(methods)), wrapped, color=INK)
            axes.set_yticks(range(len(methods)), labels, color=INK)
            axes.set_title(title, pad=5, fontsize=8)
        return figure


def _layer_cells(searches: Sequence[SignDynamics]) -> list[list[float]]:
    """Percent flipped by layer and level; NaN where no search keeps a weight."""
    cells: dict[str, list[list[float]]] = {}
    for search in searches:
        for part in search.levels:
            levels = cells.setdefault(part.layer, [[] for _ in range(search.level + 1)])
            if part.kept:
                levels[part.level].append(100 * part.flipped_share)
    return [[fmean(shares) if shares else math.nan for shares in levels] for levels in cells.values()]


def _matrix(axes: Axes, methods: Sequence[str], pairs: Sequence[Agreement], *, signs: bool) -> None:
    cells, texts = [], []
    for first in methods:
        shared = [[pair.overlap for pair in pairs if pair.methods in ((first, second), (second, first))] for second in methods]
        if signs:
            found = [[(one.sign_agreement, one.chance_sign_agreement) for one in some if one.both] for some in shared]
        else:
            found = [[(one.jaccard, one.chance_jaccard) for one in some if one.kept_a or one.kept_b] for some in shared]
        means = [(fmean(x for x, _ in some), fmean(y for _, y in some)) if some else (math.nan, math.nan) for some in found]
        cells.append([100 * value for value, _ in means])
        texts.append([f"{100 * value:.1f}\nchance {100 * chance:.1f}" for value, chance in means])
    _cells(axes, cells, texts, COLOURS[0], 100.0, legible=True)


def _cells(
    axes: Axes, cells: Sequence[Sequence[float]], texts: Sequence[Sequence[str]], colour: str, fullest: float, *, legible: bool
) -> None:
    """Draw a matrix: opacity grows with the value up to `fullest`; NaN is left empty; the text's second line is small."""
    for row, (values, labels) in enumerate(zip(cells, texts, strict=True)):
        for column, (value, text) in enumerate(zip(values, labels, strict=True)):
            if math.isnan(value):
                continue
            opacity = _DARKEST * value / fullest
            axes.add_patch(
                # Not in the layout, like its text: to measure hundreds of cells that lie inside the axes takes seconds.
                Rectangle((column - 0.48, row - 0.48), 0.96, 0.96, color=colour, alpha=opacity, linewidth=0, in_layout=False)
            )
            if legible:
                main, _, small = text.partition("\n")
                centred: dict[str, Any] = {"ha": "center", "va": "center", "in_layout": False}
                axes.text(column, row - (0.12 if small else 0), main, fontsize=7 if small else 5.5, **centred)
                if small:
                    axes.text(column, row + 0.26, small, fontsize=5.5, **centred)
    axes.set_xlim(-0.5, len(cells[0]) - 0.5)
    axes.set_ylim(len(cells) - 0.5, -0.5)
    axes.xaxis.set_major_locator(FixedLocator(range(len(cells[0]))))
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)

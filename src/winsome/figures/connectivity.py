"""Error along the straight lines between networks: a panel for each pair, a thin line for each search seed, the mean bold."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from winsome.analysis.line import BASE_LINES
from winsome.errors import WinsomeError
from winsome.evidence.barriers import BASE_LINE_WORDS, BarrierRecord, Connectivity, PairRecord
from winsome.evidence.finished import FinishedBarrier, FinishedStudy, connectivity_of
from winsome.figures.labels import fit
from winsome.figures.scales import LEFT, accuracy_scale, head, percent_limits
from winsome.figures.styles import styles_of
from winsome.figures.theme import INK, MUTED, WIDE, Style, is_narrow, look
from winsome.wording import mean_and_spread

_HEIGHT, _BELOW = 1.15, 0.24  # inches: of a panel, and for its tick labels


def error_along_lines(
    lines: Connectivity | FinishedBarrier | FinishedStudy,
    *,
    base_line: str = "straight",
    width: float = WIDE,
    on_page: bool = False,
) -> Figure:
    """Test error along the line between the two networks of every pair; dashed, the base line that a barrier rises above.

    Lines of several starts of one search seed are averaged. All panels share their scale: a barrier looks as high as it is.

    Raises:
        WinsomeError: no line was measured.
    """
    connectivity = connectivity_of(lines)
    if not connectivity["lines"]:
        raise WinsomeError("no line was measured; there is nothing to draw")
    with look(on_page=on_page):
        return _draw(connectivity, base_line, width)


def _draw(connectivity: Connectivity, base_line: str, width: float) -> Figure:
    pairs = connectivity["pairs"]
    columns = 1 if is_narrow(width) or len(pairs) == 1 else 2
    lines = math.ceil(len(pairs) / columns)
    gap = LEFT + 0.16
    inside = (width - LEFT - 0.08 - gap * (columns - 1)) / columns
    figure = Figure(figsize=(width, 1.0))
    titles = [fit(figure, pair["label"], 8, inside + 0.3, "bold") for pair in pairs]
    top = 0.4 + 0.14 * max(len(title) for title in titles)
    total = lines * (top + _HEIGHT + _BELOW) + 0.24
    figure.set_size_inches(width, total)
    curves = {pair["name"]: _by_seed(connectivity, pair["name"]) for pair in pairs}
    styles = _styles(pairs)
    limits = percent_limits([float(value) for own in curves.values() for value in np.ravel(own)])
    for index, (pair, title) in enumerate(zip(pairs, titles, strict=True)):
        line, column = divmod(index, columns)
        x = LEFT + column * (inside + gap)
        y = total - (line + 1) * (top + _HEIGHT) - line * _BELOW
        axes = figure.add_axes((x / width, y / total, inside / width, _HEIGHT / total))
        _panel(axes, _alphas(connectivity, pair["name"]), curves[pair["name"]], styles[pair["name"]], base_line)
        accuracy_scale(axes, limits)
        axes.set_xlim(-0.015, 1.015)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "¼", "½", "¾", "1"])
        if index + columns >= len(pairs):
            axes.set_xlabel(f"position α (dashed: {BASE_LINE_WORDS[base_line]})")
        head(axes, "\n".join(title), f"test error (%); {_words(_row(connectivity, pair, base_line))}", inside, size=8)
    return figure


def _panel(axes: Axes, alphas: Sequence[float], curves: np.ndarray, style: Style, base_line: str) -> None:
    if len(curves) > 1:
        alpha = max(0.12, min(0.5, 4 / len(curves)))
        axes.plot(alphas, curves.T, color=style.colour, linewidth=0.6, alpha=alpha, zorder=2)
    mean = curves.mean(0)
    base = [BASE_LINES[base_line](float(mean[0]), float(mean[-1]), alpha) for alpha in alphas]
    axes.plot(alphas, base, color=MUTED, linewidth=0.9, linestyle=(0, (4, 2)), zorder=3)
    axes.plot(alphas, mean, color=style.colour, linewidth=2.0, marker=style.marker, markersize=3.4, zorder=4)


def _words(row: BarrierRecord) -> str:
    return f"barrier {mean_and_spread(row['error'], row['std'])} points"


def _row(connectivity: Connectivity, pair: PairRecord, base_line: str) -> BarrierRecord:
    return next(r for r in connectivity["barriers"] if (r["pair"], r["base_line"]) == (pair["name"], base_line))


def _by_seed(connectivity: Connectivity, pair: str) -> np.ndarray:
    """Errors in percent, [search seeds, points]."""
    groups: dict[int, list[list[float]]] = {}
    for line in connectivity["lines"]:
        if line["pair"] == pair:
            groups.setdefault(line["search_seed"], []).append(line["errors"])
    return 100 * np.asarray([np.mean(starts, axis=0) for starts in groups.values()])


def _alphas(connectivity: Connectivity, pair: str) -> list[float]:
    return next(line["alphas"] for line in connectivity["lines"] if line["pair"] == pair)


def _styles(pairs: Sequence[PairRecord]) -> dict[str, Style]:
    """By pair, of its search: what is AWS's looks alike in all panels, and as in the other figures of the study."""
    searches = {pair["name"]: pair["name"].partition("_")[0] for pair in pairs}
    styles = styles_of(list(searches.values())) | {"line": Style(INK)}
    return {name: styles[search] for name, search in searches.items()}

"""Figures of signs: what is drawn is what was counted, for one search and for deep networks, in colours a page knows."""

from __future__ import annotations

import re
from dataclasses import replace
from statistics import fmean

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from winsome import figures
from winsome.analysis.sign_history import SignHistory
from winsome.analysis.signs import Agreement, SignDynamics, agreements, dynamics
from winsome.errors import WinsomeError
from winsome.figures.styles import method_labels
from winsome.figures.theme import NARROW, WIDE
from winsome.signed_mask import SignedMask


def histories(methods: tuple[str, ...], *, seeds: int = 2, layers: int = 3, levels: int = 4) -> list[SignHistory]:
    """Random signs in nested masks, of layers of 40 weights; the last layer has none left at the end."""
    generator = torch.Generator().manual_seed(0)
    made = []
    for method in methods:
        for seed in range(seeds):
            life = torch.randint(1, levels + 3, (layers, 40), generator=generator)
            if layers > 1:
                life[-1] = life[-1].clamp(max=levels + 1)
            signs = [torch.randint(0, 2, (layers, 40), generator=generator) * 2 - 1 for _ in range(levels + 2)]
            masks = [
                SignedMask({f"blocks.{i}.weight": (s * (life > k))[i] for i in range(layers)}) for k, s in enumerate(signs)
            ]
            masks[0] = SignedMask({f"blocks.{i}.weight": signs[0][i] for i in range(layers)})
            made.append(SignHistory(method, seed, tuple(masks)))
    return made


def drawn(made: list[SignHistory], width: float = WIDE) -> dict[str, Figure]:
    counted, pairs = [dynamics(one) for one in made], agreeing(made)
    plates = {
        "settling": figures.sign_settling(counted, width=width, on_page=True),
        "levels": figures.sign_levels(counted, width=width, on_page=True),
        "layers": figures.sign_layers(counted, width=width, on_page=True),
    }
    return {**plates, "agreement": figures.sign_agreement(pairs, width=width, on_page=True)} if pairs else plates


def agreeing(made: list[SignHistory]) -> list[Agreement]:
    return agreements(made[0].level, {(one.method, one.seed): one.moments[-1] for one in made})


def test_methods_are_called_as_their_records_say() -> None:
    made = [replace(one, label="mine, denser") if one.method == "mine" else one for one in histories(("mine", "lrr"))]
    counted, pairs = [dynamics(one) for one in made], agreeing(made)
    legend = {text.get_text() for text in figures.sign_settling(counted).legends[0].get_texts()}
    assert {"mine, denser", "LRR"} <= legend
    titles = [axes.get_title(loc="left") for axes in figures.sign_layers(counted).axes]
    assert titles == [f"{label}: flipped in the level (%)" for label in ("mine, denser", "LRR")]
    ticks = figures.sign_agreement(pairs, {"mine": "mine, denser"}).axes[0].get_yticklabels()
    assert [tick.get_text() for tick in ticks] == ["mine, denser", "LRR"]


def test_no_two_methods_have_one_label() -> None:
    assert method_labels({"warm": "LRR", "cold": "LRR", "aws": "", "own_part": ""}) == {
        "warm": "LRR (warm)", "cold": "LRR (cold)", "aws": "AWS", "own_part": "own part",
    }  # fmt: skip


def test_bars_are_the_mean_shares() -> None:
    made = histories(("imp", "lrr"))
    counted = [dynamics(one) for one in made]
    for axes, counts in zip(drawn(made)["settling"].axes, (SignDynamics.flip_counts, SignDynamics.settled_counts), strict=True):
        expected = []
        for method in ("imp", "lrr"):
            shares = [[n / sum(counts(one)) for n in counts(one)] for one in counted if one.method == method]
            expected += [100 * fmean(column) for column in zip(*shares, strict=True)]
        assert [bar.get_height() for bar in axes.patches if isinstance(bar, Rectangle)] == pytest.approx(expected)
        assert sum(expected) == pytest.approx(200)


def test_lines_are_the_mean_shares() -> None:
    made = histories(("imp", "lrr"))
    counted = [dynamics(one) for one in made]
    axes = drawn(made)["levels"].axes[0]
    line = next(line for line in axes.lines if line.get_marker() == "^")  # IMP's, whatever is beside it
    expected = [100 * fmean(one.at(level).flipped_share for one in counted[:2]) for level in range(5)]
    assert np.asarray(line.get_ydata()).tolist() == pytest.approx(expected)


def test_a_layer_without_weights_has_an_empty_cell() -> None:
    made = histories(("imp",), seeds=1, levels=2)
    axes = drawn(made)["layers"].axes[0]
    assert dynamics(made[0]).at(2, "blocks.2.weight").kept == 0
    assert len(axes.patches) == 3 * 3 - 1


def test_the_matrix_says_what_overlaps() -> None:
    made = histories(("imp", "lrr", "aws"))
    pairs = agreeing(made)
    mask, signs = drawn(made)["agreement"].axes
    words = [text.get_text() for text in mask.texts]
    between = fmean(pair.overlap.jaccard for pair in pairs if pair.methods == ("imp", "lrr"))
    assert words.count(f"{100 * between:.1f}") >= 2, "the matrix is symmetric"
    own = fmean(pair.overlap.sign_agreement for pair in pairs if pair.methods == ("aws", "aws"))
    assert f"{100 * own:.1f}" in [text.get_text() for text in signs.texts]


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize(
    ("methods", "seeds", "layers", "levels"),
    [(("mine",), 1, 1, 0), (("imp", "lrr", "aws", "frozen", "own_method"), 2, 6, 12), (("imp",), 1, 34, 15)],
)
def test_every_size_is_drawn_in_the_colours_of_a_page(
    methods: tuple[str, ...], seeds: int, layers: int, levels: int, width: float
) -> None:
    for name, figure in drawn(histories(methods, seeds=seeds, layers=layers, levels=levels), width).items():
        svg = figures.inline_svg(figure, name, "signs")
        assert "nan" not in svg.lower()
        assert not set(re.findall(r"#[0-9a-f]{6}\b", svg)), "a colour that would not turn with a dark page"


def test_nothing_to_draw_is_said() -> None:
    short, long = histories(("imp",), seeds=1), histories(("lrr",), seeds=1, levels=2)
    with pytest.raises(WinsomeError, match="counted to the same level"):
        figures.sign_settling([dynamics(short[0]), dynamics(long[0])])
    with pytest.raises(WinsomeError, match="counted to the same level"):
        figures.sign_levels([])
    with pytest.raises(WinsomeError, match="no two searches"):
        figures.sign_agreement([])

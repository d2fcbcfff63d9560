"""Figures: what is drawn equals what was measured, no text lies on another, and files come out the same every time."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any, cast
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from scipy.optimize import minimize

import synthetic_study
from winsome import figures
from winsome.errors import WinsomeError
from winsome.evidence.intervals import by_seed
from winsome.evidence.results import Results, extremes_and_middle, read, same_density
from winsome.figures.files import PAGE_COLOURS
from winsome.figures.labels import elide, fit, spread, typeset, wrap
from winsome.figures.layers import summaries
from winsome.figures.pairs import interval_words, reference, seed_differences
from winsome.figures.rows import swarm
from winsome.figures.scales import density_scale
from winsome.figures.styles import arm_styles, search_styles, styles_of
from winsome.figures.theme import INK, NARROW, ON_DARK, PALETTE, PAPER, WIDE, look
from winsome.study.arms import ARMS, is_reported, kind_of

CASES = synthetic_study.CASES


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> Results:
    """Every kind of study in turn."""
    return CASES[request.param]()


def panel(figure: Figure, title: str) -> Axes:
    """The axes of a figure under this title."""
    return next(axes for axes in figure.axes if title in axes.get_title(loc="left"))


def points(axes: Axes, *, colour: str, least: int = 1) -> list[tuple[float, float]]:
    """The points of the first line of a colour with at least so many points."""
    for line in axes.get_lines():
        if line.get_color() == colour and len(np.asarray(line.get_xdata())) >= least and line.get_transform() == axes.transData:
            x, y = (np.asarray(data, float).tolist() for data in (line.get_xdata(), line.get_ydata()))
            return list(zip(x, y, strict=True))
    raise AssertionError(f"no line of colour {colour}")


# What is drawn is what was measured


def test_accuracy_lines_go_through_the_table() -> None:
    results = synthetic_study.several()
    axes = panel(figures.accuracy_over_density(results), "Trained from scratch")
    for arm in ("planted_aws", "planted_lrr", "mask_only", "random_mask"):
        expected = sorted(
            ((100 * entry["density"], 100 * entry["mean"]) for entry in results["table"] if entry["arm"] == arm), reverse=True
        )
        drawn = points(axes, colour=arm_styles(results)[arm].colour, least=4)
        assert [y for _, y in drawn] == pytest.approx([y for _, y in expected])
        # Drawn beside each other by less than a tenth of the step between densities, so that bars do not lie on bars.
        assert [x for x, _ in drawn] == pytest.approx([x for x, _ in expected], rel=0.1)


def test_the_dense_band_is_its_mean_and_deviation() -> None:
    results = synthetic_study.several()
    dense = next(entry for entry in results["table"] if entry["arm"] == "dense")
    axes = panel(figures.accuracy_over_density(results), "Networks of the searches")
    band = axes.patches[0].get_path().get_extents(axes.patches[0].get_patch_transform())
    assert dense["std"] is not None
    assert (band.y0, band.y1) == pytest.approx((100 * (dense["mean"] - dense["std"]), 100 * (dense["mean"] + dense["std"])))


def test_at_one_density_every_arm_is_a_row_with_a_dot_per_seed() -> None:
    results = synthetic_study.results()
    figure = figures.accuracy_over_density(results)
    entry = next(entry for entry in results["table"] if entry["arm"] == "planted_lrr")
    colour = arm_styles(results)["planted_lrr"].colour
    lines = [line for line in figure.axes[0].get_lines() if line.get_color() == colour]
    drawn = sorted(sorted(np.asarray(line.get_xdata(), float).tolist()) for line in lines)
    seeds = sorted(100 * value for value in by_seed(results["rows"], "planted_lrr", 0.0563).values())
    assert entry["std"] is not None
    mean, std = 100 * entry["mean"], 100 * entry["std"]
    assert len(seeds) == 16
    for expected in ([mean], [mean - std, mean + std], seeds):
        assert any(found == pytest.approx(expected) for found in drawn)


@pytest.mark.parametrize("name", ["usual", "several"])
def test_paired_differences_are_those_of_the_rows(name: str) -> None:
    results = CASES[name]()
    for comparison in results["comparisons"]:
        found = seed_differences(results, comparison)
        expected = []
        for seed in results["study"]["search_seeds"]:
            means = [
                fmean(
                    row["accuracy"]
                    for row in results["rows"]
                    if row["arm"] == arm and row["search_seed"] == seed and row["density"] in (1.0, comparison["density"])
                )
                for arm in (comparison["first"], comparison["second"])
            ]
            expected.append(100 * (means[0] - means[1]))
        assert found == pytest.approx(expected)
        assert fmean(found) == pytest.approx(100 * comparison["difference"])


def test_comparisons_are_drawn_with_their_interval() -> None:
    results = synthetic_study.usual()
    figure = figures.paired_differences(results)
    bars = {
        tuple(np.round(np.asarray(line.get_xdata(), float), 6)) for axes in figure.axes for line in axes.get_lines()
        if line.get_linestyle() == "-"
    }  # fmt: skip
    for comparison in results["comparisons"]:
        assert comparison["low"] is not None
        assert comparison["high"] is not None
        assert tuple(np.round([100 * comparison["low"], 100 * comparison["high"]], 6)) in bars


def test_networks_of_searches_do_not_squeeze_the_scale_of_the_trained() -> None:
    figure = figures.paired_differences(synthetic_study.usual())
    limits = [axes.get_xlim() for axes in figure.axes]
    assert limits[0] == limits[1]
    assert limits[2] == limits[3]
    assert limits[2][1] > 2 * limits[0][1]


def test_layers_are_means_over_seeds_of_exact_counts() -> None:
    results = synthetic_study.several()
    for layer in summaries(results, "aws", 0.0281):
        counts = [
            level["layers"][layer.name]
            for search in results["searches"]
            if search["search"] == "aws"
            for level in search["levels"]
            if abs(level["density"] - 0.0281) < 1e-9
        ]
        assert len(counts) == len(layer.densities) == 4
        assert layer.kept == fmean(count["kept"] for count in counts)
        assert layer.density == pytest.approx(layer.kept / layer.total)
        assert layer.positive == pytest.approx(sum(c["positive"] for c in counts) / sum(c["kept"] for c in counts))


def test_a_collapsed_layer_is_a_cross() -> None:
    figure = figures.layer_densities(synthetic_study.large())
    crosses = [line for line in figure.axes[-1].get_lines() if line.get_marker() == "x" and len(np.asarray(line.get_xdata()))]
    assert [np.asarray(line.get_xdata()).tolist() for line in crosses] == [[5]]  # layer 4, counted from 1
    assert not [line for line in figure.axes[0].get_lines() if line.get_marker() == "x" and len(np.asarray(line.get_xdata()))]


def test_search_progress_is_the_mean_over_seeds() -> None:
    results = synthetic_study.several()
    figure = figures.search_progress(results)
    colour = search_styles(results)["aws"].colour
    for title, key in (("re-estimated", "accuracy"), ("stored", "stored_accuracy")):
        drawn = points(panel(figure, title), colour=colour, least=3)
        searches = [search for search in results["searches"] if search["search"] == "aws"]
        levels = zip(*(search["levels"] for search in searches), strict=True)
        expected = [100 * fmean(cast(float, level[key]) for level in same) for same in levels]
        assert [y for _, y in drawn] == pytest.approx(expected)


def test_searches_without_stored_statistics_have_one_panel() -> None:
    results = synthetic_study.several()
    for search in results["searches"]:
        for level in search["levels"]:
            level["stored_accuracy"] = None
    assert len(figures.search_progress(results).axes) == 1


def test_learning_curves_are_means_over_runs() -> None:
    results = synthetic_study.two_seeds()
    axes = panel(figures.learning_curves(results), "3.52")
    drawn = points(axes, colour=arm_styles(results)["mask_only"].colour, least=5)
    curves = [row["curve"] for row in results["rows"] if row["arm"] == "mask_only" and row["density"] == 0.0352]
    expected = np.mean([[100 * accuracy for _, accuracy in curve] for curve in curves], axis=0)
    assert [y for _, y in drawn] == pytest.approx(expected.tolist())
    assert [x for x, _ in drawn] == [epoch for epoch, _ in curves[0]]


def test_remaining_weights_fall_to_the_right_on_a_log_scale() -> None:
    axes = Figure().add_subplot()
    density_scale(axes, [0.5, 0.05], 3.0)
    left, right = axes.get_xlim()
    assert axes.get_xscale() == "log"
    assert left > 50
    assert right < 5
    assert [text.get_text() for text in axes.get_xticklabels()] == ["5", "50"]


def test_axes_say_their_units(case: Results) -> None:
    for plot in figures.study_plots(case):
        words = " ".join(text.get_text() for text in plot.draw().findobj(Text))
        assert "(%)" in words or "percentage points" in words


# Nothing lies on anything else


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("on_page", [False, True])
def test_no_text_overlaps_another_or_leaves_the_figure(case: Results, width: float, on_page: bool) -> None:
    for plot in figures.study_plots(case):
        figure = plot.draw(width=width, on_page=on_page)
        with look(on_page=on_page):
            FigureCanvasAgg(figure)  # a canvas that measures text
            figure.draw_without_rendering()
            shown = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
            # Tick labels beyond the limits of an axis exist, but are not drawn.
            boxes = [(text.get_text(), text.get_window_extent()) for text in shown if not _outside_its_axis(text, figure)]
        for word, box in boxes:
            inside = box.x0 >= -1 and box.x1 <= figure.bbox.width + 1 and box.y0 >= -1 and box.y1 <= figure.bbox.height + 1
            assert inside, f"{plot.name}: {word!r} leaves the figure"
        for (word, box), (other, another) in itertools.combinations(boxes, 2):
            across = min(box.x1, another.x1) - max(box.x0, another.x0)
            along = min(box.y1, another.y1) - max(box.y0, another.y0)
            # Boxes include room for accents and descenders, which lines set tight may share.
            touches = across > 1 and along > 0.3 * min(box.height, another.height)
            assert not touches, f"{plot.name}: {word!r} lies on {other!r}"


def _outside_its_axis(text: Text, figure: Figure) -> bool:
    for axes in figure.axes:
        for axis, limits in ((axes.xaxis, sorted(axes.get_xlim())), (axes.yaxis, sorted(axes.get_ylim()))):
            for tick in axis.get_major_ticks():
                if text in (tick.label1, tick.label2):
                    drawn = limits[0] <= tick.get_loc() <= limits[1] and axis.get_visible()
                    return not drawn or not tick.label1.get_visible()
    return False


@st.composite
def boxes(draw: st.DrawFn) -> tuple[list[float], list[float]]:
    """Centres and heights of some boxes that fit into [0, 100] together."""
    count = draw(st.integers(1, 6))
    centres = draw(st.lists(st.floats(0, 100), min_size=count, max_size=count))
    heights = draw(st.lists(st.floats(1, 15), min_size=count, max_size=count))
    return centres, heights


@given(boxes())
def test_spread_keeps_boxes_apart_in_order_and_inside(given_boxes: tuple[list[float], list[float]]) -> None:
    centres, heights = given_boxes
    placed = spread(centres, heights, 0, 100)
    order = sorted(range(len(centres)), key=lambda index: (centres[index], index))
    for one, two in itertools.pairwise(order):
        assert placed[two] - placed[one] >= (heights[one] + heights[two]) / 2 - 1e-6
    assert all(height / 2 - 1e-6 <= place <= 100 - height / 2 + 1e-6 for place, height in zip(placed, heights, strict=True))


@pytest.mark.parametrize("seed", range(8))
def test_spread_moves_labels_as_little_as_can_be(seed: int) -> None:
    generator = np.random.default_rng(seed)
    centres, heights = np.sort(generator.uniform(0, 60, 5)), generator.uniform(4, 12, 5)
    gaps = (heights[1:] + heights[:-1]) / 2
    answer = minimize(
        lambda places: float(((places - centres) ** 2).sum()),
        np.cumsum(np.concatenate([[heights[0] / 2], gaps])),
        bounds=[(height / 2, 60 - height / 2) for height in heights],
        constraints={"type": "ineq", "fun": lambda places: np.diff(places) - gaps},
        options={"ftol": 1e-12, "maxiter": 500},
    )
    assert spread(list(centres), list(heights), 0, 60) == pytest.approx(answer.x, abs=1e-3)


def test_spread_leaves_alone_what_has_room_and_squeezes_what_has_none() -> None:
    assert spread([10, 50, 30], [5, 5, 5], 0, 60) == [10, 50, 30]
    assert spread([5, 5], [20, 20], 0, 10) == [2.5, 7.5]
    assert spread([], [], 0, 1) == []


@given(st.lists(st.floats(0, 3), max_size=40))
def test_dots_of_a_swarm_do_not_meet(values: list[float]) -> None:
    offsets = swarm(values, 0.1, 10.0)
    places = list(zip(values, offsets, strict=True))
    for (x, y), (u, v) in itertools.combinations(places, 2):
        assert (x - u) ** 2 + (y - v) ** 2 >= 0.1**2 - 1e-9
    assert all(abs(offset) <= 0.02 for offset in swarm(values, 0.1, 0.02))


def test_lines_of_labels_keep_their_words_and_their_width() -> None:
    figure, label = Figure(), "random mask, same layer densities"
    assert " ".join(fit(figure, label, 8, 1.0)) == label
    assert len(fit(figure, label, 8, 1.0)) > 1
    assert fit(figure, label, 8, 9.0) == [label]
    assert max(len(line) for line in wrap("a_name_without_any_space_that_is_far_too_long", 20)) <= 20
    assert elide(figure, "layer4", 8, 5.0) == "layer4"
    assert re.fullmatch(r"….*conv3", elide(figure, "module.backbone.layer4.2.conv3", 8, 0.8))


# Looks


def luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb` (WCAG 2.2)."""
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, two: str) -> float:
    """WCAG 2.2's contrast ratio."""
    light, dark = sorted((luminance(one), luminance(two)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("name", PALETTE)
def test_every_colour_stands_out_on_white_and_on_dark(name: str) -> None:
    on_light, on_dark = PALETTE[name]
    assert contrast(on_light, PAPER) >= 3
    assert contrast(on_dark, ON_DARK[PAPER]) >= 3


def test_text_is_readable_on_white_and_on_dark() -> None:
    for colour, on_dark in ON_DARK.items():
        if colour not in (PAPER, "#dfe2e6"):  # paper and rules are not text
            assert contrast(colour, PAPER) >= 4.5
            assert contrast(on_dark, ON_DARK[PAPER]) >= 4.5


# Machado, Oliveira and Fernandes 2009, severity 1: what remains of a colour for people without one kind of cone.
BLINDNESS = {
    "none": [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}


@pytest.mark.parametrize("paper", [0, 1])
@pytest.mark.parametrize("kind", BLINDNESS)
def test_colours_differ_for_colour_blind_readers(kind: str, paper: int) -> None:
    seen = []
    for pair in PALETTE.values():
        rgb = np.array([int(pair[paper][start : start + 2], 16) / 255 for start in (1, 3, 5)])
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        seen.append(_oklab(np.clip(np.array(BLINDNESS[kind]) @ linear, 0, 1)))
    assert min(float(np.linalg.norm(a - b)) for a, b in itertools.combinations(seen, 2)) >= 0.0995


def _oklab(linear: np.ndarray) -> np.ndarray:
    # Ottosson 2020: distances near what eyes see.
    to_cones = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    to_lab = np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )
    return cast(np.ndarray, to_lab @ np.cbrt(to_cones @ linear))


def test_arms_can_be_told_apart() -> None:
    results = synthetic_study.large()
    styles = arm_styles(results)
    assert set(styles) == {arm["name"] for arm in results["study"]["arms"]}
    planted = [styles[arm["name"]] for arm in results["study"]["arms"] if arm["kind"] == "planted"]
    networks = [styles[arm["name"]] for arm in results["study"]["arms"] if arm["kind"] == "network"]
    assert len({style.colour for style in planted}) == len(planted) == 7
    assert len({(style.colour, style.dash, style.hollow) for style in networks}) == len(networks) == 4
    assert styles["dense"].colour == INK
    assert styles["planted_aws"].colour == styles["network_aws"].colour == search_styles(results)["aws"].colour


@given(st.lists(st.sampled_from(sorted(ARMS)), unique=True, min_size=1))
def test_an_arm_looks_alike_in_every_study(names: list[str]) -> None:
    arms = [ARMS[name] for name in names if is_reported(ARMS[name]) and kind_of(ARMS[name]) in ("planted", "network")]
    records = [{"name": arm.name, "kind": kind_of(arm), "search": arm.search} for arm in arms]
    methods = list(dict.fromkeys(arm.search for arm in arms if arm.search))
    searches = [{"name": method} for method in methods]
    results: Any = {"study": {"arms": records, "searches": searches}}
    styles = arm_styles(results)
    planted = [styles[arm.name] for arm in arms if kind_of(arm) == "planted"]
    assert len({(style.colour, style.hollow) for style in planted}) == len(planted)
    whole = arm_styles(synthetic_study.several())
    for name in ("planted_aws", "planted_lrr", "mask_only", "random_mask"):
        assert name not in styles or styles[name] == whole[name]
    if "planted_lrr" in names or not any(kind_of(arm) == "planted" and arm.search == "lrr" for arm in arms):
        assert search_styles(results).get("lrr", whole["planted_lrr"]).colour == whole["planted_lrr"].colour


def test_searches_look_alike_with_and_without_arms() -> None:
    names = ("of_the_user", "imp", "lrr", "frozen")
    networks = [{"name": f"network_{name}", "kind": "network", "search": name} for name in names]
    results: Any = {"study": {"arms": networks, "searches": [{"name": name} for name in names]}}
    alone = styles_of(names)
    assert search_styles(results) == alone
    assert alone["lrr"].colour == arm_styles(synthetic_study.small())["planted_lrr"].colour
    assert len({style.colour for style in alone.values()}) == 4
    assert styles_of(["lrr", "imp"])["imp"] == alone["imp"], "whatever is beside it"
    assert alone["of_the_user"].colour not in {style.colour for style in styles_of(["aws", "lrr", "imp", "frozen"]).values()}


def test_drawing_leaves_matplotlib_as_it_was() -> None:
    before = dict(matplotlib.rcParams)
    figures.accuracy_over_density(synthetic_study.small())
    assert dict(matplotlib.rcParams) == before


# Files


@pytest.mark.parametrize("name", figures.STUDY_PLOTS)
def test_files_are_the_same_at_every_run(name: str, tmp_path: Path) -> None:
    draw = figures.STUDY_PLOTS[name].draw
    written = []
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        svg, pdf = figures.save(draw(synthetic_study.two_seeds()), tmp_path / str(number) / name)
        ElementTree.fromstring(svg.read_text(encoding="utf-8"))
        written.append((svg.read_bytes(), pdf.read_bytes()))
    assert written[0] == written[1]
    svg_bytes, pdf_bytes = written[0]
    assert b"dc:date" not in svg_bytes
    assert b"<text" not in svg_bytes  # outlines: a paper's reader needs no font of ours
    assert b"CreationDate" not in pdf_bytes
    assert b"/FontFile2" in pdf_bytes  # TrueType, as journals ask
    assert b"/Type3" not in pdf_bytes


@pytest.mark.parametrize("name", figures.STUDY_PLOTS)
def test_figures_of_a_page_take_every_colour_from_the_page(name: str) -> None:
    results = synthetic_study.several()
    svg = figures.inline_svg(
        figures.STUDY_PLOTS[name].draw(results, on_page=True), "s1-fig", 'seen as "a" & <b>', title="a & b"
    )
    root = ElementTree.fromstring(svg)
    assert root.get("aria-label") == 'seen as "a" & <b>'
    assert (root[0].tag.rpartition("}")[2], root[0].text) == ("title", "a & b")
    assert not re.search(r"#[0-9a-f]{6}\b|#[0-9a-f]{3}\b(?!-)", re.sub(r'(href="#|url\(#)[^")]*', "", svg), re.IGNORECASE)
    colours = set(re.findall(r"(?:fill|stroke): ([^;\"]+)", svg))
    assert colours <= {*PAGE_COLOURS.values(), "none"}
    assert len(colours) > 3
    assert "xlink" not in svg
    assert "font-family" not in svg
    ids = re.findall(r'\bid="([^"]*)"', svg)
    assert len(ids) == len(set(ids))
    assert all(name.startswith("s1-fig-") for name in ids)
    assert set(re.findall(r'href="#([^"]*)"', svg)) | set(re.findall(r"url\(#([^)]*)\)", svg)) <= set(ids)


def test_subscripts_are_set_low() -> None:
    results = synthetic_study.small()
    svg = figures.inline_svg(figures.accuracy_over_density(results, on_page=True), "x", "")
    assert re.search(r"\|θ₀\|·s<tspan[^>]*>AWS</tspan>", svg)
    with look():
        assert typeset("|θ₀|·s_AWS") == (r"|θ$_{0}$|·s$_\mathrm{AWS}$", True)
        assert typeset("learning_rate") == ("learning_rate", False)


def test_any_label_can_be_drawn(tmp_path: Path) -> None:
    labels = ["a $x$ b", r"\frac{1", "<script>&amp;", "s_AWS $", "\N{SNOWMAN}_x", "x" * 70, "", "_", "%d {0}"]
    results = synthetic_study.several()
    for arm, label in zip(results["study"]["arms"], labels, strict=True):
        arm["label"] = label
    for plot in figures.study_plots(results):
        for width in (WIDE, NARROW):
            svg = figures.inline_svg(plot.draw(width=width, on_page=True), "x", labels[2], title=labels[2])
            ElementTree.fromstring(svg)
        figures.save(plot.draw(), tmp_path / plot.name)


# Reading, and what is missing


def test_reading_refuses_what_is_absent_damaged_or_of_another_format(tmp_path: Path) -> None:
    with pytest.raises(WinsomeError, match=r"holds no results\.json"):
        read(tmp_path)
    folder = synthetic_study.write(tmp_path / "study", synthetic_study.small())
    assert read(folder)["study"]["name"] == "digits"
    path = folder / "results.json"
    whole = path.read_text(encoding="utf-8")
    changes: list[tuple[Callable[[str], str], str]] = [
        (lambda text: text[: len(text) // 2], "is damaged"),
        (lambda text: text.replace('"format": 1', '"format": 2'), "has format 2"),
        (lambda _: "[]", "has format None"),
        (lambda text: json.dumps({k: v for k, v in json.loads(text).items() if k != "table"}), "lacks table"),
    ]
    for change, message in changes:
        path.write_text(change(whole), encoding="utf-8")
        with pytest.raises(WinsomeError, match=message):
            read(folder)


@pytest.mark.parametrize("name", figures.STUDY_PLOTS)
def test_a_figure_of_nothing_is_refused_and_not_offered(name: str) -> None:
    results = synthetic_study.results(arms=("dense",), curves=False)
    results["comparisons"], results["searches"] = [], []
    assert figures.study_plots(results) == []
    with pytest.raises(WinsomeError, match="the results hold no"):
        figures.STUDY_PLOTS[name].draw(results)


def test_small_words() -> None:
    assert interval_words(synthetic_study.small()["comparisons"][0]) == ""
    assert same_density(0.0563, 0.75**10)
    assert not same_density(0.8**5, 0.8**6)
    assert extremes_and_middle([9, 8, 7, 6, 5]) == [9, 7, 5]
    assert reference(synthetic_study.usual()) == "planted_aws"

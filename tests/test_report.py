"""The report: well-formed, self-contained, says everything once, and holds up in a real browser and on paper."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from matplotlib.text import Text

import synthetic_study
from winsome import figures, report
from winsome.citation import bibtex, own_entry
from winsome.errors import WinsomeError
from winsome.evidence.results import Results, Verdict
from winsome.report.markup import day, linked, settings, typeset, value
from winsome.report.tables import accuracy_tables, layer_table

VOID = {"meta", "br", "wbr", "hr", "img", "input", "link", "path", "use"}
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium or google-chrome on PATH to look at the page with")


class Page(HTMLParser):
    """A strict reader of a page: every element closed in order, every id once; keeps texts, tables and attributes."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[tuple[str, ...], str]] = []
        self.tables: list[list[list[str]]] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"an attribute twice on <{tag}>"
        self.attributes.append((tag, dict(attrs)))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((tuple(self.open), data))
        if "td" in self.open or "th" in self.open:
            self.tables[-1][-1][-1] += data

    @property
    def ids(self) -> list[str]:
        """Every id, in order."""
        return [found for _, attributes in self.attributes if (found := attributes.get("id"))]

    @property
    def text(self) -> str:
        """All that a reader can read, on one line."""
        return " ".join("".join(data for tags, data in self.texts if "style" not in tags).split())


def page_of(folder: Path) -> Page:
    """The report in a folder, read strictly."""
    return Page((folder / "report.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder with a written report for every kind of study."""
    root = tmp_path_factory.mktemp("reports")
    folders = {}
    for name, make in synthetic_study.CASES.items():
        folders[name] = synthetic_study.write(root / name, make())
        assert report.write(folders[name]) == folders[name] / "report.html"
    return folders


@pytest.fixture(params=synthetic_study.CASES)
def case(request: pytest.FixtureRequest, written: dict[str, Path]) -> tuple[Results, Page, Path]:
    """Every kind of study in turn: its results, its page, its folder."""
    folder = written[request.param]
    return figures.read(folder), page_of(folder), folder


def test_the_page_is_well_formed_and_every_id_is_used_once(case: tuple[Results, Page, Path]) -> None:
    _, page, _ = case
    assert len(page.ids) == len(set(page.ids))
    assert {"study", "verdicts", "run", "accuracy", "reading", "cite"} <= set(page.ids)
    targets = [href[1:] for _, attributes in page.attributes if (href := attributes.get("href") or "").startswith("#")]
    assert set(targets) <= set(page.ids)


def test_the_page_loads_nothing_and_runs_nothing(case: tuple[Results, Page, Path]) -> None:
    _, page, folder = case
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert not {"script", "link", "img", "iframe", "object", "embed", "image"} & {tag for tag, _ in page.attributes}
    assert not [name for _, attributes in page.attributes for name in attributes if name.startswith("on") or name == "src"]
    assert "@import" not in html
    assert set(re.findall(r"url\(([^)]*)\)", html)) <= {f"#{name}" for name in page.ids}
    assert "http://" not in html
    links = [href for tag, attributes in page.attributes if tag == "a" and (href := attributes.get("href"))]
    assert html.count("https://") == sum(href.startswith("https://arxiv.org/abs/") for href in links)
    for href in links:
        assert href.startswith(("#", "https://arxiv.org/abs/")) or (folder / href).is_file(), href


def test_every_figure_is_on_the_page_and_in_files(case: tuple[Results, Page, Path]) -> None:
    results, page, folder = case
    names = [plot.name for plot in figures.study_plots(results)]
    shown = [name.removeprefix("fig-") for name in page.ids if name.startswith("fig-")]
    assert sorted(shown) == sorted(names)
    files = {path.name for path in (folder / "figures").iterdir()}
    assert files == {f"{name}.{ending}" for name in names for ending in ("svg", "pdf")}
    drawings = [attributes for tag, attributes in page.attributes if tag == "svg"]
    assert len(drawings) == 2 * len(names)
    assert all(attributes["role"] == "img" and attributes["aria-label"] for attributes in drawings)
    named = [data for tags, data in page.texts if tags[-2:] == ("svg", "title")]
    assert named == [name.replace("_", " ") for name in shown for _ in range(2)]


def test_every_arm_and_density_is_in_the_table_with_its_mean_and_deviation(case: tuple[Results, Page, Path]) -> None:
    results, page, _ = case
    tables = [table for table in page.tables if table[0][0] == "Arm"]
    assert all(len(row) == len(table[0]) for table in tables for row in table)
    shown = {
        (row[0].split("\n")[0], density): cell
        for table in tables
        for row in table[1:]
        for density, cell in zip(table[0][1:], row[1:], strict=True)
    }
    for entry in results["table"]:
        label = next(arm["label"] for arm in results["study"]["arms"] if arm["name"] == entry["arm"]).replace("_", "")
        runs = entry["n_runs"]
        expected = f"{100 * entry['mean']:.1f}" + (f" ± {100 * entry['std']:.1f}" if entry["std"] is not None else "")
        densities = {density for _, density in shown} if entry["density"] == 1 else {f"{100 * entry['density']:.3g}\u00a0%"}
        for density in densities:
            name = next(key for key, where in shown if where == density and key.startswith(f"{label}{runs} run"))
            assert shown[name, density].startswith(expected)


def test_differences_point_one_way_in_tables_and_figures() -> None:
    results = synthetic_study.usual()
    (table,) = accuracy_tables(results)
    cells = {line.name: line.cells[1].difference for line in table.lines}
    comparison = next(c for c in results["comparisons"] if c["second"] == "mask_only" and c["density"] == 0.0563)
    assert comparison["low"] is not None
    assert comparison["high"] is not None
    difference, low, high = 100 * comparison["difference"], 100 * comparison["low"], 100 * comparison["high"]
    assert cells["planted_aws"] == "reference"
    assert cells["mask_only"] == f"+{difference:.1f} [{low:.1f}, {high:.1f}]"
    assert cells["dense"].startswith("−")
    words = {text.get_text() for text in figures.paired_differences(results).findobj(Text)}
    assert {cell for name, cell in cells.items() if name != "planted_aws"} <= words


def test_a_table_turns_what_was_compared_the_other_way_round() -> None:
    results = synthetic_study.results()
    before = {line.name: line.cells[0].difference for line in accuracy_tables(results)[0].lines}
    for comparison in results["comparisons"][:1]:
        comparison["first"], comparison["second"] = comparison["second"], comparison["first"]
        low, high = comparison["low"], comparison["high"]
        assert low is not None
        assert high is not None
        comparison["difference"], comparison["low"], comparison["high"] = -comparison["difference"], -high, -low
    assert {line.name: line.cells[0].difference for line in accuracy_tables(results)[0].lines} == before


def test_all_comparisons_are_listed_as_numbers(case: tuple[Results, Page, Path]) -> None:
    results, page, _ = case
    (table,) = [table for table in page.tables if table[0][0] == "First − second"]
    assert len(table) - 1 == len(results["comparisons"])
    wins = sorted(row[4] for row in table[1:])
    assert wins == sorted(f"{comparison['wins']} of {comparison['n']}" for comparison in results["comparisons"])


def test_every_claim_has_its_verdict(case: tuple[Results, Page, Path]) -> None:
    results, page, folder = case
    html = (folder / "report.html").read_text(encoding="utf-8")
    block = html[html.index('id="verdicts"') : html.index('id="fig-accuracy_over_density"')]
    words = re.findall(r'<p class="badge">([^<]*)</p>', block)
    expected = {"shown": "Shown here", "not judged": "Not judged"}
    assert len(words) == len(results["verdicts"])
    for word, verdict in zip(words, results["verdicts"], strict=True):
        assert word.split(",")[0] == expected.get(verdict["status"], "Not shown here")
    assert f"Of {len(words)} claim" in page.text
    for verdict in results["verdicts"]:
        assert verdict["claim"].replace("_", "") in page.text.replace("_", "")
        assert verdict["value"] is not None
        assert f"{100 * verdict['value']:+.1f} points".replace("-", "−") in page.text


@pytest.mark.parametrize(
    ("change", "badge", "finding"),
    [
        ({"status": "shown"}, "Shown here", "A minus b is +2.5 points (95 % interval +2.0 to +3.0, 16 search seeds)"),
        ({"status": "opposite", "value": -0.02}, "Not shown here, the opposite shows", "A minus b is −2.0 points (95 %"),
        ({"status": "within the spread", "low": -0.02}, "Not shown here, within the spread", "(95 % interval −2.0 to +3.0, 16"),
        ({"status": "not judged", "reason": "one search seed", "low": None}, "Not judged, one search seed", "no interval)"),
        ({"status": "not judged", "reason": "no value", "value": None}, "Not judged, no value", "A minus b has no value"),
        (
            {"status": "not shown", "unit": "percent", "of": "start"},
            "Not shown here",
            "is 2.5 % (95 % interval 2.0 to 3.0, 16 starts)",
        ),
    ],
)
def test_a_verdict_says_nothing_twice(tmp_path: Path, change: Any, badge: str, finding: str) -> None:
    results = synthetic_study.results(arms=("dense",), curves=False)
    verdict: Verdict = {
        "claim": "It holds.", "source": "here", "meaning": "a minus b", "where": "at density 0.05", "density": 0.05,
        "status": "shown", "reason": "", "unit": "points", "value": 0.025, "low": 0.02, "high": 0.03, "n": 16,
        "of": "search seed", "study": None, **change,
    }  # fmt: skip
    results["verdicts"] = [verdict]
    report.write(synthetic_study.write(tmp_path, results))
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert f'<p class="badge">{badge}</p>' in html
    (found,) = re.findall('<p class="finding">(.*)</p>', html)
    assert finding in found


def test_what_was_run_is_said(written: dict[str, Path]) -> None:
    text = page_of(written["usual"]).text
    for words in (
        "11 arms of residual mlp (25,866 parameters, 24,576 of them prunable) on digits",
        "(1,297 training and 500 test images, 10 classes)",
        "about 1 of them would still exclude zero",
        "at 23.7 % and 5.63 % of the weights, over 16 search seeds with 2 fresh starts each",
        "in 1 min 40 s",
        "AMD EPYC, 2 cores, without a GPU",
        "Winsome 0.1.0, PyTorch 2.15.0 and Python 3.11.7",
        "21 November 2026",
        "search 0–15",
        "weight decay 0.001",
    ):
        assert words in text
    assert "BatchNorm statistics were re-estimated on 1,000 training images" in text
    (searches,) = [table for table in page_of(written["usual"]).tables if table[0][0] == "Search"]
    assert ["LRR", "magnitude", "globally", "KeepWeights(step=0)", "plain", "11, from 0 to 10", "25\u00a0% a level"] in searches


def test_warnings_stand_at_the_top_each_once(written: dict[str, Path]) -> None:
    page = page_of(written["large"])
    assert page.text.count("layer blocks.4 lost all its weights") == 1
    assert page.ids.index("warnings") < page.ids.index("run")
    assert "warnings" not in page_of(written["usual"]).ids


def test_what_is_missing_stands_first(tmp_path: Path) -> None:
    results = synthetic_study.usual()
    results["missing"] = ["search aws: not finished for search seed 3"]
    report.write(synthetic_study.write(tmp_path, results))
    page = page_of(tmp_path)
    assert "search aws: not finished for search seed 3" in page.text
    assert page.ids.index("missing") < page.ids.index("verdicts")


def test_nothing_is_said_of_how_settings_were_chosen(case: tuple[Results, Page, Path]) -> None:
    assert "chose nothing" not in case[1].text
    assert "tuned" not in case[1].text


def test_headings_come_in_order_and_all_is_in_main(case: tuple[Results, Page, Path]) -> None:
    _, page, folder = case
    levels = [int(tag[1]) for tag, _ in page.attributes if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1 or "missing" in page.ids
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert all("main" in tags for tags, data in page.texts if data.strip() and "body" in tags)
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert html.count("<caption>") == html.count("<table")


def test_a_collapsed_layer_is_marked_in_the_table(written: dict[str, Path]) -> None:
    density, methods, lines = layer_table(figures.read(written["large"]))
    assert density == "1.15\u00a0%"
    assert methods == ["AWS", "LRR", "LRR, frozen norms", "IMP"]
    assert [line.name for line in lines if line.collapsed] == ["blocks.4"]
    assert len(lines) == 54
    assert lines[4].kept[0] == ("0\u00a0%", "—")


def test_citations_can_be_copied_whole(written: dict[str, Path]) -> None:
    results = figures.read(written["small"])
    page = page_of(written["small"])
    assert [data for tags, data in page.texts if "pre" in tags] == [bibtex([own_entry(), *results["study"]["citations"]])]
    assert "user-select: all" in (written["small"] / "report.html").read_text(encoding="utf-8")


def test_everything_from_outside_is_escaped(tmp_path: Path) -> None:
    results = synthetic_study.several()
    evil = '<script>alert("1")</script>&amp;'
    results["study"]["title"] = results["study"]["name"] = evil
    results["notes"], results["warnings"] = [evil], [evil]
    results["environment"]["command"] = results["environment"]["cpu"] = evil
    results["study"]["network"] = {"name": evil, evil: evil}
    for record in results["study"]["searches"]:
        record["label"] = record["sentence"] = record["score"] = evil
    for verdict in results["verdicts"]:
        verdict["claim"] = verdict["meaning"] = verdict["source"] = evil
    for arm in results["study"]["arms"]:
        arm["label"] = arm["explanation"] = evil
    for search in results["searches"]:
        for level in search["levels"]:
            level["layers"] = {f"{evil}{name}": count for name, count in level["layers"].items()}
    report.write(synthetic_study.write(tmp_path, results))
    page = page_of(tmp_path)
    assert "script" not in {tag for tag, _ in page.attributes}
    assert page.text.count(evil) > 30


def test_the_same_results_give_the_same_page(written: dict[str, Path], tmp_path: Path) -> None:
    again = synthetic_study.write(tmp_path, synthetic_study.small())
    report.write(again)
    report.write(again)
    for name in ("report.html", "figures/accuracy_over_density.svg", "figures/accuracy_over_density.pdf"):
        assert (again / name).read_bytes() == (written["small"] / name).read_bytes()
    assert not list(again.glob(".*"))


def test_several_studies_are_compared_on_one_page(tmp_path: Path) -> None:
    made = {"a": synthetic_study.small(), "deep/b": synthetic_study.results(seeds=4, layers=3)}
    for place, results in made.items():
        synthetic_study.write(tmp_path / place, results)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "results.json").write_text("{", encoding="utf-8")
    assert report.write(tmp_path) == tmp_path / "report.html"
    page = page_of(tmp_path)
    assert len(page.ids) == len(set(page.ids))
    links = [attributes["href"] for tag, attributes in page.attributes if tag == "a"]
    assert links[:2] == ["a/report.html", "deep/b/report.html"]
    assert "2 studies of winning tickets" in page.text
    assert re.search(r"Left out: \S*broken/results.json is damaged", page.text)
    arms, claims = page.tables
    assert len(arms) == 1 + sum(len(results["study"]["densities"]) for results in made.values())
    assert all(len(row) == len(arms[0]) for row in arms), "one density each: no name spans two lines"
    whole = made["deep/b"]
    shown = dict(zip(arms[0][2:], arms[2][2:], strict=True))
    for entry in whole["table"]:
        label = next(arm["label"] for arm in whole["study"]["arms"] if arm["name"] == entry["arm"]).replace("_", "")
        assert shown[label].startswith(f"{100 * entry['mean']:.1f} ± ")
    assert [row[0].partition("arXiv")[0] for row in claims[1:]] == [
        verdict["claim"].replace("_", "") for verdict in whole["verdicts"]
    ]
    assert {row[1] for row in claims[1:]} == {"Not judged, one search seed", "—"}
    for place in made:
        assert (tmp_path / place / "report.html").is_file()
        assert (tmp_path / place / "figures" / "layer_densities.pdf").is_file()
    assert not (tmp_path / "figures").exists()


def test_one_study_below_a_folder_is_a_page_like_any_other(tmp_path: Path) -> None:
    synthetic_study.write(tmp_path / "only", synthetic_study.small())
    report.write(tmp_path)
    page = page_of(tmp_path)
    assert "study" in page.ids
    links = [str(attributes["href"]) for tag, attributes in page.attributes if tag == "a"]
    files = [link for link in links if not link.startswith("https://")]
    assert "only/results.json" in files
    assert all((tmp_path / link).is_file() for link in files)


def test_a_folder_without_studies_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WinsomeError, match=r"no results\.json in .* or any folder below it; give the folder of a finished"):
        report.write(tmp_path)
    with pytest.raises(WinsomeError, match="is not a folder"):
        report.write(tmp_path / "absent")
    (tmp_path / "results.json").write_text("no", encoding="utf-8")
    with pytest.raises(WinsomeError, match="is damaged"):
        report.write(tmp_path)
    (tmp_path / "below").mkdir()
    (tmp_path / "results.json").rename(tmp_path / "below" / "results.json")
    with pytest.raises(WinsomeError, match="is damaged"):
        report.write(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_a_place_where_figures_cannot_go_is_named(tmp_path: Path) -> None:
    folder = synthetic_study.write(tmp_path, synthetic_study.small())
    (folder / "figures").write_text("a file where the folder should be", encoding="utf-8")
    with pytest.raises(WinsomeError, match=r"cannot write figures to .*figures: File exists"):
        report.write(folder)


def test_a_study_with_next_to_nothing_still_has_a_page(tmp_path: Path) -> None:
    results = synthetic_study.results(arms=("dense",), seeds=1, starts=1, curves=False)
    results["comparisons"], results["searches"], results["verdicts"], results["notes"] = [], [], [], []
    results["study"]["citations"], results["seconds"] = [], {}
    report.write(synthetic_study.write(tmp_path, results))
    page = page_of(tmp_path)
    assert {"verdicts", "notes", "differences", "searches", "layers"}.isdisjoint(page.ids)
    assert "cite" in page.ids, "Winsome itself"
    assert page.tables[0][1][1].startswith(f"{100 * results['table'][0]['mean']:.1f}")
    results["rows"], results["table"] = [], []
    report.write(synthetic_study.write(tmp_path, results))  # of which no run has finished


def test_wording() -> None:
    assert (day("2026-11-21T03:00:00Z"), day("yesterday")) == ("21 November 2026", "yesterday")
    assert typeset("|θ₀|·s_AWS <b>") == "|θ₀|·s<sub>AWS</sub> &lt;b&gt;"
    assert linked("<b> of arXiv:2402.19262, figure 5") == (
        '&lt;b&gt; of <a href="https://arxiv.org/abs/2402.19262">arXiv:2402.19262</a>, figure 5'
    )
    assert settings({"batch_size": 128, "schedule": {"kind": "steps", "at": [0.5, 0.75]}, "gpu": None, "options": {}}) == [
        ("batch size", "128"),
        ("schedule", "steps, at 0.5, 0.75"),
    ]
    assert [value(content) for content in (True, 24576, 0.001, "x")] == ["yes", "24,576", "0.001", "x"]


# In a real browser


def chromium(page: Path, profile: Path, *options: str) -> str:
    """What headless Chromium prints when it opens a page."""
    assert CHROMIUM is not None
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", f"--user-data-dir={profile}",
        *options, page.as_uri(),
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


MEASURE = """<script>
const seen = (element) => element.getBoundingClientRect();
const style = getComputedStyle(document.body);
const shown = [...document.querySelectorAll("figure svg")].filter((svg) => seen(svg).width > 0);
const tables = [...document.querySelectorAll(".scroll")].filter((box) => seen(box).width > 0);
parent.postMessage(JSON.stringify({
  window: innerWidth, page: document.documentElement.scrollWidth,
  figures: shown.length, narrow: shown.filter((svg) => svg.closest(".narrow")).length,
  widest: Math.max(...shown.map((svg) => seen(svg).right)), tables: Math.max(...tables.map((box) => seen(box).right)),
  scrolls: tables.filter((box) => box.scrollWidth > box.clientWidth + 1).length,
  smallest: Math.min(...shown.flatMap((svg) =>
    [...svg.querySelectorAll("text")].map((text) => parseFloat(getComputedStyle(text).fontSize) * svg.getScreenCTM().a))),
  paper: style.backgroundColor, ink: style.color, tick: getComputedStyle(shown[0].querySelector("text")).fill,
}), "*");
</script></body>"""


# A frame, for a window of Chromium cannot be as narrow as a phone.
FRAME = """<!DOCTYPE html><meta name="color-scheme" content="light dark"><title></title>
<script>addEventListener("message", (message) => { document.title = message.data; });</script>
<iframe src="measured.html" style="width: WIDTHpx; height: 1200px; border: 0"></iframe>"""


def measured(folder: Path, scratch: Path, width: int, *, dark: bool = False) -> dict[str, float | str]:
    """What the browser measures on a report at this width in pixels."""
    html = (folder / "report.html").read_text(encoding="utf-8")
    (scratch / "measured.html").write_text(html.replace("</body>", MEASURE), encoding="utf-8")
    frame = scratch / "frame.html"
    frame.write_text(FRAME.replace("WIDTH", str(width)), encoding="utf-8")
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    options = ("--window-size=1400,1400", scheme, "--virtual-time-budget=2000", "--dump-dom")
    title = re.search(r"<title>(\{.*?\})</title>", chromium(frame, scratch / "profile", *options))
    assert title is not None
    found: dict[str, float | str] = json.loads(title[1])
    return found


@needs_browser
@pytest.mark.parametrize("name", ["usual", "large", "small"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_never_scrolls_sideways(written: dict[str, Path], tmp_path: Path, name: str, width: int) -> None:
    page = measured(written[name], tmp_path, width)
    assert page["window"] == width
    assert page["page"] == width
    assert page["widest"] <= width  # type: ignore[operator]
    assert page["tables"] <= width  # type: ignore[operator]
    assert page["narrow"] == (page["figures"] if width == 390 else 0)
    assert page["figures"] == len(figures.study_plots(figures.read(written[name])))
    assert page["smallest"] >= 9  # type: ignore[operator]  # pixels, of the letters in figures
    if name == "large" and width == 390:
        assert page["scrolls"] > 0  # type: ignore[operator]  # it is the tables that do


@needs_browser
def test_the_page_follows_light_and_dark(written: dict[str, Path], tmp_path: Path) -> None:
    light, dark = (measured(written["small"], tmp_path, 1280, dark=dark) for dark in (False, True))
    assert (light["paper"], light["ink"], light["tick"]) == ("rgb(255, 255, 255)", "rgb(27, 31, 36)", "rgb(106, 112, 121)")
    assert (dark["paper"], dark["ink"], dark["tick"]) == ("rgb(20, 23, 26)", "rgb(230, 232, 235)", "rgb(154, 162, 171)")


@needs_browser
@pytest.mark.parametrize("name", ["usual", "large"])
def test_the_page_prints(written: dict[str, Path], tmp_path: Path, name: str) -> None:
    pdf = tmp_path / "report.pdf"
    options = ("--no-pdf-header-footer", f"--print-to-pdf={pdf}", "--blink-settings=preferredColorScheme=0")
    chromium(written[name] / "report.html", tmp_path / "profile", *options)
    content = pdf.read_bytes()
    assert content.startswith(b"%PDF")
    pages = len(re.findall(rb"/Type\s*/Page\b(?!s)", content))
    assert 4 <= pages <= 16
    boxes = {tuple(float(part) for part in box.split()) for box in re.findall(rb"/MediaBox\s*\[([^\]]*)\]", content)}
    assert boxes
    assert all(box[2:] == pytest.approx((595, 842), abs=1) for box in boxes)  # A4, as the style sheet asks

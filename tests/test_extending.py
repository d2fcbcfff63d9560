"""docs/extending.md runs whole, and what it adds keeps the contract of what is in Winsome: one file and one line each."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

from contract import check_allocation, check_method, check_rewind, check_score, check_while_training, network, search
from winsome.about import about
from winsome.allocation import ALLOCATIONS
from winsome.citation import bibtex
from winsome.cli import main
from winsome.data import DATA_SETS
from winsome.evidence.results import read
from winsome.files import read_json
from winsome.methods import METHODS, WHILE_TRAINING
from winsome.rewinding import REWINDS
from winsome.scores import SCORES
from winsome.user_code import UserFile

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"


def code_of(page: Path) -> str:
    """The Python of a page as one file, every line where it is on the page."""
    inside, lines = False, []
    for line in page.read_text().splitlines():
        inside = line == "```python" if not inside else line != "```"
        lines.append(line if inside and line != "```python" else "")
    return "\n".join(lines)


@pytest.fixture(scope="module")
def page() -> Iterator[tuple[ModuleType, str]]:
    """The page as a module, and what it printed."""
    printed: list[str] = []
    file, before, threads = UserFile(str(PAGE), code_of(PAGE)), list(sys.path), torch.get_num_threads()
    torch.set_num_threads(1)
    known = dict(DATA_SETS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("builtins.print", lambda *values: printed.append(" ".join(map(str, values))))
        module = file.load()
    torch.set_num_threads(threads)
    sys.path[:] = before
    yield module, "\n".join(printed)
    del sys.modules[file.module_name]
    DATA_SETS.clear()
    DATA_SETS.update(known)


def test_the_page_runs_whole_and_does_what_it_says(page: tuple[ModuleType, str]) -> None:
    module, printed = page
    assert module.level.ticket.density == pytest.approx(0.2, abs=0.001)
    assert module.level.ticket.provenance["probe"]["batches"] == 2
    assert re.search(r"method\.score\.scale was 2\.0, is now 3\.0", printed)
    assert module.snip_at_initialisation().label == "SNIP"
    assert set(module.compositions) == set(module.tickets)
    assert {round(ticket.density, 2) for ticket in module.tickets.values()} == {0.51}
    masks = {name: ticket.mask for name, ticket in module.tickets.items()}
    places = {name: {layer: mask.kept(layer).tolist() for layer in mask} for name, mask in masks.items()}
    last = {layer: module.masks[-1].kept(layer).tolist() for layer in module.masks[-1]}
    assert places["mask swap"] == last
    assert places["permuted masks"] != last


def test_the_score_of_the_page_against_finite_differences(page: tuple[ModuleType, str]) -> None:
    """What the loss changes by if a weight goes, to first order: w dL/dw."""
    module, _ = page
    model = module.network().double().eval()
    probe = module.Probe(module.inputs[:32].double(), module.labels[:32], training=False)
    weights = {"0.weight": model.get_parameter("0.weight")}
    score = module.snip(weights, model, probe, None)["0.weight"].detach()
    for place in ((0, 0), (5, 7), (31, 15)):
        w, change = float(weights["0.weight"].detach()[place]), 1e-5
        losses = []
        for factor in (1 + change, 1 - change):
            with torch.no_grad():
                weights["0.weight"][place] = w * factor
            losses.append(float(probe.loss(model(probe.inputs), probe.labels).detach()))
        assert float(score[place]) == pytest.approx(abs(losses[0] - losses[1]) / (2 * change), rel=1e-4, abs=1e-9)
        with torch.no_grad():
            weights["0.weight"][place] = w


def test_what_the_page_adds_is_a_member_like_any_other_by_one_entry(
    page: tuple[ModuleType, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module, _ = page
    monkeypatch.setitem(SCORES, "snip", module.snip)
    monkeypatch.setitem(ALLOCATIONS, "first_layer_denser", module.first_layer_denser)
    monkeypatch.setitem(REWINDS, "HalfWay", module.HalfWay)
    monkeypatch.setitem(WHILE_TRAINING, "sign_in", module.sign_in)
    for name in ("snip_at_initialisation", "lrr_with_snip"):
        monkeypatch.setitem(METHODS, name, getattr(module, name))
        check_method(METHODS[name], tmp_path / name)
    check_score(SCORES["snip"])
    scores = {name: torch.rand(weight.shape) for name, weight in network().named_parameters() if weight.ndim == 2}
    check_allocation(ALLOCATIONS["first_layer_denser"], scores, 0.6, 0.3)
    check_rewind(REWINDS["HalfWay"])
    check_while_training(WHILE_TRAINING["sign_in"], tmp_path / "sign_in")
    shorts = {about(make).short: name for name, make in METHODS.items() if about(make).short}
    assert shorts["snip-lrr"] == "lrr_with_snip"
    cited = search(METHODS["snip_at_initialisation"](0.3))[0].ticket.provenance["citations"]
    assert "{lee2019snip" in bibtex(cited)


# What makes the commands of the page quick.
SHORT = "--levels 1 --level-epochs 1 --warmup-epochs 0 --train-images 160 --test-images 50 --batch-size 80"
QUICK = {"find": SHORT.split(), "study": ["--plan-only"], "reproduce": ["--workers", "1"]}


def commands() -> list[list[str]]:
    """The commands of the page, as lists of words."""
    blocks = re.findall(r"^```bash\n(.*?)^```$", PAGE.read_text(), flags=re.M | re.S)
    return [shlex.split(line, comments=True) for block in blocks for line in block.splitlines()]


def test_every_block_of_the_page_is_python_or_commands() -> None:
    fences = re.findall(r"^```(\w*)$", PAGE.read_text(), flags=re.M)
    assert set(fences[::2]) == {"python", "bash"}
    assert set(fences[1::2]) == {""}
    assert {words[0] for words in commands()} == {"winsome"}


def test_the_commands_of_the_page_run(
    page: tuple[ModuleType, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a folder where the page's code is in mine.py, which is what the page is loaded as already."""
    module, _ = page
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WINSOME_CACHE", str(tmp_path / "cache"))
    (tmp_path / "mine.py").write_text(code_of(PAGE))
    file = UserFile(str(tmp_path / "mine.py"), code_of(PAGE))
    monkeypatch.setitem(sys.modules, file.module_name, module)
    for number, words in enumerate(commands()):
        quick = next((more for start, more in QUICK.items() if " ".join(words[1:]).startswith(start)), [])
        rewound = ["--rewind-step", "1"] if "--rewind-step" in words else []
        given = words[1 : words.index("--rewind-step")] if rewound else words[1:]
        main([*given, *quick, *rewound, "--save-to", f"runs/{number}"])
    printed = capsys.readouterr().out
    assert "planted_lrr_with_snip at level" in printed
    assert "turned at level 2" in printed
    made = [read_json(path) for path in sorted(tmp_path.glob("runs/*/config.json"))]
    assert [one["method"].get("score") for one in made if "method" in one].count("magnitude") == 2
    (record,) = tmp_path.glob("runs/5/*/recipe.json")
    results = read(record.parent / "turned")
    assert [arm["name"] for arm in results["study"]["arms"]] == ["dense", "planted_lrr", "turned"]
    assert results["verdicts"][0]["claim"] == "A mask trains better with its own signs."
    (table,) = read_json(record)["tables"]
    assert [row[0] for row in table["rows"]] == list(results["searches"][0]["levels"][0]["layers"])

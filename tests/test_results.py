"""results.json: what a real study writes is what its schema says, and what is not finished is said, not lost."""

from __future__ import annotations

import dataclasses
import types
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

import pytest
from matplotlib.text import Text

import synthetic_study
from winsome import figures, models
from winsome.data.spec import DataSpec
from winsome.evidence.gather import collect, is_gathered
from winsome.evidence.results import FILE_NAME, Results, read
from winsome.figures.styles import arm_styles, search_styles
from winsome.files import read_json
from winsome.method import Method
from winsome.methods import aws, learning_rate_rewinding
from winsome.models.spec import NetworkSpec
from winsome.report.glossary import glossary
from winsome.study.arms import Claim, Dense, FoundNetwork, Planted
from winsome.study.design import SearchSpec, Study
from winsome.study.folder import StudyFolder
from winsome.study.run import run
from winsome.training.settings import SGD, Constant, Training


def stranger(levels: int) -> Method:
    """A method that no list of ours names."""
    sentence = "Keeps what it keeps, in a way of its own."
    return dataclasses.replace(learning_rate_rewinding(levels, 0.5), label="Mine", sentence=sentence)


def tiny() -> Study:
    """Two search seeds, one level, one epoch."""
    return Study(
        name="tiny",
        title="A tiny study",
        data=DataSpec("digits", train_images=260, test_images=100),
        network=NetworkSpec("residual_mlp", (("blocks", 1), ("width", 8))),
        searches=(("aws", aws(1, 0.5)), ("mine", SearchSpec(stranger(1), training=Training(1, 64, SGD(0.05), Constant())))),
        search_training=Training(1, 64, SGD(0.1), Constant()),
        warmup_epochs=0,
        training=Training(2, 64, SGD(0.1)),
        arms=(
            Dense("whole"),
            Planted("planted_aws", "|θ₀|·s_AWS", "AWS's signed mask.", "aws"),
            Planted("planted_mine", "|θ₀|·s_mine", "My signed mask.", "mine"),
            FoundNetwork("network_mine", "my network", "What my search ends with.", "mine"),
        ),
        levels=(1,),
        search_seeds=(0, 1),
        curve_at=(1,),
        claims=(Claim("Mine is better than none.", "nowhere", {"planted_mine": 1, "whole": -1}, "mine minus dense"),),
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny study that has been run and gathered."""
    folder = tmp_path_factory.mktemp("tiny")
    run(tiny(), folder, workers=1)
    collect(tiny(), folder, command="test")
    return folder


def faults(value: Any, kind: Any, place: str) -> list[str]:
    """Where a JSON value is not of a type, keys that are missing or unknown included."""
    if kind is Any:
        return []
    if is_typeddict(kind):
        hints = get_type_hints(kind)
        odd = [f"{place}: {key}" for key in value.keys() ^ hints.keys()]
        both = value.keys() & hints.keys()
        return odd + [fault for key in both for fault in faults(value[key], hints[key], f"{place}.{key}")]
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (list, dict) and not isinstance(value, origin):
        return [f"{place}: {value!r} is no {origin.__name__}"]
    if origin is list:
        return [fault for n, part in enumerate(value) for fault in faults(part, inner[0], f"{place}[{n}]")]
    if origin is dict:
        return [fault for key, part in value.items() for fault in faults(part, inner[1], f"{place}.{key}")]
    if origin is Literal:
        return [] if value in inner else [f"{place}: {value!r}"]
    if origin in (Union, types.UnionType):
        return [] if any(not faults(value, one, place) for one in inner) else [f"{place}: {value!r}"]
    fits = isinstance(value, (int, float) if kind is float else kind) and not (isinstance(value, bool) and kind is not bool)
    return [] if fits else [f"{place}: {value!r} is no {kind.__name__}"]


def test_a_study_writes_what_the_schema_says(finished: Path) -> None:
    assert faults(read_json(finished / FILE_NAME), Results, "results") == []
    assert faults(synthetic_study.usual(), Results, "results") == []
    broken = {**synthetic_study.small(), "table": [{"arm": 3}], "more": 1}
    places = {fault.partition(":")[0] for fault in faults(broken, Results, "results")}
    assert places == {"results", "results.table[0]", "results.table[0].arm"}


def test_what_is_read_is_what_was_collected(finished: Path) -> None:
    again = collect(tiny(), finished, command="test")
    assert {**read(finished), "environment": {}} == {**again, "environment": {}}
    assert is_gathered(tiny(), finished)
    assert not is_gathered(dataclasses.replace(tiny(), claims=()), finished)
    assert again["missing"] == []


def test_a_study_says_what_its_searches_and_its_network_are(finished: Path) -> None:
    study = read(finished)["study"]
    theirs, mine = study["searches"]
    assert (theirs["name"], mine["name"]) == ("aws", "mine")
    assert (mine["label"], mine["sentence"]) == ("Mine", "Keeps what it keeps, in a way of its own.")
    assert mine["densities"] == [1.0, 0.5]
    assert mine["training"] is not None
    assert mine["training"]["optimizer"]["learning_rate"] == 0.05
    assert theirs["training"] is None
    assert theirs["while_training"] != mine["while_training"]
    tickets = [level["layers"] for search in read(finished)["searches"] for level in search["levels"]]
    assert {sum(layer["total"] for layer in layers.values()) for layers in tickets} == {study["prunable"]}
    network = models.build("residual_mlp", image_shape=(1, 8, 8), n_classes=10, seed=0, blocks=1, width=8)
    assert study["parameters"] == sum(value.numel() for value in network.parameters())


def test_the_dense_network_stands_beside_every_density_whatever_its_name(finished: Path) -> None:
    (verdict,) = read(finished)["verdicts"]
    assert (verdict["n"], verdict["density"]) == (2, 0.5)


def test_a_strangers_method_has_its_label_its_line_and_a_colour_of_its_own(finished: Path) -> None:
    results = read(finished)
    styles = search_styles(results)
    assert styles["mine"].colour != styles["aws"].colour
    assert arm_styles(results)["planted_mine"].colour == styles["mine"].colour
    assert dict(glossary(results))["Mine"] == "Keeps what it keeps, in a way of its own."
    assert "Mine" in {text.get_text() for text in figures.search_progress(results).findobj(Text)}


def test_what_is_not_finished_is_named_and_the_rest_gathered(finished: Path) -> None:
    study = tiny()
    (StudyFolder(finished).search("mine", 1).path / "level-01.json").unlink()
    for name in ("planted_mine", "network_mine"):
        next((finished / "arms" / name).rglob("seed-01-start-0.json")).unlink()
    assert not is_gathered(study, finished)
    results = collect(study, finished, command="test")
    assert results["missing"] == [
        "search mine: not finished for search seed 1",
        "planted_mine at 50\u00a0% of the weights: no result for search seed 1",
        "network_mine at 50\u00a0% of the weights: no result for search seed 1",
    ]
    assert [len(search["levels"]) for search in results["searches"]] == [2, 2, 2, 1]
    assert {row["arm"] for row in results["rows"]} == {arm.name for arm in study.arms}
    assert [verdict["reason"] for verdict in results["verdicts"]] == ["one search seed"]
    assert is_gathered(study, finished)


def test_of_nothing_everything_is_missing(tmp_path: Path) -> None:
    results = collect(tiny(), tmp_path, command="test")
    arms = ("planted_aws", "planted_mine", "network_mine")
    assert results["missing"] == [
        "search aws: not finished for any search seed",
        "search mine: not finished for any search seed",
        "whole: no result for any search seed",
        *(f"{arm} at 50\u00a0% of the weights: no result for any search seed" for arm in arms),
    ]
    assert (results["rows"], results["table"], results["verdicts"]) == ([], [], [])
    assert figures.study_plots(results) == []

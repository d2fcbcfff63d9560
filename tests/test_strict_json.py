"""JSON that other readers take: NaN and infinities are strings by a stated rule, and read back as they were."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import winsome
from winsome.files import read_json, write_json
from winsome.strict_json import text_of, value_of
from winsome.ticket_file.header import metadata_text, provenance_of


def strictly(text: str) -> Any:
    def refuse(word: str) -> None:
        raise ValueError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


words = st.builds(
    str.__add__, st.text("\\", max_size=3), st.sampled_from(["NaN", "Infinity", "-Infinity"])
)  # as somebody's text
leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | words
values = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)


def alike(one: Any, other: Any) -> bool:
    if isinstance(one, float) and math.isnan(one):
        return isinstance(other, float) and math.isnan(other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(alike(value, other[key]) for key, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(alike, one, other))
    return type(one) is type(other) and one == other


@given(values)
def test_any_value_is_valid_json_and_comes_back(value: Any) -> None:
    text = text_of(value)
    strictly(text)
    assert alike(value, value_of(text))


def test_the_words_are_those_that_javascript_and_python_know() -> None:
    assert strictly(text_of([math.nan, math.inf, -math.inf, (1, 2)])) == ["NaN", "Infinity", "-Infinity", [1, 2]]


def test_files_and_metadata_of_tickets_are_valid_json(tmp_path: Path) -> None:
    value = {"loss": math.inf, "deep": [math.nan, {"x": -math.inf}]}
    write_json(tmp_path / "x.json", value)
    strictly((tmp_path / "x.json").read_text())
    assert alike(read_json(tmp_path / "x.json"), value)
    strictly(metadata_text(value))
    assert alike(provenance_of(metadata_text(value)), value)


def test_metrics_that_are_not_finite_leave_a_run_that_others_can_read(tmp_path: Path) -> None:
    def train(model: nn.Module, level: winsome.Level) -> dict[str, Any]:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in level.steps(2, optimizer=optimizer, save_every=1):
            model(torch.ones(1, 4)).sum().backward()
            optimizer.step()
        return {"f1": math.nan, "loss": torch.tensor(-math.inf), "per_class": [0.5, math.nan]}

    expected = {"f1": math.nan, "loss": -math.inf, "per_class": [0.5, math.nan]}
    model = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2))
    for _ in range(2):  # trained, and read back
        for level in winsome.find_tickets(model, winsome.imp(1), train, save_to=tmp_path):
            assert alike(dict(level.metrics), expected)
    for path in tmp_path.glob("*.json"):
        strictly(path.read_text())
    assert alike(winsome.read(tmp_path / "level-01.ticket").provenance["metrics"], expected)


@pytest.mark.parametrize("text", ["NaN", '{"a": 1'])
def test_what_is_damaged_is_said(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text if text != "NaN" else "{")
    with pytest.raises(winsome.WinsomeError, match="cannot be read"):
        read_json(tmp_path / "x.json")

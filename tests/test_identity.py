"""A function is known by its code and by what it uses: an edit is noticed, what does not run is not."""

from __future__ import annotations

import functools
import importlib
import json
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import winsome
from contract import network, search, train
from winsome import Method, WinsomeError
from winsome.identity import identity, name_of
from winsome.method import make_method
from winsome.methods import METHODS, WHILE_TRAINING
from winsome.norms import interpolated_norms
from winsome.perturbation import SignFlips
from winsome.scores import magnitude
from winsome.user_code import UserFile
from winsome.while_training import AllOf, OnLevels

MINE = '''
import torch
from helpers_of_mine import power
import helpers_of_mine

SCALE = 2.0
LAYERS = ["a", "b"]
CALLS = []

def helper(weight):
    return weight.abs() * SCALE

def mine(weights, model, probe, random, exponent=2):
    """Larger is better."""
    CALLS.append(len(LAYERS))  # counts
    return {name: power(helper(w), exponent) + helpers_of_mine.offset() for name, w in weights.items()}
'''
HELPERS = """
OFFSET = 0

def power(x, exponent):
    return x ** exponent

def offset():
    return OFFSET

def unused():
    return 1
"""
_FOLDERS = iter(range(10_000))


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Write the two files, each in a folder of its own as a fresh process would find them, and import them anew."""

    def load(mine: str = MINE, helpers: str = HELPERS) -> Any:
        folder = tmp_path / f"edit-{next(_FOLDERS)}"
        folder.mkdir()
        (folder / "mine_of_mine.py").write_text(mine)
        (folder / "helpers_of_mine.py").write_text(helpers)
        monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
        for name in ("mine_of_mine", "helpers_of_mine"):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        return importlib.import_module("mine_of_mine")

    yield load
    for name in ("mine_of_mine", "helpers_of_mine"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("weight.abs() * SCALE", "weight.square() * SCALE"),
        ("SCALE = 2.0", "SCALE = 3.0"),
        ('["a", "b"]', '["a", "c"]'),
        ("exponent=2", "exponent=3"),
        ("power(helper(w), exponent)", "power(helper(-w), exponent)"),
        ("from helpers_of_mine import power", "from torch import pow as power"),
    ],
)
def test_an_edit_is_another_function(loaded: Callable[..., Any], old: str, new: str) -> None:
    before = identity(loaded().mine)
    assert identity(loaded(MINE.replace(old, new)).mine) != before
    assert identity(loaded().mine) == before


@pytest.mark.parametrize(
    ("old", "new"), [("x ** exponent", "x ** exponent + 1"), ("OFFSET = 0", "OFFSET = 1"), ("return OFFSET", "return -OFFSET")]
)
def test_an_edit_of_what_it_imports_is_another_function(loaded: Callable[..., Any], old: str, new: str) -> None:
    assert identity(loaded().mine) != identity(loaded(MINE, HELPERS.replace(old, new)).mine)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""Larger is better."""', '"""Other words."""'),
        ('    """Larger is better."""\n', ""),
        ("# counts", "# another word"),
        ("exponent=2)", "exponent: int = 2) -> dict"),
        ("weight.abs() * SCALE", "(  weight.abs()\n        * SCALE)"),
        ("def mine", "UNUSED = 3\n\n\ndef another():\n    return UNUSED\n\n\ndef mine"),
        ("def mine", "from winsome.about import described\n@described('M', 'Mine.')\ndef mine"),
    ],
)
def test_what_does_not_run_does_not_count(loaded: Callable[..., Any], old: str, new: str) -> None:
    assert old in MINE
    assert identity(loaded(MINE.replace(old, new)).mine) == identity(loaded().mine)


def test_what_nobody_refers_to_does_not_count_nor_what_it_fills_itself(loaded: Callable[..., Any]) -> None:
    module = loaded()
    before = identity(module.mine)
    assert identity(loaded(MINE, HELPERS.replace("return 1", "return 2")).mine) == before
    module.mine({"w": torch.ones(2)}, None, None, None)
    assert module.CALLS
    assert identity(module.mine) == before
    assert set(before["code"]) == {"mine", "helper", "power", "offset"}  # type: ignore[index]
    assert before["values"] == {"mine(exponent)": 2, "LAYERS": "('a', 'b')", "SCALE": 2.0, "OFFSET": 0}  # type: ignore[index]


def test_a_file_edited_while_it_runs_is_known_by_what_runs(loaded: Callable[..., Any]) -> None:
    module = loaded()
    runs = identity(module.mine)
    Path(module.__file__).write_text(MINE.replace("exponent) +", "exponent) -"))
    stale = identity(module.mine)
    assert stale != identity(loaded(MINE.replace("exponent) +", "exponent) -")).mine)
    assert set(stale["code"]) == set(runs["code"])  # type: ignore[index]


def test_an_edited_score_refuses_the_old_folder_and_says_which_function_changed(
    loaded: Callable[..., Any], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    search(Method((0.5,), score=loaded().mine), folder)
    search(Method((0.5,), score=loaded(MINE.replace("# counts", "# n")).mine), folder)
    edits = {
        "power(helper(w)": (r"the code of 'mine' \(method\.score\) changed since the folder was made", "power(helper(-w)"),
        "abs() *": (r"the code of 'helper', which 'mine' \(method\.score\) uses, changed since the folder was made", "sin() *"),
        "SCALE = 2.0": (r"method\.score\.SCALE was 2\.0, is now 3\.0", "SCALE = 3.0"),
        "helper(w)": (r"'mine' \(method\.score\) no longer uses 'helper'", "(w)"),
    }
    for old, (said, new) in edits.items():
        with pytest.raises(WinsomeError, match=said):
            search(Method((0.5,), score=loaded(MINE.replace(old, new)).mine), folder)


def test_winsomes_own_parts_are_known_by_their_names() -> None:
    for make in METHODS.values():
        record = make_method(make, levels=1, step=2).record()
        told = {key: value for key, value in record.items() if key not in ("densities", "nested", "prune_at")}
        assert all(isinstance(value, str) for value in told.values())
    assert identity(AllOf((interpolated_norms, SignFlips(0.3, at=(1,))))) == (
        "AllOf(parts=(<function interpolated_norms>, SignFlips(probability=0.3, at=(1,))))"
    )
    assert identity(functools.partial(magnitude)) == "partial(magnitude)"
    assert all(isinstance(identity(part), str) for part in WHILE_TRAINING.values())
    assert identity(nn.functional.cross_entropy) == "cross_entropy", "libraries too"


def scaled(factor: Any) -> Callable[..., Any]:
    def score(weights: Any, *_: Any) -> Any:
        return {name: w.abs() * factor for name, w in weights.items()}

    return score


@dataclass(frozen=True)
class Power:
    exponent: float = 2.0

    def __call__(self, weights: Any, *_: Any) -> Any:
        return {name: w.abs() ** self.exponent for name, w in weights.items()}


class Other:
    """A callable object, no dataclass."""

    def __init__(self, factor: Any) -> None:
        self.factor = factor

    def __call__(self, weights: Any, *_: Any) -> Any:
        return {name: w.abs() * self.factor for name, w in weights.items()}

    def method(self, weights: Any, *_: Any) -> Any:
        return self(weights)


class Learned(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, weights: Any, *_: Any) -> Any:
        return {name: w.abs() * self.factor for name, w in weights.items()}


def with_two(weights: Any, *_: Any, factor: Any = 1.0) -> Any:
    return {name: w.abs() * factor for name, w in weights.items()}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (scaled(1.0), scaled(2.0)),
        (scaled(torch.ones(2)), scaled(torch.zeros(2))),
        (scaled(np.ones(2)), scaled(np.zeros(2))),
        (scaled({"a": [1, 2]}), scaled({"a": [1, 3]})),
        (scaled(Power(2.0)), scaled(Power(3.0))),
        (scaled(torch.float32), scaled(torch.float64)),
        (scaled(float("inf")), scaled(float("nan"))),
        (Power(2.0), Power(3.0)),
        (Other(1.0), Other(2.0)),
        (Other(torch.ones(3)), Other(torch.zeros(3))),
        (Other(1.0).method, Other(2.0).method),
        (Learned(1.0), Learned(2.0)),
        (functools.partial(with_two, factor=1.0), functools.partial(with_two, factor=2.0)),
        (functools.partial(with_two, factor=torch.ones(2)), functools.partial(with_two, factor=torch.zeros(2))),
        (functools.partial(with_two, factor=Power(1.0)), functools.partial(with_two, factor=Power(2.0))),
        (AllOf((Other(1.0),)), AllOf((Other(2.0),))),
        (OnLevels((0,), Other(1.0)), OnLevels((0,), Other(2.0))),
        (AllOf((Other(1.0), Other(2.0))), AllOf((Other(2.0), Other(1.0)))),
        (lambda w, *_: w, lambda w, *_: -w),
    ],
)
def test_the_values_that_a_part_carries_tell_it_apart(one: Callable[..., Any], other: Callable[..., Any]) -> None:
    assert identity(one) != identity(other)
    for part in (one, other):
        record = json.dumps(identity(part), allow_nan=False)
        assert "0x" not in record
        assert json.dumps(identity(part)) == record
        assert json.loads(record) == identity(part)


def test_lambdas_in_one_line_are_told_apart_and_a_pickled_function_is_the_same() -> None:
    one, two, three = (lambda w: w + 1), (lambda w: w + 2), (lambda w: w + 1)
    assert identity(one) == identity(three)
    assert identity(one) != identity(two)
    for part in (with_two, Power(3.0), functools.partial(with_two, factor=2.0)):
        assert identity(pickle.loads(pickle.dumps(part))) == identity(part)


def test_a_function_without_a_file_is_known_by_what_the_interpreter_runs() -> None:
    def made(text: str) -> Any:
        scope: dict[str, Any] = {}
        exec(text, scope)
        return scope["mine"]

    one = made("def mine(w):\n    'Doc.'\n    return w + 1")
    assert identity(one) == identity(made("def mine(w):\n\n    return w + 1  # plus"))
    assert identity(one) != identity(made("def mine(w):\n    return w + 2"))


def test_another_process_knows_it_by_the_same(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "helpers_of_mine.py").write_text(HELPERS)
    script = "import json, sys; sys.path.insert(0, sys.argv[1]); import mine; from winsome.identity import identity; "
    script += "print(json.dumps(identity(mine.mine)))"
    runs = [
        subprocess.run(
            [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True, env=environment
        )
        for environment in ({"PYTHONHASHSEED": "1"}, {"PYTHONHASHSEED": "2"})
    ]
    assert runs[0].stdout == runs[1].stdout
    here = UserFile(str(tmp_path / "mine.py"), MINE).load()
    assert json.loads(runs[0].stdout) == identity(here.mine), "loaded as a file of the user's it is the same function"
    for name in ("helpers_of_mine", here.__name__):
        sys.modules.pop(name, None)
    sys.path.remove(str(tmp_path))


def test_names() -> None:
    assert name_of(with_two) == "with_two"
    assert name_of(Power(3.0)) == "Power(exponent=3.0)"
    assert name_of(Other(1.0)) == "Other()"
    assert name_of(functools.partial(with_two, factor=2)) == "partial(with_two, factor=2)"
    assert name_of(Other(1.0).method) == "Other.method"


def test_a_search_of_ones_own_score_is_found_again_in_another_process(tmp_path: Path) -> None:
    """A folder made with a callable object is taken again, read back and lengthened."""
    for densities in ((0.8,), (0.8, 0.5)):
        *_, last = winsome.find_tickets(network(), Method(densities, score=Power(3.0)), train, save_to=tmp_path / "run")
    assert last.number == 1
    with pytest.raises(WinsomeError, match=r"method\.score"):
        next(winsome.find_tickets(network(), Method((0.8,), score=Power(2.0)), train, save_to=tmp_path / "run"))

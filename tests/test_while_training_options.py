"""What holds while networks train, by name on the command line: in searches, in studies, in plantings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import winsome
from winsome.about import about
from winsome.cli import choices, main
from winsome.cli.method_options import PartOptions
from winsome.cli.study_options import ComparedOptions
from winsome.errors import WinsomeError
from winsome.norms import frozen_norms
from winsome.perturbation import fixed_signs
from winsome.study.arms import ARMS, Dense, FoundNetwork, Planted
from winsome.study.planting import Planting
from winsome.study.presets import digits

MINE = """
from contextlib import contextmanager

@contextmanager
def mine(model, seed, mask):
    yield {}
"""


def test_a_search_trains_under_a_part_by_name() -> None:
    made = PartOptions(while_training="frozen_norms").method("lrr", levels=2, rate=0.2, step=0)
    assert made.while_training is frozen_norms
    assert made.label == f"{winsome.learning_rate_rewinding().label}, {about(frozen_norms).label}"


def test_arms_of_a_study_train_under_a_part_by_name(tmp_path: Path) -> None:
    (tmp_path / "parts.py").write_text(MINE)
    own = f"{tmp_path / 'parts.py'}:mine"
    options = ComparedOptions(arms=("dense", "network_lrr", "planted_lrr"), while_training=own)
    dense, network, planted = options.arms_over(digits(), ARMS)
    assert isinstance(dense, Dense)
    assert isinstance(planted, Planted)
    assert dense.while_training is planted.while_training
    assert dense.while_training.__name__ == "mine"  # type: ignore[attr-defined]
    assert network == ARMS["network_lrr"]
    assert [file.path for file in options.files if file is not None] == [str(tmp_path / "parts.py")]
    assert ComparedOptions().arms_over(digits(), ARMS) == digits().arms


OWN = """
from winsome import KeepWeights, Method, geometric

fixed = Method((1.0, 0.5), KeepWeights())
three = 3

def mine(name="a", make=1):
    return Method((1.0, 0.5), KeepWeights(), label=f"{name} {make}")
"""


def test_options_of_a_method_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    own = f"{tmp_path / 'own.py'}:"
    named: Any = {"levels": 1, "rate": 0.5, "step": 0}
    made = PartOptions(method_option=("name=b", "make=2")).method(own + "mine", **named)
    assert made.label == "b 2"
    with pytest.raises(WinsomeError, match=r"own\.py:fixed is a Method and takes no options, such as p: name a function"):
        PartOptions(method_option=("p=1",)).method(own + "fixed", **named)
    with pytest.raises(WinsomeError, match=r"3 is no winsome\.Method, and no function that returns one"):
        PartOptions().method(own + "three", **named)


def test_what_cannot_hold_is_refused_by_a_sentence() -> None:
    with pytest.raises(WinsomeError, match="for arms that train from scratch, and there is none"):
        ComparedOptions(arms=("network_lrr",), while_training="fixed_signs").arms_over(digits(), ARMS)
    with pytest.raises(WinsomeError, match="interpolated_norms"):
        choices.while_training("interpolated_norm")
    with pytest.raises(WinsomeError, match="SignFlips takes arguments: name an object"):
        choices.while_training("winsome.perturbation:SignFlips")
    assert isinstance(ARMS["network_lrr"], FoundNetwork)


def test_plant_trains_under_a_part_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = ["--levels", "1", "--level-epochs", "1", "--warmup-epochs", "0", "--train-images", "160", "--test-images", "50"]
    main(["find", "digits", *quick, "--batch-size", "80", "--while-training", "interpolated_norms", "--save-to", str(tmp_path)])
    planned: list[Planting] = []
    monkeypatch.setattr("winsome.cli.planting_display.show_planting", lambda one, _starts, **_: planned.append(one))
    ticket = tmp_path / "level-01.ticket"
    assert winsome.read(ticket).provenance["method"]["while_training"] == "interpolated_norms"
    main(["plant", str(ticket), "--while-training", "fixed_signs"])
    (one,) = planned
    assert one.while_training is fixed_signs
    assert '"while_training": "fixed_signs"' in (one.folder.path / "config.json").read_text()

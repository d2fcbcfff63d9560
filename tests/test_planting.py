"""Planting and searching from Python: the same files as by the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from winsome.cli import main
from winsome.data import DataSpec
from winsome.errors import WinsomeError
from winsome.files import read_json
from winsome.methods import aws
from winsome.models import NetworkSpec
from winsome.perturbation import fixed_signs
from winsome.study.conditions import conditions_of
from winsome.study.found_ticket import FoundTicket
from winsome.study.one_search import OneSearch, open_search, run_search
from winsome.study.planted_runs import plant_runs
from winsome.study.planting import planting
from winsome.study.planting_folder import PlantedRun
from winsome.tracking.log import FILE_NAME as LOG
from winsome.training.settings import SGD, Constant, Training

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
DATA = DataSpec("digits", train_images=256, test_images=64, validation=True)


def search(folder: Path, *, seed: int = 0) -> OneSearch:
    training = Training(1, 64, SGD(0.1, 0.9, 5e-4), Constant())
    one = OneSearch("aws", aws(1, 0.5), DATA, NetworkSpec("residual_mlp"), training, seed=seed)
    conditions = conditions_of(one.study)
    levels: list[int] = []
    run_search(one, open_search(one, folder, conditions), conditions, on_level=lambda level: levels.append(level.number))
    assert levels == [0, 1]
    return one


@pytest.fixture(scope="module")
def ticket(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("found")
    search(folder)
    return folder / "level-01.ticket"


def test_a_ticket_is_planted_on_the_very_images_that_it_was_found_with(ticket: Path, tmp_path: Path) -> None:
    assert FoundTicket.read(ticket).data == DATA
    planned = planting(ticket, Training(1, 64), save_to=tmp_path)
    expected = DATA.load()
    assert planned.conditions.data.digest() == expected.digest(), "of the train split, what validation leaves"
    config = read_json(tmp_path / "config.json")
    assert config["data"] == {**DATA.record(), "digest": expected.digest()}
    assert config["while_training"] == "plain"


def test_python_and_command_line_leave_the_same(ticket: Path, tmp_path: Path) -> None:
    heard: list[PlantedRun] = []
    fractions: list[tuple[int, float]] = []
    planned = planting(ticket, Training(2, 64, SGD(0.1, 0.9, 5e-4)), save_to=tmp_path / "python")
    runs = plant_runs(planned, (3, 1), on_run=heard.append, on_fraction=lambda start, done: fractions.append((start, done)))
    assert [run.start for run in runs] == [3, 1]
    assert list(runs) == heard
    assert fractions == [(3, 0.5), (3, 1.0), (1, 0.5), (1, 1.0)]
    for option in ("--starts", "--seeds"):
        place = tmp_path / option
        main(["plant", str(ticket), option, "3", "1", "--epochs", "2", "--batch-size", "64", "--save-to", str(place)])
        files = {path.name: path.read_bytes() for path in place.iterdir() if path.name != LOG}
        assert files == {path.name: path.read_bytes() for path in (tmp_path / "python").iterdir()}
    again = plant_runs(planned, (1, 3))
    assert [(run.start, run.accuracy, run.before) for run in again] == [(r.start, r.accuracy, True) for r in reversed(runs)]


def test_what_holds_while_it_trains_belongs_to_a_planting(ticket: Path, tmp_path: Path) -> None:
    planting(ticket, Training(1, 64), save_to=tmp_path)
    with pytest.raises(WinsomeError, match=r'while_training was "plain", is now "fixed_signs"'):
        planting(ticket, Training(1, 64), while_training=fixed_signs, save_to=tmp_path)


def test_a_search_from_python_is_that_of_the_command_line(tmp_path: Path) -> None:
    search(tmp_path / "python", seed=5)
    command = ["find", "digits", "--levels", "1", "--rate", "0.5", "--level-epochs", "1", "--warmup-epochs", "0", "--seed", "5"]
    # The command line searches on the whole train split: the method, the network and the layout of the folder are the same.
    main([*command, "--train-images", "256", "--test-images", "64", "--batch-size", "64", "--save-to", str(tmp_path / "line")])
    one, other = (read_json(tmp_path / name / "config.json") for name in ("python", "line"))
    assert one.pop("data")["validation"] != other.pop("data")["validation"]
    assert one == other
    python, line = ({path.name for path in (tmp_path / where).iterdir()} for where in ("python", "line"))
    assert line == python | {LOG}

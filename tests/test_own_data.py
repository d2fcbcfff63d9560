"""Images of one's own by name: in a search, a planting, a line, a study and a grid; known by their code."""

from __future__ import annotations

from pathlib import Path

import pytest

from commands import said
from winsome.cli import main
from winsome.data import load
from winsome.data.spec import DataSpec
from winsome.errors import WinsomeError
from winsome.files import read_json
from winsome.methods import imp
from winsome.study import presets
from winsome.sweep.grid import grid

CODE = """
import torch
from winsome.data import DataSet
from winsome.data.encoded import DecodedSet
from winsome.data.images import ImageSet

DARK = 200

def split(count):
    labels = torch.arange(count) % 2
    level = (torch.arange(8) % 2 * DARK).to(torch.uint8).expand(8, 8).T
    return ImageSet(torch.stack([level if label else level.T for label in labels])[:, None].contiguous(), labels)

def stripes():
    return DecodedSet(split(80), split(40), ("upright", "level"))

upright = DataSet("stripes", "stripes 1", stripes, flip=False)

def broken():
    raise KeyError("nothing there")

def three():
    return 3

four = 4
"""
NETWORK = ["--network", "residual_mlp", "--network-option", "width=6", "--network-option", "blocks=1"]
SHORT = "--levels 1 --level-epochs 1 --warmup-epochs 0 --batch-size 40 --no-fast"
FIND = ["find", "images.py:stripes", "--method", "lrr", *NETWORK, *SHORT.split()]


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WINSOME_CACHE", str(tmp_path / "cache"))
    (tmp_path / "images.py").write_text(CODE)
    return tmp_path / "images.py"


def test_images_of_ones_own_are_searched_planted_and_known_by_their_code(
    code: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(FIND)
    run = Path("runs/stripes-residual_mlp-lrr-seed-0")
    record = read_json(run / "config.json")["data"]
    assert record["name"] == "images.py:stripes"
    assert record["values"] == {"DARK": 200}
    spec = DataSpec.from_record(record)
    assert spec == DataSpec.named("images.py:stripes")
    assert spec.load().digest() == record["digest"]
    main(["plant", str(run / "level-01.ticket"), "--epochs", "1", "--batch-size", "40", "--no-fast"])
    assert "seed 0: accuracy" in capsys.readouterr().out
    line = ["barrier", f"{run}:0", f"{run}:1", "--masks", "union", "--points", "3", "--statistics", "40"]
    main(line)
    of_run = capsys.readouterr().out
    main([*line, "--data", "images.py:stripes"])
    assert capsys.readouterr().out == of_run
    code.write_text(CODE + "\n# a comment is no other code\n")
    assert spec.load().digest() == record["digest"]
    code.write_text(CODE.replace("DARK = 200", "DARK = 100"))
    assert "made with another configuration: data.DARK was 200, is now 100" in said(FIND, capsys)
    changed = "the code of the data set 'images.py:stripes' has changed"
    assert changed in said(["plant", str(run / "level-01.ticket")], capsys)
    assert changed in said(line, capsys)


@pytest.mark.usefixtures("code")
def test_a_study_takes_images_or_a_study_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    main(["study", "images.py:upright", *NETWORK, "--batch-size", "40", "--plan-only"])
    assert "planted_aws at level 15" in capsys.readouterr().out
    assert "gives a int; a winsome Study or images are wanted" in said(["study", "images.py:three"], capsys)


@pytest.mark.usefixtures("code")
def test_a_grid_names_its_studies_after_images_and_networks_and_knows_their_code() -> None:
    Path("nets.py").write_text(
        "from winsome.models.residual import mlp\ndef make(image_shape, n_classes):\n    return mlp(image_shape, n_classes)\n"
    )
    data, networks = ["images.py:stripes", "digits"], ["nets.py:make", "mlp"]
    studies = grid(presets.digits(2), methods={"imp": imp(2)}, data=data, networks=networks)
    assert [study.name for study in studies] == [
        f"digits_imp_{network}_{images}" for network in ("make", "mlp") for images in ("stripes", "digits")
    ]
    assert "stripes" in studies[0].data.code
    assert "make" in studies[0].network.code


@pytest.mark.usefixtures("code")
def test_a_function_is_asked_each_time_and_a_data_set_says_whether_images_are_mirrored() -> None:
    assert load("images.py:stripes").augmentation.flip
    assert not load("images.py:upright").augmentation.flip
    assert load("images.py:upright").name == "upright"
    assert not Path("cache").exists()


@pytest.mark.usefixtures("code")
@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("images.py:broken", "the data set 'images.py:broken' raises KeyError: 'nothing there'"),
        ("images.py:three", r"gave a int; a data set of one's own is def images\(\): return DecodedSet"),
        ("images.py:four", "is a int and gives no images"),
        ("images.py:five", "has no 'five'"),
        ("nowhere.images:all", "no module 'nowhere.images' for the data set"),
    ],
)
def test_what_gives_no_images_is_refused_by_name(name: str, sentence: str) -> None:
    with pytest.raises(WinsomeError, match=sentence):
        load(name)
    with pytest.raises(WinsomeError, match="leave data_dir"):
        load(name, data_dir=Path())

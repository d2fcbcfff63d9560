"""Networks of timm and of one's own by name: built from a seed, known by their code, searched from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from winsome import models
from winsome.cli import main
from winsome.errors import WinsomeError
from winsome.files import read_json
from winsome.models import NetworkSpec

CODE = """
from torch import nn

def make(image_shape, n_classes, width=8):
    size = image_shape[0] * image_shape[1] * image_shape[2]
    return nn.Sequential(nn.Flatten(), nn.Linear(size, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, n_classes))

three = 3
"""
SHORT = "--levels 1 --level-epochs 1 --warmup-epochs 0 --train-images 160 --test-images 50 --batch-size 80"
QUICK = SHORT.split()


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WINSOME_CACHE", str(tmp_path / "cache"))
    (tmp_path / "nets.py").write_text(CODE)
    return tmp_path / "nets.py"


def test_a_network_of_ones_own_is_searched_planted_and_known_by_its_code(
    nets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["find", "digits", "--network", "nets.py:make", "--network-option", "width=6", *QUICK])
    (folder,) = Path("runs").iterdir()
    assert folder.name.startswith("digits-make-")
    record = read_json(folder / "config.json")["network"]
    assert record["options"] == {"width": 6}
    spec = NetworkSpec.from_record(record)
    assert spec.record() == record
    assert spec.build(3)[1].weight.shape == (6, 64)  # type: ignore[index]
    nets.write_text(CODE + "\n# a comment is no other code\n")
    assert spec == NetworkSpec.named("nets.py:make", (("width", 6),)).of_images((1, 8, 8), 10)
    nets.write_text(CODE.replace("nn.ReLU()", "nn.GELU()"))
    with pytest.raises(WinsomeError, match=r"the code of the network 'nets.py:make' has changed"):
        spec.build(0)
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["find", "digits", "--network", "nets.py:make", "--network-option", "width=6", *QUICK])
    assert "'make', which 'nets.py:make' (network) uses," in " ".join(capsys.readouterr().err.split())


def test_the_same_seed_gives_the_same_bits_and_other_seeds_others(nets: Path) -> None:
    def weight(seed: int) -> torch.Tensor:
        made = models.build(f"{nets}:make", image_shape=(1, 8, 8), n_classes=10, seed=seed)
        return made.get_parameter("1.weight")

    assert torch.equal(weight(1), weight(1))
    assert not torch.equal(weight(1), weight(2))


@pytest.mark.usefixtures("nets")
def test_what_makes_no_network_is_refused_by_name() -> None:
    shape = {"image_shape": (1, 8, 8), "n_classes": 10, "seed": 0}
    for name, said in {
        "nets.py:nothing": "has no 'nothing'",
        "nets.py:three": "is no function that makes a network",
        "nowhere.nets:make": "no module 'nowhere.nets'",
        "builtins:max": "the network 'builtins:max' raises TypeError",
    }.items():
        with pytest.raises(WinsomeError, match=said):
            models.build(name, **shape)  # type: ignore[arg-type]
    with pytest.raises(WinsomeError, match="unexpected keyword argument 'height'"):
        models.build("nets.py:make", height=3, **shape)  # type: ignore[arg-type]


def test_networks_of_timm_take_the_size_of_the_images() -> None:
    pytest.importorskip("timm", reason="needs winsome[timm]")
    grey = torch.zeros(2, 1, 16, 16)
    small = {"embed_dim": 24, "depth": 1, "num_heads": 2, "patch_size": 4}
    for name, options in {"timm:test_resnet": {}, "timm:test_vit": small}.items():
        built = [models.build(name, image_shape=(1, 16, 16), n_classes=5, seed=1, **options).eval() for _ in range(2)]
        assert built[0](grey).shape == (2, 5)
        for one, other in zip(built[0].parameters(), built[1].parameters(), strict=True):
            assert torch.equal(one, other)
    with pytest.raises(WinsomeError, match="timm has no such network"):
        models.build("timm:resnet5000", image_shape=(1, 16, 16), n_classes=5, seed=1)
    with pytest.raises(WinsomeError, match="does not take these options"):
        models.build("timm:test_resnet", image_shape=(1, 16, 16), n_classes=5, seed=1, bogus=3)

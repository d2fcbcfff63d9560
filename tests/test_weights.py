"""A network that starts from the weights of a file: what fits, what is refused by name, and what a search rewinds to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import winsome
from commands import said
from winsome.cli import main
from winsome.errors import WinsomeError
from winsome.files import read_json
from winsome.models import NetworkSpec
from winsome.models.weights import Weights

SPEC = NetworkSpec("residual_mlp", (("blocks", 1), ("width", 6)), (1, 8, 8), 10)
SHORT = "--levels 1 --level-epochs 1 --warmup-epochs 0 --train-images 160 --test-images 50 --batch-size 80 --no-fast"
TINY = ["find", "digits", "--network-option", "width=6", "--network-option", "blocks=1", "--method", "imp", *SHORT.split()]


def saved(file: Path, classes: int = 10, seed: int = 7) -> Path:
    save_file(SPEC.of_images((1, 8, 8), classes).build(seed).state_dict(), file)
    return file


def of(file: Path, *fresh: str) -> NetworkSpec:
    return NetworkSpec("residual_mlp", SPEC.options, (1, 8, 8), 10, weights=Weights.of(file, fresh))


def test_imp_rewinds_to_the_pretrained_network_and_a_planted_one_starts_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    before = load_file(saved(tmp_path / "pre.safetensors"))
    main([*TINY, "--weights", "pre.safetensors", "--save-to", "run"])
    begun = load_file(Path("run/initial.safetensors"))
    assert all(torch.equal(value, begun[name]) for name, value in before.items())
    record = read_json(Path("run/config.json"))["network"]
    assert record["weights"]["file"] == "pre.safetensors"
    spec = NetworkSpec.from_record(json.loads(json.dumps(record)))
    assert spec.record() == record
    assert all(torch.equal(value, before[name]) for name, value in spec.build(5).state_dict().items())
    ticket = winsome.read("run/level-01.ticket")
    planted = spec.build(5)
    winsome.plant(ticket, planted)
    for name in ticket.mask:
        assert torch.equal(planted.state_dict()[name], before[name].abs() * ticket.mask[name])
    saved(tmp_path / "pre.safetensors", seed=8)
    assert "run was made with another configuration: network.weights.digest was" in said(
        [*TINY, "--weights", "pre.safetensors", "--save-to", "run"], capsys
    )
    assert "the weights in pre.safetensors are others than they were" in said(["plant", "run/level-01.ticket"], capsys)


def test_a_head_for_other_classes_starts_fresh_and_nothing_else(tmp_path: Path) -> None:
    file = saved(tmp_path / "pre.safetensors", classes=12)
    given = load_file(file)
    head = [name for name in given if name.startswith("5.")]
    one, other = (of(file, "5.*").build(seed).state_dict() for seed in (1, 2))
    plain = SPEC.build(1).state_dict()
    assert all(torch.equal(one[name], plain[name]) for name in head)
    assert not torch.equal(one["5.weight"], other["5.weight"])
    assert all(torch.equal(one[name], given[name]) for name in given if name not in head)


def test_names_and_shapes_that_do_not_fit_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = saved(tmp_path / "twelve.safetensors", classes=12)
    with pytest.raises(WinsomeError, match=r"in other shapes 5\.bias \(\[12\], the network's is \[10\]\), 5\.weight .*--fresh"):
        of(other).build(0)
    state = load_file(saved(tmp_path / "pre.safetensors"))
    save_file({**{name: value for name, value in state.items() if name != "1.weight"}, "more": torch.ones(1)}, other)
    with pytest.raises(WinsomeError, match=r"it lacks 1\.weight; it has beside them more"):
        of(other).build(0)
    with pytest.raises(WinsomeError, match=r"nothing is taken from .* names all of it"):
        of(tmp_path / "pre.safetensors", "*").build(0)
    (tmp_path / "text.safetensors").write_text("no weights")
    with pytest.raises(WinsomeError, match="is no safetensors file, or damaged"):
        of(tmp_path / "text.safetensors").build(0)
    with pytest.raises(WinsomeError, match=r"a \.safetensors file, and .*model\.pt is none"):
        of(tmp_path / "model.pt")
    assert "nowhere.safetensors cannot be read: No such file" in said(
        [*TINY, "--weights", str(tmp_path / "nowhere.safetensors")], capsys
    )
    assert "--fresh says what is not taken" in said([*TINY, "--fresh", "5.*"], capsys)


def test_of_tied_weights_a_file_may_hold_one(tmp_path: Path) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.decoder = nn.Embedding(5, 3), nn.Linear(3, 5, bias=False)
            self.decoder.weight = self.embedding.weight

    file = tmp_path / "tied.safetensors"
    save_file({"embedding.weight": torch.ones(5, 3)}, file)
    model = Tied()
    Weights.of(file).put_into(model)
    assert model.decoder.weight is model.embedding.weight
    assert bool((model.decoder.weight == 1).all())

"""All trainers alike: mixed precision, two ranks on gloo, and the same bits after a SIGKILL."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import trainers
import winsome

pytestmark = pytest.mark.filterwarnings("ignore")
PACKAGES = {"lightning": ["lightning"], "transformers": ["transformers", "accelerate"], "accelerate": ["accelerate"]}


def skip_without(*names: str) -> None:
    for package in names:
        pytest.importorskip(package, reason=f"needs winsome[{package}]")


@pytest.mark.parametrize("trainer", trainers.TRAINERS)
def test_mixed_precision_keeps_zeros_and_trains_in_bf16(trainer: str, tmp_path: Path) -> None:
    skip_without(*PACKAGES[trainer])
    levels, model = trainers.search(trainer, tmp_path / "search", "bf16")
    assert model.formats == {torch.bfloat16}
    assert model.passes == 2 * 12
    assert levels[1].ticket.mask.n_kept == round(0.5 * levels[1].ticket.mask.n_weights)
    for level in levels:
        for name in level.ticket.mask:
            assert level.state[name].dtype == torch.float32
            assert not level.state[name][~level.ticket.mask.kept(name)].any()


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What every trainer's two ranks found: whole, and killed and run again."""
    skip_without(*{package for packages in PACKAGES.values() for package in packages})
    root = tmp_path_factory.mktemp("two ranks")
    script = [sys.executable, str(Path(trainers.__file__)), str(root)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "TOKENIZERS_PARALLELISM": "false"}
    ran = subprocess.run(script, env=environment, capture_output=True, text=True, timeout=800, check=False)
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-4000:]
    return root


def result(folder: Path, name: str, rank: int) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(folder / f"{name}-rank-{rank}.pt", weights_only=True)
    return found


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("trainer", trainers.TRAINERS)
def test_two_ranks_train_one_network_and_go_on_after_a_sigkill_to_the_same_bits(trainer: str, two_ranks: Path) -> None:
    folder = two_ranks / trainer
    whole, other, again = result(folder, "whole", 0), result(folder, "whole", 1), result(folder, "cut", 0)
    assert whole["formats"] == ["torch.bfloat16"]
    assert whole["passes"] == 2 * 12
    assert again["passes"] < 12, "level 0 was read back, level 1 went on from its last checkpoint"
    for name, value in whole["state"].items():
        assert torch.equal(value, other["state"][name]), f"{name}, on the two ranks"
        assert torch.equal(value, again["state"][name]), f"{name}, after the kill"
    assert whole["metrics"] == again["metrics"]
    tickets = [winsome.read(folder / run / "level-01.ticket") for run in ("whole", "cut")]
    assert tickets[0].mask == tickets[1].mask
    assert tickets[0].mask.n_kept == round(0.5 * tickets[0].mask.n_weights)
    for name in tickets[0].mask:
        assert not whole["state"][name][~tickets[0].mask.kept(name)].any()

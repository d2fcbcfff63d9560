"""The Trainer of transformers in a search: steps, rewinding, schedules, going on after a kill, metrics."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import winsome
from winsome.level import Level

transformers = pytest.importorskip("transformers", reason="needs winsome[transformers]")
pytest.importorskip("accelerate", reason="needs winsome[transformers]")
pytestmark = pytest.mark.filterwarnings("ignore")

INPUTS = torch.randn(36, 6, generator=torch.Generator().manual_seed(0))
DATA = [{"inputs": row, "labels": number % 3} for number, row in enumerate(INPUTS)]
AN_EPOCH = 5  # steps: 9 batches, two of them a step


class Classifier(nn.Module):
    """Remembers what every pass in training saw."""

    def __init__(self, dies_at: int = -1) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(6, 12), nn.BatchNorm1d(12), nn.Dropout(0.2), nn.Linear(12, 8), nn.Linear(8, 3))
        self.seen: list[Tensor] = []
        self.dies_at = dies_at

    def forward(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        if self.training:
            self.seen.append(inputs)
            if len(self.seen) == self.dies_at:
                raise RuntimeError("killed")
        logits = self.net(inputs)
        return {"loss": F.cross_entropy(logits, labels), "logits": logits}


class Rates(transformers.TrainerCallback):  # type: ignore[misc, name-defined]
    """The learning rate of every step, and the first weights at it."""

    def __init__(self) -> None:
        self.rates: dict[int, list[float]] = {}
        self.weights: list[Tensor] = []

    def on_pre_optimizer_step(self, _args: Any, state: Any, _control: Any, **has: Any) -> None:
        self.rates.setdefault(state.global_step, []).append(has["optimizer"].param_groups[0]["lr"])

    def on_step_begin(self, _args: Any, state: Any, _control: Any, **has: Any) -> None:
        if state.global_step == 7:
            self.weights.append(has["model"].net[0].weight.detach().clone())


def trainer_of(place: Path, *callbacks: Any, **settings: Any) -> Callable[[nn.Module, Level], Any]:
    def make_trainer(model: nn.Module, _level: Level) -> Any:
        usual = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "max_grad_norm": 0.5, "learning_rate": 0.1}
        quiet = {"report_to": [], "disable_tqdm": True, "save_strategy": "no", "use_cpu": True, "num_train_epochs": 3}
        arguments = transformers.TrainingArguments(str(place / "hf"), **{**usual, **quiet, **settings})
        return transformers.Trainer(model, arguments, train_dataset=DATA, eval_dataset=DATA, callbacks=list(callbacks))

    return make_trainer


def test_rewinding_restarts_steps_schedule_and_data_at_step_k(tmp_path: Path) -> None:
    rates, model = Rates(), Classifier()
    method = winsome.Method(winsome.geometric(1, 0.5), winsome.RewindTo(7))
    levels = list(winsome.find_tickets(model, method, winsome.with_transformers(trainer_of(tmp_path, rates))))
    assert {step: len(seen) for step, seen in rates.rates.items()} == {
        step: 1 if step < 7 else 2 for step in range(3 * AN_EPOCH)
    }
    assert all(len(set(seen)) == 1 for seen in rates.rates.values())
    assert len(model.seen) == 27 + (27 - 9 - 4)  # the first epoch, and two steps of the second, are left out
    assert torch.equal(rates.weights[1], rates.weights[0] * levels[1].ticket.mask.kept("net.0.weight"))
    with torch.no_grad():
        loss = F.cross_entropy(model.eval().net(INPUTS), torch.arange(36) % 3)
    assert levels[1].metrics["eval_loss"] == pytest.approx(float(loss), abs=1e-4)
    assert set(levels[1].metrics) == {"eval_loss", "epoch"}


@pytest.mark.parametrize("dies_at", [45])
def test_a_level_that_was_killed_goes_on_to_the_same_bits(dies_at: int, tmp_path: Path) -> None:
    def search(folder: str, model: Classifier) -> list[Level]:
        patient = transformers.EarlyStoppingCallback(early_stopping_patience=30)
        strict = {"eval_strategy": "epoch", "metric_for_best_model": "eval_loss", "load_best_model_at_end": False}
        train = winsome.with_transformers(trainer_of(tmp_path, patient, **strict), save_every=3)
        return list(winsome.find_tickets(model, winsome.aws(1, rate=0.5), train, save_to=tmp_path / folder))

    whole = search("whole", first := Classifier())
    with pytest.raises(RuntimeError, match="killed"):
        search("cut", Classifier(dies_at))
    again = Classifier()
    levels = search("cut", again)
    assert 27 < len(first.seen) - len(again.seen) + 27 <= dies_at + 27
    assert all(torch.equal(one, other) for one, other in zip(first.seen[-len(again.seen) :], again.seen, strict=True))
    for one, other in zip(whole, levels, strict=True):
        assert one.ticket.mask == other.ticket.mask
        assert all(torch.equal(value, other.state[name]) for name, value in one.state.items())
        assert one.metrics == other.metrics


def test_levels_have_data_orders_of_their_own(tmp_path: Path) -> None:
    model = Classifier()
    list(winsome.find_tickets(model, winsome.imp(1), winsome.with_transformers(trainer_of(tmp_path, num_train_epochs=1))))
    assert not torch.equal(model.seen[0], model.seen[9])
    assert sorted(torch.cat(model.seen[:9]).flatten().tolist()) == sorted(INPUTS.flatten().tolist())


def test_what_is_no_trainer_of_this_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(winsome.WinsomeError, match="no Trainer of transformers"):
        next(winsome.find_tickets(Classifier(), winsome.imp(1), winsome.with_transformers(lambda _model, _level: 3)))
    other = winsome.with_transformers(lambda _model, level: trainer_of(tmp_path)(Classifier(), level))
    with pytest.raises(winsome.WinsomeError, match="another network"):
        next(winsome.find_tickets(Classifier(), winsome.imp(1), other))

"""Lightning's trainer in a search: steps, rewinding, schedules, going on after a kill, metrics and modes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import winsome
from winsome.level import Level

L = pytest.importorskip("lightning.pytorch", reason="needs winsome[lightning]")
pytestmark = pytest.mark.filterwarnings("ignore")

INPUTS = torch.randn(36, 6, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(36) % 3
N_BATCHES = 9  # of an epoch


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(0.2), nn.Linear(12, 8), nn.Linear(8, 3))


class Classifier(L.LightningModule):  # type: ignore[misc, name-defined]
    """Records the learning rate of every step."""

    def __init__(self, net: nn.Module | None = None, *, dies_at: int = -1) -> None:
        super().__init__()
        self.net = network() if net is None else net
        self.rates: list[float] = []
        self.dies_at = dies_at
        self.in_training: list[bool] = []

    def training_step(self, batch: list[Tensor], _index: int) -> Tensor:
        if self.global_step == self.dies_at:
            raise RuntimeError("killed")
        self.rates.append(self.optimizers().param_groups[0]["lr"])
        self.in_training.append(self.net.training)
        loss = F.cross_entropy(self.net(batch[0]), batch[1])
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: list[Tensor], _index: int) -> None:
        self.log("accuracy", (self.net(batch[0]).argmax(1) == batch[1]).float().mean())

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)
        each_step = torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, 1.0, total_iters=50)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": each_step, "interval": "step"}}


def trainer_of(**settings: Any) -> Callable[[Level], Any]:
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    return lambda _level: L.Trainer(**{"max_epochs": 3, "accelerator": "cpu", **quiet, **settings})


def loader() -> DataLoader[Any]:
    return DataLoader(TensorDataset(INPUTS, LABELS), batch_size=4, shuffle=True)


def same(one: Level, other: Level) -> bool:
    return one.ticket.mask == other.ticket.mask and all(torch.equal(one.state[k], other.state[k]) for k in one.state)


def test_a_module_and_a_network_in_one_are_searched_and_metrics_are_the_validations_own() -> None:
    train = winsome.with_lightning(trainer_of(check_val_every_n_epoch=2), loader(), loader(), module=Classifier)
    model = network()
    for level in winsome.find_tickets(model, winsome.aws(1, rate=0.5), train):
        accuracy = (model.eval()(INPUTS).argmax(1) == LABELS).float().mean()  # validation was an epoch before the end
        assert level.metrics["accuracy"] == pytest.approx(float(accuracy), abs=1e-6)
        for name in level.ticket.mask:
            assert not level.state[name][~level.ticket.mask.kept(name)].any()
    assert set(level.metrics) == {"train_loss", "accuracy"}


@pytest.mark.parametrize("accumulated", [1, 2])
@pytest.mark.parametrize("step", [4, 7])
def test_rewinding_restarts_steps_and_schedule_at_step_k(step: int, accumulated: int) -> None:
    model = Classifier()
    weights: list[Tensor] = []

    class Watch(L.Callback):  # type: ignore[misc, name-defined]
        def on_train_batch_start(self, trainer: Any, module: Any, *_: Any) -> None:
            weights.append(module.net[0].weight.detach().clone()) if trainer.global_step == step else None

    make = trainer_of(accumulate_grad_batches=accumulated, callbacks=[Watch()], gradient_clip_val=0.5)
    method = winsome.Method(winsome.geometric(1, 0.5), winsome.RewindTo(step))
    levels = winsome.find_tickets(model, method, winsome.with_lightning(make, loader()))
    next(levels)
    whole, model.rates = model.rates, []
    (level,) = levels
    assert model.rates == whole[step * accumulated if step * accumulated < N_BATCHES else -len(model.rates) :]
    an_epoch = -(-N_BATCHES // accumulated)
    assert model.trainer.global_step == 3 * an_epoch
    assert model.trainer.current_epoch == 3
    start = weights[0] * level.ticket.mask.kept("net.0.weight")
    assert torch.equal(start, weights[-1])


@pytest.mark.parametrize("dies_at", [20])
def test_a_level_that_was_killed_goes_on_to_the_same_bits(dies_at: int, tmp_path: Path) -> None:
    def search(folder: str, model: Classifier) -> list[Level]:
        stop = L.pytorch.callbacks.EarlyStopping if hasattr(L, "pytorch") else L.callbacks.EarlyStopping
        train = winsome.with_lightning(trainer_of(callbacks=[stop("accuracy", patience=9, mode="max")]), loader(), loader())
        return list(winsome.find_tickets(model, winsome.aws(1, rate=0.5), train, save_to=tmp_path / folder))

    whole = search("whole", Classifier())
    with pytest.raises(RuntimeError, match="killed"):
        search("cut", Classifier(dies_at=dies_at))
    again = Classifier()
    levels = search("cut", again)
    assert len(again.rates) == 6 * N_BATCHES - dies_at // N_BATCHES * N_BATCHES
    assert all(map(same, whole, levels))
    assert [level.metrics for level in whole] == [level.metrics for level in levels]


def test_modules_train_again_after_an_evaluation_between_levels() -> None:
    model = Classifier()
    model.net.get_submodule("1").eval()  # chosen so, and stays so
    for level in winsome.find_tickets(
        model, winsome.aws(1, rate=0.5), winsome.with_lightning(trainer_of(max_epochs=1), loader())
    ):
        assert level.metrics
        model.eval()
    assert all(model.in_training)
    assert len(model.in_training) == 2 * N_BATCHES


def test_of_a_lightning_module_a_training_step_is_a_pass_of_interpolation(caplog: pytest.LogCaptureFixture) -> None:
    """`training_step` calls a part of the module; without alpha both methods would train to the same bits."""
    ends = []
    for method in (winsome.aws(1), winsome.learning_rate_rewinding(1)):
        levels = winsome.find_tickets(Classifier(), method, winsome.with_lightning(trainer_of(max_epochs=1), loader()))
        ends.append(next(levels).state["net.0.weight"])
    assert not torch.equal(*ends)
    assert "was not interpolated" not in caplog.text


def test_what_cannot_be_trained_is_refused_by_name() -> None:
    def run(train: Any, model: nn.Module) -> None:
        next(winsome.find_tickets(model, winsome.imp(1), train))

    with pytest.raises(winsome.WinsomeError, match="module=MyModule"):
        run(winsome.with_lightning(trainer_of(), loader()), network())
    with pytest.raises(winsome.WinsomeError, match="no Trainer of Lightning's"):
        run(winsome.with_lightning(lambda _level: 3, loader()), Classifier())
    with pytest.raises(winsome.WinsomeError, match="has no end"):
        run(winsome.with_lightning(trainer_of(max_epochs=-1), loader()), Classifier())
    by_hand = Classifier()
    by_hand.automatic_optimization = False
    with pytest.raises(winsome.WinsomeError, match="steps its optimizers itself"):
        run(winsome.with_lightning(trainer_of(), loader()), by_hand)

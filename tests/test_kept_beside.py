"""What a loop of one's own keeps beside the network: a level that was killed goes on to the same bits, or refuses."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer, lr_scheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import winsome
from winsome.errors import WinsomeError
from winsome.state import State

pytestmark = pytest.mark.filterwarnings("ignore")
STEPS, KILLED_AT = 9, 5


class Killed(Exception):
    pass


def network() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))


def sgd(model: nn.Module) -> Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)


Made = tuple[list[Optimizer], dict[str, Any], Callable[[], object]]  # optimizers, what is kept beside, what a step ends with


def searched(folder: Path, make: Callable[[nn.Module], Made], *, kill: bool = False) -> State:
    """The last network of a search whose second level is killed in the midst of it, and goes on in a new process."""

    def train(model: nn.Module, level: winsome.Level) -> dict[str, float]:
        optimizers, also, after = make(model)
        for step in level.steps(STEPS, optimizer=optimizers, save_every=2, also=also):
            if kill and level.number == 1 and step == KILLED_AT:
                raise Killed
            for optimizer in optimizers:
                optimizer.zero_grad()
            model(torch.randn(8, 6)).square().mean().backward()
            for optimizer in optimizers:
                optimizer.step()
            after()
        return {"rate": optimizers[0].param_groups[0]["lr"]}

    level = list(winsome.find_tickets(network(), winsome.aws(1), train, save_to=folder))[-1]
    return level.state | {"rate": torch.tensor(level.metrics["rate"])}


def assert_goes_on(folder: Path, make: Callable[[nn.Module], Made]) -> None:
    whole = searched(folder / "whole", make)
    with pytest.raises(Killed):
        searched(folder / "killed", make, kill=True)
    again = searched(folder / "killed", make)
    assert [name for name, value in whole.items() if not torch.equal(value, again[name])] == []


SCHEDULERS: dict[str, Callable[[Optimizer], Any]] = {
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, max_lr=0.1, total_steps=STEPS),
    "CosineAnnealingWarmRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 4),
    "MultiStepLR": lambda o: lr_scheduler.MultiStepLR(o, [3, 6]),
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda step: 0.8**step),
    "SequentialLR": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.LinearLR(o, total_iters=3), lr_scheduler.CosineAnnealingLR(o, 6)], [3]
    ),
    "CyclicLR": lambda o: lr_scheduler.CyclicLR(o, 0.01, 0.1, 3),
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_scheduler_that_is_handed_over_goes_on(name: str, tmp_path: Path) -> None:
    def make(model: nn.Module) -> Made:
        optimizer = sgd(model)
        scheduler = SCHEDULERS[name](optimizer)
        return [optimizer], {"scheduler": scheduler}, scheduler.step

    assert_goes_on(tmp_path, make)


@pytest.mark.parametrize("late", [False, True])
def test_a_scheduler_that_nobody_hands_over_is_refused(tmp_path: Path, late: bool) -> None:
    def train(model: nn.Module, level: winsome.Level) -> None:
        first, second = sgd(model), sgd(model)
        kept = lr_scheduler.ExponentialLR(first, 0.9)
        if not late:
            lr_scheduler.ExponentialLR(second, 0.9)
        for _ in level.steps(4, optimizer=[first, second], save_every=2, also={"scheduler": kept}):
            if late:
                lr_scheduler.ExponentialLR(second, 0.9)
            first.step()

    with pytest.raises(WinsomeError, match=r'learning rate of SGD follows a scheduler.*also=\{"scheduler": scheduler\}'):
        next(winsome.find_tickets(network(), winsome.imp(1), train, save_to=tmp_path))


class WarmupScheduler:
    """As timm's: derives from nothing of torch's, and sets the rate itself."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer, self.count = optimizer, 0

    def step(self) -> None:
        self.count += 1
        self.optimizer.param_groups[0]["lr"] = 0.01 * self.count

    def state_dict(self) -> dict[str, int]:
        return {"count": self.count}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.count = state["count"]


@pytest.mark.parametrize("make", [lr_scheduler.ReduceLROnPlateau, WarmupScheduler])
@pytest.mark.parametrize("beside", [False, True])
def test_schedulers_that_leave_no_trace_on_the_optimizer_are_refused_too(
    make: Callable[[Optimizer], Any], beside: bool, tmp_path: Path
) -> None:
    """One is no excuse for another: both drive the rate."""

    def train(model: nn.Module, level: winsome.Level) -> None:
        optimizer = sgd(model)
        kept = {"scheduler": lr_scheduler.LinearLR(optimizer)} if beside else {}
        forgotten = make(optimizer)
        for _ in level.steps(4, optimizer=optimizer, save_every=2, also=kept):
            pytest.fail(f"it trained under {forgotten}")

    with pytest.raises(WinsomeError, match=rf"learning rate of SGD follows a scheduler \({make.__name__}\)"):
        next(winsome.find_tickets(network(), winsome.imp(1), train, save_to=tmp_path))


def test_schedulers_that_leave_no_trace_go_on_where_they_are_handed_over(tmp_path: Path) -> None:
    def make(model: nn.Module) -> Made:
        optimizer = sgd(model)
        plateau, warmup = lr_scheduler.ReduceLROnPlateau(optimizer, patience=1), WarmupScheduler(optimizer)
        held = {"plateau": plateau, "all": KeptTogether([warmup])}

        def after() -> None:
            warmup.step()
            plateau.step(1.0)

        return [optimizer], held, after

    assert_goes_on(tmp_path, make)


class KeptTogether:
    """What holds the scheduler in a list of its own."""

    def __init__(self, parts: list[Any]) -> None:
        self.parts = parts

    def state_dict(self) -> dict[str, Any]:
        return {str(number): part.state_dict() for number, part in enumerate(self.parts)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for number, part in enumerate(self.parts):
            part.load_state_dict(state[str(number)])


def test_a_scheduler_that_was_thrown_away_is_none(tmp_path: Path) -> None:
    def train(model: nn.Module, level: winsome.Level) -> None:
        optimizer = sgd(model)
        circle: list[Any] = [lr_scheduler.ReduceLROnPlateau(optimizer)]
        circle.append(circle)
        del circle
        for _ in level.steps(4, optimizer=optimizer, save_every=2):
            optimizer.step()

    list(winsome.find_tickets(network(), winsome.imp(0), train, save_to=tmp_path))


def test_a_scheduler_wrapped_by_another_package_is_taken(tmp_path: Path) -> None:
    class Prepared:
        """As Accelerate's: no `optimizer`, the inner scheduler's state."""

        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def state_dict(self) -> Any:
            return self.inner.state_dict()

        def load_state_dict(self, state: Any) -> None:
            self.inner.load_state_dict(state)

    def make(model: nn.Module) -> Made:
        optimizer = sgd(model)
        scheduler = lr_scheduler.ExponentialLR(optimizer, 0.8)
        return [optimizer], {"scheduler": Prepared(scheduler)}, scheduler.step

    assert_goes_on(tmp_path, make)


def test_several_optimizers_go_on(tmp_path: Path) -> None:
    def make(model: nn.Module) -> Made:
        matrices = [p for p in model.parameters() if p.ndim == 2]
        others = [p for p in model.parameters() if p.ndim != 2]
        optimizers: list[Optimizer] = [torch.optim.Muon(matrices, lr=0.02), torch.optim.AdamW(others, lr=0.01)]
        return optimizers, {}, lambda: None

    assert_goes_on(tmp_path, make)


@pytest.mark.parametrize("rate", [0.1, 1e-3 / 3])
def test_a_rate_that_is_a_tensor_goes_on_as_the_tensor_that_it_is(tmp_path: Path, rate: float) -> None:
    seen: list[bool] = []

    def make(model: nn.Module) -> Made:
        tensor = torch.tensor(rate, dtype=torch.float64)
        optimizer = torch.optim.AdamW(model.parameters(), lr=tensor, foreach=False)
        scheduler = lr_scheduler.ExponentialLR(optimizer, 0.9)

        def after() -> None:
            seen.append(optimizer.param_groups[0]["lr"] is tensor)
            scheduler.step()

        return [optimizer], {"scheduler": scheduler}, after

    assert_goes_on(tmp_path, make)
    assert all(seen)


def test_averages_scalers_and_samplers_go_on(tmp_path: Path) -> None:
    class Sampler:
        """Holds what samplers hold: numpy's generator, and where it stands."""

        def __init__(self) -> None:
            self.draw, self.taken = np.random.default_rng(0), np.zeros(3, np.int32)

        def state_dict(self) -> dict[str, Any]:
            return {"draw": self.draw.bit_generator.state, "taken": self.taken.copy(), "ended": (None, {1, 2}, b"x")}

        def load_state_dict(self, state: Mapping[str, Any]) -> None:
            self.draw.bit_generator.state = state["draw"]
            self.taken = state["taken"].copy()
            assert state["ended"] == (None, {1, 2}, b"x")

    ends: list[State] = []

    def make(model: nn.Module) -> Made:
        average = get_ema_multi_avg_fn(0.9)  # type: ignore[no-untyped-call]
        ema = AveragedModel(model, multi_avg_fn=average, use_buffers=True)
        sampler, scaler = Sampler(), torch.amp.GradScaler("cpu")
        ends.append({})

        def after() -> None:
            ema.update_parameters(model)
            with torch.no_grad():
                model.get_parameter("0.weight").add_(0.01 * float(sampler.draw.normal()))
            sampler.taken += 1
            ends[-1] = copy.deepcopy(dict(ema.state_dict())) | {"taken": torch.from_numpy(sampler.taken)}

        return [sgd(model)], {"ema": ema, "sampler": sampler, "scaler": scaler}, after

    assert_goes_on(tmp_path, make)
    whole, resumed = ends[1], ends[-1]
    assert int(whole["taken"][0]) == STEPS
    assert [name for name, value in whole.items() if not torch.equal(value, resumed[name])] == []


def test_an_optimizer_whose_state_is_nested_goes_on(tmp_path: Path) -> None:
    inputs = torch.randn(8, 6, generator=torch.Generator().manual_seed(0))

    def searched_by_line_search(folder: Path, *, kill: bool = False) -> State:
        def train(model: nn.Module, level: winsome.Level) -> None:
            optimizer = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=3, line_search_fn="strong_wolfe")

            def closure() -> Tensor:
                optimizer.zero_grad()
                loss: Tensor = (model(inputs) - 1).square().mean()
                loss.backward()  # type: ignore[no-untyped-call]
                return loss

            for step in level.steps(6, optimizer=optimizer, save_every=2):
                if kill and step == 3:
                    raise Killed
                optimizer.step(closure)  # type: ignore[no-untyped-call]

        (level,) = winsome.find_tickets(network(), winsome.imp(0), train, save_to=folder)
        return level.state

    whole = searched_by_line_search(tmp_path / "whole")
    with pytest.raises(Killed):
        searched_by_line_search(tmp_path / "killed", kill=True)
    assert (tmp_path / "killed" / "checkpoint.safetensors").exists()
    again = searched_by_line_search(tmp_path / "killed")
    assert [name for name, value in whole.items() if not torch.equal(value, again[name])] == []


class HoldsCode(torch.optim.SGD):
    def state_dict(self) -> Any:
        state = super().state_dict()
        state["param_groups"][0]["schedule"] = lambda step: step
        return state


def test_what_no_checkpoint_can_hold_is_named(tmp_path: Path) -> None:
    class Keeps:
        def state_dict(self) -> Any:
            return {"function": print}

        def load_state_dict(self, _state: Any) -> None: ...

    def search(make: Callable[[nn.Module], Made]) -> Iterator[Any]:
        return winsome.find_tickets(network(), winsome.imp(0), lambda m, level: loop(m, level, make), save_to=tmp_path)

    def loop(model: nn.Module, level: winsome.Level, make: Callable[[nn.Module], Made]) -> None:
        optimizers, also, _ = make(model)
        for _ in level.steps(4, optimizer=optimizers, save_every=2, also=also):
            optimizers[0].step()

    said: dict[str, Callable[[nn.Module], Made]] = {
        r"the state of HoldsCode cannot be kept in a checkpoint: it holds a function.*leave it out of level\.steps": (
            lambda m: ([HoldsCode(m.parameters())], {}, print)
        ),
        r"also\['odd'\] holds a builtin_function_or_method": lambda m: ([sgd(m)], {"odd": Keeps()}, print),
        r"also\['rate'\] is a float without state_dict": lambda m: ([sgd(m)], {"rate": 0.1}, print),
        r"also\['second'\] is an optimizer: hand it over as one": lambda m: ([sgd(m)], {"second": sgd(m)}, print),
    }
    for sentence, make in said.items():
        with pytest.raises(WinsomeError, match=sentence):
            next(search(make))


def test_a_checkpoint_of_another_loop_is_refused_with_both(tmp_path: Path) -> None:
    def make(model: nn.Module) -> Made:
        return [sgd(model)], {"ema": AveragedModel(model)}, lambda: None

    with pytest.raises(Killed):
        searched(tmp_path, make, kill=True)
    with pytest.raises(
        WinsomeError, match=r"keeps 1 optimizers, ema, but level\.steps is given 2 optimizers: hand over the same"
    ):
        searched(tmp_path, lambda model: ([sgd(model), sgd(model)], {}, lambda: None))

"""One contract for the networks that people use: the plan as stated, a search by AWS, and planting on another start."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import winsome
from architecture_list import ARCHITECTURES
from architectures import Architecture, loss_of, stated_plan
from winsome.alphas import uniform
from winsome.norms import interpolated_norms
from winsome.psi import chosen, identities

pytestmark = pytest.mark.filterwarnings("ignore")
SEED = 3
SCALE = "a scale or shift outside of norms (norms=... takes it for psi)"
PLANS = {
    lines[0].strip("[]"): lines[1:]
    for lines in (part.splitlines() for part in (Path(__file__).parent / "samples" / "plans.txt").read_text().split("\n\n"))
    if lines
}


@pytest.fixture(params=ARCHITECTURES)
def name(request: pytest.FixtureRequest) -> str:
    """Of an architecture whose library is installed."""
    library = request.param.partition(" ")[0]
    if library in ("timm", "transformers") and importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed: pip install 'winsome[{library}]'")
    return str(request.param)


def made(one: Architecture, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    model = one.make()
    with torch.no_grad():
        for parameter in model.parameters():  # some start all zero or all alike (LayerScale, heads, biases)
            parameter.add_(torch.randn_like(parameter), alpha=0.01)
    return model.train()


def called(model: nn.Module, one: Architecture) -> Any:
    inputs = one.inputs()
    torch.manual_seed(SEED)  # dropout, and which boxes are drawn
    return model(inputs["x"]) if set(inputs) == {"x"} else model(**inputs)


def loss_at(model: nn.Module, one: Architecture) -> Tensor:
    return loss_of(called(model, one))


def test_the_contract(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    architecture = ARCHITECTURES[name]
    check_plan(name, architecture)
    check_interpolation(architecture)
    with caplog.at_level(logging.WARNING, "winsome"):
        ticket = check_search(architecture)
    assert ("has no normalisation parameters that are found" in caplog.text) == (architecture.planned.psi == 0)
    assert "stay dense" not in caplog.text
    assert ("has scales or shifts outside of norms" in caplog.text) == (SCALE in "".join(PLANS[name]))
    check_planting(architecture, ticket, tmp_path / "a.ticket")


def check_plan(name: str, one: Architecture) -> None:
    model = made(one)
    lines = winsome.plan(model)
    assert [line.name for line in lines] == [name for name, _ in model.named_parameters()]
    pruned = [line for line in lines if line.prunable]
    dense: dict[str, list[str]] = {}
    for line in lines:
        if not line.prunable and not line.psi and line.reason not in ("bias", "not a matrix", SCALE):
            dense.setdefault(line.reason, []).append(line.name)
    assert stated_plan(model) == PLANS[name], "tests/samples/plans.txt states every line"
    planned = one.planned
    assert (len(pruned), sum(line.n_weights for line in pruned)) == (planned.prunable, planned.weights)
    assert sum(line.psi for line in lines) == planned.psi
    assert {reason: " ".join(names) for reason, names in dense.items()} == planned.dense


def check_interpolation(one: Architecture) -> None:
    """The first pass's forward is that with alpha * psi + (1 - alpha) * identity put in by hand, and is not the plain one."""
    model = made(one)
    found = chosen(model)
    with torch.no_grad():
        for psi in found.values():
            psi.parameter.add_(0.5)
    if not found:
        return
    plain = loss_at(made_like(model, one), one)
    with interpolated_norms(model, SEED):
        interpolated = loss_at(model, one)
    alpha = uniform(torch.tensor(SEED), torch.tensor(0)).float()
    twin = made_like(model, one)
    with torch.no_grad():
        for name, value in identities(chosen(twin)).items():
            own = twin.get_parameter(name)
            own.copy_(alpha * own + (1 - alpha) * value)
    torch.testing.assert_close(interpolated, loss_at(twin, one), rtol=1e-4, atol=1e-6)
    assert not torch.equal(interpolated, plain), "psi is interpolated indeed"


def made_like(model: nn.Module, one: Architecture) -> nn.Module:
    twin = made(one)
    twin.load_state_dict(model.state_dict())
    return twin


def check_search(one: Architecture) -> winsome.Ticket:
    """Two levels of AWS: exact counts, exact zeros, names as they were."""
    model = made(one)
    names = list(model.state_dict())

    def train(network: nn.Module, level: winsome.Level) -> None:
        optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9)
        for _ in level.steps(1):
            loss_at(network, one).backward()  # type: ignore[no-untyped-call]
            optimizer.step()

    *_, last = winsome.find_tickets(model, winsome.aws(levels=1, rate=0.4), train)
    mask = last.ticket.mask
    assert mask.n_kept == round(0.6 * one.planned.weights)
    assert mask.n_weights == one.planned.weights
    assert all(not last.state[name][~mask.kept(name)].any() for name in mask)
    assert list(last.state) == list(model.state_dict()) == names
    return last.ticket


def check_planting(one: Architecture, ticket: winsome.Ticket, file: Path) -> None:
    """Written, read back, and put on another start: the signs that it says, zeros where it prunes."""
    winsome.write(ticket, file)
    again = winsome.read(file)
    assert again.mask == ticket.mask
    fresh = made(one, seed=1)
    before = {name: fresh.get_parameter(name).detach().clone() for name in ticket.mask}
    winsome.plant(again, fresh)
    for name in ticket.mask:
        expected = before[name].abs() * again.mask[name]
        assert torch.equal(fresh.get_parameter(name).detach(), expected), name
    for name, sign in ticket.signs.items():
        value = fresh.get_parameter(name).detach()
        assert torch.equal(value, value.abs() * sign), name


def test_the_list_is_as_long_as_it_is_said_to_be() -> None:
    by_library = [name.partition(" ")[0] for name in ARCHITECTURES]
    assert len(ARCHITECTURES) >= 30
    assert by_library.count("timm") >= 15
    assert by_library.count("transformers") >= 8

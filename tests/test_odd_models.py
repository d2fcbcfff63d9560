"""Networks whose state is more than float weights: searched, resumed and read back, or refused by name before training."""

from __future__ import annotations

import io
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune, weight_norm

import winsome
from winsome.errors import WinsomeError
from winsome.files import read_state, write_state
from winsome.state import State, copied, full_state, load_state, state_digest

pytestmark = pytest.mark.filterwarnings("ignore")
METHODS: dict[str, winsome.Method] = {
    "imp": winsome.imp(2),
    "weight rewinding": winsome.weight_rewinding(2, step=2),
    "learning-rate rewinding": winsome.learning_rate_rewinding(2),
}


class Stopped(Exception):
    pass


def train(model: nn.Module, level: winsome.Level, *, stop_at: int = -1) -> dict[str, float]:
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.is_floating_point()], 0.1, momentum=0.9)
    for step in level.steps(6, optimizer=optimizer, save_every=2):
        if level.number == 1 and step == stop_at:
            raise Stopped
        optimizer.zero_grad()
        model(torch.randn(4, 8)).square().mean().backward()
        optimizer.step()
    return {}


def same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return isinstance(other, Tensor) and one.dtype == other.dtype and torch.equal(_bits(one), _bits(other))
    if isinstance(one, io.BytesIO):
        return isinstance(other, io.BytesIO) and one.getvalue() == other.getvalue()
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(value, other[name]) for name, value in one.items())
    if isinstance(one, list | tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and one.dtype == other.dtype and bool((one == other).all())
    if isinstance(one, deque):
        return isinstance(other, deque) and one == other and one.maxlen == other.maxlen
    return type(one) is type(other) and one == other


def _bits(value: Tensor) -> Tensor:
    value = torch.view_as_real(value) if value.is_complex() else value
    return value.contiguous().flatten().view(torch.uint8)


def assert_runs_and_resumes(make: Callable[[], nn.Module], method: winsome.Method, folder: Path) -> State:
    """A search in one go, one that was stopped within level 1, and both read back by fresh networks: one and the same."""
    whole = [level.state for level in winsome.find_tickets(make(), method, train, save_to=folder / "whole")]
    with pytest.raises(Stopped):
        list(winsome.find_tickets(make(), method, lambda m, level: train(m, level, stop_at=4), save_to=folder / "stopped"))
    resumed = [level.state for level in winsome.find_tickets(make(), method, train, save_to=folder / "stopped")]

    def never(*_: Any) -> None:
        raise AssertionError

    read = [level.state for level in winsome.find_tickets(make(), method, never, save_to=folder / "whole")]
    in_memory = [level.state for level in winsome.find_tickets(make(), method, train)]
    for states in (resumed, read, in_memory):
        for one, other in zip(whole, states, strict=True):
            assert same({name: one[name] for name in sorted(one)}, {name: other[name] for name in sorted(other)})
    return whole[-1]


class MakesABuffer(nn.Module):
    """A cache that the first forward registers, or fills."""

    def __init__(self, how: str = "registers") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.how, self.a, self.b = how, nn.Linear(8, 16), nn.Linear(16, 3)
        if how == "fills":
            self.register_buffer("cache", None)
        elif how == "enlarges":
            self.register_buffer("cache", torch.ones(2))

    def forward(self, inputs: Tensor) -> Tensor:
        cache: Any = getattr(self, "cache", None)
        if cache is None or len(cache) < 16:
            self.register_buffer("cache", torch.full((16,), 0.5))
        result: Tensor = self.b((self.a(inputs) * self.cache).relu())
        return result


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("how", ["registers", "fills", "enlarges"])
def test_a_buffer_made_in_the_first_forward(how: str, method: str, tmp_path: Path) -> None:
    state = assert_runs_and_resumes(lambda: MakesABuffer(how), METHODS[method], tmp_path)
    assert torch.equal(state["cache"], torch.full((16,), 0.5))


class Tracked(nn.Linear):
    """Keeps more than tensors: what it has seen, in some form."""

    form: Any = None

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.seen = 0

    def forward(self, inputs: Tensor) -> Tensor:
        self.seen += self.training
        return super().forward(inputs)

    def get_extra_state(self) -> Any:
        return self.form(self.seen)

    def set_extra_state(self, state: Any) -> None:
        if isinstance(state, dict):
            self.seen = state["seen"]
        elif isinstance(state, list):
            self.seen = int(state[2].imag)
        elif isinstance(state, bytes):
            self.seen = int.from_bytes(state, "little")
        elif isinstance(state, Tensor | int):
            self.seen = int(state)
        elif isinstance(state, io.BytesIO):
            self.seen = int(state.getvalue())


FORMS: dict[str, Callable[[int], Any]] = {
    "dict": lambda n: {"seen": n, "deep": [1, (2.5, "x"), {"amax": torch.full((2,), float(n))}], 3: None, "nan": float("inf")},
    "bytes": lambda n: n.to_bytes(4, "little"),
    "formats, devices, complex numbers": lambda n: [torch.float16, torch.device("cpu"), 1 + n * 1j, np.complex64(n)],
    "file": lambda n: io.BytesIO(str(n).encode()),
    "number": lambda n: n,
    "tensor": lambda n: torch.tensor([n]),
    "complex tensor in a dict": lambda n: {"seen": n, "z": torch.full((2,), n * 1j, dtype=torch.complex128)},
}


@pytest.mark.parametrize("form", FORMS)
def test_extra_state_is_kept(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tracked, "form", staticmethod(FORMS[form]))

    def make() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(Tracked(8, 16), nn.ReLU(), nn.Linear(16, 3))

    state = assert_runs_and_resumes(make, METHODS["imp"], tmp_path)
    assert same(state["0._extra_state"], FORMS[form](6)), "rewound with the weights, and six steps further"
    assert len(state_digest(state)) == 64


def test_extra_state_none_is_kept_and_what_no_file_keeps_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def make() -> nn.Module:
        return nn.Sequential(Tracked(8, 16), nn.ReLU(), nn.Linear(16, 3))

    monkeypatch.setattr(Tracked, "form", staticmethod(lambda _: None))
    (level, *_) = winsome.find_tickets(make(), winsome.imp(0), train, save_to=tmp_path / "none")
    assert level.state["0._extra_state"] is None
    monkeypatch.setattr(Tracked, "form", staticmethod(lambda _: {"hook": print}))
    with pytest.raises(WinsomeError, match=r"'0\._extra_state' .* holds a builtin_function_or_method"):
        next(winsome.find_tickets(make(), winsome.imp(0), lambda *_: pytest.fail("it trained"), save_to=tmp_path / "other"))


TENSORS: dict[str, Callable[[], Tensor]] = {
    "0-dimensional": lambda: torch.tensor(2.65),
    "empty": lambda: torch.empty(0, 3),
    "bool": lambda: torch.tensor([True, False, True]),
    "complex64": lambda: torch.full((3,), 1 + 2j, dtype=torch.complex64),
    "complex128": lambda: torch.full((3,), 1 + 2j, dtype=torch.complex128),
    "float8_e4m3fn": lambda: torch.full((3,), 1.5).to(torch.float8_e4m3fn),
    "float8_e5m2": lambda: torch.full((3,), 1.5).to(torch.float8_e5m2),
    "uint16": lambda: torch.tensor([1, 65535], dtype=torch.uint16),
    "uint64": lambda: torch.tensor([1, 2], dtype=torch.uint64),
    "not contiguous": lambda: torch.arange(6.0).view(2, 3).T,
    "expanded": lambda: torch.ones(1).expand(4),
    "a mask of -inf": lambda: torch.full((3,), -torch.inf),
}


class WithTensor(nn.Module):
    def __init__(self, value: Tensor, *, parameter: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body, self.head = nn.Linear(8, 16), nn.Linear(16, 3)
        if parameter:
            self.extra = nn.Parameter(value)
        else:
            self.register_buffer("extra", value)

    def forward(self, inputs: Tensor) -> Tensor:
        result: Tensor = self.head(self.body(inputs).relu())
        return result


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_of_every_kind_are_kept_to_the_bit(name: str, tmp_path: Path) -> None:
    state = assert_runs_and_resumes(lambda: WithTensor(TENSORS[name]()), METHODS["imp"], tmp_path)
    assert same(state["extra"], TENSORS[name]().contiguous())


def test_complex_parameters_are_kept_and_never_pruned(tmp_path: Path) -> None:
    model = WithTensor(TENSORS["complex64"](), parameter=True)
    assert {line.name: line.reason for line in winsome.plan(model)}["extra"] == "complex numbers, which have no sign"
    assert_runs_and_resumes(lambda: WithTensor(TENSORS["complex64"](), parameter=True), METHODS["imp"], tmp_path)
    with pytest.raises(WinsomeError, match="'extra' holds complex numbers, which have no sign"):
        next(winsome.find_tickets(model, winsome.imp(1), train, prunable=["extra"]))
    with pytest.raises(WinsomeError, match="complex numbers, which have no sign"):
        winsome.SignedMask.of({"w": torch.ones(1, dtype=torch.complex64)}, {"w": torch.ones(1, dtype=torch.bool)})


def quantised(model: nn.Module) -> nn.Module:
    quantise: Any = torch.ao.quantization.quantize_dynamic
    made: nn.Module = quantise(model, {nn.Linear})
    return made


def test_a_layer_of_complex_numbers_stays_as_it_is_and_has_no_signs_in_a_ticket() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 3))
    model.add_module("odd", nn.Linear(4, 4, dtype=torch.complex64))
    model.forward = lambda inputs: model[1](model[0](inputs))  # type: ignore[method-assign]
    *_, level = winsome.find_tickets(model, winsome.imp(1), train, classifier="1")
    assert set(level.ticket.signs) == {"0.bias", "1.weight", "1.bias"}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: torch.jit.script(nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 3))), "the model is TorchScript"),
        (lambda: nn.Sequential(torch.jit.script(nn.Linear(8, 8)), nn.Linear(8, 3)), "'0' of the model is TorchScript"),
        (lambda: quantised(nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 3))), "the weights of 0, 1 are quantised"),
    ],
)
def test_what_no_hook_or_mask_can_hold_is_refused_by_name(make: Callable[[], nn.Module], said: str) -> None:
    with pytest.raises(WinsomeError, match=said):
        next(winsome.find_tickets(make(), winsome.aws(1), lambda *_: pytest.fail("it trained")))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (lambda: torch.eye(3).to_sparse(), "'extra' is sparse_coo"),
        (lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8), "'extra' is quantised"),
    ],
)
def test_what_no_file_keeps_is_refused_before_training(value: Callable[[], Tensor], said: str, tmp_path: Path) -> None:
    with pytest.raises(WinsomeError, match=said):
        next(winsome.find_tickets(WithTensor(value()), winsome.imp(1), lambda *_: pytest.fail("it trained"), save_to=tmp_path))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: nn.Sequential(nn.LazyLinear(16), nn.LazyLinear(3)),
            r"'0\.weight' has no shape yet .* call the model on a batch",
        ),
        (
            lambda: nn.Sequential(nn.Linear(4, 4), nn.LazyBatchNorm1d(), nn.Linear(4, 3)),
            r"'1\.weight' has no shape yet .* call the model on a batch",
        ),
        (lambda: nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 3)).to("meta"), r"'0\.weight' has no values yet \(device meta\)"),
    ],
)
def test_weights_that_are_not_there_yet_are_said(make: Callable[[], nn.Module], said: str) -> None:
    for ask in (winsome.plan, winsome.prunable, lambda m: next(winsome.find_tickets(m, winsome.aws(1), train))):
        with pytest.raises(WinsomeError, match=said):
            ask(make())


@pytest.mark.parametrize(
    "put_on",
    [
        weight_norm,
        parametrizations.weight_norm,
        lambda layer: prune.l1_unstructured(layer, "weight", 0.5),  # type: ignore[no-untyped-call]
    ],
    ids=["weight_norm", "parametrization", "prune"],
)
def test_weights_behind_others_are_refused_by_the_true_reason(put_on: Callable[[nn.Module], object]) -> None:
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 3))
    put_on(model[0])
    with pytest.raises(WinsomeError, match=r"the weights that 0\..* make are computed .*prunable\(model, exclude=\['0"):
        winsome.prunable(model)
    assert winsome.prunable(model, exclude=("0.*",)) == ("2.weight",), "the others may be pruned"
    reasons = {line.name: line.reason for line in winsome.plan(model)}
    assert reasons["0.bias"] == "bias"
    hidden = {name for name in reasons if name.startswith("0.") and name != "0.bias"}
    assert {reasons[name] for name in hidden} == {"a layer's weight is computed from it (parametrisation)"}
    put_on(model[4])
    assert winsome.prunable(model, exclude=("0.*",)) == ("2.weight",), "a classifier stays dense anyway"


def test_frozen_layers_are_called_frozen() -> None:
    model = nn.Sequential(nn.Linear(8, 16), nn.Linear(16, 3)).requires_grad_(False)
    with pytest.raises(WinsomeError, match="all layers but the classifier are frozen"):
        winsome.prunable(model)


def test_a_state_of_another_network_is_refused_with_what_differs() -> None:
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2))
    state = full_state(model)
    with pytest.raises(WinsomeError, match=r"the state lacks 1\.bias"):
        load_state(model, {name: value for name, value in state.items() if name != "1.bias"})
    with pytest.raises(WinsomeError, match=r"the model lacks 7\.weight, 0\.bias"):
        load_state(model, {**state, "0.bias": torch.ones(2), "7.weight": torch.ones(2)})


LEAVES: list[st.SearchStrategy[Any]] = [
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text() | st.binary(),
    st.sets(st.integers()),
    st.frozensets(st.text()),
    st.text().map(Counter),
    st.integers(0, 9).map(np.float32),
    st.integers(0, 3).map(lambda n: np.arange(2 * n, dtype=np.int16).reshape(2, n)),
    st.lists(st.integers(), max_size=3).map(lambda values: deque(values, 5)),
    st.lists(st.integers(), max_size=3).map(deque),
]
values = st.recursive(
    st.one_of(LEAVES),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner, max_size=3) | st.tuples(inner)
    ),
    max_leaves=8,
)


@given(values)
def test_any_plain_value_survives_the_file(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "odd.safetensors"
    state = {"a": torch.ones(2), "b._extra_state": value, "c": torch.zeros(1)}
    write_state(path, state, mark="kept")
    again, metadata = read_state(path)
    assert metadata == {"mark": "kept"}
    assert same(again, copied(state))

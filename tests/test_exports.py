"""Exports: what is written loads back as it was said to, patterns are checked, costs are counted, slow forms are refused."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from commands import said
from winsome import exports, models, ticket_file
from winsome.cli import main
from winsome.errors import WinsomeError
from winsome.exports import comparison, csr, semi_structured, writing
from winsome.exports.comparison import FormRow
from winsome.exports.outputs import difference
from winsome.signed_mask import SignedMask
from winsome.ticket import Ticket, ticket_of

RECORD = models.NetworkSpec("mlp", (("widths", (32, 32)),), (1, 4, 4), 4).record() | {"options": {"widths": [32, 32]}}


def found(seed: int = 0, density: float = 0.2) -> tuple[Ticket, nn.Module]:
    """A ticket of a small network with two dead units, and the network with its zeros."""
    model = models.NetworkSpec.from_record(RECORD).build(seed).eval()
    names = [name for name, p in model.named_parameters() if p.ndim == 2][:-1]
    draw = torch.Generator().manual_seed(seed)
    kept = {name: torch.rand(model.get_parameter(name).shape, generator=draw) < density for name in names}
    kept[names[0]][[3, 5]] = False
    ticket = ticket_of(model, names, kept, network=RECORD)
    with torch.no_grad():
        for name in names:
            model.get_parameter(name).masked_fill_(~kept[name], 0)
    return ticket, model


def bits(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """A state as it lies in memory, in short."""
    digests = {name: hashlib.sha256(value.numpy().tobytes()).hexdigest()[:8] for name, value in state.items()}
    return {name: f"{value.dtype} {tuple(value.shape)} {digests[name]}" for name, value in state.items()}


def test_a_small_checkpoint_loads_back_bit_for_bit(tmp_path: Path) -> None:
    ticket, model = found()
    state = model.state_dict()
    name = next(iter(ticket.mask))
    place = ticket.mask.kept(name).nonzero()[:3]
    state[name][tuple(place[0])] *= -1  # a weight that has changed its sign since
    state[name][tuple(place[1])] = -0.0
    state[name][tuple(place[2])] = 0.0
    written = exports.write_small(ticket, state, tmp_path / "a.safetensors")
    back, loaded = exports.read_small(tmp_path / "a.safetensors")
    assert bits(loaded) == bits(state)
    assert back.mask == ticket.mask
    assert dict(back.provenance) == dict(ticket.provenance)
    assert written.n_bytes == (tmp_path / "a.safetensors").stat().st_size


def test_a_small_checkpoint_in_bf16_rounds_weights_alone_and_is_as_small_as_said(tmp_path: Path) -> None:
    ticket, model = found(density=0.05)
    state = model.state_dict()
    exports.write_small(ticket, state, tmp_path / "a.safetensors", precision="bf16")
    _, loaded = exports.read_small(tmp_path / "a.safetensors")
    rounded = {name: value.bfloat16().float() if value.ndim > 1 else value for name, value in state.items()}
    assert bits(loaded) == bits(rounded)
    stored = safetensors.torch.load_file(tmp_path / "a.safetensors")
    assert stored["magnitudes"].numel() == ticket.mask.n_kept
    assert stored["magnitudes"].dtype == torch.bfloat16
    assert "flipped" not in stored
    assert stored["ticket"].numpy().tobytes() == ticket_file.encode(ticket)


def test_a_tied_weight_is_stored_once(tmp_path: Path) -> None:
    ticket = Ticket(SignedMask({"a.weight": torch.tensor([[1, 0], [0, -1]])}))
    weight = torch.tensor([[0.5, 0.0], [0.0, -2.0]])
    exports.write_small(ticket, {"a.weight": weight, "b.weight": weight}, tmp_path / "a.safetensors")
    assert not any(name.startswith("state.") for name in safetensors.torch.load_file(tmp_path / "a.safetensors"))
    assert bits(exports.read_small(tmp_path / "a.safetensors")[1]) == bits({"a.weight": weight, "b.weight": weight})


def test_other_files_are_no_small_checkpoints(tmp_path: Path) -> None:
    ticket, model = found()
    safetensors.torch.save_file(model.state_dict(), tmp_path / "plain.safetensors")
    with pytest.raises(WinsomeError, match="no export of Winsome"):
        exports.read_small(tmp_path / "plain.safetensors")
    with pytest.raises(WinsomeError, match="there is no such file"):
        exports.load(tmp_path / "absent.safetensors")
    with pytest.raises(WinsomeError, match="precision must be one of bf16, fp32"):
        exports.write_small(ticket, model.state_dict(), tmp_path / "a", precision="fp8")
    exports.write_small(ticket, model.state_dict(), tmp_path / "small.safetensors")
    with pytest.raises(WinsomeError, match="of the form 'small'; expected the form shrink"):
        exports.read_shrunk(tmp_path / "small.safetensors")


class Pointwise(nn.Module):
    """1x1 convolutions with and without stride, and linear layers on images and words."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.strided = nn.Conv2d(6, 8, 1), nn.Conv2d(8, 6, 1, stride=2, bias=False)
        self.spatial, self.last = nn.Conv2d(6, 4, 3), nn.Linear(4, 5, bias=False)
        self.end = nn.Linear(5, 3)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.spatial(torch.relu(self.strided(torch.relu(self.first(images)))))
        out: Tensor = self.end(torch.relu(self.last(hidden.permute(0, 2, 3, 1))))
        return out


def sparse_pointwise() -> Pointwise:
    torch.manual_seed(0)
    network = Pointwise().eval()
    for parameter in network.parameters():
        if parameter.ndim > 1:
            parameter.data *= torch.rand(parameter.shape) < 0.3
    return network


def test_compressed_rows_compute_what_the_layers_do_and_load_back(tmp_path: Path) -> None:
    network, images = sparse_pointwise(), torch.randn(3, 6, 9, 8)
    names = list(csr.candidates(network))
    assert names == ["first", "strided", "last", "end"]  # the 3x3 convolution has no sparse kernel
    sparse = csr.with_compressed_rows(network, names)
    with torch.inference_mode():
        expected = network(images)
        torch.testing.assert_close(sparse(images), expected)
        csr.write_compressed(sparse, tmp_path / "a.safetensors")
        loaded = exports.load(tmp_path / "a.safetensors", Pointwise())
        assert torch.equal(loaded(images), sparse(images))
    assert isinstance(network.first, nn.Conv2d), "the network is not changed"


def test_every_layer_is_measured_dense_and_sparse_on_what_it_gets() -> None:
    network = sparse_pointwise()
    choices = csr.choices(network, torch.randn(2, 6, 9, 8), seconds=0.0)
    assert list(choices) == ["first", "strided", "last", "end"]
    for name, choice in choices.items():
        weight = network.get_parameter(f"{name}.weight")
        assert choice.density == pytest.approx(float((weight != 0).float().mean()))
        assert choice.dense_ms > 0
        assert choice.sparse == (choice.sparse_ms < choice.dense_ms)
    with pytest.raises(WinsomeError, match=r"no linear layer and no 1x1 convolution of density 0\.5 or less"):
        csr.choices(nn.Sequential(nn.Linear(3, 3), nn.Conv2d(3, 3, 3)), torch.randn(1, 3))


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(1, 5), groups=st.integers(1, 5), seed=st.integers(0, 999), kept=st.sampled_from([0, 1, 2]))
def test_packing_loses_nothing(rows: int, groups: int, seed: int, kept: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    order = torch.rand(rows * groups, 4, generator=draw).argsort(1).argsort(1)
    weight = (torch.randn(rows * groups, 4, generator=draw) * (order < kept)).reshape(rows, -1).half()
    values, codes = semi_structured.packed(weight)
    assert torch.equal(semi_structured.unpacked(values, codes), weight)
    assert values.shape == (rows, 2 * groups)
    assert codes.numel() == -(-rows * groups // 2)


def test_the_pattern_is_checked_against_brute_force() -> None:
    patterns = torch.tensor(list(itertools.product([0.0, 1.0], repeat=4)))
    for pattern in patterns:
        assert semi_structured.wrong_groups(pattern[None]) == int(sum(pattern.tolist()) > 2)
    assert semi_structured.wrong_groups(patterns.reshape(4, -1)) == 5
    with pytest.raises(WinsomeError, match="some would be lost"):
        semi_structured.packed(torch.tensor([[1.0, 5, 1, 0]]))  # which torch would take, and lose a weight
    with pytest.raises(WinsomeError, match=r"shape \(2, 6\) has no groups of four"):
        semi_structured.wrong_groups(torch.zeros(2, 6))


def two_of_four(network: nn.Sequential) -> nn.Sequential:
    """The first linear layer keeps two of every four inputs."""
    network.get_parameter("0.weight").data[:, 1::4] = network.get_parameter("0.weight").data[:, 2::4] = 0
    return network


def test_a_packed_file_holds_the_layers_in_the_pattern_and_says_why_others_are_not(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = two_of_four(nn.Sequential(nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 16), nn.Linear(16, 3)))
    assert semi_structured.layers_in_pattern(network) == ("0",)
    path = tmp_path / "a.safetensors"
    semi_structured.write_packed(network, ("0",), path, dtype=torch.bfloat16)
    loaded = exports.load(path, nn.Sequential(nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 16), nn.Linear(16, 3)))
    assert bits({k: v.float().cpu() for k, v in loaded.state_dict().items()}) == bits(
        {k: v.bfloat16().float() for k, v in network.state_dict().items()}
    )
    stored = safetensors.torch.load_file(path)
    assert sum(stored[f"0.{part}"].numel() * stored[f"0.{part}"].element_size() for part in ("kept", "places")) == 32 * 16 * (
        1 + 0.125
    )
    with pytest.raises(
        WinsomeError, match=r"0: 64 of 64 groups of four inputs keep more than two; 1: 3 x 16 weights.*--allocate 2:4"
    ):
        semi_structured.layers_in_pattern(nn.Sequential(nn.Linear(16, 16), nn.Linear(16, 3)))
    with pytest.raises(WinsomeError, match="of float32 PyTorch would keep one weight of two"):
        semi_structured.with_semi_structured(network, torch.float32, ("0",))
    if not torch.cuda.is_available():
        with pytest.raises(WinsomeError, match="2:4 runs on a GPU"):
            semi_structured.with_semi_structured(network, torch.float16, ("0",))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="2:4 runs on a GPU")
def test_2_4_on_a_gpu_gives_what_dense_gives(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = two_of_four(nn.Sequential(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 64)))
    request = exports.requested(
        Ticket(SignedMask({"0.weight": network.get_parameter("0.weight").sign()})),
        network,
        network.state_dict(),
        torch.randn(64, 256),
        anyway=True,
    )
    outcome = exports.export("2:4", request, tmp_path / "a.safetensors")
    assert [row.form for row in outcome.rows] == ["dense, bf16 on the GPU", "2:4, bf16 on the GPU"]
    assert all(row.difference < 2e-2 for row in outcome.rows)


def test_costs_are_those_of_a_closed_form() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8 * 36, 5))
    mask = SignedMask({"0.weight": torch.ones(8, 3, 3, 3).index_fill(0, torch.tensor([0, 1]), 0)})
    costs = exports.layer_costs(network, mask, torch.randn(2, 3, 6, 6))
    products = 2 * 2 * 36 * 8 * 27  # two images, 36 places, two FLOPs for each weight
    assert costs["0"].flops == (products, products * 6 // 8)
    assert costs["0"].parameters == (8 * 27 + 8, 6 * 27 + 8)
    assert costs["0"].n_bytes == (4 * (8 * 27 + 8), 4 * (6 * 27 + 8))
    assert costs["3"].flops == (2 * 2 * 288 * 5,) * 2
    total = exports.total_cost(costs)
    assert total.parameters[0] == sum(p.numel() for p in network.parameters())
    assert total.flops[0] == sum(cost.flops[0] for cost in costs.values())


def test_attention_counts_its_products_with_weights_and_recurrent_layers_say_that_they_are_not_counted() -> None:
    attention = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    weights = {name: p for name, p in attention.named_parameters() if p.ndim == 2}
    half = {name: torch.arange(p.numel()).reshape(p.shape) % 2 for name, p in weights.items()}
    costs = exports.layer_costs(attention, SignedMask(half), torch.randn(3, 5, 8))
    products = 2 * 15 * 4 * 8 * 8
    scores = 2 * 2 * 3 * 5 * 5 * 8
    assert costs["self_attn"].flops == (products + scores, products // 2 + scores)
    assert all(cost.counted for cost in costs.values())
    recurrent = nn.LSTM(4, 4)
    mask = SignedMask({"weight_hh_l0": torch.ones(16, 4)})
    assert not exports.layer_costs(recurrent, mask, torch.randn(2, 3, 4))[""].counted


def row(form: str, ms: float, differs: float = 0.0) -> FormRow:
    return FormRow(form, 1, (ms, ms, ms), 1, None, differs)


def exported(
    monkeypatch: pytest.MonkeyPatch, path: Path, rows: list[FormRow], *, anyway: bool = False
) -> writing.ExportOutcome:
    """The export of a small network whose table is this."""
    ticket, model = found()
    monkeypatch.setattr(writing, "compared", lambda *_, **__: rows)
    monkeypatch.setattr(
        writing, "runs_of", lambda name, network, example, n: ({name: comparison.eager(network, example, n)}, [])
    )
    example = torch.randn(4, 1, 4, 4)
    request = exports.requested(ticket, model, model.state_dict(), example, anyway=anyway, record=RECORD)
    return exports.export("shrink", request, path)


def test_what_is_slower_than_the_best_dense_form_is_written_anyway_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "a.safetensors"
    slow = [row("dense, eager", 3.0), row("dense, channels_last", 1.0), row("shrink, eager", 2.0)]
    outcome = exported(monkeypatch, path, slow)
    assert outcome.refused == "shrink, eager takes 2 ms and dense, channels_last 1 ms: it is slower here"
    assert not path.exists()
    outcome = exported(monkeypatch, path, slow, anyway=True)
    assert outcome.said[-1] == "written anyway: shrink, eager takes 2 ms and dense, channels_last 1 ms: it is slower here"
    assert path.exists()
    path.unlink()
    assert not exported(monkeypatch, path, [*slow, row("shrink, channels_last", 0.9)]).refused
    assert path.exists()
    path.unlink()
    by_chance, steady = replace(slow[2], ms=(0.5, 0.5, 0.9, 1.2, 1.2)), replace(slow[1], ms=(1.0, 1.0, 1.0, 1.0, 1.0))
    assert by_chance.median < steady.median
    assert "faster in one half of the rounds only" in exported(monkeypatch, path, [steady, by_chance]).refused
    assert not path.exists()
    with pytest.raises(WinsomeError, match="gives other outputs than the dense network"):
        exported(monkeypatch, path, [slow[0], row("shrink, eager", 0.1, differs=0.01)], anyway=True)
    assert not path.exists()


def test_a_table_is_of_what_ran() -> None:
    _, model = found()
    example = torch.randn(2, 1, 4, 4)
    runs = {"dense, eager": comparison.eager(model, example, 123)}
    with torch.inference_mode():
        (only,) = comparison.compared(runs, [model(example)], seconds=0.0)
    assert (only.form, only.n_bytes, only.difference, len(only.ms)) == ("dense, eager", 123, 0.0, 5)
    assert only.threads == torch.get_num_threads()
    assert only.peak is None or only.peak >= sum(p.numel() * 4 for p in model.parameters())
    assert difference([torch.tensor([1.0, -4.0])], [torch.tensor([1.0, -3.0])]) == 0.25


@pytest.fixture
def ticket_path(tmp_path: Path) -> Path:
    """A ticket file with its network's weights beside it, as a search leaves them."""
    ticket, model = found()
    ticket_file.write(ticket, tmp_path / "a.ticket")
    safetensors.torch.save_file(model.state_dict(), tmp_path / "a.safetensors")
    return tmp_path / "a.ticket"


@pytest.fixture
def _without_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its export takes seconds."""

    def refuse(*_: object) -> None:
        raise WinsomeError("it needs time")

    monkeypatch.setattr(comparison, "write_for_onnxruntime", refuse)


@pytest.mark.slow
def test_onnxruntime_is_among_the_dense_forms() -> None:
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason="ONNX export is an extra: pip install 'winsome[onnx]'")
    network, images = nn.Sequential(nn.Conv2d(2, 3, 1), nn.Flatten(), nn.Linear(12, 3)).eval(), torch.randn(1, 2, 2, 2)
    runs, sentences = comparison.runs_of("dense", network, images, 1)
    assert list(runs) == ["dense, eager", "dense, channels_last", "dense, onnxruntime"]
    assert not sentences
    with torch.inference_mode():
        for run in runs.values():
            torch.testing.assert_close(run.call()[0], network(images))


@pytest.mark.usefixtures("_without_onnxruntime")
def test_the_command_writes_what_load_reads(ticket_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network, images = found()[1], torch.randn(3, 1, 4, 4)
    for form in ("shrink", "csr", "small"):
        out = tmp_path / f"{form}.safetensors"
        words = ["ticket", "export", str(ticket_path), "--form", form, "--save-to", str(out), "--anyway", "--precision", "fp32"]
        main([*words, "--batch", "2", "--threads", "1"])
        printed = capsys.readouterr().out
        header = next(line for line in printed.splitlines() if line.startswith("form"))
        assert "".join(header.split()) == "formMBondiskmsleastmostthreadspeakMBlargestdifference"
        assert "dense, onnxruntime is not in the table: it needs time" in printed
        assert "dense, eager" in printed
        assert "dense, channels_last" in printed
        with torch.inference_mode():
            torch.testing.assert_close(exports.load(out)(images), network(images))


def test_the_command_says_what_it_cannot_do(ticket_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "out.safetensors")
    words = ["ticket", "export", str(ticket_path), "--save-to", out]
    assert "no linear layer of Sequential is in the pattern 2:4" in said([*words, "--form", "2:4"], capsys)
    assert "--batch and --threads are 1 or more, got 0" in said([*words, "--form", "csr", "--batch", "0"], capsys)
    ticket, model = found()
    with torch.no_grad():
        for name in ticket.mask:
            model.get_parameter(name).mul_(torch.tensor([1.0, 0, 0, 1]).repeat(model.get_parameter(name).shape[1] // 4))
    kept = {name: model.get_parameter(name) != 0 for name in ticket.mask}
    ticket_file.write(replace(ticket, mask=SignedMask.of(model.state_dict(), kept)), ticket_path)
    if not torch.cuda.is_available():
        assert "2:4 runs on a GPU" in said([*words, "--form", "2:4"], capsys)
        main([*words, "--form", "2:4", "--anyway"])
        assert "not measured, for there is no GPU" in capsys.readouterr().out
        assert exports.load(out)(torch.randn(1, 1, 4, 4).bfloat16()).dtype == torch.bfloat16
    assert not (tmp_path / "out2").exists()


def test_convert_knows_the_small_checkpoint(ticket_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small, dense, back = (str(tmp_path / name) for name in ("small.safetensors", "dense.safetensors", "back.ticket"))
    main(["ticket", "convert", str(ticket_path), small, "--to", "small"])
    assert "runs as fast as that" in " ".join(capsys.readouterr().out.split())
    main(["ticket", "convert", small, back])
    assert Path(back).read_bytes() == ticket_path.read_bytes()
    main(["ticket", "convert", small, dense])
    assert bits(safetensors.torch.load_file(dense)) == bits(found()[1].state_dict())
    assert "of which a .ticket or a dense .safetensors" in said(["ticket", "convert", small, str(tmp_path / "a.onnx")], capsys)


def test_show_counts_flops(ticket_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["ticket", "show", str(ticket_path), "--flops"])
    lines = capsys.readouterr().out.splitlines()
    ticket, model = found()
    total = sum(p.numel() for p in model.parameters())
    kept = total - ticket.mask.n_weights + ticket.mask.n_kept
    flops = 2 * sum(p.numel() for p in model.parameters() if p.ndim == 2)
    left = flops - 2 * (ticket.mask.n_weights - ticket.mask.n_kept)
    last = [line.split() for line in lines if line.startswith("total")][1]
    expected = [total, kept, flops, left, 4 * total, 4 * kept]
    assert last == ["total", *(f"{value:,}" for value in expected), f"{left / flops:.1%}"]
    assert json.dumps(RECORD["image_shape"]) in "\n".join(lines)
